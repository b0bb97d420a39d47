"""Every posterior, prior, likelihood and objective together: it trains and is saved, or refused."""

import itertools

import keras
import numpy as np
import pytest
from checks import binary, check_gradients, small_vae
from parts import of_role

import keras_vae
from keras_vae import flows, objectives, penalties, posteriors, priors

POSTERIORS = {
    "diagonal": lambda: posteriors.DiagonalNormal(2),
    "full": lambda: posteriors.FullNormal(2),
    "planar": lambda: posteriors.NormalizingFlow(posteriors.DiagonalNormal(2), [flows.Planar()]),
    "inverse autoregressive": lambda: posteriors.NormalizingFlow(
        posteriors.DiagonalNormal(2), [flows.Autoregressive(4)]
    ),
    "categorical": lambda: posteriors.Categorical(1, 2),
    "sphere": lambda: posteriors.VonMisesFisher(2),
}
PRIORS = {
    "standard": priors.StandardNormal,
    "learned": priors.LearnedNormal,
    "conditional": lambda: priors.ConditionalNormal(2),
    "mixture": lambda: priors.NormalMixture(2),
    "VampPrior": lambda: priors.VampPrior((3,), 2),
    "RealNVP": lambda: priors.FlowPrior([flows.Coupling(4)]),
    "masked autoregressive": lambda: priors.FlowPrior([flows.Autoregressive(4)]),
    "uniform classes": lambda: priors.UniformCategorical(2),
    "uniform sphere": priors.UniformSphere,
}
ALIKE = ("Normal shared", "Laplace fixed")  # enough of them with the others
LIKELIHOODS = {
    name: example.make
    for name, example in of_role("likelihood").items()
    if len(example.x_shapes[-1]) == 1 and name not in ALIKE  # x has the shape (3,) here
}
OBJECTIVES = {
    "ELBO": objectives.ELBO,
    "free bits": lambda: objectives.ELBO(free_bits=0.1, num_samples=2),
    "capacity": lambda: objectives.ELBO(5.0, capacity=1.0),
    "IWAE": lambda: objectives.IWAE(2, num_groups=2, elbo_weight=0.1),
    "sticking the landing": lambda: objectives.IWAE(2, "sticking_the_landing"),
    "doubly reparameterized": lambda: objectives.IWAE(2, "doubly_reparameterized"),
    "partial": lambda: objectives.IWAE(2, "partial", num_groups=2),
}
REAL = list(POSTERIORS)[:4]
OWN = {"categorical": "uniform classes", "sphere": "uniform sphere"}


def fits(posterior, prior, objective):
    """Whether the combination means something, by hand."""
    if posterior in OWN or prior in OWN.values():
        return OWN.get(posterior) == prior
    if prior == "VampPrior" and posterior not in ("diagonal", "full"):
        return False
    return posterior != "planar" or objective not in (
        "sticking the landing",
        "doubly reparameterized",
    )


ROUND = itertools.cycle(LIKELIHOODS)
TRIPLES = list(itertools.product(POSTERIORS, PRIORS, OBJECTIVES))
SOME = [(*triple, next(ROUND)) for triple in TRIPLES if fits(*triple)][::5]
REFUSED = [triple for triple in TRIPLES if not fits(*triple)]
ALL = [(*triple, name) for triple in TRIPLES if fits(*triple) for name in LIKELIHOODS]


def make(posterior, prior, objective, likelihood="Bernoulli"):
    return small_vae(
        (3,),
        posterior=POSTERIORS[posterior](),
        prior=PRIORS[prior](),
        objective=OBJECTIVES[objective](),
        likelihood=LIKELIHOODS[likelihood](),
    )


def check_combination(names, path):
    """Three steps, eager as that is faster than tracing; a file that gives the same ELBO."""
    vae = make(*names)
    x = binary(8, (3,), vae)
    weights = vae.trainable_variables
    for _ in range(3):
        loss, gradients = check_gradients(vae, x)
        assert np.isfinite(loss)
        pairs = zip(gradients, weights, strict=True)
        found = [(keras.ops.convert_to_tensor(g), w) for g, w in pairs if g is not None]
        vae.optimizer.apply(*zip(*found, strict=True))
    vae.save(path)
    expected = vae.elbo(x)
    assert np.isfinite(expected).all()
    np.testing.assert_array_equal(keras_vae.load_model(path).elbo(x), expected)
    assert np.isfinite(vae.generate(2, condition=1 if vae.condition_dim else None)).all()
    keras.backend.clear_session()


@pytest.mark.slow
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_fifth_pair_combines_with_a_likelihood_in_turn(objective, tmp_path):
    for names in SOME:
        if names[2] == objective:
            check_combination(names, tmp_path / "vae.keras")


@pytest.mark.slow
def test_what_does_not_combine_is_refused_in_a_sentence():
    for names in REFUSED:
        with pytest.raises(ValueError, match=r"(?s)`.*must .*because.*Received: "):
            make(*names)


def test_every_likelihood_is_among_those_in_turn():
    assert {names[3] for names in SOME} == set(LIKELIHOODS)


@pytest.mark.parametrize(
    "parts",
    [
        {"prior": priors.VampPrior((6,), 3)},
        {"prior": priors.FlowPrior()},
        {"posterior": posteriors.VonMisesFisher(3)},
        {"posterior": posteriors.Categorical(2, 3)},
    ],
    ids=["VampPrior", "FlowPrior", "sphere", "classes"],
)
def test_mmd_goes_with_priors_that_can_be_drawn_from(parts):
    vae = small_vae((6,), penalties=[penalties.MMD()], **parts)
    logs = vae.fit(binary(20, (6,)), batch_size=8, verbose=0).history
    assert np.isfinite(list(logs.values())).all()


@pytest.mark.slow
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_every_combination(posterior, likelihood, tmp_path):
    for names in ALL:
        if (names[0], names[3]) == (posterior, likelihood):
            check_combination(names, tmp_path / "vae.keras")
