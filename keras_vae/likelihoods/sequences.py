"""Sequences, of which each step depends on those before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import layers, ops

from keras_vae import random, validation
from keras_vae.likelihoods.base import Likelihood, seed_of
from keras_vae.part import build_once, register
from keras_vae.typing import Seed, Shape, Tensor

if TYPE_CHECKING:
    from keras_vae.model import VAE


@register
class AutoregressiveSequence(Likelihood):
    """p(x|z) = Π_t p(x_t | x_1, …, x_t-1, z): a GRU that sees z and the steps before.

    In training and evaluation it sees the true steps before (teacher forcing), so `log_prob` is
    exact, in nats. `mean` and `sample` go step by step and see what they chose themselves: `mean`
    takes the mean of each step, of tokens the most probable one (greedy decoding).

    Such a model can do without the code, which then collapses. `word_dropout` hides steps from the
    GRU in training, which must ask the code instead; a KL warm-up and `ELBO(free_bits=…)` help too.
    The training loss is then that of the GRU with gaps; evaluation hides nothing.

    Args:
        likelihood: of each step, such as `Categorical(num_tokens)` or `Normal("per_feature")`; its
            learned scales are shared by all steps.
        shape: (steps, features) of an example; one token a step is (steps, 1).
        units: int, of the GRU.
        word_dropout: in [0, 1), the probability that a step is shown as unknown.
        seed: int, of that noise; by default one that obeys `keras.utils.set_random_seed`.

    The decoder emits a vector of any length, (B, S), which the GRU sees at each step. Padding is
    left out by the mask. A step that is missing between others is shown as unknown to those after:
    the density of what is there is normalised, but not the marginal of the complete one.

    Example:

    ```python
    tokens, _ = keras_vae.datasets.TopicChains().sample(1000)  # integers, (1000, 20, 1)
    vae = keras_vae.VAE(
        keras_vae.networks.recurrent_encoder((20, 1), num_classes=8),
        keras_vae.networks.dense_decoder(4, (32,), units=()),
        likelihood=keras_vae.likelihoods.AutoregressiveSequence(
            keras_vae.likelihoods.Categorical(8), (20, 1), word_dropout=0.5
        ),
    )
    ```

    Reference: Bowman et al., Generating Sentences from a Continuous Space (arXiv:1511.06349),
    section 3.1.
    """

    independent = False

    def __init__(
        self,
        likelihood: Likelihood,
        shape: Sequence[int],
        units: int = 64,
        word_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.likelihood = likelihood
        self.shape = tuple(validation.positive_integer(n, "shape", "a length") for n in shape)
        if len(self.shape) != 2:
            raise ValueError(
                "`shape` must be (steps, features), because the GRU goes along the steps. "
                f"Received: shape={self.shape}"
            )
        self.units = validation.positive_integer(units, "units", "the width of the GRU")
        if not (validation.is_number(word_dropout) and 0 <= word_dropout < 1):
            raise ValueError(
                "`word_dropout` must be a number in [0, 1): the probability that a step is hidden "
                f"in training. Received: word_dropout={word_dropout!r}"
            )
        self.word_dropout = float(word_dropout)
        self.seed = random.new_seed() if seed is None else seed
        self.noise = keras.random.SeedGenerator(self.seed)

    def check_model(self, vae: "VAE") -> None:
        twice = ("doubly_reparameterized", "partial")
        if self.word_dropout and getattr(vae.objective, "gradient", None) in twice:
            raise ValueError(
                f'`gradient="{vae.objective.gradient}"` must go with word_dropout=0, because it '
                "runs the decoder twice, and each run would hide other steps. "
                f"Received: word_dropout={self.word_dropout}"
            )

    def build(self, params_shape: Shape) -> None:
        steps, features = self.shape
        width = self.likelihood.params_shape(self.shape)[1]
        seen = self.likelihood.as_input(keras.KerasTensor((None, steps, features))).shape[-1]
        self.embedding = layers.Dense(self.units, use_bias=False, dtype="float32")
        self.recurrent = layers.GRU(self.units, return_sequences=True, dtype="float32")
        self.to_raw = layers.Dense(width, dtype="float32")
        build_once(self.likelihood, (None, 1, width))
        self.embedding.build((None, steps, seen + 1))
        self.recurrent.build((None, steps, self.units + params_shape[-1]))
        self.to_raw.build((None, steps, self.units))

    def log_prob(self, x: Tensor, params: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.likelihood.log_prob(x, self._params_of_steps(x, params, mask), mask)

    def training_log_prob(
        self, x: Tensor, params: Tensor, weights: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        params = self._params_of_steps(x, params, mask, self.word_dropout)
        return self.likelihood.training_log_prob(x, params, weights, mask)

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        return self.likelihood.feature_log_prob(x, self._params_of_steps(x, params))

    def mean(self, params: Tensor) -> Tensor:
        return self._step_by_step(params, lambda step, params: self.likelihood.mean(params))

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        return self._step_by_step(
            params, lambda step, params: self.likelihood.sample(params, seed_of(seed, step))
        )

    def filled(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.likelihood.filled(x, mask)

    def as_input(self, x: Tensor) -> Tensor:
        return self.likelihood.as_input(x)

    def example_shape(self, params_shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(params_shape) != 1:
            raise ValueError(
                "The decoder must emit one vector for each sequence, which the GRU of "
                "AutoregressiveSequence sees at every step. "
                f"Received: decoder output shape={tuple(params_shape)}"
            )
        return self.shape

    def params_shape(self, example_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (self.units,)

    def in_support(self, x: Tensor) -> Tensor:
        return self.likelihood.in_support(x)

    def to_edge(self, x: Tensor, reach: float = 0.1) -> Tensor:
        return self.likelihood.to_edge(x, reach)

    def check_support(self, x: np.ndarray, argument: str = "x") -> None:
        self.likelihood.check_support(x, argument)

    def _params_of_steps(self, x, params, mask=None, dropout=0.0):
        """The parameters of p(x_t | x_1, …, x_t-1, z) at each step, (K, B, steps, …)."""
        x = self.known(x, mask)
        before = ops.pad(self._shown(x, self._known(x, mask, dropout)), [(0, 0), (1, 0), (0, 0)])
        embedded = self.embedding(before[:, :-1])[None]
        (draws, rows, length), steps = ops.shape(params), self.shape[0]
        embedded = ops.broadcast_to(embedded, (draws, rows, steps, self.units))
        params = ops.broadcast_to(params[:, :, None], (draws, rows, steps, length))
        inputs = ops.concatenate([embedded, params], axis=-1)
        states = self.recurrent(ops.reshape(inputs, (-1, steps, self.units + length)))
        return ops.reshape(self.to_raw(states), (draws, rows, steps, self.to_raw.units))

    def _known(self, x, mask, dropout):
        """(B, steps, 1): 1 where the GRU may see a step, 0 where it is missing or dropped."""
        known = ops.ones_like(x[..., :1])
        if mask is not None:
            known = known * ops.cast(ops.all(mask, axis=-1, keepdims=True), "float32")
        if dropout:
            noise = random.uniform(ops.shape(known), self.noise)
            known = known * ops.cast(noise >= dropout, "float32")
        return known

    def _shown(self, x, known):
        """Steps as the GRU sees them: values, then a flag of those it does not know."""
        return ops.concatenate([known * self.likelihood.as_input(x), 1.0 - known], axis=-1)

    def _step_by_step(self, params, choose):
        """(…, steps, features), each step by `choose(step, params)` in view of the last."""
        code = ops.reshape(params, (-1, params.shape[-1]))
        state = ops.zeros_like(code[:, :1]) + ops.zeros((self.units,))
        embedded, chosen = state, []
        for step in range(self.shape[0]):
            inputs = ops.concatenate([embedded, code], axis=-1)
            state, _ = self.recurrent.cell(inputs, [state])
            x = ops.reshape(choose(step, self.to_raw(state)[:, None]), (-1, 1, self.shape[1]))
            embedded = self.embedding(self._shown(x, ops.ones_like(x[..., :1])))[:, 0]
            chosen.append(x)
        return ops.reshape(ops.concatenate(chosen, axis=1), (*ops.shape(params)[:-1], *self.shape))
