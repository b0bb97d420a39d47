"""Likelihoods of real numbers."""

import math
from typing import Any

from keras import ops

from keras_vae import normal, random, validation
from keras_vae.likelihoods import draws
from keras_vae.likelihoods.base import Likelihood, sum_over_example
from keras_vae.likelihoods.scaled import Scaled, counted
from keras_vae.likelihoods.stirling import (
    HALF_LOG_TWO_PI,
    deviance,
    stirling_error,
    student_t_log_prob,
)
from keras_vae.part import build_once, register, soft_clip
from keras_vae.typing import Seed, Shape, Tensor


@register
class Laplace(Scaled):
    """exp(-|x - params| / scale) / (2 scale) for each feature: absolute error, robust to outliers.

    Args:
        scale: in the units of x:
            a positive number: fixed.
            `"shared"`: one number for all features, learned with the network.
            `"per_feature"`: one number for each feature, learned with the network, and above 1 %
            of the standard deviation that the feature has in the first batch.
            `"optimal"`: one number, the mean absolute error of the batch in training, and a
            moving average of it in evaluation, which so depends on no batch.
            `"decoder"`: one number for each feature of each example. The decoder emits two values
            a feature, the first half of the last axis for the location, the second for the
            logarithm of the scale, which counts from the feature's error in the first batch. It
            stays above the same 1 %.

    Learned scales start from the mean absolute error of the first training batch, and move
    at ten times the optimizer's learning rate.

    Example: `keras_vae.likelihoods.Laplace(scale="optimal")`.

    Reference: Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions 2, chapter 24.
    """

    def error(self, x: Tensor, location: Tensor) -> Tensor:
        return ops.abs(x - location)

    def log_density(self, error: Tensor, log_scale: Tensor) -> Tensor:
        return -(error * ops.exp(-log_scale) + log_scale + math.log(2.0))

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        location = self.location_of(params)
        centred = random.uniform(ops.shape(location), seed) - 0.5
        size = -ops.log1p(-2.0 * ops.abs(centred) * (1 - 1e-7))
        return location + ops.exp(self.current_log_scale(params)) * ops.sign(centred) * size


@register
class Normal(Scaled):
    """N(x; params, scale²) for each feature: squared error, with its scale and its constants.

    Args:
        scale: the standard deviation, in the units of x:
            a positive number: fixed; 1.0 gives half the squared error plus a constant.
            `"shared"`: one number for all features, learned with the network.
            `"per_feature"`: one number for each feature, learned with the network, and above 1 %
            of the standard deviation that the feature has in the first batch.
            `"optimal"`: one number, the root mean squared error of the batch in training, and a
            moving average of it in evaluation, which so depends on no batch.
            `"decoder"`: one number for each feature of each example. The decoder emits two values
            a feature, the first half of the last axis for the location, the second for the
            logarithm of the scale, which counts from the feature's error in the first batch. It
            stays above the same 1 %.

    Learned scales start from the root mean squared error of the first training batch, and move
    at ten times the optimizer's learning rate.

    Example: `keras_vae.likelihoods.Normal(scale="optimal")`.

    Reference: Rybkin et al., Simple and Effective VAE Training with Calibrated Decoders
    (arXiv:2006.13202), sections 3.1 and 3.2.
    """

    power = 2.0

    @property
    def variance(self) -> Tensor:
        """Returns the moving average of the squared error, for `scale="optimal"`."""
        return self.mean_error

    def log_variance(self, params: Tensor | None = None) -> Tensor:
        """Returns log scale²; `params`, what the decoder emits, is as in `current_log_scale`."""
        return 2.0 * self.current_log_scale(params)

    def error(self, x: Tensor, location: Tensor) -> Tensor:
        return ops.square(x - location)

    def log_density(self, error: Tensor, log_scale: Tensor) -> Tensor:
        return normal.log_density_at(error, 2.0 * log_scale)

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        location = self.location_of(params)
        noise = random.normal(ops.shape(location), seed)
        return normal.from_noise(location, self.log_variance(params), noise)


