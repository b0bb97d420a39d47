"""Training speed on Fashion-MNIST: ours, loops by hand, other libraries, and the machine's limit.

    python benchmarks/speed.py --rounds 9
    python benchmarks/speed.py --batch 32 128 512 --json speed.json
    python benchmarks/speed.py --compare speed.json
    python benchmarks/speed.py --accelerator

Protocol: every contender trains the article's networks (`recipes.tutorial_vae`, 2 latents, float32,
Adam) on the same images and batches, in a process of its own that has trained over them once
before. They train in turn, A B C A B C, so that a busy machine slows all. Times are of whole
epochs, loading and logs included. JAX, slow on a CPU, trains over a sixteenth of the images, and
its times count sixteenfold. Images a second are the median over the rounds; the ratio is
the median of the rounds' ratios to the loop by hand in TensorFlow, in wall time and in CPU time,
with the interval of order statistics that holds the median with at least 95 % (of nine rounds the
second to the eighth; of fewer than nine all).
The limit: floating-point operations of a step, three times those of the forward pass, over the
rate of a product of 2048 x 2048 matrices measured in the same rounds.

The libraries of other contenders are installed from `contenders/requirements` into virtual
environments under `--environments`; where that fails, the row says why. `--compare` ends with
status 1 where a ratio has fallen by more than 5 %.

All that runs on the CPU, even where there is an accelerator. `--accelerator` measures what can use
one there, with the JAX and torch that this Python has; where it finds none, each row says so. The
loops by hand then hold the images in the accelerator's memory, the ratios are to that in JAX, and
the limit is of matrices of 8192 x 8192.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).parent / "contenders"
ENVIRONMENT = dict(os.environ)
ON_CPU = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
SHARED = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}  # an accelerator's memory, by all contenders
CONTENDERS = {  # title: (module, requirements or None, environment variables)
    "keras_vae, `fit`": ("keras_vae_fit", None, {"KERAS_BACKEND": "tensorflow"}),
    "keras_vae, bfloat16 products": (
        "keras_vae_fit",
        None,
        {"KERAS_BACKEND": "tensorflow", "TF_SET_ONEDNN_FPMATH_MODE": "BF16"},
    ),
    "TensorFlow, loop by hand": ("tensorflow_loop", None, {"KERAS_BACKEND": "tensorflow"}),
    "Keras, own `train_step`": ("keras_step", None, {"KERAS_BACKEND": "tensorflow"}),
    "keras_vae on JAX": ("keras_vae_fit", None, {"KERAS_BACKEND": "jax"}),
    "keras_vae on torch": ("keras_vae_fit", None, {"KERAS_BACKEND": "torch"}),
    "JAX, loop by hand": ("jax_loop", "jax", {}),
    "PyTorch, loop by hand": ("torch_loop", "torch", {}),
    "pythae 0.1.2, its trainer": ("pythae_trainer", "pythae", {}),
    "matrix product": ("matrix_product", None, {}),
}
ACCELERATED = {
    "keras_vae on JAX": ("keras_vae_fit", None, {"KERAS_BACKEND": "jax"}),
    "JAX, loop by hand": ("jax_loop", None, {}),
    "keras_vae on torch": ("keras_vae_fit", None, {"KERAS_BACKEND": "torch"}),
    "PyTorch, loop by hand": ("torch_loop", None, {}),
    "matrix product": ("jax_product", None, {}),
}
SHARE = {
    "keras_vae on JAX": 16,
    "JAX, loop by hand": 16,
}  # slow on a CPU: so many times fewer images
LIMIT = "matrix product"


class Worker:
    """A contender's process: `epoch()` trains once over the images, and says how long it took."""

    def __init__(self, contender, batch, images, data, arguments):
        module, requirements, environment = contender
        python = sys.executable
        if requirements:
            python = interpreter(requirements, arguments.environments)
        command = [python, str(HERE / "worker.py"), module, str(batch), str(images), str(data)]
        command += ["--accelerator"] if arguments.accelerator else []
        path = os.pathsep.join([str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH", "")])
        devices = SHARED if arguments.accelerator else ON_CPU
        common = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": path}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            env=ENVIRONMENT | common | devices | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
        )
        self._line("ready")

    def epoch(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return json.loads(self._line("{"))

    def close(self):
        self.process.stdin.close()
        self.process.wait()

    def _line(self, start):
        """The next line that begins like this: libraries print too."""
        for line in self.process.stdout:
            if line.startswith(start):
                return line
        self.errors.seek(0)
        raise RuntimeError((self.errors.read().strip().splitlines() or ["it ended"])[-1])


def interpreter(requirements, environments):
    """The Python of the virtual environment with these requirements, made if need be."""
    folder = environments / requirements
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        file = HERE / "requirements" / f"{requirements}.txt"
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "-r", str(file)],
        ):
            result = subprocess.run(command, capture_output=True, text=True)
            if result.returncode:
                raise RuntimeError((result.stderr.strip().splitlines() or ["no reason"])[-1])
        (folder / "installed").touch()
    return str(python)


def multiplications(layer):
    """Of one image in the forward pass of a dense or convolutional layer."""
    import keras

    if "conv" not in layer.name:
        return math.prod(layer.kernel.shape)
    transposed = isinstance(layer, keras.layers.Conv2DTranspose)
    grid = (layer.input if transposed else layer.output).shape[1:-1]
    return math.prod(layer.kernel.shape) * math.prod(grid)


def operations(vae):
    """Multiplications and additions of one image's training step."""
    layers = [*vae.encoder.layers, *vae.decoder.layers]
    layers += [vae.posterior.mean_layer, vae.posterior.log_variance_layer]
    return 3 * 2 * sum(multiplications(layer) for layer in layers if hasattr(layer, "kernel"))


