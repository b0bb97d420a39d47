"""What every part of a model shares: float32 arithmetic, a config, changeable coefficients."""

import functools
import inspect
from typing import TYPE_CHECKING, Any, Self

import keras
import numpy as np
from keras import ops

from keras_vae import display
from keras_vae.typing import ScheduledNumber, Shape, Tensor
from keras_vae.validation import is_number

if TYPE_CHECKING:
    from keras_vae.model import VAE

register = keras.saving.register_keras_serializable(package="keras_vae")

_OF_KERAS = ("name", "dtype", "trainable")


class Constructed(type(keras.Layer)):  # type: ignore[misc]  # the metaclass has no public name
    """Metaclass that records what a constructor was given, and when it has returned."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__call__(*args, **kwargs)
        instance._given = _names_given(cls, args, kwargs)
        instance._constructed = True
        instance.after_constructor()
        return instance


class Configured(metaclass=Constructed):
    """Base of classes whose config is their constructor's arguments.

    Each argument is kept in an attribute of the same name. It is fixed once the constructor of the
    most derived class has returned, because traced graphs hold its value; a `Coefficient` may be
    set at any time. Attributes that a user's subclass adds stay free.
    """

    _given: tuple[str, ...]

    def after_constructor(self) -> None:
        """Does nothing here; runs once the constructor of the most derived class has returned."""

    def __repr__(self) -> str:
        """Returns the call that makes the object; arguments with their default are left out."""
        if not getattr(self, "_constructed", False):
            return super().__repr__()
        return display.call(self, _argument_names(self))

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(self, "_constructed", False) and name in _fixed_names(type(self)):
            raise ValueError(
                f"`{name}` must be given to the constructor of {type(self).__name__}, because "
                "compiled functions hold its value: make a new object with the value that you "
                f"want. Received: {name}={value!r:.80} for an object that is already made"
            )
        super().__setattr__(name, value)


def constructor_arguments(instance: Configured) -> dict[str, Any]:
    """Returns the constructor's arguments by name, from the attributes of the same names.

    Includes arguments that went to a base class through `**kwargs`.

    Raises:
        ValueError: if an argument is not kept in an attribute, as it could not be saved.
    """
    names = _argument_names(instance)
    missing = [name for name in names if not hasattr(instance, name)]
    if missing:
        raise ValueError(
            f"`{missing[0]}`, an argument of {type(instance).__name__}, must be kept in an "
            f"attribute of the same name (`self.{missing[0]} = {missing[0]}`), because the config "
            f"is read from there. Received: an object without the attribute {missing[0]!r}"
        )
    return {name: getattr(instance, name) for name in names}


def _argument_names(instance):
    """The names of the constructor's arguments, without those of every Keras layer."""
    own = _explicit(type(instance).__init__)
    return [n for n in dict.fromkeys([*own, *instance._given]) if n not in _OF_KERAS]


def serialized_arguments(instance: Configured) -> dict[str, Any]:
    """Returns `constructor_arguments` as a config that Keras can write."""
    arguments = constructor_arguments(instance)
    return {name: keras.saving.serialize_keras_object(plain(v)) for name, v in arguments.items()}


def plain(value: Any) -> Any:
    """Returns a `keras.Variable` as the number it holds, and anything else as it is."""
    return _number(value) if isinstance(value, keras.Variable) else value


def from_arguments(cls: Any, config: dict[str, Any]) -> Any:
    """Returns the instance that `serialized_arguments` described.

    Args:
        cls: the class of the instance.
        config: what `serialized_arguments` returned.

    Returns:
        A new instance.
    """
    config = {k: keras.saving.deserialize_keras_object(v) for k, v in config.items()}
    parameters = inspect.signature(cls.__init__).parameters.values()
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        unknown = set(_OF_KERAS) - {p.name for p in parameters}
        config = {k: v for k, v in config.items() if k not in unknown}
    return cls(**config)


