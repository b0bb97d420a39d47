"""Autoregressive likelihoods, and the sequences with a known density that they are tried on."""

import itertools

import keras
import numpy as np
import pytest
from checks import check_config, check_extremes, check_file, check_gradients, dtype_policy
from scipy import special

import keras_vae
from keras_vae import datasets, likelihoods, networks, objectives

RNG = np.random.default_rng(0)
STEPS, TOKENS = 4, 3
EVERY = np.array(list(itertools.product(range(TOKENS), repeat=STEPS)))[..., None]


def of_tokens(**options):
    options = {"units": 5, "seed": 1, **options}
    part = likelihoods.Categorical(TOKENS)
    return likelihoods.AutoregressiveSequence(part, (STEPS, 1), **options)


def built(likelihood, length=2):
    """With weights large enough that every step matters."""
    keras.utils.set_random_seed(0)
    likelihood.build((None, length))
    for weight in likelihood.trainable_weights:
        weight.assign(RNG.normal(size=weight.shape))
    return likelihood


def small(likelihood=None, policy="float32", **parts):
    keras.utils.set_random_seed(0)
    likelihood = likelihood or of_tokens(word_dropout=0.4)
    with dtype_policy(policy):
        vae = keras_vae.VAE(
            networks.recurrent_encoder((STEPS, 1), 4, num_classes=TOKENS),
            networks.dense_decoder(2, (3,), units=()),
            likelihood=likelihood,
            seed=0,
            **parts,
        )
    vae.compile(keras.optimizers.Adam(0.01))
    return vae


def log_probs_of_next(likelihood, before, code):
    """log p(next | before, z), (tokens,): the GRU's equations, in NumPy, one step after another."""
    embed, kernel, recurrent, bias, out, out_bias = (np.array(w) for w in likelihood.weights)
    n = likelihood.units
    state, shown = np.zeros(n), np.zeros(TOKENS + 1)
    for token in [*before, None]:
        x = np.concatenate([shown @ embed, code]) @ kernel + bias[0]
        h = state @ recurrent + bias[1]
        update, reset = special.expit(x[:n] + h[:n]), special.expit(x[n : 2 * n] + h[n : 2 * n])
        proposed = np.tanh(x[2 * n :] + reset * h[2 * n :])
        state = update * state + (1 - update) * proposed
        shown = np.eye(TOKENS + 1)[TOKENS if token is None else token]
    return special.log_softmax(state @ out + out_bias)


def test_the_density_is_that_of_a_loop_over_the_steps():
    likelihood, params = built(of_tokens()), RNG.normal(size=(2, 5, 2)).astype("float32")
    x = EVERY[RNG.integers(len(EVERY), size=5)]
    expected = [
        [
            sum(log_probs_of_next(likelihood, s[:t], code)[s[t]] for t in range(STEPS))
            for s, code in zip(x[..., 0], codes, strict=True)
        ]
        for codes in params
    ]
    np.testing.assert_allclose(likelihood.log_prob(x, params), expected, rtol=1e-4)


def test_the_probabilities_of_all_sequences_sum_to_one():
    params = np.repeat(RNG.normal(size=(3, 1, 2)), len(EVERY), axis=1).astype("float32")
    log_p = built(of_tokens()).log_prob(EVERY, params)
    np.testing.assert_allclose(np.exp(log_p).sum(axis=1), 1.0, rtol=1e-4)


def test_what_comes_after_the_end_of_a_sequence_counts_for_nothing():
    likelihood, params = built(of_tokens(word_dropout=0.5)), np.ones((1, 9, 2), "float32")
    pairs = np.array(list(itertools.product(range(TOKENS), repeat=2)))
    mask = np.repeat(np.arange(STEPS)[None, :, None] < 2, 9, axis=0)
    padded = [
        np.concatenate([pairs, np.full((9, 2), v)], axis=1)[..., None] for v in (0.0, 2.0, np.nan)
    ]
    first, *others = (np.array(likelihood.log_prob(x, params, mask)) for x in padded)
    assert np.exp(first).sum() == pytest.approx(1.0, rel=1e-4)  # of all sequences of two
    for other in others:
        np.testing.assert_array_equal(other, first)


