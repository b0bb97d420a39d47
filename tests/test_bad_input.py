"""Every input either trains or is refused, with three parts, before the first step."""

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import keras_vae

SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TRIED = {"trained": 0, "refused": 0}


def good(shape, seed, dtype="float32"):
    """Values in the support of a Bernoulli."""
    values = np.random.default_rng(seed).random(shape)
    return (values if np.dtype(dtype).kind == "f" else values > 0.5).astype(dtype)


def spoil(values, value, seed):
    values = values.astype("float64")
    values.flat[np.random.default_rng(seed).integers(values.size)] = value
    return values


rows, seeds = st.integers(1, 6), st.integers(0, 2**31)
BAD_VALUES = st.sampled_from([np.nan, np.inf, -np.inf, -0.01, 1.01, 3.0])


@st.composite
def examples(draw, n, shape=(3,)):
    """x as (value, whether it is good)."""
    seed = draw(seeds)
    kind = draw(st.sampled_from(["good"] * 8 + list(BAD)))
    if kind == "good":
        x = good((n, *shape), seed, draw(st.sampled_from(["float32", "float64", "uint8", "bool"])))
        return (x.tolist() if draw(st.booleans()) and x.dtype.kind == "f" else x), True
    return BAD[kind](draw, n, shape, seed), False


BAD = {
    "value": lambda draw, n, shape, seed: spoil(good((n, *shape), seed), draw(BAD_VALUES), seed),
    "width": lambda draw, n, shape, seed: good((n, draw(st.sampled_from([1, 2, 4, 9]))), seed),
    "rank": lambda draw, n, shape, seed: good((n, *shape, draw(st.integers(1, 2))), seed),
    "flat": lambda draw, n, shape, seed: good((n,), seed),
    "scalar": lambda draw, n, shape, seed: np.float32(0.5),
    "empty": lambda draw, n, shape, seed: good((0, *shape), seed),
    "objects": lambda draw, n, shape, seed: np.full((n, *shape), None, dtype=object),
    "text": lambda draw, n, shape, seed: np.full((n, *shape), draw(st.text(max_size=3))),
    "complex": lambda draw, n, shape, seed: good((n, *shape), seed) * 1j,
    "dates": lambda draw, n, shape, seed: np.zeros((n, *shape), "datetime64[s]"),
    "ragged": lambda draw, n, shape, seed: [[0.5] * (3 - i % 2) for i in range(n + 1)],
    "none": lambda draw, n, shape, seed: None,
    "word": lambda draw, n, shape, seed: draw(st.text(max_size=5)),
}


@st.composite
def targets(draw, n):
    kind = draw(st.sampled_from(["none", "none", "good", "bad", "length"]))
    if kind == "none":
        return None, True
    if kind == "length":
        return good((n + draw(st.integers(1, 3)), 3), 0), False
    if kind == "good":
        return good((n, 3), 1), True
    return draw(examples(n).filter(lambda example: example[0] is not None))


@st.composite
def weights(draw, n):
    kind = draw(st.sampled_from(["none", "none", "good", "negative", "nan", "length", "rank"]))
    w = np.random.default_rng(draw(seeds)).random(n).astype("float32")
    bad = {
        "negative": lambda: spoil(w, -0.5, 0),
        "nan": lambda: spoil(w, np.nan, 0),
        "length": lambda: np.ones(n + 1, "float32"),
        "rank": lambda: np.ones((n, 2), "float32"),
    }
    return (None if kind == "none" else w, True) if kind not in bad else (bad[kind](), False)


@st.composite
def masks(draw, n):
    kind = draw(st.sampled_from(["good", "good", "bool", "half", "nan", "width", "length", "text"]))
    mask = good((n, 3), draw(seeds), "uint8").astype("float32")
    return {
        "good": lambda: (mask, True),
        "bool": lambda: (mask.astype(bool), True),
        "half": lambda: (spoil(mask, 0.5, 0), False),
        "nan": lambda: (spoil(mask, np.nan, 0), False),
        "width": lambda: (np.ones((n, 2), "float32"), False),
        "length": lambda: (np.ones((n + 1, 3), "float32"), False),
        "text": lambda: (np.full((n, 3), "yes"), False),
    }[kind]()


