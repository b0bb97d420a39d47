import functools

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_vae
from keras_vae import likelihoods, networks, recipes
from keras_vae.hierarchical import ladder
from keras_vae.networks import checks
from keras_vae.networks.activations import last_activation


class Halves(layers.Layer):
    def call(self, x, training=False, mask=None):
        return x[..., :2]


class TwoArguments(keras.Model):
    def call(self, x, condition):
        return ops.concatenate([x, condition], axis=-1)


class OwnNames(keras.Model):
    """Keeps layers under names that Keras gives to other things."""

    def __init__(self):
        super().__init__()
        self.outputs = layers.Dense(3, activation="sigmoid")
        self.inputs = [layers.Dense(3)]

    def call(self, x):
        return self.outputs(x)


class Keras2:
    __module__ = "tf_keras.src.engine.functional"

    def __call__(self, x):
        return x


def functional(inputs, outputs):
    """A model of inputs of these lengths (a list or dict) with outputs of these shapes."""
    named = isinstance(inputs, dict)
    given = {k: keras.Input((n,), name=k) for k, n in inputs.items()} if named else None
    given = given or [keras.Input((n,)) for n in inputs]
    x = layers.Concatenate()([*keras.tree.flatten(given), keras.tree.flatten(given)[0]])
    return keras.Model(given, outputs(x))


def sequential(*given, built=True):
    network = keras.Sequential(list(given))
    if built:
        network.build((None, 4))
    return network


NETWORKS = {
    "functional": lambda: networks.dense_encoder((5, 3)),
    "with a condition": lambda: networks.dense_encoder((5, 3), condition_dim=2),
    "one in a list": lambda: functional([3], layers.Dense(2)),
    "sequential": lambda: sequential(layers.Dense(3)),
    "unbuilt": lambda: sequential(layers.Dense(3), built=False),
    "a layer of Keras": lambda: layers.Dense(3),
    "recurrent": lambda: layers.GRU(3),
    "a layer": lambda: Halves(),
    "names": lambda: OwnNames(),
    "top down": lambda: ladder.TopDown([(2,), (2,)], (5,)),
    "nested": lambda: sequential(networks.dense_encoder((4,)), layers.Dense(3)),
}


@pytest.mark.parametrize("argument", ["encoder", "decoder"])
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_are_taken(name, argument):
    checks.check_network(NETWORKS[name](), argument)


REFUSED = {
    "lambda": (lambda: lambda x: x, "this is a function"),
    "function of Keras": (lambda: ops.sigmoid, "this is a function"),
    "string": (lambda: "encoder", "this is a string"),
    "layer class": (lambda: layers.Dense, "this is a class.*`Dense"),
    "model class": (lambda: TwoArguments, "this is a class"),
    "Keras 2": (lambda: Keras2(), "this is one of Keras 2"),
    "none": (lambda: None, "another object"),
    "number": (lambda: 3, "another object"),
    "array": (lambda: np.zeros(3), "another object"),
    "list": (lambda: [layers.Dense(3)], "Sequential"),
    "tensor": (lambda: keras.Input((3,)), "symbolic tensor"),
    "bare layer": (lambda: layers.Layer(), "computes nothing"),
    "bare model": (lambda: keras.Model(), "computes nothing"),
    "input": (lambda: layers.InputLayer((3,)), "a `call` with one argument"),
    "attention": (lambda: layers.MultiHeadAttention(2, 2), "a `call` with one argument"),
    "two arguments": (lambda: TwoArguments(), r"a `call` with one.*\(x, condition\)"),
    "three inputs": (lambda: functional([3, 2, 1], layers.Dense(2)), "concatenate.*3 inputs"),
    "named": (
        lambda: functional({"x": 3, "c": 2}, layers.Dense(2)),
        r"without names.*\['c', 'x'\]",
    ),
    "one name": (lambda: functional({"x": 3}, layers.Dense(2)), r"without names.*\['x'\]"),
}


