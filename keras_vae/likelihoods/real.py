"""Likelihoods of real numbers."""

import math

from keras import ops

from keras_vae import normal, random
from keras_vae.likelihoods import draws
from keras_vae.likelihoods.base import Likelihood
from keras_vae.likelihoods.scaled import Scaled
from keras_vae.likelihoods.stirling import HALF_LOG_TWO_PI, deviance, stirling_error
from keras_vae.part import register, soft_clip
from keras_vae.typing import Seed, Tensor


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

    Learned scales start from the mean absolute error of the first training batch.

    Example: `keras_vae.likelihoods.Laplace(scale="optimal")`.

    Reference: Johnson, Kotz and Balakrishnan, Continuous Univariate Distributions 2, chapter 24.
    """

    def error(self, x: Tensor, params: Tensor) -> Tensor:
        return ops.abs(x - params)

    def log_density(self, error: Tensor, log_scale: Tensor) -> Tensor:
        return -(error * ops.exp(-log_scale) + log_scale + math.log(2.0))

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        centred = random.uniform(ops.shape(params), seed) - 0.5
        size = -ops.log1p(-2.0 * ops.abs(centred) * (1 - 1e-7))
        return params + ops.exp(self.current_log_scale()) * ops.sign(centred) * size


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

    Learned scales start from the root mean squared error of the first training batch.

    Example: `keras_vae.likelihoods.Normal(scale="optimal")`.

    Reference: Rybkin et al., Simple and Effective VAE Training with Calibrated Decoders
    (arXiv:2006.13202), sections 3.1 and 3.2.
    """

    power = 2.0

    @property
    def variance(self) -> Tensor:
        """Returns the moving average of the squared error, for `scale="optimal"`."""
        return self.mean_error

    def log_variance(self) -> Tensor:
        """Returns log scale², a scalar or with the shape of an example."""
        return 2.0 * self.current_log_scale()

    def error(self, x: Tensor, params: Tensor) -> Tensor:
        return ops.square(x - params)

    def log_density(self, error: Tensor, log_scale: Tensor) -> Tensor:
        return normal.log_density_at(error, 2.0 * log_scale)

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        noise = random.normal(ops.shape(params), seed)
        return normal.from_noise(params, self.log_variance(), noise)


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