@st.composite
def conditions(draw, n):
    """Classes of two, or vectors of two."""
    kind = draw(st.sampled_from(["class", "vector", "range", "below", "nan", "length", "width"]))
    classes = np.random.default_rng(draw(seeds)).integers(2, size=n)
    vectors = np.eye(2, dtype="float32")[classes]
    return {
        "class": lambda: (classes, True),
        "vector": lambda: (vectors, True),
        "range": lambda: (classes + 2, False),
        "below": lambda: (classes - 2, False),
        "nan": lambda: (spoil(vectors, np.nan, 0), False),
        "length": lambda: (np.append(classes, 0), False),
        "width": lambda: (np.ones((n, 3), "float32"), False),
    }[kind]()


@st.composite
def calls(draw):
    """Arguments of `fit` for a plain model, and whether they are good."""
    n = draw(rows)
    parts = {"x": draw(examples(n)), "y": draw(targets(n)), "sample_weight": draw(weights(n))}
    (x, x_ok), (y, y_ok), (_, weights_ok) = parts.values()
    if y is not None and isinstance(x, np.ndarray) and x.shape == (n, 3) and x.dtype.kind == "f":
        x_ok = np.isfinite(x).all()  # the noisy x of denoising need not lie in the support
    good_call = bool(x_ok and y_ok and weights_ok)
    call = {name: value for name, (value, _) in parts.items()}
    return call, good_call


@st.composite
def dict_calls(draw):
    """The same of dicts: with a mask, a condition nobody asked for, or unknown keys."""
    n = draw(rows)
    x, ok = draw(examples(n))
    batch = {"x": x}
    if draw(st.booleans()):
        batch["mask"], mask_ok = draw(masks(n))
        if mask_ok and isinstance(x, np.ndarray) and x.shape == (n, 3) and x.dtype.kind == "f":
            seen = x[batch["mask"].astype(bool)]  # what is missing may be anything
            ok = bool(np.all((seen >= 0) & (seen <= 1)))
        ok = ok and mask_ok
    wrong = draw(st.sampled_from([None, None, None, "X", "image", "condition", "missing"]))
    if wrong == "missing":
        batch["y"] = batch.pop("x")
    elif wrong:
        batch[wrong] = np.zeros((n, 2), "float32")
    return {"x": batch}, ok and wrong is None


@st.composite
def conditional_calls(draw):
    n = draw(rows)
    x, x_ok = draw(examples(n))
    condition, ok = draw(conditions(n))
    if draw(st.integers(0, 9)) == 0:
        return {"x": draw(st.sampled_from([x, {"x": x}]))}, False  # without one
    return {"x": {"x": x, "condition": condition}}, x_ok and ok


def model(condition_dim=None):
    keras.utils.set_random_seed(0)
    networks = keras_vae.networks
    vae = keras_vae.VAE(
        networks.dense_encoder((3,), units=(4,), condition_dim=condition_dim),
        networks.dense_decoder(2, (3,), units=(4,), condition_dim=condition_dim),
    )
    vae.compile(keras.optimizers.Adam(1e-3))
    return vae


@pytest.fixture(scope="module")
def plain():
    return model()


@pytest.fixture(scope="module")
def conditional():
    return model(condition_dim=2)


def trains_or_is_refused(vae, case):
    call, is_good = case
    before = int(vae.optimizer.iterations)
    if is_good:
        loss = vae.fit(**call, batch_size=8, verbose=0).history["loss"][0]
        assert np.isfinite(loss)
        TRIED["trained"] += 1
    else:
        with pytest.raises(ValueError, match=r"(?s)`.*Received: "):
            vae.fit(**call, batch_size=8, verbose=0)
        assert int(vae.optimizer.iterations) == before
        TRIED["refused"] += 1


def run(vae, cases, count):
    """Tries so many generated cases."""

    @settings(SETTINGS, max_examples=count)
    @given(case=cases)
    def check(case):
        trains_or_is_refused(vae, case)

    check()


def counts(many):
    return pytest.mark.parametrize("count", [100, pytest.param(many, marks=pytest.mark.slow)])


@counts(1300)
def test_arrays_targets_and_weights(plain, count):
    run(plain, calls(), count)


@counts(500)
def test_dicts_and_masks(plain, count):
    run(plain, dict_calls(), count)


@counts(400)
def test_conditions(conditional, count):
    run(conditional, conditional_calls(), count)


@pytest.mark.slow
def test_two_thousand_cases_were_tried():
    print(TRIED)
    assert sum(TRIED.values()) >= 2000, "run the whole file"
    assert min(TRIED.values()) > 200