def test_a_step_missing_between_others_leaves_a_density():
    likelihood, params = built(of_tokens()), np.ones((1, len(EVERY), 2), "float32")
    mask = np.repeat(np.arange(STEPS)[None, :, None] != 1, len(EVERY), axis=0)
    log_p = likelihood.log_prob(EVERY, params, mask)
    assert np.exp(log_p).sum() == pytest.approx(TOKENS, rel=1e-4)  # each seen once for every x_1


def test_a_step_that_is_partly_missing_is_unknown_to_those_after():
    """The GRU has one flag for a step, so it sees none of a step that lacks a feature."""
    part = likelihoods.AutoregressiveSequence(likelihoods.Normal(1.0), (3, 2), units=4)
    likelihood, params = built(part), np.ones((1, 5, 2), "float32")
    x = RNG.normal(size=(5, 3, 2)).astype("float32")
    partly, wholly = np.ones((2, 5, 3, 2), bool)
    partly[:, 0, 0], wholly[:, 0] = False, False
    other = x.copy()
    other[:, 0, 1] += 3.0  # seen, and yet not shown
    after = np.array([likelihood._params_of_steps(v, params, partly)[:, :, 1:] for v in (x, other)])
    np.testing.assert_array_equal(after[0], after[1])
    np.testing.assert_array_equal(
        after[0], likelihood._params_of_steps(x, params, wholly)[:, :, 1:]
    )


def test_words_are_dropped_in_training_only():
    likelihood, params = built(of_tokens(word_dropout=0.5)), np.ones((1, 81, 2), "float32")
    weights = np.ones(81, "float32")
    evaluated = [np.array(likelihood.log_prob(EVERY, params)) for _ in range(2)]
    np.testing.assert_array_equal(*evaluated)
    trained = [np.array(likelihood.training_log_prob(EVERY, params, weights)) for _ in range(2)]
    assert not np.array_equal(*trained)
    whole = built(of_tokens())
    whole.set_weights(likelihood.get_weights())
    kept = whole.training_log_prob(EVERY, params, weights)
    np.testing.assert_array_equal(kept, evaluated[0])


def test_as_many_words_are_dropped_as_asked_for():
    likelihood = of_tokens(word_dropout=0.3)
    known = np.array(likelihood._known(np.zeros((2000, STEPS, 1), "float32"), None, 0.3))
    assert known.mean() == pytest.approx(0.7, abs=0.02)
    assert set(known.ravel()) == {0.0, 1.0}


def test_the_mean_is_decoded_greedily():
    likelihood, params = built(of_tokens()), RNG.normal(size=(6, 2)).astype("float32")
    expected = []
    for code in params:
        tokens = []
        for _ in range(STEPS):
            tokens.append(int(np.argmax(log_probs_of_next(likelihood, tokens, code))))
        expected.append(tokens)
    assert len({tuple(tokens) for tokens in expected}) > 1
    np.testing.assert_array_equal(likelihood.mean(params)[..., 0], expected)
    np.testing.assert_array_equal(likelihood.mean(params[None])[0, ..., 0], expected)


def test_draws_have_their_probabilities():
    likelihood, params = built(of_tokens()), np.ones((4000, 2), "float32")
    draws = np.array(likelihood.sample(params, keras.random.SeedGenerator(0)))[..., 0]
    p = np.exp(likelihood.log_prob(EVERY, np.ones((1, 81, 2), "float32")))[0]
    frequency = [np.mean(np.all(draws == tokens, axis=1)) for tokens in EVERY[..., 0]]
    np.testing.assert_allclose(frequency, p, atol=0.03)


