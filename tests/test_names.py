import types

import pytest

from keras_vae import likelihoods, names, objectives, penalties, posteriors, priors

KNOWN = [
    ("bernoulli", likelihoods, likelihoods.Bernoulli),
    ("continuous_bernoulli", likelihoods, likelihoods.ContinuousBernoulli),
    ("negative_binomial", likelihoods, likelihoods.NegativeBinomial),
    ("poisson", likelihoods, likelihoods.Poisson),
    ("Normal", likelihoods, likelihoods.Normal),
    ("standard_normal", priors, priors.StandardNormal),
    ("StandardNormal", priors, priors.StandardNormal),
    ("learned_normal", priors, priors.LearnedNormal),
    ("elbo", objectives, objectives.ELBO),
    ("iwae", objectives, objectives.IWAE),
    ("mmd", penalties, penalties.MMD),
    ("dip", penalties, penalties.DIP),
]


@pytest.mark.parametrize(("name", "module", "expected"), KNOWN)
def test_parts_by_name(name, module, expected):
    assert type(names.by_name(name, module, "part")) is expected
    assert names.by_name(name, module, "part") is not names.by_name(name, module, "part")


def test_what_is_no_string_is_left_alone():
    part = likelihoods.Poisson()
    assert names.by_name(part, likelihoods, "likelihood") is part
    assert names.by_name(None, likelihoods, "likelihood") is None


@pytest.mark.parametrize(
    ("name", "module", "listed"),
    [
        ("no_such", likelihoods, "bernoulli, "),
        ("", likelihoods, "bernoulli, "),
        ("likelihood", likelihoods, "bernoulli, "),
        ("normal", priors, "standard_normal"),
        ("from_noise", priors, "standard_normal"),
        ("default", priors, "standard_normal"),
        ("terms", objectives, "elbo, iwae"),
        ("part", objectives, "elbo, iwae"),
    ],
)
def test_unknown_names_are_refused_with_a_list(name, module, listed):
    with pytest.raises(ValueError, match=f"`role` must be .*{listed}.*Received: role={name!r}"):
        names.by_name(name, module, "role")


@pytest.mark.parametrize(
    ("name", "module", "message"),
    [
        ("categorical", likelihoods, r"`likelihoods.Categorical\(…\)`.*needs num_classes"),
        ("mixed", likelihoods, ".*needs likelihoods, columns"),
        ("diagonal_normal", posteriors, r"`posteriors.DiagonalNormal\(…\)`.*needs latent_dim"),
        ("vamp_prior", priors, ".*needs input_shape"),
        ("total_correlation", penalties, ".*needs dataset_size"),
    ],
)
def test_parts_with_arguments_are_refused(name, module, message):
    with pytest.raises(ValueError, match=f"`role` must be given as an object, {message}.*Received"):
        names.by_name(name, module, "role")


def test_each_part_of_each_module_has_a_name_that_makes_it_or_says_what_it_needs():
    for module in (likelihoods, priors, posteriors, objectives, penalties):
        for name, part in names.part_classes(module).items():
            if names._needed(part):
                with pytest.raises(ValueError, match="must be given as an object"):
                    names.by_name(name, module, "role")
            else:
                assert type(names.by_name(name, module, "role")) is part


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("StandardNormal", "standard_normal"),
        ("ELBO", "elbo"),
        ("DIPPenalty", "dip_penalty"),
        ("VampPrior", "vamp_prior"),
        ("bernoulli", "bernoulli"),
        ("continuous_bernoulli", "continuous_bernoulli"),
    ],
)
def test_snake_case(name, expected):
    assert names.snake_case(name) == expected


def test_a_module_without_parts_knows_no_names():
    assert names.part_classes(types.ModuleType("empty")) == {}
