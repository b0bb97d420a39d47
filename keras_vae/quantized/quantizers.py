"""Posteriors over sequences of codes, and the penalty that binds features to theirs."""

import math

import keras
from keras import ops

from keras_vae import objectives, replicas
from keras_vae.metrics import CodeUsage
from keras_vae.part import argmax, register
from keras_vae.penalties import Penalty
from keras_vae.posteriors import Posterior
from keras_vae.quantized.codes import UniformCodes
from keras_vae.validation import positive_integer

_LARGEST_SCALE = 100.0  # of a gradient, for features near 0


class Quantizer(Posterior):
    """Base: features (B, N · code_dim) to N codes, each one of num_codes vectors of code_dim.

    A subclass gives `nearest`, the indices of vectors, and `vectors`, the vectors of indices.
    `draw` decodes the codes in the forward pass and gives the encoder their gradient. With a
    `depth` there are so many codes a place, one after the other in z.
    """

    def _set_up(self, num_latents, num_codes, code_dim, depth=1):
        self.num_latents = positive_integer(num_latents, "num_latents", "codes an example")
        self.num_codes, self.code_dim = num_codes, code_dim
        self.length = self.num_latents * depth
        self.latent_dim = self.length * code_dim
        self.space = f"{self.length} codes of {num_codes}"
        self.usage = CodeUsage(num_codes, depth)

    def build(self, features_shape):
        expected = self.num_latents * self.code_dim
        if tuple(features_shape[1:]) != (expected,):
            raise ValueError(
                f"The encoder must return {expected} features an example, the codes' "
                f"{self.num_latents} times {self.code_dim}, because they are quantised as they "
                "are: end it with a convolution of `code_dim` channels and `Flatten()`. "
                f"Received: encoder output shape={tuple(features_shape)}"
            )

    def call(self, features):
        features = ops.cast(features, "float32")
        return {"features": ops.reshape(features, (-1, self.num_latents, self.code_dim))}

    def check_model(self, vae):
        if not isinstance(vae.objective, objectives.ELBO) or vae.objective.num_samples != 1:
            raise ValueError(
                "`objective` must be ELBO with one sample for a quantised posterior, because all "
                f"draws are the same. Received: objective={type(vae.objective).__name__}"
            )

    def default_prior(self):
        return UniformCodes(self.length, self.num_codes)

    def nearest(self, features):
        """Indices (…) of the codes nearest to vectors (…, code_dim)."""
        raise NotImplementedError

    def vectors(self, indices):
        """The vectors (…, code_dim) of indices (…)."""
        raise NotImplementedError

    def indices(self, z):
        """The codes of z, (…, D), as integers (…, N · depth)."""
        shape = (*ops.shape(z)[:-1], self.length, self.code_dim)
        return self.nearest(ops.reshape(z, shape))

    def mean(self, q):
        """The codes' vectors, (B, D)."""
        return self._flat(self.vectors(self.nearest(q["features"])))

    def sample(self, q, num_samples, seed):
        """The same, (K, B, D): there is one."""
        return ops.repeat(self.mean(q)[None], num_samples, axis=0)

    def log_prob(self, q, z):
        """log q(z|x), (K, B): 0, as the one z has all the mass."""
        return 0.0 * z[..., 0]

    def draw(self, q, num_samples, seed, step=None):
        features = q["features"]
        indices = self.nearest(features)
        codes = self.vectors(indices)
        if step is not None:
            self.learn(features, seed)
            codes = self.straight(features, codes)
        z = ops.repeat(self._flat(codes)[None], num_samples, axis=0)
        return z, self.log_prob(q, z)

    def straight(self, features, codes):
        """`codes`, with the gradient of `features`."""
        return features + ops.stop_gradient(codes - features)

    def learn(self, features, seed):
        """Moves the codebook where it learns without a gradient."""

    def observe(self, q):
        """Counts the codes in use, for the logs."""
        self.usage.update_state(self.nearest(q["features"]))

    def _flat(self, codes):
        return ops.reshape(codes, (-1, self.latent_dim))


