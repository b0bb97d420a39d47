"""Checks of the networks that a user hands over, made once when a model is constructed."""

import inspect
from typing import Any

import keras

from keras_vae import keras_compat
from keras_vae.networks.activations import last_activation

_TAKES = {"encoder": "x", "decoder": "z"}
_MODEL = "`keras.Model(inputs, outputs)`, `keras.Sequential([…])` or a layer with a `call`"


def check_network(network: Any, argument: str) -> None:
    """Refuses what is no network of Keras, or takes other inputs than a VAE gives.

    Args:
        network: what the user handed over.
        argument: the name of the argument, "encoder" or "decoder".

    Raises:
        ValueError: if it is no `keras.Model` or `keras.Layer`, or if it takes anything else than
            one input or a list of two, the second of which is the condition.

    Example: `check_network(keras.layers.Dense(8), "encoder")`.
    """
    why = _why_no_network(network)
    if why:
        raise ValueError(
            f"`{argument}` must be a network of Keras 3, {_MODEL}, because its weights are trained "
            f"and saved with the VAE; {why}. Received: {argument}={network!r:.200}"
        )
    _check_inputs(network, argument)
    _check_call(network, argument)


def _why_no_network(network):
    """Returns what to do about an object that is no network; None for a network."""
    if isinstance(network, keras.Layer):
        bare = type(network) in (keras.Layer, keras.Model)
        return "this one computes nothing: give it a `call`" if bare else None
    if isinstance(network, type):
        return f"this is a class: call it with its arguments, `{network.__name__}(…)`"
    if _is_of(network, "tf_keras", "tensorflow.python.keras"):
        return "this is one of Keras 2: build it with `import keras` in place of `tf_keras`"
    if _is_of(network, "torch.nn"):
        return "this is a module of torch: wrap it in `keras.layers.TorchModuleWrapper`"
    return _why_no_object(network)


def _why_no_object(network):
    if isinstance(network, str):
        return "this is a string: only parts such as the likelihood can be given by name"
    if isinstance(network, keras.KerasTensor):
        return "this is a symbolic tensor: make a model of it, `keras.Model(inputs, outputs)`"
    if isinstance(network, (list, tuple)):
        return "these are several objects: join layers by `keras.Sequential([…])`"
    if callable(network):
        return "this is a function: put what it computes into the `call` of a `keras.Layer`"
    return "this is another object"


def _is_of(network, *packages):
    modules = {c.__module__ for c in type(network).__mro__}
    return any(m == p or m.startswith(f"{p}.") for m in modules for p in packages)


def _check_inputs(network, argument):
    """Refuses inputs that are a dict, or more than two."""
    inputs = _inputs(network)
    named = isinstance(inputs, dict)
    if inputs is None or not (named or _count(inputs) > 2):
        return
    given = f"inputs named {sorted(inputs)}" if named else f"{_count(inputs)} inputs"
    raise ValueError(
        f"`{argument}` must take {_TAKES.get(argument, 'x')} alone, or a list of it and the "
        f"condition, because a VAE has nothing else to give it; {_remedy(named)}. "
        f"Received: {argument}={network.name} with {given}"
    )


def _remedy(named):
    if named:
        return "hand the inputs to `keras.Model` as a list, without names"
    return "concatenate what belongs to the condition into one vector"


def _check_call(network, argument):
    """Refuses a `call` that wants several arguments, or none."""
    if _inputs(network) is not None or isinstance(network, keras.Sequential):
        return
    positional = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = inspect.signature(network.call).parameters.values()
    taken = [p for p in parameters if p.kind in positional]
    any_number = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    others = (p for p in taken[1:] if p.name not in ("training", "mask"))
    wanted = [p.name for p in others if p.default is p.empty]
    if wanted or not (taken or any_number):
        raise ValueError(
            f"`{argument}` must have a `call` with one argument, {_TAKES.get(argument, 'x')} or a "
            "list of it and the condition, because a VAE calls it so. "
            f"Received: {argument}={network.name} with call{inspect.signature(network.call)}"
        )


def encoder_outputs(encoder: keras.Layer, outputs: Any = None) -> int | None:
    """Returns how many outputs an encoder has, and refuses those that have no meaning.

    One output holds features, of which the posterior makes its parameters. Two of equal shape
    (B, D) are mean and log-variance. Of three, those of the tutorial on keras.io, the first two are
    used: the third is a draw, and the model draws its own.

    Args:
        encoder: the network.
        outputs: what a symbolic call returned, for a network that does not know it before.

    Returns:
        1, 2 or 3; None if it is unknown until the encoder is called.

    Raises:
        ValueError: if the outputs are a dict, more than three, or of different shapes.

    Example: `encoder_outputs(networks.dense_encoder((30,)))  # 1`.
    """
    outputs = _outputs(encoder) if outputs is None else outputs
    if outputs is None:
        return None
    named = isinstance(outputs, dict)
    shapes = [tuple(t.shape) for t in keras.tree.flatten(outputs)]
    equal = len(set(shapes)) == 1 and len(shapes[0]) == 2
    if named or not (len(shapes) == 1 or (len(shapes) in (2, 3) and equal)):
        raise ValueError(
            "`encoder` must have one output of features, or two of equal shape (B, D), mean and "
            "log-variance, of which a third may be a draw that is not used; hand its outputs to "
            f"`keras.Model` as a list. Received: encoder={encoder.name} with output shapes "
            f"{_shown(outputs, shapes)}"
        )
    return len(shapes)


