"""How models and parts are shown."""

import html.parser
import re
import sys

import keras
import numpy as np
import parts
import pytest

import keras_vae
from keras_vae import (
    adversarial,
    flows,
    likelihoods,
    objectives,
    penalties,
    posteriors,
    priors,
    quantized,
    recipes,
    schedules,
)

MODULES = (adversarial, flows, likelihoods, objectives, penalties, posteriors, priors, quantized)
NAMES = {name: value for m in (*MODULES, schedules) for name, value in vars(m).items()}


@pytest.mark.parametrize("name", parts.PARTS)
def test_a_part_is_shown_as_the_call_that_makes_it(name):
    part = parts.PARTS[name].make()
    text = repr(part)
    if "<" in text or "…" in text:  # a network, an array or a long list
        assert re.match(rf"{type(part).__name__}\(\w+=", text)
        return
    own = vars(sys.modules[type(part).__module__.rpartition(".")[0]])
    again = eval(text, NAMES | own)  # noqa: S307
    assert type(again) is type(part)
    assert repr(again) == text
    assert arguments_of(again) == arguments_of(part)


def arguments_of(part):
    """The config of a part as text, without names and seeds, which are new each time."""
    return re.sub(r"'(name|seed)': [^,}]*", "", str(part.get_config()))


def test_only_arguments_that_are_not_the_default_are_shown():
    assert repr(likelihoods.Normal()) == "Normal()"
    assert repr(likelihoods.Normal("optimal")) == "Normal(scale='optimal')"
    assert repr(objectives.ELBO(beta=schedules.Linear(9))) == "ELBO(beta=Linear(num_steps=9))"


def test_a_coefficient_is_shown_as_it_is_now():
    objective = objectives.ELBO(beta=2.0)
    objective.beta = 0.5
    assert repr(objective) == "ELBO(beta=0.5)"


def test_a_part_can_be_shown_before_its_constructor_has_returned():
    shown = []

    class Mine(keras_vae.Part):
        def __init__(self, factor=2.0, **kwargs):
            super().__init__(**kwargs)
            shown.append(repr(self))
            self.factor = factor

    assert repr(Mine(3.0)) == "Mine(factor=3.0)"
    assert "Mine" in shown[0]


@pytest.fixture(scope="module")
def vae():
    return recipes.vae((6,), 2, likelihoods.Normal("per_feature"), beta=2.0, units=(8,), seed=0)


def test_a_model_is_shown_as_the_path_of_an_example(vae):
    heading, *lines = repr(vae).splitlines()
    assert heading.startswith(f"VAE {vae.name!r} with ")
    roles = ["x", "encoder", "posterior", "z", "decoder", "likelihood", "target"]
    roles += ["prior", "objective"]
    assert [line.split()[0] for line in lines] == roles
    texts = dict(line.split(maxsplit=1) for line in lines)
    assert (texts["x"], texts["z"], texts["target"]) == ("(6,)", "(2,)", "(6,)")
    arrays = [np.size(weight) for weight in vae.likelihood.get_weights() if np.ndim(weight)]
    assert texts["likelihood"] == f"Normal(scale='per_feature'), {sum(arrays)} weights"
    assert texts["objective"] == "ELBO(beta=2.0)"
    assert texts["encoder"].endswith(f", {vae.encoder.count_params():,} weights")


class Reader(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


def test_a_notebook_shows_the_same_as_a_diagram(vae):
    reader = Reader()
    reader.feed(vae._repr_html_())
    assert not reader.open
    assert reader.text.count("→") == 6
    for line in repr(vae).splitlines()[1:]:
        role, text = line.split(maxsplit=1)
        assert f"{role} {text.split(', ')[0]}" in reader.text


def test_texts_are_escaped_in_the_diagram():
    vae = recipes.vae((4,), 2, units=(8,), name="a<b>")
    assert "a&lt;b&gt;" in vae._repr_html_()


def test_a_model_without_shapes_can_be_shown():
    layers = keras.layers
    encoder = keras.Sequential([layers.Flatten(), layers.Dense(8)])
    decoder = keras.Sequential([layers.Dense(4)])
    vae = keras_vae.VAE(encoder, decoder, posterior=posteriors.DiagonalNormal(2))
    assert "x           not known before the first batch" in repr(vae)
    vae.predict(np.zeros((2, 4), "float32"), verbose=0)
    assert "x           (4,)" in repr(vae)


def test_completion_offers_methods_and_parts_and_no_internals(vae):
    offered = {name for name in dir(vae) if not name.startswith("_")}
    for name in ("fit", "predict", "generate", "encode", "elbo", "likelihood", "save", "summary"):
        assert name in offered
    for name in ("stateless_call", "symbolic_call", "call", "data_spec", "add_weight", "built"):
        assert name not in offered
        assert hasattr(vae, name)
    assert len(offered) < 60


def test_what_a_user_adds_is_offered(vae):
    class Mine(keras_vae.VAE):
        def brighten(self):
            return self

    mine = Mine(vae.encoder, vae.decoder, likelihood=likelihoods.Normal())
    mine.notes = "mine"
    assert {"brighten", "notes"} <= set(dir(mine))
