import importlib
import json
import os
import pathlib
import pkgutil
import subprocess
import sys

import keras
import numpy as np
import pytest
from checks import (
    binary,
    check_config,
    check_extremes,
    check_file,
    check_gradients,
    check_part,
    dtype_policy,
    read_arrays,
    small_vae,
)
from gradients import gradients
from keras import ops

import keras_vae
from keras_vae import flows, likelihoods, objectives, penalties, posteriors, priors, schedules
from keras_vae.part import Part, constructor_arguments, from_arguments, soft_clip

EXAMPLES = {
    "DiagonalNormal": ("posterior", lambda: posteriors.DiagonalNormal(2)),
    "StandardNormal": ("prior", priors.StandardNormal),
    "Bernoulli": ("likelihood", likelihoods.Bernoulli),
    "Normal fixed": ("likelihood", lambda: likelihoods.Normal(0.5)),
    "Normal shared": ("likelihood", lambda: likelihoods.Normal("shared")),
    "Normal optimal": ("likelihood", lambda: likelihoods.Normal("optimal")),
    "LearnedNormal": ("prior", priors.LearnedNormal),
    "NormalMixture": ("prior", lambda: priors.NormalMixture(3)),
    "ContinuousBernoulli": ("likelihood", likelihoods.ContinuousBernoulli),
    "Laplace fixed": ("likelihood", lambda: likelihoods.Laplace(0.5)),
    "Laplace shared": ("likelihood", lambda: likelihoods.Laplace("shared")),
    "Categorical": ("likelihood", lambda: likelihoods.Categorical(3)),
    "Poisson": ("likelihood", likelihoods.Poisson),
    "NegativeBinomial": ("likelihood", likelihoods.NegativeBinomial),
    "DiscretizedLogistic": ("likelihood", lambda: likelihoods.DiscretizedLogistic(4)),
    "IWAE": ("objective", lambda: objectives.IWAE(3)),
    "IWAE sticking": ("objective", lambda: objectives.IWAE(3, "sticking_the_landing")),
    "IWAE dreg": ("objective", lambda: objectives.IWAE(3, "doubly_reparameterized")),
    "IWAE partial": ("objective", lambda: objectives.IWAE(4, "partial", num_groups=2)),
    "IWAE mixed": ("objective", lambda: objectives.IWAE(3, elbo_weight=0.5)),
    "ELBO free": ("objective", lambda: objectives.ELBO(free_bits=0.1)),
    "ELBO capacity": ("objective", lambda: objectives.ELBO(9.0, capacity=schedules.Linear(9))),
    "TotalCorrelation": ("penalties", lambda: penalties.TotalCorrelation(12, 2.0)),
    "TotalCorrelation stratified": (
        "penalties",
        lambda: penalties.TotalCorrelation(12, estimator="stratified"),
    ),
    "DIP": ("penalties", lambda: penalties.DIP(2.0, kind="I")),
    "MMD": ("penalties", lambda: penalties.MMD(2.0)),
    "MMD rbf": ("penalties", lambda: penalties.MMD(schedules.Linear(9), "rbf")),
    "Normal per feature": ("likelihood", lambda: likelihoods.Normal("per_feature")),
    "Beta": ("likelihood", likelihoods.Beta),
    "DiscretizedLogisticMixture": (
        "likelihood",
        lambda: likelihoods.DiscretizedLogisticMixture(3, levels=4),
    ),
    "FullNormal": ("posterior", lambda: posteriors.FullNormal(3)),
    "NormalizingFlow planar": (
        "posterior",
        lambda: posteriors.NormalizingFlow(posteriors.DiagonalNormal(2), [flows.Planar()]),
    ),
    "NormalizingFlow inverse": (
        "posterior",
        lambda: posteriors.NormalizingFlow(
            posteriors.FullNormal(3), [flows.Autoregressive(8), flows.Coupling(8)]
        ),
    ),
    "Categorical posterior": (
        "posterior",
        lambda: posteriors.Categorical(
            2, 3, keras.optimizers.schedules.ExponentialDecay(1.0, 10, 0.9)
        ),
    ),
    "VonMisesFisher": ("posterior", lambda: posteriors.VonMisesFisher(3)),
    "ConditionalNormal": ("prior", lambda: priors.ConditionalNormal(4)),
    "FlowPrior": ("prior", lambda: priors.FlowPrior([flows.Coupling(8), flows.Autoregressive(8)])),
    "ELBO": ("objective", lambda: objectives.ELBO(beta=2.0, num_samples=3)),
    "ELBO scheduled": ("objective", lambda: objectives.ELBO(beta=schedules.Sigmoid(9))),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_check_part(name, tmp_path):
    check_part(*EXAMPLES[name], tmp_path)


def library_parts(cls=Part):
    """All subclasses of `cls` that the library defines, in whichever module."""
    for subclass in cls.__subclasses__():
        if subclass.__module__.startswith("keras_vae."):
            yield subclass
        yield from library_parts(subclass)


ELSEWHERE = {
    *("Planar", "Coupling", "Autoregressive"),  # inside others here
    *("UniformCategorical", "UniformSphere"),  # the defaults of two posteriors here
    *("Mixed", "VampPrior"),  # of one shape of x only, below
    *(
        "VectorQuantizer",
        "FiniteScalarQuantizer",
        "GumbelQuantizer",
        "Commitment",
    ),  # in test_quantized.py
    *("UniformCodes", "AutoregressiveCodes"),  # there too
    "Perceptual",  # in test_penalties.py
    "AutoregressiveSequence",  # in test_sequences.py
    *("TotalCorrelationAdversary", "PriorAdversary"),  # in test_adversarial.py
}


def test_check_mixed(tmp_path):
    parts = [likelihoods.Normal("per_feature"), likelihoods.Categorical(3)]
    likelihood = likelihoods.Mixed(parts, [2, 1])
    assert likelihood.params_shape((3,)) == (5,)
    check_config(likelihood)
    vae = small_vae((3,), likelihood=likelihood)
    x = binary(12, (3,))
    check_gradients(vae, x)
    check_extremes(vae, x)
    vae.fit(x, batch_size=5, verbose=0)
    check_file(vae, x, tmp_path / "vae.keras")


@pytest.mark.parametrize("posterior", [posteriors.DiagonalNormal, posteriors.FullNormal])
def test_check_vamp_prior(posterior, tmp_path):
    check_config(priors.VampPrior((7,), 3))
    vae = small_vae((7,), posterior=posterior(2), prior=priors.VampPrior((7,), 3))
    x = binary(12, (7,))
    check_gradients(vae, x)
    check_extremes(vae, x)
    vae.fit(x, batch_size=5, verbose=0)
    check_file(vae, x, tmp_path / "vae.keras")


def test_no_part_is_forgotten_here_or_left_unregistered():
    for module in pkgutil.walk_packages(keras_vae.__path__, "keras_vae."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    bases = ("Likelihood", "Posterior", "Prior", "Penalty", "Flow", "Quantizer", "Adversary")
    bases += ("Scaled", "NormalPosterior")
    views = ("LadderPosterior", "LadderPrior")  # a HierarchicalVAE makes them of its decoder
    parts = {c for c in library_parts() if not c.__name__.startswith("_")}
    parts = {c for c in parts if c.__name__ not in bases + views}
    assert {c.__name__ for c in parts} == {name.split()[0] for name in EXAMPLES} | ELSEWHERE
    names = {keras.saving.get_registered_name(c) for c in parts}
    assert {keras.saving.get_registered_object(name) for name in names} == parts
    assert all(name.startswith("keras_vae>") for name in names)


def test_the_check_catches_an_overflow_and_half_precision():
    class Overflowing(likelihoods.Bernoulli):
        def log_prob(self, x, params, mask=None):
            return ops.log(ops.exp(super().log_prob(x, params, mask)))

    class Half(objectives.ELBO):
        def loss(self, terms, step):
            return ops.cast(1e-9 * super().loss(terms, step), "float16")

    for part in ({"likelihood": Overflowing()}, {"objective": Half()}):
        with pytest.raises(AssertionError):
            check_extremes(small_vae((7,), **part), binary(6, (7,)))


def test_a_part_computes_in_float32_under_mixed_precision():
    with dtype_policy("mixed_float16"):
        posterior = posteriors.DiagonalNormal(2)
        q = posterior(np.ones((3, 4), "float16"))
    assert (posterior.compute_dtype, posterior.variable_dtype) == ("float32", "float32")
    assert all(w.dtype == "float32" for w in posterior.weights)
    assert {keras.backend.standardize_dtype(v.dtype) for v in q.values()} == {"float32"}


def test_constructor_arguments_are_read_from_the_attributes_of_their_names():
    part = priors.NormalMixture(3, name="mine")
    assert constructor_arguments(part) == {"num_components": 3}
    assert from_arguments(priors.NormalMixture, constructor_arguments(part)).num_components == 3
    with pytest.raises(ValueError, match=r"`num_components` must be given to the constructor"):
        part.num_components = 4  # compiled functions hold 3


def test_constructor_arguments_may_be_keras_objects_themselves():
    objective = objectives.ELBO(schedules.Linear(10, end=0.5), name="mine")
    config = json.loads(json.dumps(objective.get_config()))
    again = objectives.ELBO.from_config(config)
    assert (type(again.beta), again.beta.num_steps, again.beta.end) == (schedules.Linear, 10, 0.5)
    assert again.name == "mine"


def test_bounded_is_the_identity_in_the_normal_range():
    x = np.linspace(-10, 10, 101, dtype="float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(soft_clip(ops.convert_to_tensor(x))), x)


def test_bounded_has_slope_one_at_the_edges_of_the_normal_range():
    x = np.array([-10.001, -10.0, -9.999, 9.999, 10.0, 10.001], "float32")
    (slope,) = gradients(lambda x: ops.sum(soft_clip(x)), x)
    np.testing.assert_allclose(slope, np.ones(6), atol=1e-3)


def test_bounded_is_monotone_smooth_and_pulls_back_from_far_outside():
    x = np.linspace(-1e4, 1e4, 200_001).astype("float32")
    y = ops.convert_to_numpy(soft_clip(ops.convert_to_tensor(x)))
    (slope,) = gradients(lambda x: ops.sum(soft_clip(x)), x)
    assert np.abs(y).max() < 20
    assert (np.diff(y) > -1e-5).all()
    assert (slope > 0).all()
    assert np.abs(np.diff(slope)).max() < 0.03  # no jump at ±10, in steps of 0.1


LOAD_ALL = """
import pathlib
import numpy as np
import keras
import keras_vae
outputs = {}
for path in sorted(pathlib.Path().glob("*.keras")):
    vae = keras.saving.load_model(path)
    x = np.load("x.npy")
    if vae.likelihood.open_support:
        x = 0.25 + 0.5 * x
    if vae.condition_dim:
        x = {"x": x, "condition": np.arange(len(x)) % vae.condition_dim}
    outputs[path.stem] = np.concatenate([vae.predict(x, verbose=0).ravel(), vae.elbo(x)])
np.savez("out.npz", **outputs)
"""


def test_models_of_every_part_load_in_a_new_process(tmp_path):
    np.save(tmp_path / "x.npy", binary(6, (5, 3, 1)))
    expected = {}
    more = [schedules.Linear(9), schedules.Cyclical(9)]
    makers = dict(EXAMPLES)
    for schedule in more:
        makers[type(schedule).__name__] = ("objective", lambda s=schedule: objectives.ELBO(s))
    for name, (role, make) in makers.items():
        vae = small_vae((5, 3, 1), **{role: [make()] if role == "penalties" else make()})
        vae.save(tmp_path / f"{name}.keras")
        x = binary(6, (5, 3, 1), vae)
        expected[name] = np.concatenate([vae.predict(x, verbose=0).ravel(), vae.elbo(x)])
    environment = os.environ | {"PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    command = [sys.executable, "-c", LOAD_ALL]
    result = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stderr
    loaded = read_arrays(tmp_path / "out.npz")
    assert set(loaded) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(loaded[name], values, err_msg=name)
