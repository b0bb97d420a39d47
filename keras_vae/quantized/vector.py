"""A codebook that follows the features it stands for, or that is learned by gradient."""

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_vae import replicas
from keras_vae.part import register
from keras_vae.quantized.quantizers import (
    LARGEST_SCALE,
    Quantizer,
    nearest_code,
    rows_of,
    unit,
)
from keras_vae.typing import Params, Seed, Shape, Tensor
from keras_vae.validation import is_number, positive_integer

_PATIENCE = 3.0  # a code of the least use allowed is idle for so long with probability exp(-3)
_K_MEANS_STEPS = 10


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
            features, or for none while the average code stands for 3 / restart; 0 for never.
        gradient: `"straight_through"`, or `"rotation"`: the encoder's gradient is turned and scaled
            as its vector is on the way to the code, or to the sum of its codes.
        depth: int, codes for each of the N.
        rate_multiple: positive number. With `decay=None` the codebook moves at so many times the
            optimizer's learning rate, whatever the optimizer.
        distance: `"euclidean"`, or `"cosine"`: features and codes are scaled to length 1, so that
            the nearest code is the one at the smallest angle. For a `depth` of 1.
        initializer: what the first training batch makes of the codebook: `"random"` features of
            the batch, or `"k_means"`, the centres that 10 steps of k-means find among them.

    Call arguments:
        features: (B, N · code_dim).

    Returns:
        A dict `q` of `features`, (B, N · depth, code_dim): what each code stands for.

    Example: `keras_vae.recipes.vq_vae((28, 28, 1))`, or `recipes.rvq_vae` with a depth.

    References: van den Oord et al., Neural Discrete Representation Learning (arXiv:1711.00937),
    appendix A.1 for the averages; Dhariwal et al., Jukebox (arXiv:2005.00341), section 3.1 for the
    restarts; Fifty et al., Restructuring Vector Quantization with the Rotation Trick
    (arXiv:2410.06424), equation 4; for the depth Zeghidour et al., SoundStream (arXiv:2107.03312),
    algorithm 1 and section III.C for k-means, and Lee et al. (arXiv:2203.01941), equations 3 and 6;
    Yu et al., Vector-quantized Image Modeling with Improved VQGAN (arXiv:2110.04627), section 3.2,
    for the cosine.
    """

    gradients = ("straight_through", "rotation")
    distances = ("euclidean", "cosine")
    initializers = ("random", "k_means")

    def __init__(
        self,
        num_latents: int,
        num_codes: int = 512,
        code_dim: int = 16,
        decay: float | None = 0.99,
        restart: float = 0.1,
        gradient: str = "straight_through",
        depth: int = 1,
        rate_multiple: float = 10.0,
        distance: str = "euclidean",
        initializer: str = "random",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._set_up(
            num_latents,
            positive_integer(num_codes, "num_codes", "the size of the codebook"),
            positive_integer(code_dim, "code_dim", "the length of a code's vector"),
            depth,
        )
        if decay is not None and not 0 <= decay < 1:
            raise ValueError(
                "`decay` must lie in [0, 1), of a moving average, or be None. "
                f"Received: decay={decay!r}"
            )
        _check_one_of(gradient, self.gradients, "gradient")
        _check_one_of(distance, self.distances, "distance")
        _check_one_of(initializer, self.initializers, "initializer")
        if distance == "cosine" and self.depth > 1:
            raise ValueError(
                "`distance` must be 'euclidean' with a `depth` above 1, because what a code leaves "
                f"over has another length. Received: distance={distance!r}, depth={depth!r}"
            )
        if not is_number(rate_multiple) or rate_multiple <= 0:
            raise ValueError(
                "`rate_multiple` must be a positive number, the learned codebook's learning rate "
                f"in units of the optimizer's. Received: rate_multiple={rate_multiple!r}"
            )
        self.decay, self.restart, self.gradient = decay, restart, gradient
        self.rate_multiple, self.distance = rate_multiple, distance
        self.initializer = initializer

    @property
    def learns_by_gradient(self) -> bool:  # type: ignore[override]
        return self.decay is None

    def build(self, features_shape: Shape) -> None:
        super().build(features_shape)
        shape, spread = (self.depth * self.num_codes, self.code_dim), 1.0 / self.num_codes
        uniform = keras.initializers.RandomUniform(-spread, spread)
        # read inside VAE.call, whose precision may be half
        options = {"trainable": False, "aggregation": "mean", "autocast": False}
        self.start = self.add_weight(name="codebook", shape=shape, initializer=uniform, **options)
        options |= {"shape": shape[:1], "initializer": "zeros"}
        self.count = self.add_weight(name="count", **options)
        self.idle = self.add_weight(name="idle", **options)
        if self.decay is None:
            self.change = self.add_weight(
                name="codebook_change", shape=shape, initializer="zeros", autocast=False
            )

    @property
    def codebook(self) -> Tensor:
        """Returns all codes, (depth · num_codes, code_dim).

        A learned codebook is the sum of `start`, which restarts assign, and of a multiple of
        `change`, which the optimizer moves: on JAX a training step keeps only the optimizer's
        value of a trainable variable. The gradient leaves the multiple out, so that the codebook
        moves `rate_multiple` times as far under every optimizer.
        """
        return self._scaled(self._unscaled_codebook())

    def _unscaled_codebook(self):
        if self.decay is not None:
            return self.start
        further = ops.stop_gradient((self.rate_multiple - 1.0) * self.change)
        return self.start + self.change + further

    def _scaled(self, vectors):
        return unit(vectors) if self.distance == "cosine" else vectors

    def call(self, features: Tensor) -> Params:
        left, parts = self._scaled(super().call(features)["features"]), []
        for codes in self._codebooks():
            parts.append(left)
            left = left - ops.stop_gradient(rows_of(codes, nearest_code(codes, left)))
        parts = ops.stack(parts, axis=2)
        return {"features": ops.reshape(parts, (-1, self.length, self.code_dim))}

    def nearest(self, features: Tensor) -> Tensor:
        parts = ops.reshape(features, (-1, self.depth, self.code_dim))
        found = [nearest_code(codes, parts[:, i]) for i, codes in enumerate(self._codebooks())]
        return ops.reshape(ops.stack(found, axis=1), ops.shape(features)[:-1])

    def vectors(self, indices: Tensor) -> Tensor:
        first = ops.arange(self.depth, dtype=indices.dtype) * self.num_codes
        rows = ops.reshape(ops.reshape(indices, (-1, self.depth)) + first, ops.shape(indices))
        return rows_of(self.codebook, rows)

    def straight(self, features: Tensor, codes: Tensor) -> Tensor:
        """Returns `codes` with the gradient of the features that the first of them stand for."""
        shape = (-1, self.num_latents, self.depth, self.code_dim)
        features, parts = ops.reshape(features, shape)[:, :, 0], ops.reshape(codes, shape)
        if self.gradient == "rotation":
            features = rotated(features, ops.stop_gradient(ops.sum(parts, axis=2)))
        return super().straight(features, codes)

    def learn(self, q: Params, weights: Tensor, seed: Seed) -> None:
        """Moves each codebook by what those before it, as they now are, leave over."""
        shape = (self.depth, self.num_codes)
        counts, idle_times = (ops.unstack(ops.reshape(v, shape)) for v in (self.count, self.idle))
        features = ops.reshape(q["features"], (-1, self.depth, self.code_dim))
        left = ops.stop_gradient(features[:, 0])
        weights = ops.repeat(weights, self.num_latents)
        learned = []
        for codes, count, idle in zip(self._codebooks(), counts, idle_times, strict=True):
            learned.append(self._learned(codes, count, idle, left, weights, seed))
            codes = learned[-1][0]
            left = left - rows_of(codes, nearest_code(codes, left))
        codes, count, idle = map(ops.concatenate, zip(*learned, strict=True))
        self.start.assign(self._start_of(codes) if self.decay is None else codes)
        self.count.assign(count)
        self.idle.assign(idle)

    def _start_of(self, codes):
        """The `start` with which a learned codebook is `codes`, as it was where those are."""
        book, sums = self.codebook, self._unscaled_codebook()
        return self.start + ops.where(codes == book, 0.0, codes - sums)

    def _learned(self, codes, count, idle, features, weights, seed):
        """What follows a step with features (rows, code_dim) and weights (rows,).

        Returns the codes, their counts (moving averages of how much they stand for), and for how
        long they have stood for nothing, in features of the average code.
        """
        rows, mass = features, weights  # of all replicas, where they are needed
        if self.restart or self.initializer == "k_means":
            rows, mass = replicas.all_gather(features), replicas.all_gather(weights)
        if self.initializer == "k_means":
            codes, count = self._started(codes, count, rows, mass, seed)
        nearest = nearest_code(codes, features)
        shares = ops.one_hot(nearest, self.num_codes) * weights[:, None]
        number = replicas.all_sum(ops.sum(shares, axis=0))
        total = replicas.all_sum(ops.matmul(ops.transpose(shares), features))
        decay = 0.99 if self.decay is None else self.decay
        idle = ops.where(number > 0, 0.0, idle + ops.sum(number) / self.num_codes)
        before, count = count, decay * count + (1.0 - decay) * number
        if self.decay is not None:  # the mean of what each code stood for, lately
            sums = decay * before[:, None] * codes + (1.0 - decay) * total
            moved = self._scaled(sums / ops.maximum(count[:, None], 1e-8))
            codes = ops.where(count[:, None] > 1e-8, moved, codes)
        if self.restart:
            return self._restarted(codes, count, idle, rows, mass, seed)
        return codes, count, idle

    def _started(self, codes, count, features, weights, seed):
        """The codes and their counts, in the first step those of k-means over all replicas."""
        chance = keras.random.uniform((self.num_codes,), seed=seed)

        def first():
            centres, numbers = k_means(features, weights, chance, self._scaled)
            return ops.where(ops.sum(weights) > 0, centres, codes), numbers

        return ops.cond(ops.all(count == 0.0), first, lambda: (codes + 0.0, count + 0.0))

    def _restarted(self, codes, count, idle, features, weights, seed):
        """The same, with the dead codes at random features of all replicas.

        While the features move fast, as in the first epochs, codes are left behind together. So the
        count alone will not do: it falls by a hundredth a step, and in 229 steps from the average
        to a tenth of it. A restarted code has the least count that is not dead, so that it is
        restarted again unless the next step uses it.
        """
        least = self.restart * ops.sum(weights) / self.num_codes
        dead = ops.logical_or(count < least, self.restart * idle > _PATIENCE)
        chance = keras.random.uniform((self.num_codes,), seed=seed)
        chosen = ops.take(features, _drawn(weights, chance), axis=0)
        codes = ops.where(dead[:, None], chosen, codes)
        return codes, ops.where(dead, least, count), ops.where(dead, 0.0, idle)

    def _codebooks(self):
        """One (num_codes, code_dim) for each of the depth."""
        shape = (self.depth, self.num_codes, self.code_dim)
        return list(ops.unstack(ops.reshape(self.codebook, shape), axis=0))


def k_means(
    features: Tensor, weights: Tensor, chance: Tensor, scaled: Callable[[Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """Finds centres of features by 10 steps of k-means, beginning at rows spread over the batch.

    Args:
        features: (rows, d).
        weights: (rows,), of which no row of weight 0 counts.
        chance: uniform numbers in [0, 1), one for each centre.
        scaled: function that is applied to the centres after each step.

    Returns:
        Tuple of the centres, (centres, d), and the weight of the rows that each stands for.

    Reference: Lloyd, Least Squares Quantization in PCM (1982).
    """
    count = chance.shape[0]
    spread = (ops.arange(count, dtype="float32") + chance) / count  # no row twice if there are more
    centres = ops.take(features, _drawn(weights, spread), axis=0)
    for _ in range(_K_MEANS_STEPS):
        shares = ops.one_hot(nearest_code(centres, features), count) * weights[:, None]
        numbers = ops.sum(shares, axis=0)
        means = ops.matmul(ops.transpose(shares), features) / ops.maximum(numbers, 1e-8)[:, None]
        centres = ops.where(numbers[:, None] > 0, scaled(means), centres)
    return centres, numbers


def _drawn(weights, chance):
    """Indices of rows in proportion to their weights (rows,), for uniform numbers in [0, 1)."""
    ends = ops.cumsum(weights)
    places = ops.cast(ops.searchsorted(ends, chance * ends[-1], side="right"), "int32")
    return ops.minimum(places, ops.shape(ends)[0] - 1)


def rotated(features: Tensor, codes: Tensor) -> Tensor:
    """Returns `codes` with the gradient of features that a constant rotates and scales to them."""
    norm, target = _length(features), _length(codes)
    e, c = ops.stop_gradient(features / norm), ops.stop_gradient(codes / target)
    r = ops.stop_gradient((e + c) / _length(e + c))

    def along(a, b):
        return ops.sum(a * b, axis=-1, keepdims=True)

    turned = features - 2.0 * along(features, r) * r + 2.0 * along(features, e) * c
    turned = ops.stop_gradient(ops.minimum(target / norm, LARGEST_SCALE)) * turned
    return turned + ops.stop_gradient(codes - turned)  # exact where rounding is not


def _length(x):
    return ops.maximum(ops.sqrt(ops.sum(ops.square(x), axis=-1, keepdims=True)), 1e-8)


def _check_one_of(value, allowed, argument):
    if value not in allowed:
        raise ValueError(f"`{argument}` must be one of {allowed}. Received: {argument}={value!r}")
