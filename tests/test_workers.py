"""Two worker processes on loopback train exactly as one process does."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import keras_vae

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

HERE = pathlib.Path(__file__).parent
LIMIT = 240  # seconds for one cluster


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def start(folder, command, workers):
    """The processes of a cluster, or of one process alone."""
    hosts = [f"127.0.0.1:{port}" for port in free_ports(workers)]
    processes = []
    for index in range(workers):
        environment = os.environ | {"PYTHONPATH": str(HERE.parent), "CUDA_VISIBLE_DEVICES": ""}
        if workers > 1:
            task = {"type": "worker", "index": index}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": hosts}, "task": task})
        log = open(folder / f"log_{workers}_{index}.txt", "w")  # noqa: SIM115 (outlives this)
        processes.append(
            subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        )
        log.close()
    return processes


def finish(folder, processes):
    """Waits for all to end well; kills them at the limit."""
    deadline = time.monotonic() + LIMIT
    try:
        codes = [p.wait(max(1, deadline - time.monotonic())) for p in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    logs = "\n".join(path.read_text()[-3000:] for path in folder.glob("log_*.txt"))
    assert codes == [0] * len(processes), logs


def worker(*arguments):
    return [sys.executable, str(HERE / "cluster_worker.py"), *arguments]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One folder with what one process left, what two workers left, and what two left after one
    of them was killed in the middle of an epoch and both were started again."""
    folder = tmp_path_factory.mktemp("cluster")
    finish(folder, start(folder, worker("one"), 1))
    finish(folder, start(folder, worker("two"), 2))
    broken = start(folder, worker("killed", "kill"), 2)
    assert broken[1].wait(LIMIT) == -9
    broken[0].kill()  # it waits for the other for ever
    broken[0].wait()
    assert not list(folder.glob("killed_*.npz"))
    assert (folder / "killed_backup").is_dir()
    finish(folder, start(folder, worker("killed"), 2))
    return folder


KEYS = ("weights", "evaluated", "predicted", "codes")


def test_the_command_line_joins_a_cluster_by_itself(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((40, 12)))
    for workers, output in ((1, "one"), (2, "two")):
        command = [sys.executable, "-m", "keras_vae", "train", "--data", "x.npy", "--epochs", "2"]
        command += ["--batch-size", "8", "--latent-dim", "3", "--output", output]
        finish(tmp_path, start(tmp_path, command, workers))
    one, two = (keras_vae.load_model(tmp_path / name / "vae.keras") for name in ("one", "two"))
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    names = {path.name for path in (tmp_path / "two").iterdir()}
    assert names == {"vae.keras", "history.csv", "logs", "loss.png"}
    rows = [(tmp_path / name / "history.csv").read_text().splitlines() for name in ("one", "two")]
    assert rows[0][0] == rows[1][0]
    assert len(rows[0]) == len(rows[1]) == 3


@pytest.mark.parametrize("role", ["chief", "other"])
def test_two_workers_equal_one_process(runs, role):
    one, two = np.load(runs / "one_chief.npz"), np.load(runs / f"two_{role}.npz")
    for key in (*KEYS, "logs"):
        np.testing.assert_allclose(two[key], one[key], rtol=1e-5, atol=1e-6, err_msg=key)


@pytest.mark.parametrize("role", ["chief", "other"])
def test_a_killed_worker_ends_where_an_uninterrupted_run_ends(runs, role):
    whole, killed = np.load(runs / f"two_{role}.npz"), np.load(runs / f"killed_{role}.npz")
    for key in KEYS:
        np.testing.assert_array_equal(killed[key], whole[key], err_msg=key)
    log = (runs / "log_2_0.txt").read_text()
    assert "epoch 2" in log
    assert "epoch 1" not in log  # the first two epochs were not trained again


def test_only_the_chief_writes_and_what_it_writes_is_whole(runs):
    assert not (runs / "two_backup").exists()  # deleted at the end, as Keras does
    rows = (runs / "two.csv").read_text().splitlines()
    assert len(rows) == 6
    best = keras_vae.load_model(runs / "two_best.keras")
    assert best.predict(np.zeros((2, 4, 4, 1)), verbose=0).shape == (2, 4, 4, 1)
    assert {path.name for path in (runs / "two_pictures").iterdir()} == {
        "reconstructions.png",
        "samples.png",
        "latent_map.png",
    }
    for path in (runs / "two_pictures").iterdir():
        with Image.open(path) as image:
            image.verify()
    assert not [path for path in runs.rglob(".*") if path.is_file()]  # no temporary file is left