@pytest.mark.parametrize("argument", ["encoder", "decoder"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_network_is_refused(name, argument):
    make, message = REFUSED[name]
    network = make()
    with pytest.raises(ValueError, match=f"(?s)`{argument}` must .*{message}") as error:
        checks.check_network(network, argument)
    assert ", because " in str(error.value)
    assert f"Received: {argument}=" in str(error.value)


def test_a_module_of_torch_is_refused():
    torch = pytest.importorskip("torch", reason="a module of torch is what is refused here")
    if keras.backend.backend() == "torch":
        assert issubclass(layers.Layer, torch.nn.Module)  # so that it is no sign of another library
    with pytest.raises(ValueError, match="TorchModuleWrapper"):
        checks.check_network(torch.nn.Linear(2, 2), "encoder")


def heads(*shapes):
    """Several dense outputs of the given shapes."""
    return lambda x: [
        layers.Reshape(shape)(layers.Dense(int(np.prod(shape)))(x)) for shape in shapes
    ]


def tutorial_encoder():
    """The one of https://keras.io/examples/generative/vae/."""
    i = keras.Input((8, 8, 1))
    h = layers.Flatten()(layers.Conv2D(4, 3, activation="relu", strides=2, padding="same")(i))
    mean, log_variance = layers.Dense(2, name="m")(h), layers.Dense(2, name="v")(h)
    return keras.Model(i, [mean, log_variance, mean + ops.exp(0.5 * log_variance)])


@pytest.mark.parametrize(
    ("make", "count"),
    [
        (lambda: networks.dense_encoder((5, 3)), 1),
        (lambda: functional([3], heads((4,))), 1),
        (lambda: functional([3], heads((4, 2))), 1),
        (lambda: sequential(layers.Dense(3)), 1),
        (lambda: functional([3], heads((2,), (2,))), 2),
        (lambda: functional([3], lambda x: tuple(heads((2,), (2,))(x))), 2),
        (lambda: functional([3, 2], heads((1,), (1,))), 2),
        (lambda: functional([3], heads((2,), (2,), (2,))), 3),
        (tutorial_encoder, 3),
        (lambda: sequential(layers.Dense(3), built=False), None),
        (Halves, None),
        (OwnNames, None),
    ],
)
def test_outputs_of_an_encoder(make, count):
    assert checks.encoder_outputs(make()) == count


@pytest.mark.parametrize(
    "outputs",
    [
        heads((2,), (3,)),
        heads((2, 2), (2, 2)),
        heads((2,), (2,), (3,)),
        heads((2,), (2,), (2,), (2,)),
        lambda x: {"mean": layers.Dense(2)(x), "log_variance": layers.Dense(2)(x)},
        lambda x: {"features": layers.Dense(2)(x)},
    ],
    ids=["widths", "grids", "third", "four", "dict", "dict of one"],
)
def test_outputs_without_a_meaning_are_refused(outputs):
    network = functional([3], outputs)
    with pytest.raises(ValueError, match=r"`encoder` must have one output.*Received: encoder="):
        checks.encoder_outputs(network)


def test_outputs_of_a_call_are_judged_alike():
    x = keras.Input((4,))
    assert checks.encoder_outputs(Halves(), Halves()(x)) == 1
    assert checks.encoder_outputs(Halves(), (Halves()(x), Halves()(x))) == 2
    with pytest.raises(ValueError, match="`encoder` must have one output"):
        checks.encoder_outputs(Halves(), [Halves()(x), x])
    checks.check_decoder_outputs(Halves(), Halves()(x))
    with pytest.raises(ValueError, match="`decoder` must have one output"):
        checks.check_decoder_outputs(Halves(), [x, x])


def test_a_decoder_with_two_heads_is_refused():
    checks.check_decoder_outputs(networks.dense_decoder(2, (5,)))
    checks.check_decoder_outputs(functional([3], heads((4,))))
    checks.check_decoder_outputs(OwnNames())
    for outputs in (heads((2,), (2,)), lambda x: {"mean": layers.Dense(2)(x)}):
        with pytest.raises(ValueError, match=r"`decoder` must have one output.*Received: decoder="):
            checks.check_decoder_outputs(functional([3], outputs))


def ending(*last):
    """A functional decoder that ends in the given layers or functions."""

    def outputs(x):
        for step in last:
            x = step(x)
        return x

    return lambda: functional([6], outputs)


class Mine(layers.Dense):
    def call(self, x):
        return ops.sigmoid(super().call(x))


class Squashed(layers.Reshape):
    def call(self, x):
        return ops.sigmoid(super().call(x))


class Wrapped(layers.Wrapper):
    def call(self, x):
        return 2.0 * self.layer(x)


class MyDropout(layers.Layer):
    def call(self, x):
        return x


Z = keras.Input((12,))


def dense(activation=None):
    return layers.Dense(12, activation=activation)


def shared_activation():
    """One layer in the middle and at the end, behind another one each time."""
    squash = layers.Activation("sigmoid")
    return functional([6], lambda x: squash(dense("relu")(squash(dense()(x)))))


def shared_in_the_middle():
    squash = layers.Activation("sigmoid")
    return functional([6], lambda x: dense()(squash(dense()(squash(dense()(x))))))


ENDS = {
    "dense": (ending(dense("sigmoid")), "sigmoid"),
    "linear": (ending(dense("sigmoid"), dense()), "linear"),
    "relu": (ending(dense("relu")), "relu"),
    "softmax": (ending(dense("softmax")), "softmax"),
    "function": (ending(dense(keras.activations.sigmoid)), "sigmoid"),
    "function of ops": (ending(dense(ops.sigmoid)), "sigmoid"),
    "unknown function": (ending(dense(lambda x: x**2)), None),
    "activation layer": (ending(dense(), layers.Activation("sigmoid")), "sigmoid"),
    "layer as activation": (ending(dense(layers.Softmax())), "softmax"),
    "softmax layer": (ending(dense(), layers.Softmax()), "softmax"),
    "relu layer": (ending(dense(), layers.ReLU()), "relu"),
    "leaky": (ending(dense(), layers.LeakyReLU()), "leaky_relu"),
    "operation": (ending(dense(), ops.sigmoid), "sigmoid"),
    "activation function": (ending(dense(), keras.activations.sigmoid), "sigmoid"),
    "softmax operation": (ending(dense(), ops.softmax), "softmax"),
    "reshape": (ending(dense("sigmoid"), layers.Reshape((3, 4))), "sigmoid"),
    "reshape operation": (
        ending(dense("sigmoid"), lambda x: ops.reshape(x, (-1, 3, 4))),
        "sigmoid",
    ),
    "flatten": (ending(dense("sigmoid"), layers.Reshape((3, 4)), layers.Flatten()), "sigmoid"),
    "dropout": (ending(dense("sigmoid"), layers.Dropout(0.1)), "sigmoid"),
    "own dropout": (ending(dense("sigmoid"), MyDropout()), "sigmoid"),
    "noise": (ending(dense("sigmoid"), layers.GaussianNoise(0.1)), "sigmoid"),
    "slice": (ending(dense("sigmoid"), lambda x: x[:, :3]), "sigmoid"),
    "cast": (ending(dense("sigmoid"), lambda x: ops.cast(x, "float16")), "sigmoid"),
    "crop": (
        ending(
            layers.Reshape((3, 4, 1)),
            layers.Conv2DTranspose(1, 3, activation="sigmoid"),
            layers.Cropping2D(1),
        ),
        "sigmoid",
    ),
    "convolution": (ending(layers.Reshape((3, 4, 1)), layers.Conv2D(1, 3)), "linear"),
    "each step": (
        ending(layers.Reshape((3, 4)), layers.TimeDistributed(dense("sigmoid"))),
        "sigmoid",
    ),
    "recurrent": (ending(layers.Reshape((3, 4)), layers.GRU(3)), "tanh"),
    "arithmetic": (ending(dense("sigmoid"), lambda x: 2.0 * x - 1.0), None),
    "rescaled": (ending(dense("sigmoid"), layers.Rescaling(255.0)), None),
    "normalised": (ending(dense("sigmoid"), layers.BatchNormalization()), None),
    "by hand": (ending(dense(), lambda x: 1.0 / (1.0 + ops.exp(-x))), None),
    "joined alike": (
        ending(lambda x: layers.Concatenate()([dense("sigmoid")(x), dense("sigmoid")(x)])),
        "sigmoid",
    ),
    "joined": (
        ending(lambda x: layers.Concatenate()([dense("sigmoid")(x), dense()(x)])),
        None,
    ),
    "sum": (ending(lambda x: layers.Add()([dense("sigmoid")(x), dense("sigmoid")(x)])), None),
    "nested": (ending(keras.Model(Z, dense("sigmoid")(Z)), layers.Reshape((3, 4))), "sigmoid"),
    "nested sequence": (ending(keras.Sequential([dense("sigmoid"), layers.Flatten()])), "sigmoid"),
    "nested reshape": (
        ending(dense("sigmoid"), keras.Sequential([layers.Reshape((3, 4))]), layers.Flatten()),
        "sigmoid",
    ),
    "sequence": (lambda: sequential(dense(), layers.Activation("sigmoid")), "sigmoid"),
    "unbuilt": (
        lambda: sequential(dense("sigmoid"), layers.Reshape((3, 4)), built=False),
        "sigmoid",
    ),
    "reshape alone": (lambda: sequential(layers.Reshape((2, 2))), None),
    "empty": (lambda: keras.Sequential(), None),
    "a layer": (lambda: dense("sigmoid"), "sigmoid"),
    "subclass of a layer": (ending(dense(), Mine(3)), None),
    "subclass of a reshape": (ending(dense(), Squashed((3, 4))), None),
    "subclass of a wrapper": (ending(Wrapped(dense("sigmoid"))), None),
    "subclass without a call": (ending(type("Plain", (layers.Dense,), {})(3, "relu")), "relu"),
    "subclass": (lambda: OwnNames(), None),
    "shared": (shared_activation, "sigmoid"),
    "shared before": (shared_in_the_middle, "linear"),
    "not one behind the other": (
        ending(dense("relu"), dense("linear"), layers.Flatten()),
        "linear",
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_last_activation(name):
    make, expected = ENDS[name]
    assert last_activation(make()) == expected


def test_without_the_history_of_a_tensor_nothing_is_seen(monkeypatch):
    decoder = ending(dense("sigmoid"))()
    hidden = property(lambda self: None, lambda self, value: None)
    monkeypatch.setattr(keras.KerasTensor, "_keras_history", hidden, raising=False)
    assert last_activation(decoder) is None


def test_without_the_nodes_of_a_layer_it_is_not_looked_through(monkeypatch):
    direct, reshaped = ending(dense("sigmoid"))(), ending(dense("sigmoid"), layers.Flatten())()
    monkeypatch.setattr(
        layers.Flatten, "_inbound_nodes", property(lambda self: None), raising=False
    )
    assert last_activation(direct) == "sigmoid"
    assert last_activation(reshaped) is None


def test_our_decoders_end_without_an_activation():
    decoders = [
        networks.dense_decoder(2, (7,)),
        networks.conv_decoder(2, (9, 9, 1), filters=(4,)),
        networks.residual_decoder(2, (9, 9, 1), filters=(4,), units=()),
        networks.grid_decoder(2, (9, 9, 1), filters=(4,)),
        networks.sequence_decoder(2, (9, 1), filters=(4,)),
        networks.recurrent_decoder(2, (9, 1)),
    ]
    assert {last_activation(decoder) for decoder in decoders} == {"linear"}


Probabilities = functools.partial(likelihoods.Bernoulli, from_logits=False)


LOGITS = {
    "Bernoulli": likelihoods.Bernoulli,
    "ContinuousBernoulli": likelihoods.ContinuousBernoulli,
    "DiscretizedLogistic": likelihoods.DiscretizedLogistic,
    "Categorical": lambda: likelihoods.Categorical(3),
    "Poisson": likelihoods.Poisson,
    "NegativeBinomial": likelihoods.NegativeBinomial,
    "Beta": likelihoods.Beta,
    "Normal": lambda: likelihoods.Normal("decoder"),
    "LogNormal": likelihoods.LogNormal,
    "Ordinal": lambda: likelihoods.Ordinal(3),
    "ZeroInflated": lambda: likelihoods.ZeroInflated(likelihoods.Poisson()),
}


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("name", LOGITS)
def test_a_second_activation_is_refused(name, activation):
    message = (
        f"`decoder` must end without.*{name}.*remove.*from_logits=False.*Received.*{activation}"
    )
    with pytest.raises(ValueError, match=message):
        checks.check_final_activation(ending(dense(activation))(), LOGITS[name]())
    for other in (dense(), dense("relu"), Mine(3)):
        checks.check_final_activation(ending(other)(), LOGITS[name]())


@pytest.mark.parametrize(
    "make", [likelihoods.Normal, likelihoods.Laplace, lambda: likelihoods.StudentT(1.0, 4.0)]
)
def test_means_may_be_squashed(make):
    """For these the decoder's output is the mean itself."""
    likelihood = make()
    likelihood.build((3,))
    params = np.array([[0.25, -3.0, 7.0]], "float32")
    np.testing.assert_array_equal(ops.convert_to_numpy(likelihood.mean(params)), params)
    checks.check_final_activation(ending(dense("sigmoid"))(), likelihood)


def test_probabilities_need_a_sigmoid():
    for last in (dense("sigmoid"), Mine(3), layers.BatchNormalization()):
        checks.check_final_activation(ending(last)(), Probabilities())
    for last in (dense(), dense("relu"), dense("softmax")):
        with pytest.raises(ValueError, match=r"must end in a sigmoid.*Received: decoder="):
            checks.check_final_activation(ending(last)(), Probabilities())


def test_default_likelihood(monkeypatch):
    made = []
    monkeypatch.setattr(likelihoods, "Bernoulli", lambda **options: made.append(options))
    for last in (dense("sigmoid"), dense(), dense("softmax"), Mine(3)):
        checks.default_likelihood(ending(last)())
    assert made == [{"from_logits": False}, {}, {}, {}]


@pytest.mark.parametrize(
    "make", [recipes.vae, recipes.tutorial_vae, recipes.sigma_vae, recipes.iwae]
)
def test_no_recipe_is_refused(make):
    vae = make((8, 8, 1), 2)
    assert isinstance(vae, keras_vae.VAE)
    checks.check_network(vae.encoder, "encoder")
    checks.check_network(vae.decoder, "decoder")
    assert checks.encoder_outputs(vae.encoder) == 1
    checks.check_decoder_outputs(vae.decoder)
    checks.check_final_activation(vae.decoder, vae.likelihood)
