"""N replicas train exactly as one device does; replicas_worker.py runs them in its own process."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from checks import read_arrays

pytestmark = pytest.mark.tensorflow

HERE = pathlib.Path(__file__).parent

EXACT = [("SGD", n) for n in (1, 2, 4)] + [("Adam", n) for n in (1, 2, 4)]
EXACT += [("empty shards", 4), ("clipnorm", 2), ("global_clipnorm", 4), ("clipvalue", 2)]
EXACT += [("EMA", 2), ("steps_per_execution", 2), ("BatchNormalization and Dropout", 2)]
EXACT += [("regularisers", 4), ("optimal scale", 4), ("mixed_float16", 2)]
EXACT += [("overflow on one replica", 2)]
EXACT += [("total correlation", 4), ("total correlation, stratified", 2), ("DIP and MMD", 4)]
EXACT += [("free bits on a sphere", 2), ("capacity of classes", 4), ("flow", 2)]
EXACT += [("doubly reparameterized", 2), ("condition and mask", 4), ("vector quantizer", 2)]
EXACT += [("word dropout", 2), ("ladder", 2), ("ladder", 4), ("residual quantizer", 2)]
EXACT += [("gumbel quantizer", 2), ("learned scales", 2), ("learned scales", 4)]
EXACT += [("learned quantizer", 2), ("cosine quantizer, k-means", 2), ("linear quantizer", 2)]
EXACT += [("binary quantizer", 2), ("residual scalars", 2)]
EXACT += [("total correlation adversary", n) for n in (1, 2, 4)] + [("prior adversary", 4)]
EXACT += [("patch adversary", n) for n in (1, 2, 4)]
EXACT += [("adversary, mixed_float16", 2), ("gradient norm guard", 2)]

HALF = (  # float16 sums in another order
    "mixed_float16",
    "adversary, mixed_float16",
    "overflow on one replica",
)

MISTAKES = [
    ("SGD", 2, "gradients summed"),
    ("SGD", 2, "mean of the replicas' means"),
    ("SGD", 2, "the same noise on every replica"),
    ("empty shards", 4, "NaN on an empty shard"),
    ("clipnorm", 2, "clipping per replica"),
    ("regularisers", 4, "regularisers once a replica"),
    ("BatchNormalization and Dropout", 2, "the same noise on every replica"),
]


USUAL = {("SGD", 2), ("total correlation adversary", 2), MISTAKES[0]}


def cases(jobs):
    """The parameters of a test: all but the usual ones are slow."""
    return [pytest.param(*j, marks=() if j in USUAL else pytest.mark.slow) for j in jobs]


def jobs_of(items):
    """What the tests that were chosen compare: each with the same case on one device."""
    jobs = []
    for item in items:
        case = getattr(item, "callspec", None) and item.callspec.params
        if case and {"name", "count"} <= set(case):
            jobs += [(case["name"], 0, ""), (case["name"], case["count"], case.get("mistake", ""))]
        jobs += [(*job, "") for job in WITHOUT_PARAMETERS.get(item.name, [])]
    return list(dict.fromkeys(jobs))


WITHOUT_PARAMETERS = {
    "test_a_guard_skips_the_same_steps": [("gradient norm guard", 0), ("gradient norm guard", 2)],
    "test_an_overflow_on_one_replica_skips_the_step_on_all": [
        ("overflow on one replica", 0),
        ("overflow on one replica", 2),
    ],
}


@pytest.fixture(scope="module")
def results(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    here = [item for item in request.session.items if item.path == request.path]
    jobs = jobs_of(here)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    command = [sys.executable, str(HERE / "replicas_worker.py"), "jobs.json", "out.npz"]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    result = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=2700
    )
    assert result.returncode == 0, result.stderr
    return read_arrays(folder / "out.npz")


def difference(results, name, count, mistake=""):
    """Largest relative difference of weights, and of logs, from one device."""
    jobs = (f"{name}|0|", f"{name}|{count}|{mistake}")
    return [relative(*(results[f"{job}|{key}"] for job in jobs)) for key in ("weights", "logs")]


def relative(one, many):
    """Infinite where only one of them is NaN: an overflow is logged as NaN by both."""
    known = ~np.isnan(one)
    if not np.array_equal(known, ~np.isnan(many)):
        return np.inf
    error, size = np.abs(many - one)[known], np.abs(one)[known]
    return np.max(error / (size + np.mean(size)), initial=0.0) if known.any() else 0.0


@pytest.mark.parametrize(("name", "count"), cases(EXACT))
def test_replicas_equal_one_device(results, name, count):
    tolerance = 2e-3 if name in HALF else 1e-5
    weights, logs = difference(results, name, count)
    assert weights < tolerance
    assert logs < tolerance
    assert results[f"{name}|0||iterations"] == results[f"{name}|{count}||iterations"]
    if name == "SGD":
        one, many = results["SGD|0||codes"], results[f"SGD|{count}||codes"]
        np.testing.assert_allclose(many, one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "count", "mistake"), cases(MISTAKES))
def test_each_classic_mistake_is_noticed(results, name, count, mistake):
    weights, _ = difference(results, name, count, mistake)
    assert not weights < 1e-4


@pytest.mark.slow
def test_a_guard_skips_the_same_steps(results):
    for count in (0, 2):
        assert results[f"gradient norm guard|{count}||skipped"] == 3  # once in each pass


@pytest.mark.slow
def test_an_overflow_on_one_replica_skips_the_step_on_all(results):
    for count in (0, 2):
        assert np.isfinite(results[f"overflow on one replica|{count}||weights"]).all()
        assert results[f"overflow on one replica|{count}||scale"] == 2.0**12  # 2**15, 3 skipped
