"""One contender of `benchmarks/speed.py`, in a process of its own.

    python worker.py NAME BATCH IMAGES FILE.npy [--accelerator]

Trains once over the images to warm up and prints `ready`; then, for each line it reads, trains over
them once more and prints wall seconds, CPU seconds, the largest memory so far in MB, and the number
of operations where the contender knows it, as JSON. With --accelerator it ends at once on a CPU.
"""

import importlib
import json
import pathlib
import resource
import sys
import time

import numpy as np


def cpu_seconds():
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, kinds))


def peak_megabytes():
    """Of this process alone: getrusage begins with the memory of the one that started it."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def anonymous_megabytes():
    """What the process holds now, without the pages of files."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def main(name, batch, images, path, *options):
    contender = importlib.import_module(name)
    if "--accelerator" in options and "cpu" in (device := contender.device()).lower():
        sys.exit(f"no accelerator, {device}")
    epoch = contender.prepare(np.load(path)[: int(images)], int(batch))
    epoch()
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), cpu_seconds()
        epoch()
        found = {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu}
        found["peak_mb"] = peak_megabytes()
        if hasattr(contender, "OPERATIONS"):
            found["operations"] = contender.OPERATIONS
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