@register
class VectorQuantizer(Quantizer):
    """VQ-VAE: each of N feature vectors becomes the nearest of `num_codes` learned vectors.

    The codebook follows the features it stands for: an exponential moving average of their mean,
    over the batch of all replicas. Codes that are used by far too few features are restarted at
    random features of the batch, and so is the whole codebook in the first step. Add the penalty
    `Commitment`. Logs `code_usage` and `perplexity` of the whole epoch, with a depth the means over
    its codebooks, the second geometric.

    With a `depth` above 1 it is residual: each further code, from a codebook of its own, stands for
    what those before it leave over, and the sum of their vectors for the feature. z holds the
    vectors one after the other, so that it tells the codes; the decoder begins with their sum, as
    `networks.grid_decoder(…, depth=depth)` does.

    Args:
        num_latents: int, N, such as the height times the width of the encoder's last grid.
        num_codes: int, the size of a codebook.
        code_dim: int, length of a code's vector.
        decay: number in [0, 1), of the moving average; None: the codebook is a weight that
            `Commitment` and the optimizer move.
        restart: codes are restarted that stand for fewer than this part of the average number of
            features; 0 for never.
        gradient: `"straight_through"`, or `"rotation"`: the encoder's gradient is turned and scaled
            as its vector is on the way to the code, or to the sum of its codes.
        depth: int, codes for each of the N.

    Call arguments:
        features: (B, N · code_dim).

    Returns a dict `q` of `features`, (B, N · depth, code_dim): what each code stands for.

    Example: `keras_vae.recipes.vq_vae((28, 28, 1))`, or `recipes.rvq_vae` with a depth.

    References: van den Oord et al., Neural Discrete Representation Learning (arXiv:1711.00937),
    appendix A.1 for the averages; Dhariwal et al., Jukebox (arXiv:2005.00341), section 3.1 for the
    restarts; Fifty et al., Restructuring Vector Quantization with the Rotation Trick
    (arXiv:2410.06424), equation 4; for the depth Zeghidour et al., SoundStream (arXiv:2107.03312),
    algorithm 1, and Lee et al. (arXiv:2203.01941), equations 3 and 6.
    """

    gradients = ("straight_through", "rotation")

    def __init__(
        self,
        num_latents,
        num_codes=512,
        code_dim=16,
        decay=0.99,
        restart=0.1,
        gradient="straight_through",
        depth=1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.depth = positive_integer(depth, "depth", "how many codes stand for one feature")
        self._set_up(
            num_latents,
            positive_integer(num_codes, "num_codes", "the size of the codebook"),
            positive_integer(code_dim, "code_dim", "the length of a code's vector"),
            self.depth,
        )
        if decay is not None and not 0 <= decay < 1:
            raise ValueError(
                "`decay` must lie in [0, 1), of a moving average, or be None. "
                f"Received: decay={decay!r}"
            )
        if gradient not in self.gradients:
            raise ValueError(
                f"`gradient` must be one of {self.gradients}. Received: gradient={gradient!r}"
            )
        self.decay, self.restart, self.gradient = decay, restart, gradient

    def build(self, features_shape):
        super().build(features_shape)
        learned = self.decay is None
        shape, spread = (self.depth * self.num_codes, self.code_dim), 1.0 / self.num_codes
        uniform = keras.initializers.RandomUniform(-spread, spread)
        # read inside VAE.call, whose precision may be half
        options = {"trainable": learned, "aggregation": "mean", "autocast": False}
        self.codebook = self.add_weight(
            name="codebook", shape=shape, initializer=uniform, **options
        )
        options["trainable"] = False
        self.count = self.add_weight(name="count", shape=shape[:1], initializer="zeros", **options)

    def call(self, features):
        left, parts = super().call(features)["features"], []
        for codes in self._codebooks():
            parts.append(left)
            left = left - ops.stop_gradient(ops.take(codes, nearest_code(codes, left), axis=0))
        parts = ops.stack(parts, axis=2)
        return {"features": ops.reshape(parts, (-1, self.length, self.code_dim))}

    def nearest(self, features):
        parts = ops.reshape(features, (-1, self.depth, self.code_dim))
        found = [nearest_code(codes, parts[:, i]) for i, codes in enumerate(self._codebooks())]
        return ops.reshape(ops.stack(found, axis=1), ops.shape(features)[:-1])

    def vectors(self, indices):
        first = ops.arange(self.depth, dtype=indices.dtype) * self.num_codes
        rows = ops.reshape(ops.reshape(indices, (-1, self.depth)) + first, ops.shape(indices))
        return ops.take(self.codebook, rows, axis=0)

    def straight(self, features, codes):
        """`codes`, whose sums over the depth have the gradient of the features."""
        shape = (-1, self.num_latents, self.depth, self.code_dim)
        features, parts = ops.reshape(features, shape)[:, :, 0], ops.reshape(codes, shape)
        if self.gradient == "rotation":
            features = rotated(features, ops.stop_gradient(ops.sum(parts, axis=2)))
        change = (features - ops.stop_gradient(features)) / self.depth  # 0, but for its gradient
        return self._flat(ops.stop_gradient(parts) + change[:, :, None])

    def learn(self, features, seed):
        """Each codebook from what those before it, as they now are, leave over."""
        if self.frozen:
            return
        counts = ops.unstack(ops.reshape(self.count, (self.depth, self.num_codes)))
        left = ops.stop_gradient(ops.reshape(features, (-1, self.depth, self.code_dim))[:, 0])
        learned = []
        for codes, count in zip(self._codebooks(), counts, strict=True):
            codes, count = self._learned(codes, count, left, seed)
            left = left - ops.take(codes, nearest_code(codes, left), axis=0)
            learned.append((codes, count))
        codes, counts = zip(*learned, strict=True)
        self.codebook.assign(ops.concatenate(codes))
        self.count.assign(ops.concatenate(counts))

    def _learned(self, codes, count, features, seed):
        """The codes and counts after a step with features (rows, code_dim)."""
        one_hot = ops.one_hot(nearest_code(codes, features), self.num_codes)
        number = replicas.all_sum(ops.sum(one_hot, axis=0))
        total = replicas.all_sum(ops.matmul(ops.transpose(one_hot), features))
        decay = 0.99 if self.decay is None else self.decay
        before, count = count, decay * count + (1.0 - decay) * number
        if self.decay is not None:  # the mean of what each code stood for, lately
            sums = decay * before[:, None] * codes + (1.0 - decay) * total
            moved = sums / ops.maximum(count[:, None], 1e-8)
            codes = ops.where(count[:, None] > 1e-8, moved, codes)
        if self.restart:
            codes, count = self._restarted(codes, count, replicas.all_gather(features), seed)
        return codes, count

    def _restarted(self, codes, count, features, seed):
        """The same, with the dead codes at random features of all replicas."""
        size = ops.cast(ops.shape(features)[0], "float32")
        chance = keras.random.uniform((self.num_codes,), seed=seed)
        chosen = ops.take(features, ops.cast(chance * size, "int32"), axis=0)
        average = size / self.num_codes
        dead = count < self.restart * average
        return ops.where(dead[:, None], chosen, codes), ops.where(dead, average, count)

    def _codebooks(self):
        """One (num_codes, code_dim) for each of the depth."""
        shape = (self.depth, self.num_codes, self.code_dim)
        return list(ops.unstack(ops.reshape(self.codebook, shape), axis=0))


def nearest_code(codes, features):
    """Indices of the codes (C, d) nearest to features (…, d)."""
    products = ops.matmul(features, ops.transpose(codes))
    return argmax(2.0 * products - ops.sum(ops.square(codes), axis=1))


def rotated(features, codes):
    """`codes`, as features turned and scaled by a constant rotation and length: its gradient."""
    norm, target = _length(features), _length(codes)
    e, c = ops.stop_gradient(features / norm), ops.stop_gradient(codes / target)
    r = ops.stop_gradient((e + c) / _length(e + c))

    def along(a, b):
        return ops.sum(a * b, axis=-1, keepdims=True)

    turned = features - 2.0 * along(features, r) * r + 2.0 * along(features, e) * c
    turned = ops.stop_gradient(ops.minimum(target / norm, _LARGEST_SCALE)) * turned
    return turned + ops.stop_gradient(codes - turned)  # exact where rounding is not


def _length(x):
    return ops.maximum(ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)), 1e-8)