@register
class StudentT(Scaled):
    """Student's t distribution of (x - params) / scale: like a normal, with heavier tails.

    A value far out costs nats in proportion to the logarithm of its distance, so that outliers
    neither move the location nor widen the scale by much.

    Args:
        scale: in the units of x, as for `Normal`: a positive number, `"shared"`, `"per_feature"`
            or `"decoder"`. The standard deviation is larger by sqrt(df / (df - 2)), for df above 2.
        degrees_of_freedom: df, a positive number: 1 is the Cauchy distribution, and the normal is
            the limit of large ones. `"per_feature"` is a number for each feature, learned from 10
            on at ten times the optimizer's rate. It stays between 1.02 and 3,700.

    `mean` is the location. It is the mean for df above 1, as all learned ones are, and the median
    for any. Scales that are not fixed start from the mean absolute error of the first training
    batch.

    Example: `keras_vae.likelihoods.StudentT(scale="per_feature", degrees_of_freedom=4.0)`.

    Reference: Lange, Little and Taylor, Robust Statistical Modeling Using the t Distribution
    (1989), section 2.
    """

    kinds = ("shared", "per_feature", "decoder")

    def __init__(
        self,
        scale: float | str = "per_feature",
        degrees_of_freedom: float | str = "per_feature",
        **kwargs: Any,
    ) -> None:
        if isinstance(scale, str) and scale == "optimal":
            raise ValueError(
                f"`scale` must be a positive number or one of {self.kinds}, because no formula "
                "gives the most likely scale of Student's t distribution; a learned one comes "
                f"close. Received: scale={scale!r}"
            )
        super().__init__(scale, **kwargs)
        fixed = validation.is_number(degrees_of_freedom) and float(degrees_of_freedom) > 0
        if not fixed and not (
            isinstance(degrees_of_freedom, str) and degrees_of_freedom == "per_feature"
        ):
            raise ValueError(
                '`degrees_of_freedom` must be a positive number or "per_feature": it tells how '
                "fast the tails fall off. Received: "
                f"degrees_of_freedom={degrees_of_freedom!r}"
            )
        self.degrees_of_freedom = float(degrees_of_freedom) if fixed else degrees_of_freedom

    def build(self, params_shape: Shape) -> None:
        super().build(params_shape)
        if self.degrees_of_freedom == "per_feature":
            self.log_excess = self.add_weight(
                name="log_excess",
                shape=self.example_shape(tuple(params_shape[1:])),
                initializer="zeros",
            )

    def current_degrees_of_freedom(self) -> Tensor:
        """Returns the degrees of freedom, a scalar or with the shape of an example."""
        if isinstance(self.degrees_of_freedom, str):
            return 1.0 + 9.0 * ops.exp(soft_clip(counted(self.log_excess), 3.0, 3.0))
        return ops.convert_to_tensor(self.degrees_of_freedom, "float32")

    def error(self, x: Tensor, location: Tensor) -> Tensor:
        return ops.abs(x - location)

    def log_density(self, error: Tensor, log_scale: Tensor) -> Tensor:
        size = error * ops.exp(-log_scale)
        return student_t_log_prob(size, self.current_degrees_of_freedom()) - log_scale

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        """Draws normal noise over the root of an independent gamma variable of mean 1."""
        location = self.location_of(params)
        noise = random.uniform((*ops.shape(location), draws.GAMMA_NOISE + 2), seed)
        half = ops.broadcast_to(0.5 * self.current_degrees_of_freedom(), ops.shape(location))
        log_gamma = draws.log_gamma_variable(half, noise[..., 2:])
        log_size = self.current_log_scale(params) - 0.5 * (log_gamma - ops.log(half))
        # small degrees of freedom have draws beyond the range of float32
        return location + ops.exp(ops.minimum(log_size, 80.0)) * draws.normal_variable(noise)


