"""Trains every recipe for 1 and for 20 steps, and records or compares the logs.

A rebuild of the code must not change what equal seeds give. Record the logs with one version of
the library, then compare with another, on the same machine and backend:

    python benchmarks/equal_numbers.py record before.json
    python benchmarks/equal_numbers.py compare before.json

Logs may differ by 1e-6 (relative) after one step and by 1e-4 after 20. Prints each recipe that
differs by more, and exits with 1 if there is one.
"""

import argparse
import json
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_vae import recipes

TOLERANCES = {1: 1e-6, 20: 1e-4}
"""Largest relative difference allowed, by the number of steps."""
IMAGE, TABLE, BATCH = (8, 8, 1), (12,), 16

GRID = {"filters": (8, 16)}
RECIPES = {
    "annealed_vae": {},
    "beta_tc_vae": {"dataset_size": 320},
    "bsq_vae": {"num_bits": 4, **GRID},
    "categorical_vae": {},
    "conditional_vae": {"condition_dim": 3},
    "deep_ladder_vae": {"num_groups": 4, "width": 8, "num_scales": 2},
    "dip_vae": {},
    "factor_vae": {},
    "flow_prior_vae": {},
    "fsq_vae": {"levels": (4, 4), **GRID},
    "hyperspherical_vae": {},
    "iaf_vae": {},
    "info_vae": {},
    "iwae": {"gradient": "doubly_reparameterized"},
    "kl_autoencoder": GRID,
    "ladder_vae": {"latent_dims": (4, 6), "width": 16},
    "lfq_vae": {"num_bits": 4, **GRID},
    "linear_vae": {},
    "miwae": {},
    "mixture_vae": {},
    "planar_vae": {},
    "rvq_vae": {"num_codes": 16, **GRID},
    "tutorial_vae": {},
    "sigma_vae": {},
    "vae": {},
    "vamp_vae": {"num_components": 10},
    "vq_vae": {"num_codes": 16, **GRID},
    "wae_gan": {},
    "wae_mmd": {},
}


def data(name, steps):
    """Inputs of `fit` for so many steps: a table with gaps, labelled images, or images."""
    rng = np.random.default_rng(0)
    shape = TABLE if name == "miwae" else IMAGE
    x = (rng.random((steps * BATCH, *shape)) > 0.6).astype("float32")
    if name == "miwae":
        return {"x": x, "mask": rng.random(x.shape) > 0.3}
    if name == "conditional_vae":
        return {"x": x, "condition": rng.integers(0, 3, len(x))}
    return x


def logs(name, steps):
    """The logs of the last epoch: training and validation, after `steps` steps of Adam."""
    keras.utils.set_random_seed(0)
    shape = TABLE if name == "miwae" else IMAGE
    vae = getattr(recipes, name)(shape, seed=1, **RECIPES[name])
    vae.compile(keras.optimizers.Adam(1e-3))
    x = data(name, steps)
    history = vae.fit(
        x, batch_size=BATCH, shuffle=False, verbose=0, validation_data=(x, None, None)
    )
    return {key: values[-1] for key, values in sorted(history.history.items())}


def record():
    """The logs of every recipe, by name and number of steps."""
    known = [name for name in RECIPES if hasattr(recipes, name)]
    return {name: {str(steps): logs(name, steps) for steps in TOLERANCES} for name in known}


def differences(before, now):
    """Yields (recipe, steps, log, before, now) where the two differ by more than allowed."""
    for name in sorted(before.keys() & now.keys()):
        for steps, tolerance in TOLERANCES.items():
            old, new = before[name][str(steps)], now[name][str(steps)]
            for key in sorted(old.keys() | new.keys()):
                pair = old.get(key, np.nan), new.get(key, np.nan)
                if not np.isclose(*pair, rtol=tolerance, atol=tolerance):
                    yield name, steps, key, *pair


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=["record", "compare"])
    parser.add_argument("file", type=pathlib.Path)
    arguments = parser.parse_args()
    found = record()
    if arguments.task == "record":
        arguments.file.write_text(json.dumps(found, indent=1))
        return
    rows = list(differences(json.loads(arguments.file.read_text()), found))
    for name, steps, key, old, new in rows:
        print(f"{name:20} {steps:3} steps {key:28} {old:14.7f} -> {new:14.7f}")
    print(f"{len(found)} recipes compared, {len(rows)} logs differ")
    sys.exit(bool(rows))


if __name__ == "__main__":
    main()
