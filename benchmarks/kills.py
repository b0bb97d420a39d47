"""Runs of `keras-vae train --resume` killed with SIGKILL, and continued: is anything lost?

    python benchmarks/kills.py --runs 30

Protocol: one run is left alone. Each of the others is killed up to three times, then let through
with the same command: every second kill at a random moment of the run, the others as soon as a
file is seen half-written (in turn the model, the history and a picture). After each kill the
checkpoint, if there is one, must load. At the end weights, optimizer and noise must equal those of
the run left alone bit for bit, and the history and all pictures byte for byte.
"""

import argparse
import io
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import zipfile

import h5py
import numpy as np

import keras_vae

TARGETS = ("vae.keras", "history.csv", "reconstructions.png")


def command(folder, arguments):
    return [
        *(sys.executable, "-m", "keras_vae", "train", "--data", "shapes", "--resume"),
        *("--limit", str(arguments.limit), "--epochs", str(arguments.epochs)),
        *("--output", str(folder)),
    ]


def run(folder, arguments, moment=None, target=None):
    """The exit code of the command, killed after `moment` seconds or while it writes `target`."""
    start, quiet = time.perf_counter(), subprocess.DEVNULL
    process = subprocess.Popen(command(folder, arguments), stdout=quiet, stderr=quiet)
    while process.poll() is None:
        late = moment is not None and time.perf_counter() - start > moment
        if late or (target and any(folder.glob(f".{target}.partial-*"))):
            process.kill()
        time.sleep(0.002)
    return process.returncode


def arrays(path):
    """Everything in the weights file of a `.keras` file, by name."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(lambda n, d: found.update({n: d[()]}) if hasattr(d, "shape") else None)
    return found


def differences(folder, expected):
    """The names of the files that differ from those of the run left alone."""
    a, b = arrays(folder / "vae.keras"), arrays(expected / "vae.keras")
    same = a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)
    found = [] if same else ["vae.keras"]
    names = [p.name for p in sorted(expected.glob("*.png"))] + ["history.csv"]
    return found + [n for n in names if (folder / n).read_bytes() != (expected / n).read_bytes()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--limit", type=int, default=1000, help="training images")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    root = pathlib.Path(tempfile.mkdtemp())
    expected = root / "whole"
    start = time.perf_counter()
    assert run(expected, arguments) == 0
    seconds = time.perf_counter() - start
    kills = damaged = lost = 0
    for number in range(arguments.runs):
        folder = root / str(number)
        for attempt in range(chance.randint(1, 3)):
            at_random = (number + attempt) % 2 == 0
            moment = chance.uniform(0.2, 1.0) * seconds if at_random else None
            target = None if at_random else TARGETS[number // 2 % len(TARGETS)]
            kills += run(folder, arguments, moment, target) == -9
            checkpoint = folder / "vae.keras"
            if checkpoint.exists():
                try:
                    keras_vae.load_model(checkpoint)
                except ValueError:
                    damaged += 1
        code = run(folder, arguments)
        wrong = [f"exit code {code}"] if code else differences(folder, expected)
        lost += bool(wrong)
        print(f"run {number + 1}: {', '.join(wrong) or 'as if never killed'}", flush=True)
    print(
        f"{arguments.runs} runs, {kills} kills, {damaged} damaged checkpoints, "
        f"{lost} runs that differ; a run takes {seconds:.0f} s"
    )
    sys.exit(bool(damaged or lost))


if __name__ == "__main__":
    main()
