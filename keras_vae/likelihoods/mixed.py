"""Tables whose columns are of different kinds."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_vae import validation
from keras_vae.likelihoods.base import Likelihood, seed_of
from keras_vae.part import build_once, register
from keras_vae.typing import Seed, Shape, Tensor


@register
class Mixed(Likelihood):
    """Groups of columns, each with a likelihood of its own: numbers, classes, counts.

    The last axis of x holds the groups one after the other, and so does that of the decoder's
    output, with as many parameters as each likelihood needs.

    Args:
        likelihoods: list of likelihoods, one for each group.
        columns: list of ints, the number of columns in each group.

    Example: two numbers, then one of five classes, then a count:

    ```python
    likelihood = keras_vae.likelihoods.Mixed(
        [
            keras_vae.likelihoods.Normal("per_feature"),
            keras_vae.likelihoods.Categorical(5),
            keras_vae.likelihoods.Poisson(),
        ],
        columns=[2, 1, 1],
    )
    ```

    Reference: Nazabal et al., Handling Incomplete Heterogeneous Data using VAEs
    (arXiv:1807.03653), section 2.
    """

    def __init__(
        self, likelihoods: Sequence[Likelihood], columns: Sequence[int], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.likelihoods = list(likelihoods)
        self.columns = [
            validation.positive_integer(n, "columns", "how many columns are in a group")
            for n in columns
        ]
        if len(self.likelihoods) != len(self.columns) or not self.columns:
            raise ValueError(
                "`columns` must have one number for each of `likelihoods`, the columns of its "
                f"group. Received: {len(self.columns)} numbers, {len(self.likelihoods)} likelihoods"
            )
        dependent = [type(part).__name__ for part in self.likelihoods if not part.independent]
        if dependent:
            raise ValueError(
                "`likelihoods` must have columns that are independent given z, because each group "
                f"is a part of one vector. Received: likelihoods with {', '.join(dependent)}"
            )
        self.widths = [
            part.params_shape((n,))[0]
            for part, n in zip(self.likelihoods, self.columns, strict=True)
        ]

    def build(self, params_shape: Shape) -> None:
        for part, width in zip(self.likelihoods, self.widths, strict=True):
            build_once(part, (*params_shape[:-1], width))

    def log_prob(self, x: Tensor, params: Tensor, mask: Tensor | None = None) -> Tensor:
        groups = self._groups(x, params, mask)
        return sum(part.log_prob(*group) for part, *group in groups)

    def training_log_prob(
        self, x: Tensor, params: Tensor, weights: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        return sum(
            part.training_log_prob(x, params, weights, mask)
            for part, x, params, mask in self._groups(x, params, mask)
        )

    def feature_log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        groups = self._groups(x, params, None)
        return ops.concatenate(
            [p.feature_log_prob(x, params) for p, x, params, _ in groups], axis=-1
        )

    def filled(self, x: Tensor, mask: Tensor) -> Tensor:
        groups = zip(
            self.likelihoods, _split(x, self.columns), _split(mask, self.columns), strict=True
        )
        return ops.concatenate([part.filled(x, mask) for part, x, mask in groups], axis=-1)

    def as_input(self, x: Tensor) -> Tensor:
        pairs = zip(self.likelihoods, _split(x, self.columns), strict=True)
        return ops.concatenate([part.as_input(x) for part, x in pairs], axis=-1)

    def mean(self, params: Tensor) -> Tensor:
        pairs = zip(self.likelihoods, _split(params, self.widths), strict=True)
        return ops.concatenate([part.mean(params) for part, params in pairs], axis=-1)

    def mixture_mean(self, params: Tensor, shares: Tensor) -> Tensor:
        pairs = zip(self.likelihoods, _split(params, self.widths), strict=True)
        return ops.concatenate(
            [part.mixture_mean(params, shares) for part, params in pairs], axis=-1
        )

    def sample(self, params: Tensor, seed: Seed) -> Tensor:
        raws = _split(params, self.widths)
        drawn = [
            part.sample(params, seed_of(seed, index))
            for index, (part, params) in enumerate(zip(self.likelihoods, raws, strict=True))
        ]
        return ops.concatenate(drawn, axis=-1)

    def example_shape(self, params_shape: tuple[int, ...]) -> tuple[int, ...]:
        *leading, last = params_shape
        if last != sum(self.widths):
            raise ValueError(
                f"The decoder's last axis must be {sum(self.widths)}: that is how many values the "
                f"{len(self.columns)} groups of Mixed need, {self.widths}. "
                f"Received: decoder output shape={tuple(params_shape)}"
            )
        return (*leading, sum(self.columns))

    def params_shape(self, example_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*example_shape[:-1], sum(self.widths))

    def in_support(self, x: Tensor) -> Tensor:
        pairs = zip(self.likelihoods, _split(x, self.columns), strict=True)
        return ops.concatenate([part.in_support(x) for part, x in pairs], axis=-1)

    def to_edge(self, x: Tensor, reach: float = 0.1) -> Tensor:
        pairs = zip(self.likelihoods, _split(x, self.columns), strict=True)
        return ops.concatenate([part.to_edge(x, reach) for part, x in pairs], axis=-1)

    def check_support(self, x: np.ndarray, argument: str = "x") -> None:
        first = 0
        for part, group in zip(self.likelihoods, _split(x, self.columns), strict=True):
            last = first + group.shape[-1]
            part.check_support(group, f"{argument}[..., {first}:{last}]")
            first = last

    def _groups(self, x, params, mask):
        """(likelihood, x, params, mask) of each group."""
        masks = itertools.repeat(None) if mask is None else _split(mask, self.columns)
        xs, raws = _split(x, self.columns), _split(params, self.widths)
        return zip(self.likelihoods, xs, raws, masks, strict=False)


def _split(values, widths):
    """The last axis in pieces of `widths`."""
    ends = list(itertools.accumulate(widths))
    return [values[..., end - width : end] for end, width in zip(ends, widths, strict=True)]
