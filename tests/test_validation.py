import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import data_adapters, networks, recipes

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(0)
X = RNG.random((12, 6, 5, 1), "float32")


@pytest.fixture(scope="module")
def vae():
    model = recipes.vae((6, 5, 1), latent_dim=2)
    model.compile("adam")
    return model


def with_value(value):
    x = X.copy()
    x[3, 2, 1] = value
    return x


BAD = {
    "8-bit pixels": (X * 255, {}, r"must lie in \[0.0, 1.0\].*x / 255"),
    "NaN": (with_value(np.nan), {}, "must be finite"),
    "infinity": (with_value(np.inf), {}, "must be finite"),
    "no channel axis": (X[..., 0], {}, "add the channel axis"),
    "channels": (np.repeat(X, 3, -1), {}, r"shape \(examples, 6, 5, 1\)"),
    "rank": (X[0, 0], {}, "must have the shape"),
    "empty": (X[:0], {}, "at least one example"),
    "labels as y": (X, {"y": np.arange(12)}, "leave labels out"),
    "y of another size": (X, {"y": X[:, :3]}, "must be what the model is to reconstruct"),
    "y out of the support": (X, {"y": X * 255}, "`y` must lie in"),
    "strings": (np.array(["a", "b"]), {}, "must hold real numbers"),
    "objects": (np.array([None, {}]), {}, "must hold real numbers"),
    "ragged": ([[1.0, 2.0], [1.0]], {}, "must be a rectangular array"),
    "dict": ({"images": X}, {}, "must have the key 'x'"),
    "negative weights": (X, {"sample_weight": -np.ones(12)}, "must be non-negative"),
    "zero weights": (X, {"sample_weight": np.zeros(12)}, "not all zero"),
    "too few weights": (X, {"sample_weight": np.ones(5)}, "one number for each example"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("verb", ["fit", "evaluate"])
def test_bad_arrays_are_refused_before_the_first_step(vae, case, verb):
    x, options, message = BAD[case]
    before = vae.get_weights()
    with pytest.raises(ValueError, match=message) as error:
        getattr(vae, verb)(x, **options, verbose=0)
    assert "Received: " in str(error.value)
    assert all(np.array_equal(a, b) for a, b in zip(before, vae.get_weights(), strict=True))


class Sequence(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


def as_tf_data(*batch):
    return tf.data.Dataset.from_tensors(batch[0] if len(batch) == 1 else batch)


KINDS = {
    "tf.data": as_tf_data,
    "PyDataset": lambda *batch: Sequence([batch]),
    "generator": lambda *batch: (b for b in [batch]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_batch_of_a_pipeline_is_checked(vae, kind):
    with pytest.raises(ValueError, match=r"must lie in.*Received"):
        vae.fit(KINDS[kind](X * 255), verbose=0)
    with pytest.raises(ValueError, match=r"leave labels out.*Received"):
        vae.fit(KINDS[kind](X, np.arange(12)), verbose=0)


@pytest.mark.parametrize(
    "empty", [as_tf_data(X).take(0), Sequence([]), (b for b in [])], ids=list(KINDS)
)
def test_an_empty_pipeline_is_refused(vae, empty):
    with pytest.raises(ValueError, match=r"at least one batch.*Received"):
        vae.fit(empty, verbose=0)


def test_validation_data_is_checked_too(vae):
    with pytest.raises(ValueError, match="`validation x` must lie in"):
        vae.fit(X, validation_data=X * 255, verbose=0)


@pytest.mark.parametrize("method", ["elbo", "anomaly_score", "log_likelihood", "diagnose"])
def test_scores_are_of_what_lies_in_the_support(vae, method):
    with pytest.raises(ValueError, match=r"must lie in.*Received"):
        getattr(vae, method)(X * 255)


def test_inputs_outside_the_support_are_encoded_with_one_warning():
    vae = recipes.vae((6, 5, 1), latent_dim=2)
    with pytest.warns(UserWarning, match="outside the support of Bernoulli"):
        vae.encode(X * 1.5)
    vae.predict(X * 1.5, verbose=0)  # a second warning would be an error
    with pytest.raises(ValueError, match=r"must be finite.*Received"):
        vae.encode(with_value(np.nan))


def test_a_decoder_whose_output_is_not_the_target_is_refused():
    model = keras_vae.VAE(networks.dense_encoder((6,)), networks.dense_decoder(2, (7,)))
    model.compile("adam")
    with pytest.raises(ValueError, match=r"that the decoder emits.*Received"):
        model.fit(RNG.random((4, 6), "float32"))


def test_lists_of_numbers_are_welcome():
    model = recipes.vae((3,), latent_dim=1)
    model.compile("adam")
    model.fit([[0.0, 0.5, 1.0]] * 4, verbose=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda vae: vae.generate(0),
        lambda vae: vae.generate(2.5),
        lambda vae: vae.log_likelihood(X, num_samples=0),
        lambda vae: vae.interpolate(X[0], X[1], steps=0),
        lambda vae: recipes.vae(()),
        lambda vae: recipes.vae((28, 28, None)),
        lambda vae: networks.dense_decoder(0, (5,)),
        lambda vae: keras_vae.posteriors.DiagonalNormal(True),
        lambda vae: keras_vae.objectives.ELBO(beta=float("inf")),
        lambda vae: keras_vae.objectives.ELBO(beta=lambda step: 1.0),
        lambda vae: keras_vae.schedules.Linear("5"),
        lambda vae: keras_vae.likelihoods.Normal(np.ones(3)),
    ],
)
def test_bad_numbers_are_refused_in_three_parts(vae, call):
    with pytest.raises(ValueError, match=r"`\w+` must be .*Received: "):
        call(vae)


def test_numpy_numbers_are_welcome():
    posterior = keras_vae.posteriors.DiagonalNormal(np.int64(3))
    objective = keras_vae.objectives.ELBO(np.float32(0.5))
    assert networks.dense_decoder(np.int64(2), (np.int64(5),)).output_shape == (None, 5)
    for part in (posterior, objective, keras_vae.likelihoods.Normal(np.float32(0.5))):
        keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(part))


def test_an_array_is_checked_where_it_lies():
    x = np.ones((5, 3), "float32")
    assert np.shares_memory(data_adapters.as_array(x), x)