@register
class FiniteScalarQuantizer(Quantizer):
    """FSQ: each feature is bounded and rounded to one of a few levels. No codebook to collapse.

    Args:
        num_latents: int, N.
        levels: the number of levels of each channel of a code, each at least 2; num_codes is their
            product.

    Example: `FiniteScalarQuantizer(num_latents=49, levels=(8, 8, 8))`, of 512 codes.

    Reference: Mentzer et al., Finite Scalar Quantization: VQ-VAE Made Simple (arXiv:2309.15505).
    """

    def __init__(self, num_latents, levels=(8, 8, 8), **kwargs):
        super().__init__(**kwargs)
        self.levels = tuple(positive_integer(n, "levels", "of a channel") for n in levels)
        if not self.levels or min(self.levels) < 2:
            raise ValueError(
                "`levels` must be one or more integers of at least 2, the levels of each channel. "
                f"Received: levels={self.levels}"
            )
        self._set_up(num_latents, math.prod(self.levels), len(self.levels))

    def call(self, features):
        """Bounded to [0, levels - 1], so that whole numbers are the codes."""
        features = super().call(features)["features"]
        return {"features": ops.sigmoid(2.0 * features) * self._top()}

    def nearest(self, features):
        """Of unrounded levels, in `q`, or of codes scaled to [-1, 1], in z."""
        return self._number(ops.clip(ops.round(features), 0.0, self._top()))

    def indices(self, z):
        shape = (*ops.shape(z)[:-1], self.num_latents, self.code_dim)
        return self._number(ops.round((ops.reshape(z, shape) + 1.0) * self._top() / 2.0))

    def vectors(self, indices):
        digits = [(indices // b) % n for b, n in zip(self._bases(), self.levels, strict=True)]
        return self._scaled(ops.cast(ops.stack(digits, axis=-1), "float32"))

    def straight(self, features, codes):
        return super().straight(self._scaled(features), codes)

    def _scaled(self, levels):
        return 2.0 * levels / self._top() - 1.0

    def _top(self):
        return ops.convert_to_tensor(self.levels, "float32") - 1.0

    def _bases(self):
        return [math.prod(self.levels[:i]) for i in range(len(self.levels))]

    def _number(self, levels):
        bases = ops.convert_to_tensor(self._bases(), "int32")
        return ops.sum(ops.cast(levels, "int32") * bases, axis=-1)


@register
class Commitment(Penalty):
    """The squared distance of the features from their codes, summed over an example.

    Pulls the encoder to the codes it uses. Where the codebook is learned (`decay=None`), the same
    distance with weight 1 pulls the codes to the features.

    Args:
        weight: a non-negative number or a schedule; 0.25 in the paper.

    Example: `VAE(…, posterior=VectorQuantizer(49), penalties=[Commitment()])`.

    Reference: van den Oord et al. (arXiv:1711.00937), equation 3.
    """

    def __init__(self, weight=0.25, **kwargs):
        super().__init__(weight, **{"name": "commitment", **kwargs})

    def check_model(self, vae):
        if not isinstance(vae.posterior, VectorQuantizer):
            raise ValueError(
                "`penalties` with a Commitment must go with the posterior VectorQuantizer, whose "
                f"features it binds. Received: posterior={type(vae.posterior).__name__}"
            )

    def loss(self, terms, step):
        learning = 0.0
        if terms.posterior.decay is None:
            features = ops.stop_gradient(terms.q["features"])
            learning = self._distance(features, self._codes(terms))
        return super().loss(terms, step) + learning

    def value(self, terms):
        return self._distance(terms.q["features"], ops.stop_gradient(self._codes(terms)))

    def _codes(self, terms):
        # those that were decoded, not those the codebook has moved to since
        z = ops.stop_gradient(terms.z[0])
        posterior, features = terms.posterior, terms.q["features"]
        if posterior.decay is None:
            return posterior.vectors(posterior.nearest(features))
        return ops.reshape(z, ops.shape(features))

    def _distance(self, a, b):
        return ops.sum(ops.square(a - b), axis=(1, 2))