def _explicit(function):
    """Names of the parameters of a constructor, without `self`, `*args` and `**kwargs`."""
    parameters = list(inspect.signature(function).parameters.values())[1:]
    return [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _names_given(cls, args, kwargs):
    """Names of all arguments of a call, those that pass through `*args` to a base class too."""
    names: list[str] = []
    count = len(args)
    for owner in cls.__mro__:
        if count and "__init__" in vars(owner):
            own = _explicit(owner.__init__)
            names, count = names + own[:count], count - len(own[:count])
    return tuple(dict.fromkeys([*names, *kwargs]))


@functools.cache
def _fixed_names(cls):
    """Arguments that the classes of this package in the bases of `cls` declare, for good."""
    package = __name__.split(".")[0]
    ours = [c for c in cls.__mro__ if c.__module__.split(".")[0] == package]
    names = {name for c in ours if "__init__" in vars(c) for name in _explicit(c.__init__)}
    free = {name for name in names if _has_setter(inspect.getattr_static(cls, name, None))}
    return names - free - set(_OF_KERAS)


def _has_setter(attribute):
    return isinstance(attribute, Coefficient) or getattr(attribute, "fset", None) is not None


class Coefficient:
    """A number that may change while the model trains: descriptor of an attribute of a `Part`.

    The attribute takes a number, a schedule of the optimizer's steps or a `keras.Variable`. A
    number is held in a variable, so that a new one takes effect in every graph, in training and in
    scoring, from the next step on; it is saved with the model. Which of the three kinds it is
    remains as the constructor left it. A `keras.Variable` becomes untrainable, as an optimizer
    would drive it to 0.

    Args:
        meaning: what the number does, for error messages.
        positive: whether 0 is refused.
        optional: whether None is allowed, which switches the term off for good.

    Example:

    ```python
    class Scaled(keras_vae.Part):
        factor = Coefficient("it multiplies the loss")

        def __init__(self, factor=1.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def loss(self, terms, step):
            return Scaled.factor.at(self, step) * terms.kl
    ```
    """

    def __init__(self, meaning: str, positive: bool = False, optional: bool = False) -> None:
        self.meaning, self.positive, self.optional = meaning, positive, optional

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.attribute = name, f"_{name}_coefficient"

    def __get__(self, part: Any, owner: type | None = None) -> Any:
        if part is None:
            return self
        held = getattr(part, self.attribute)
        return _number(held) if isinstance(held, _Number) else held

    def __set__(self, part: Any, value: ScheduledNumber | None) -> None:
        value = self._checked(value)
        if not hasattr(part, self.attribute):
            setattr(part, self.attribute, self._held(part, value))
            return
        held = getattr(part, self.attribute)
        if isinstance(held, keras.Variable) and isinstance(value, float):
            held.assign(value)
        elif held is not value:
            raise ValueError(
                f"`{self.name}` must remain what it was made with, a number, a schedule or None, "
                f"because compiled functions know its kind; construct the {type(part).__name__} "
                f"with what you want. Received: {self.name}={value!r} in place of {held!r}"
            )

    def at(self, part: Any, step: Tensor) -> Tensor | None:
        """Returns the present value for the mathematics.

        Args:
            part: the part whose attribute it is.
            step: the optimizer's step, for a schedule.

        Returns:
            A scalar tensor, or None.
        """
        held = getattr(part, self.attribute)
        if isinstance(held, keras.Variable):
            return ops.cast(ops.convert_to_tensor(held), "float32")
        return held(step) if callable(held) else held

    def _held(self, part, value):
        """What keeps a value: a variable of the part for a number, else the value itself."""
        if isinstance(value, keras.Variable):
            value.trainable = False
        if not isinstance(value, float):
            return value
        options = {"dtype": "float32", "trainable": False, "autocast": False, "name": self.name}
        return _Number(keras.initializers.Constant(value), shape=(), **options)

    def _checked(self, value):
        schedule = isinstance(value, keras.optimizers.schedules.LearningRateSchedule)
        if schedule or isinstance(value, keras.Variable) or (value is None and self.optional):
            return value
        if not is_number(value) or value < 0 or (self.positive and value == 0):
            raise ValueError(
                f"`{self.name}` must be a {'positive' if self.positive else 'non-negative'} number,"
                f" a learning-rate schedule or a keras.Variable: {self.meaning}. "
                f"Received: {self.name}={value!r}"
            )
        return float(value)


class _Number(keras.Variable):
    """A variable that a `Coefficient` has made for a number."""


def _number(variable):
    """The value of a variable as a short float, such as 0.1; within a graph the variable itself."""
    try:
        return float(str(np.float32(ops.convert_to_numpy(variable))))
    except Exception:  # each backend has its own for a value that is not known yet
        return variable


class Part(Configured, keras.layers.Layer):
    """Base of posteriors, priors, likelihoods, objectives and penalties.

    A part keeps each constructor argument in an attribute of the same name, and is saved and
    loaded by that alone. It computes in float32 whatever the global dtype policy: variances and
    log-densities overflow in half precision.

    Example:

    ```python
    @keras.saving.register_keras_serializable(package="mine")
    class Scaled(keras_vae.Part):
        def __init__(self, factor=2.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor
    ```
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"dtype": "float32", **kwargs})

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), **serialized_arguments(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return from_arguments(cls, config)

    def load_own_variables(self, store: Any) -> None:
        """Loads the variables; files written before coefficients were variables have none."""
        if len(store.keys()):
            super().load_own_variables(store)

    def check_model(self, vae: "VAE") -> None:
        """Raises ValueError if this part cannot be in the built model `vae`."""


def build_once(part: keras.Layer, *shapes: Shape) -> None:
    """Builds a part that another part holds, unless loading it from a file has done so."""
    if not part.built:
        part.build(*shapes)


def argmax(x: Tensor) -> Tensor:
    """Returns the index of the largest value on the last axis, in operations that LiteRT has.

    `ops.argmax` treats -0 apart on TensorFlow, by operations on bits, which LiteRT does not have.

    Args:
        x: Tensor (…, N).

    Returns:
        Tensor of integers (…).
    """
    return ops.top_k(x, 1)[1][..., 0]


def soft_clip(x: Tensor, linear: float = 10.0, margin: float = 10.0) -> Tensor:
    """Bends `x` smoothly to stay within ±(linear + margin); within ±linear it is `x` itself.

    This is for log-variances: `exp` of an unbounded one overflows. The slope is continuous and
    falls off as 1/x² only, so that a value far outside still feels the gradient to come back.

    Args:
        x: Tensor of any shape.
        linear: bound up to which `x` stays as it is.
        margin: how far beyond that bound the result may reach.

    Returns:
        Tensor like `x`.
    """
    inside = ops.clip(x, -linear, linear)
    return inside + margin * softsign((x - inside) / margin)


def bent_above(x: Tensor, floor: Tensor, margin: float = 0.5) -> Tensor:
    """Returns `x` itself above floor + margin, and smoothly bent to stay above the floor below."""
    excess = x - (floor + margin)
    bent = floor + margin + margin * softsign(ops.minimum(excess, 0.0) / margin)
    return ops.where(excess > 0, x, bent)


def softsign(x: Tensor) -> Tensor:
    """Returns x / (1 + |x|), in operations that LiteRT has: no `Softsign` in TensorFlow 2.18."""
    return x / (1.0 + ops.abs(x))
