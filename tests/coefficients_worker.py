"""Sets numbers between epochs and batches on two replicas: `coefficients_worker.py OUTPUT.json`."""

import json
import sys

import tensorflow as tf

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

import test_coefficients  # noqa: E402


def main(output):
    reduce = tf.distribute.ReductionToOneDevice()
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduce)
    results = {}
    for name in ("beta", "penalty", "quantizer's temperature"):
        with strategy.scope():
            results[name] = test_coefficients.changed(name)[1]
    with open(output, "w") as file:
        json.dump(results, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
