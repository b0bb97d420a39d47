"""Schedules of beta over the optimizer's steps: KL warm-up.

Each is a `keras.optimizers.schedules.LearningRateSchedule`, so that it is traced, saved and
resumed with the model: `objectives.ELBO(beta=schedules.Linear(1000))`.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_vae.part import Configured, register, serialized_arguments
from keras_vae.typing import Tensor
from keras_vae.validation import positive_integer


class _Ramp(Configured, keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, num_steps: int, start: float = 0.0, end: float = 1.0) -> None:
        super().__init__()
        self.num_steps = positive_integer(num_steps, "num_steps", "the optimizer steps it takes")
        self.start, self.end = start, end

    def __call__(self, step: Tensor) -> Tensor:
        progress = ops.cast(step, "float32") / self.num_steps
        return self.start + (self.end - self.start) * self.fraction(progress)

    def get_config(self) -> dict[str, Any]:
        return serialized_arguments(self)


@register
class Linear(_Ramp):
    """From `start` to `end` in a straight line over `num_steps` steps, then constant.

    Args:
        num_steps: steps of the optimizer (batches) until `end` is reached.
        start, end: values of beta, by default 0 and 1.

    Example: `Linear(num_steps=5000)`.

    Reference: Sønderby et al., Ladder Variational Autoencoders (arXiv:1602.02282), section 2.3.
    """

    def fraction(self, progress: Tensor) -> Tensor:
        return ops.clip(progress, 0.0, 1.0)


@register
class Cyclical(_Ramp):
    """Repeats: a straight line from `start` to `end`, then constant to the end of the cycle.

    Args:
        num_steps: steps of the optimizer in one cycle.
        start, end: values of beta, by default 0 and 1.
        ramp: part of a cycle spent rising, in (0, 1].

    Example: `Cyclical(num_steps=2000, ramp=0.5)`.

    Reference: Fu et al., Cyclical Annealing Schedule (arXiv:1903.10145), equation 6.
    """

    def __init__(
        self, num_steps: int, start: float = 0.0, end: float = 1.0, ramp: float = 0.5
    ) -> None:
        super().__init__(num_steps, start, end)
        if not 0 < ramp <= 1:
            raise ValueError(
                "`ramp` must lie in (0, 1]: it is the part of a cycle spent rising. "
                f"Received: ramp={ramp}"
            )
        self.ramp = ramp

    def fraction(self, progress: Tensor) -> Tensor:
        return ops.minimum((progress - ops.floor(progress)) / self.ramp, 1.0)


@register
class Sigmoid(_Ramp):
    """From `start` to `end` along a logistic curve over `num_steps` steps, then constant.

    The curve is shifted and scaled to reach both values exactly.

    Args:
        num_steps: steps of the optimizer until `end` is reached.
        start, end: values of beta, by default 0 and 1.
        sharpness: slope of the logistic curve; larger is nearer to a jump half way.

    Example: `Sigmoid(num_steps=5000)`.

    Reference: Bowman et al., Generating Sentences from a Continuous Space (arXiv:1511.06349),
    section 3.1 and figure 2.
    """

    def __init__(
        self, num_steps: int, start: float = 0.0, end: float = 1.0, sharpness: float = 10.0
    ) -> None:
        super().__init__(num_steps, start, end)
        if not sharpness > 0:
            raise ValueError(
                "`sharpness` must be positive: it is the slope of the logistic curve. "
                f"Received: sharpness={sharpness}"
            )
        self.sharpness = sharpness

    def fraction(self, progress: Tensor) -> Tensor:
        edge = math.tanh(self.sharpness / 4)
        progress = ops.clip(progress, 0.0, 1.0)
        return 0.5 + 0.5 * ops.tanh(self.sharpness * (progress - 0.5) / 2) / edge