def measure(batch, arguments, data):
    """{title: list of rounds, or the reason there is none}."""
    workers, found = {}, {}
    contenders, shares = (ACCELERATED, {}) if arguments.accelerator else (CONTENDERS, SHARE)
    for title, contender in contenders.items():
        if title not in (arguments.only or contenders):
            continue
        try:
            images = arguments.images // shares.get(title, 1)
            workers[title] = Worker(contender, batch, images, data, arguments)
            found[title] = []
        except RuntimeError as error:
            found[title] = f"not measured: {error}"[:100]
        print(
            f"batch {batch}, {title}: {'ready' if title in workers else found[title]}", flush=True
        )
    for number in range(arguments.rounds):
        for title, worker in workers.items():
            times, share = worker.epoch(), shares.get(title, 1)
            times |= {key: share * times[key] for key in ("wall", "cpu")}
            found[title].append(times)
        walls = {title: round(found[title][-1]["wall"], 2) for title in workers}
        print(f"batch {batch}, round {number + 1}: {walls}", flush=True)
    for worker in workers.values():
        worker.close()
    return found


def interval(ratios):
    """Order statistics that hold the median with at least 95 %; of up to eight, the extremes."""
    ordered, n, cut = sorted(ratios), len(ratios), 0
    while 2 * sum(math.comb(n, i) for i in range(cut + 2)) <= 0.05 * 2**n:
        cut += 1
    return [ordered[cut], ordered[n - 1 - cut]]


def summary(found, images, baseline):
    """{title: figures, or the reason there is none}."""
    import keras_vae

    rows, base, limit = {}, found.get(baseline), found.get(LIMIT)
    rate = None
    if isinstance(limit, list):
        seconds = statistics.median(r["wall"] for r in limit)
        step = operations(keras_vae.recipes.tutorial_vae())
        rate = limit[0]["operations"] / seconds / step  # images a second
        rows[LIMIT] = {"images_per_second": rate}
    for title, rounds in found.items():
        if title == LIMIT or not isinstance(rounds, list):
            rows.setdefault(title, rounds)
            continue
        row = {"images_per_second": images / statistics.median(r["wall"] for r in rounds)}
        row["cpu_seconds"] = statistics.median(r["cpu"] for r in rounds)
        row["peak_mb"] = max(r["peak_mb"] for r in rounds)
        for key in ("wall", "cpu"):
            if isinstance(base, list):
                ratios = [b[key] / r[key] for b, r in zip(base, rounds, strict=True)]
                row[f"{key}_ratio"] = statistics.median(ratios)
                row[f"{key}_interval"] = interval(ratios)
        if rate:
            row["of_limit"] = row["images_per_second"] / rate
        rows[title] = row
    return rows


def table(batch, rows):
    print(f"\nbatch {batch}\n")
    print("| | images/s | x loop by hand, wall | x, CPU | of the limit | CPU s | peak MB |")
    print("|", " | ".join(7 * ["---"]), "|")
    for title, row in rows.items():
        if isinstance(row, str):
            print(f"| {title} | {row} | | | | | |")
            continue
        cells = [title, f"{row['images_per_second']:,.0f}"]
        for key in ("wall", "cpu"):
            if f"{key}_ratio" in row:
                low, high = row[f"{key}_interval"]
                cells.append(f"{row[f'{key}_ratio']:.2f} ({low:.2f} to {high:.2f})")
            else:
                cells.append("")
        cells.append(f"{100 * row['of_limit']:.0f} %" if "of_limit" in row else "")
        cells += [f"{row[key]:,.0f}" if key in row else "" for key in ("cpu_seconds", "peak_mb")]
        print("|", " | ".join(cells), "|")


def compare(old, new):
    """Names of what has become slower by more than 5 %, against the loop by hand."""
    slower = []
    for batch, rows in new.items():
        for title, row in rows.items():
            before = old.get(batch, {}).get(title)
            if not isinstance(before, dict) or not isinstance(row, dict):
                continue
            a, b = before.get("wall_ratio"), row.get("wall_ratio")
            if a and b:
                print(f"batch {batch}, {title}: {a:.2f} before, {b:.2f} now")
                slower += [f"{title}, batch {batch}"] if b < 0.95 * a else []
    return slower


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[32, 128, 512])
    parser.add_argument("--images", type=int, default=20_000, help="an epoch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), help="these contenders")
    parser.add_argument("--accelerator", action="store_true", help="on a GPU, in place of the CPU")
    parser.add_argument("--json", type=pathlib.Path, help="where to leave the figures")
    parser.add_argument("--compare", type=pathlib.Path, help="figures of an earlier run")
    cache = pathlib.Path.home() / ".cache" / "keras_vae_contenders"
    parser.add_argument("--environments", type=pathlib.Path, default=cache)
    arguments = parser.parse_args()
    os.environ.update(ON_CPU)  # this process only waits for the others
    import keras

    (x, _), _ = keras.datasets.fashion_mnist.load_data()
    results = {}
    baseline = "JAX, loop by hand" if arguments.accelerator else "TensorFlow, loop by hand"
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "x.npy"
        np.save(data, x[: arguments.images, ..., None].astype("float32") / 255)
        for batch in arguments.batch:
            found = measure(batch, arguments, data)
            rows = results[str(batch)] = summary(found, arguments.images, baseline)
            table(batch, rows)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1))
    if arguments.compare:
        slower = compare(json.loads(arguments.compare.read_text()), results)
        print("slower by more than 5 %:", ", ".join(slower) or "none")
        sys.exit(bool(slower))


if __name__ == "__main__":
    main()
