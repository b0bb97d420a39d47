"""Runs of contenders, each in a process of its own, and the figures that they leave.

A benchmark names its contenders and cases. Each run prints its figures as one line of JSON. The
figures go to the file `--json` as soon as a run ends, and a run that the file already holds isn't
repeated, so that a benchmark can be stopped and continued, or extended by another contender;
`--again` repeats it, for instance when our model has changed.
"""

import argparse
import fcntl
import functools
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent))

from data import DATA  # noqa: E402
from speed import interpreter  # noqa: E402

OURS = "keras_vae"
CACHE = pathlib.Path.home() / ".cache"


class Figures:
    """The figures of all runs so far, in a file if there is one."""

    def __init__(self, path):
        self.path, self.rows = path, {}
        if path and path.exists():
            self.rows = json.loads(path.read_text())

    def add(self, run, figures):
        """Adds to what the file holds by now: another process may write to it too."""
        if not self.path:
            self.rows[name_of(run)] = figures
            return
        with open(self.path.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.rows |= json.loads(self.path.read_text()) if self.path.exists() else {}
            self.rows[name_of(run)] = figures
            new = self.path.with_suffix(".new")
            new.write_text(json.dumps(self.rows, indent=1))
            new.replace(self.path)

    def get(self, *run):
        """Returns the figures of a run, None if it hasn't run."""
        return self.rows.get(name_of(run))


def name_of(run):
    return " / ".join(map(str, run))


class Clock:
    """CPU seconds of this process since it was made."""

    def __init__(self):
        self.start = time.process_time()

    def seconds(self):
        return time.process_time() - self.start


def parser(doc, contenders):
    """The arguments that all benchmarks here share."""
    made = argparse.ArgumentParser(description=doc.splitlines()[0])
    made.add_argument("--only", nargs="+", choices=list(contenders), default=list(contenders))
    made.add_argument("--json", type=pathlib.Path, help="figures of earlier runs, and of these")
    made.add_argument("--cap", type=float, default=3600, help="CPU seconds for each run")
    made.add_argument("--again", action="store_true", help="repeat runs that the file holds")
    made.add_argument("--table", action="store_true", help="print the figures, run nothing")
    made.add_argument("--data", type=pathlib.Path, default=DATA, help="folder of real data")
    cache = CACHE / "keras_vae_contenders"
    made.add_argument("--environments", type=pathlib.Path, default=cache)
    made.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)  # one run, in this process
    return made


def limit(seconds):
    """Lets this process end after so many CPU seconds."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 10))


def work(script, run, arguments, requirements=None, options=()):
    """Returns the figures of one run. Raises RuntimeError if it ends without any.

    The process is stopped two minutes after `--cap`: contenders that can stop by themselves, with
    what they have, do so then.
    """
    python = interpreter(requirements, arguments.environments) if requirements else sys.executable
    command = [python, script, "--worker", *map(str, run), "--data", str(arguments.data)]
    command += ["--cap", str(arguments.cap), *map(str, options)]
    environment = dict(os.environ) | {"CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE.parents[1]), os.getenv("PYTHONPATH", "")])
    result = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        preexec_fn=functools.partial(limit, int(arguments.cap) + 120),
    )
    if result.returncode == -signal.SIGXCPU:
        return {"cut": f"no result within {arguments.cap:.0f} s"}
    lines = [line for line in result.stdout.splitlines() if line.startswith('{"')]
    if result.returncode or not lines:
        reason = f"it ended with status {result.returncode}"
        raise RuntimeError((result.stderr.strip().splitlines() or [reason])[-1])
    return json.loads(lines[-1])


def run_all(script, contenders, cases, arguments, options=(), once=work):
    """Runs what the file of figures lacks, case by case; returns all figures."""
    figures = Figures(arguments.json)
    for case in [] if arguments.table else cases:
        for title in arguments.only:
            if figures.get(title, *case) is not None and not arguments.again:
                continue
            try:
                found = once(script, (title, *case), arguments, contenders[title], options)
            except RuntimeError as error:
                print(f"{name_of((title, *case))}: not run: {error}"[:200], flush=True)
                continue
            figures.add((title, *case), found)
            shown = {key: value for key, value in found.items() if not isinstance(value, dict)}
            print(f"{name_of((title, *case))}: {json.dumps(shown)}", flush=True)
    return figures


def print_table(header, rows):
    """A Markdown table."""
    print("\n| " + " | ".join(header) + " |")
    print("| " + " | ".join(len(header) * ["---"]) + " |")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.stdout.flush()