@register
class LogNormal(Likelihood):
    """Positive numbers whose logarithm is normal, with the mean params: sizes, prices, durations.

    Args:
        scale: the standard deviation of log x, as for `Normal`: a positive number, `"shared"`,
            `"per_feature"`, `"optimal"` or `"decoder"`.

    `mean` is exp(params + scale² / 2), which for a large scale is far above the median,
    exp(params). Its logarithm is bent beyond ±40 to stay within ±80, and that of a draw is cut off
    at ±80. As an input to other networks x is shown by its logarithm.

    Example: `keras_vae.likelihoods.LogNormal(scale="per_feature")`.

    References: Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions 1, chapter 14;
    Nazabal et al. (arXiv:1807.03653), section 2.1.
    """

    low, open_support = 0.0, True
    fill = 1.0

    def __init__(self, scale: float | str = "per_feature", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.of_logarithm = Normal(scale)
        self.scale = self.of_logarithm.scale
        self.params_per_feature = self.of_logarithm.params_per_feature

    def build(self, params_shape: Shape) -> None:
        build_once(self.of_logarithm, params_shape)

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        log_x = ops.log(x)
        return self.of_logarithm.feature_log_prob(log_x, params) - log_x

    def training_log_prob(
        self, x: Tensor, params: Tensor, weights: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        log_x = ops.log(self.known(x, mask))  # 0 where x is missing
        value = self.of_logarithm.training_log_prob(log_x, params, weights, mask)
        return value - sum_over_example(log_x[None])

    def as_input(self, x: Tensor) -> Tensor:
        """Returns log x."""
        return ops.log(x)

    def mean(self, params: Tensor) -> Tensor:
        half_variance = 0.5 * ops.exp(self.of_logarithm.log_variance(params))
        return ops.exp(soft_clip(self.of_logarithm.mean(params) + half_variance, 40.0, 40.0))

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        return ops.exp(ops.clip(self.of_logarithm.sample(params, seed), -80.0, 80.0))


@register
class Beta(Likelihood):
    """Beta distribution on (0, 1) for each feature: proportions, rates, probabilities.

    The decoder emits two values a feature, the first half of the last axis for the logit of the
    mean, the second for the logarithm of the concentration a + b. Beyond ±10 the logit is bent to
    stay within ±20; the logarithm, beyond ±4, within ±8.

    Example: `keras_vae.likelihoods.Beta()`.

    Reference: Ferrari and Cribari-Neto, Beta Regression for Modelling Rates and Proportions
    (2004), equation 4.
    """

    low, high, open_support = 0.0, 1.0, True
    fill = 0.5
    params_per_feature = 2

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        logit, log_c = self._parameters_of(params)
        log_mean, log_rest, c = ops.log_sigmoid(logit), ops.log_sigmoid(-logit), ops.exp(log_c)
        a, b = c * ops.exp(log_mean), c * ops.exp(log_rest)
        x = _inside(x)
        log_x, log_y = ops.log(x), ops.log1p(-x)
        difference = ops.where(x < 0.5, a - c * x, c * (1.0 - x) - b)
        off = deviance(a, c * x, difference, log_mean - log_x)
        off += deviance(b, c * (1.0 - x), -difference, log_rest - log_y)
        stirling = stirling_error(c) - stirling_error(a) - stirling_error(b)
        # No sum of three: TensorFlow adds those in an order that differs from run to run.
        size = 0.5 * (log_c + log_mean - ops.softplus(logit)) - HALF_LOG_TWO_PI
        return size + stirling - off - log_x - log_y

    def mean(self, params: Tensor) -> Tensor:
        return _inside(ops.sigmoid(self._parameters_of(params)[0]))

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        """Draws a share of two gamma variables, by their logarithms."""
        logit, log_c = self._parameters_of(params)
        noise = random.uniform((*ops.shape(logit), 2 * draws.GAMMA_NOISE), seed)
        pair = zip((logit, -logit), ops.split(noise, 2, axis=-1), strict=True)
        ours, others = (
            draws.log_gamma_variable(ops.exp(log_c + ops.log_sigmoid(half)), noise)
            for half, noise in pair
        )
        return _inside(ops.sigmoid(ours - others))

    def _parameters_of(self, params):
        """(logit of the mean, log of the concentration)."""
        logit, log_concentration = ops.split(params, 2, axis=-1)
        return soft_clip(logit), soft_clip(log_concentration, 4.0, 4.0)


def _inside(x):
    """`x` within (0, 1), by the smallest distances that float32 resolves."""
    return ops.clip(x, 1e-37, 1.0 - 2.0**-24)