def test_real_numbers_are_an_autoregression_too():
    normal = likelihoods.Normal("per_feature")
    likelihood = built(likelihoods.AutoregressiveSequence(normal, (2, 1), units=4))
    normal.log_scale.assign([[0.2]])  # neither finer nor wider than the grid
    grid = np.linspace(-12, 12, 121)
    x = np.array(list(itertools.product(grid, repeat=2)))[..., None].astype("float32")
    log_p = likelihood.log_prob(x, np.ones((1, len(x), 2), "float32"))
    assert np.exp(log_p).sum() * 0.2**2 == pytest.approx(1.0, rel=1e-3)
    draws = likelihood.sample(np.ones((7, 2), "float32"), keras.random.SeedGenerator(0))
    assert draws.shape == (7, 2, 1)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_a_model_of_tokens_trains_and_goes_on_from_a_file(policy, tmp_path):
    check_config(of_tokens(word_dropout=0.4))
    vae, x = small(policy=policy), EVERY[:40]
    check_gradients(vae, x)
    check_extremes(vae, x)
    logs = vae.fit(x, validation_data=x, epochs=2, verbose=0).history
    assert np.isfinite(list(logs.values())).all()
    if policy == "float32":
        check_file(vae, x, tmp_path / "vae.keras")
    assert vae.evaluate(x, verbose=0) == vae.evaluate(x, verbose=0)
    assert vae.generate(3).shape == (3, STEPS, 1)


@pytest.mark.slow
def test_the_model_learns_what_is_certain():
    vae = small(of_tokens(units=16, word_dropout=0.2))
    x = (np.arange(3)[:, None] + np.arange(STEPS)) % 3  # three sequences, each goes round
    x = np.repeat(x, 40, axis=0)[..., None]
    vae.compile(keras.optimizers.Adam(0.03))
    vae.fit(x, epochs=25, batch_size=40, verbose=0)
    assert vae.log_likelihood(x, num_samples=50).mean() == pytest.approx(-np.log(3), abs=0.15)
    made = vae.generate(20, seed=0)[..., 0]
    np.testing.assert_array_equal((made[:, :1] + np.arange(STEPS)) % 3, made)


@pytest.mark.slow
def test_a_metric_compares_with_the_mean_of_the_weights_as_they_are():
    likelihood = likelihoods.AutoregressiveSequence(likelihoods.Normal(), (STEPS, 1), units=5)
    vae = small(likelihood)
    vae.compile("adam", metrics=["mse"])
    x = RNG.integers(0, TOKENS, (20, STEPS, 1)).astype("float32")
    vae.fit(x, verbose=0)
    vae.evaluate(x, verbose=0)
    likelihood.to_raw.set_weights([np.zeros((5, 1)), np.full(1, 0.7)])
    logs = vae.evaluate(x, verbose=0, return_dict=True)
    assert logs["mse"] == pytest.approx(np.mean((x - 0.7) ** 2), rel=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"`word_dropout` must be.*Received: word_dropout=1"):
        of_tokens(word_dropout=1)
    with pytest.raises(ValueError, match=r"`shape` must be \(steps, features\).*Received"):
        likelihoods.AutoregressiveSequence(likelihoods.Normal(), (3,))
    with pytest.raises(ValueError, match=r"must emit one vector.*Received"):
        of_tokens().example_shape((4, 3))
    with pytest.raises(ValueError, match=r"must go with word_dropout=0.*Received"):
        small(objective=objectives.IWAE(4, "doubly_reparameterized"))
    with pytest.raises(ValueError, match=r"`x` must lie in \[0.0, 2.0\].*Received"):
        small().fit(EVERY + 1, verbose=0)


def test_the_density_of_topic_chains_is_known():
    chains = datasets.TopicChains(2, TOKENS, STEPS)
    assert np.exp(chains.log_prob(EVERY)).sum() == pytest.approx(1.0)
    x, topics = chains.sample(20_000)
    frequency = [np.mean(np.all(x == tokens, axis=(1, 2))) for tokens in EVERY]
    np.testing.assert_allclose(frequency, np.exp(chains.log_prob(EVERY)), atol=0.01)
    of_topic = np.exp(chains.log_prob_by_topic(EVERY))[:, 1]
    frequency = [np.mean(np.all(x[topics == 1] == tokens, axis=(1, 2))) for tokens in EVERY]
    np.testing.assert_allclose(frequency, of_topic, atol=0.015)


def test_imputing_is_refused_before_anything_is_traced():
    vae = small()
    with pytest.raises(ValueError, match=r"`impute` must .*\. Received: likelihood=Autoregressive"):
        vae.impute(EVERY, EVERY > 0)
    assert not vae._runners.made