def check_decoder_outputs(decoder: keras.Layer, outputs: Any = None) -> None:
    """Refuses a decoder with more than one output.

    Args:
        decoder: the network.
        outputs: what a symbolic call returned, for a network that does not know it before.

    Raises:
        ValueError: if it has several outputs, or a dict of them.

    Example: `check_decoder_outputs(networks.dense_decoder(2, (30,)))`.
    """
    outputs = _outputs(decoder) if outputs is None else outputs
    if outputs is None or (_count(outputs) == 1 and not isinstance(outputs, dict)):
        return
    shapes = [tuple(t.shape) for t in keras.tree.flatten(outputs)]
    raise ValueError(
        "`decoder` must have one output, because the likelihood reads all of its parameters from "
        "that; join several by `keras.layers.Concatenate()`, in the order that the likelihood "
        f"names. Received: decoder={decoder.name} with output shapes {_shown(outputs, shapes)}"
    )


def check_final_activation(decoder: keras.Layer, likelihood: Any) -> None:
    """Refuses a decoder whose last activation contradicts the likelihood.

    Normal and Laplace take means as they are, so that a final sigmoid says where these lie.

    Args:
        decoder: the network; one whose last activation cannot be seen passes.
        likelihood: the likelihood that reads its output.

    Raises:
        ValueError: if the decoder ends in a sigmoid or softmax and the likelihood applies its own,
            or ends in something else and the likelihood wants probabilities.

    Example: `check_final_activation(decoder, likelihoods.Bernoulli())`.
    """
    found, name = last_activation(decoder), type(likelihood).__name__
    if not getattr(likelihood, "from_logits", True):
        if found not in (None, "sigmoid", "hard_sigmoid"):
            raise ValueError(
                f"`decoder` must end in a sigmoid for {name}(from_logits=False), which takes "
                "probabilities; add the activation, or use `likelihoods.Bernoulli()`, which takes "
                f"logits. Received: decoder={decoder.name}, which ends in {found}"
            )
    elif found in ("sigmoid", "hard_sigmoid", "softmax") and not _takes_means(likelihood):
        raise ValueError(
            f"`decoder` must end without an activation for {name}, which applies its own to "
            "unconstrained values; remove the activation, or use "
            "`likelihoods.Bernoulli(from_logits=False)`, which takes probabilities. "
            f"Received: decoder={decoder.name}, which ends in {found}"
        )


def _takes_means(likelihood):
    from keras_vae import likelihoods

    of_locations = (likelihoods.Normal, likelihoods.Laplace, likelihoods.StudentT)
    return isinstance(likelihood, of_locations) and likelihood.scale != "decoder"


def batch_normalizations(network: keras.Layer) -> list[str]:
    """Returns the names of the layers that make rows of a batch depend on each other.

    Args:
        network: the network. A layer with `trainable=False` uses its own statistics in training
            too, and does not count.

    Returns:
        A list of names.

    Example: `batch_normalizations(vae.decoder)  # []`.
    """
    inside = keras_compat.flatten_layers(network)
    found = [layer for layer in inside if isinstance(layer, keras.layers.BatchNormalization)]
    return [layer.name for layer in found if layer.trainable]


def default_likelihood(decoder: keras.Layer) -> Any:
    """Returns the likelihood for a decoder where none is given.

    Args:
        decoder: the network.

    Returns:
        `Bernoulli(from_logits=False)` if the decoder ends in a sigmoid, else `Bernoulli()`.

    Example: `default_likelihood(networks.dense_decoder(2, (30,)))`.
    """
    from keras_vae import likelihoods

    if last_activation(decoder) == "sigmoid":
        return likelihoods.Bernoulli(from_logits=False)
    return likelihoods.Bernoulli()


def _inputs(network):
    """Returns the symbolic inputs as the user structured them; None if they are unknown."""
    if isinstance(network, keras.Sequential):
        return _symbolic(getattr(network, "inputs", None))
    return _symbolic(getattr(network, "input", None))


def _outputs(network):
    """Returns the symbolic outputs as the user structured them; None if they are unknown."""
    if isinstance(network, keras.Sequential):
        return _symbolic(getattr(network, "outputs", None))
    return _symbolic(getattr(network, "output", None))


def _symbolic(tensors):
    """Returns tensors of Keras; None for what a user's class keeps under that name."""
    flat = keras.tree.flatten(tensors)
    return tensors if flat and all(isinstance(t, keras.KerasTensor) for t in flat) else None


def _count(tensors):
    return len(keras.tree.flatten(tensors))


def _shown(outputs, shapes):
    return dict(zip(sorted(outputs), shapes, strict=True)) if isinstance(outputs, dict) else shapes
