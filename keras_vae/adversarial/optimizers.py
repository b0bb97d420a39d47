"""The optimizers of a model and of its discriminator, as one."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Self

import keras

from keras_vae.part import register
from keras_vae.typing import Tensor


@register
class TwoOptimizers(keras.optimizers.Optimizer):
    """One optimizer for all weights but a discriminator's, another for those.

    `AdversarialVAE.compile` makes it. Learning rate and iterations are those of the first.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        name: str = "two_optimizers",
    ) -> None:
        super().__init__(learning_rate=0.0, name=name)
        self.optimizer = optimizer
        self.discriminator_optimizer = discriminator_optimizer

    def split(
        self, gradients: Sequence[Any], variables: Sequence[Any]
    ) -> list[tuple[keras.optimizers.Optimizer, list[Any], list[Any]]]:
        """Splits gradients between the two optimizers.

        Args:
            gradients: one for each variable.
            variables: weights of the model.

        Returns:
            A list of tuples (optimizer, its gradients, their variables), for those that have any.
        """
        pairs = list(zip(gradients, variables, strict=True))
        groups = []
        for optimizer, wanted in ((self.optimizer, False), (self.discriminator_optimizer, True)):
            own = [p for p in pairs if getattr(p[1], "of_discriminator", False) == wanted]
            if own:
                groups.append((optimizer, *map(list, zip(*own, strict=True))))
        return groups

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        super().build(variables)
        # a list would become state of its own
        self.trained: Callable[[], list[keras.Variable]] = functools.partial(list, variables)
        for optimizer, _, own in self.split(variables, variables):
            optimizer.build(own)

    @property
    def variables(self) -> list[keras.Variable]:
        parts = (self.optimizer, self.discriminator_optimizer)
        return [*super().variables, *(v for part in parts for v in part.variables)]

    def apply(
        self, grads: Sequence[Tensor], trainable_variables: Sequence[keras.Variable] | None = None
    ) -> None:
        variables = trainable_variables or self.trained()
        self.build(list(variables))
        for optimizer, gradients, own in self.split(grads, variables):
            optimizer.apply(gradients, own)

    @property
    def learning_rate(self) -> Any:
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.optimizer.learning_rate = learning_rate

    @property
    def iterations(self) -> keras.Variable:
        return self.optimizer.iterations

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        for optimizer, _, own in self.split(var_list, var_list):
            optimizer.finalize_variable_values(own)

    def get_config(self) -> dict[str, Any]:
        parts = (self.optimizer, self.discriminator_optimizer)
        first, second = map(keras.saving.serialize_keras_object, parts)
        return {"optimizer": first, "discriminator_optimizer": second, "name": self.name}

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> Self:
        keys = ("optimizer", "discriminator_optimizer")
        parts = {key: keras.saving.deserialize_keras_object(config[key]) for key in keys}
        return cls(**{**config, **parts})


def paired(
    optimizer: keras.optimizers.Optimizer,
    discriminator_optimizer: keras.optimizers.Optimizer | str | None = None,
) -> keras.optimizers.Optimizer:
    """Returns `TwoOptimizers` of the two, inside the loss scaling of the first where it has one.

    Args:
        optimizer: the optimizer of the VAE.
        discriminator_optimizer: that of the discriminator, or its name; by default
            Adam(1e-4, beta_1=0.5, beta_2=0.9).

    Returns:
        An optimizer; `optimizer` itself if it is such a pair already.

    Raises:
        ValueError: if `discriminator_optimizer` is `optimizer`, or one of them scales the loss in a
            way that the pair cannot follow.
    """
    scaling = keras.optimizers.LossScaleOptimizer
    if isinstance(getattr(optimizer, "inner_optimizer", optimizer), TwoOptimizers):
        return optimizer  # as loaded
    second = discriminator_optimizer or keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.9)
    second = keras.optimizers.get(second)
    first = getattr(optimizer, "inner_optimizer", optimizer)
    scales = [isinstance(second, scaling), first.loss_scale_factor, second.loss_scale_factor]
    if second is first or any(scales):
        raise ValueError(
            "`discriminator_optimizer` must be an optimizer of its own without loss scaling, and "
            "neither may have a `loss_scale_factor`; wrap `optimizer` in a LossScaleOptimizer, "
            f"which scales for both. Received: discriminator_optimizer={second!r}"
        )
    if not isinstance(optimizer, scaling):
        return TwoOptimizers(first, second)
    steps = optimizer.dynamic_growth_steps
    return scaling(TwoOptimizers(first, second), optimizer.initial_scale, steps)
