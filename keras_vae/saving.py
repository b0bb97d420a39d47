"""Saving and loading of models, with errors that say what to do."""

import os
from collections.abc import Callable, Iterable
from typing import Any

import keras

from keras_vae import archives, keras_compat
from keras_vae.typing import FilePath
from keras_vae.writing import atomic, atomic_folder, hold, remove_leftovers, sole_use

__all__ = [
    "FORMAT",
    "atomic",
    "atomic_folder",
    "check_checkpoints",
    "check_format",
    "check_name",
    "hold",
    "load_model",
    "load_noise_states",
    "noise_states",
    "portable",
    "quantize_layers",
    "quantized_layers",
    "remove_leftovers",
    "save",
    "save_noise_states",
    "sole_use",
]

FORMAT = 1
"""Of the config of a saved model; a file of a later one is refused."""


def save(write: Callable, path: FilePath, overwrite: bool = True, **kwargs: Any) -> None:
    """Calls Keras' `write(path, …)`, atomically where `path` will be one file.

    Args:
        write: `save` or `save_weights` of a `keras.Model`, bound to the model.
        path: the file, or what else Keras takes.
        overwrite: as in `keras.Model.save`.
        kwargs: the other arguments of `write`.
    """
    is_one_file = kwargs.get("zipped") is not False and kwargs.get("max_shard_size") is None
    if not overwrite or str(path).startswith("hf://") or not is_one_file:
        return write(path, overwrite=overwrite, **kwargs)
    with atomic(path) as temporary:
        write(temporary, overwrite=True, **kwargs)


def check_name(path: FilePath, zipped: bool | None = None, argument: str = "filepath") -> None:
    """Refuses a name under which a whole model could be saved, but not loaded again.

    Raises:
        ValueError: unless it ends in `.keras`, begins with `hf://`, or is that of a folder
            (`zipped=False`).
    """
    if str(path).endswith(".keras") or str(path).startswith("hf://") or zipped is False:
        return
    raise ValueError(
        f"`{argument}` must end in '.keras', because a VAE in another format could not be loaded "
        "again; `save_weights` takes '.weights.h5', and `export` writes files for other programs. "
        f"Received: {argument}={str(path)!r}"
    )


def check_checkpoints(callbacks: Iterable[keras.callbacks.Callback]) -> None:
    """Refuses, before the first step, a `ModelCheckpoint` whose files could not be loaded again."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.ModelCheckpoint) and not callback.save_weights_only:
            check_name(callback.filepath)


def load_model(
    path: FilePath, custom_objects: dict | None = None, compile: bool = True
) -> keras.Model:
    """Loads the model saved in a `.keras` file: `keras.saving.load_model` with a clear error.

    Args:
        path: the file, or a folder that was saved with `zipped=False`. Nothing in it is executed
            (`safe_mode=True`). A name that begins with `hf://` is passed to Keras.
        custom_objects: dict of names and classes or functions that are not registered.
        compile: whether to compile the model as it was when it was saved.

    Returns:
        The model.

    Raises:
        ValueError: if there is no such file, or it cannot be loaded; the message names the cause.

    Example: `vae = keras_vae.load_model("vae.keras")`.
    """
    if str(path).startswith("hf://"):
        return keras.saving.load_model(path, custom_objects=custom_objects, compile=compile)
    is_folder = os.path.isfile(os.path.join(path, archives.CONFIG))
    if not (is_folder or os.path.isfile(path)):
        raise ValueError(
            "`path` must name a `.keras` file, as written by `vae.save(path)`; there is no such "
            f"file. Received: path={str(path)!r}"
        )
    check = archives.check_folder if is_folder else archives.check_archive
    try:
        check(path, custom_objects)
        return keras.saving.load_model(path, custom_objects=custom_objects, compile=compile)
    except Exception as error:
        raise ValueError(
            "`path` must name a whole `.keras` file, as written by `vae.save(path)`; this one "
            f"cannot be loaded ({type(error).__name__}: {_cause(error)}). "
            f"Received: path={str(path)!r}"
        ) from error


def _cause(error):
    """Returns what went wrong, on one line; Keras puts it behind the objects that contain it."""
    text = str(error).split("Exception encountered:")[-1].split("Full object config:")[0]
    return " ".join(text.split())[:400] or "no details"


def check_format(number: int) -> None:
    """Refuses the config of a later version; one without a number is of the first."""
    if number > FORMAT:
        raise ValueError(
            f"it was written by a later version of keras_vae (format {number}, this one knows "
            f"{FORMAT}): update the package"
        )


def portable(config: Any) -> Any:
    """Returns a serialised config with optimizers of Keras for those of its torch backend."""
    if not isinstance(config, dict):
        return config
    config = {key: portable(value) for key, value in config.items()}
    if str(config.get("module")).startswith(keras_compat.TORCH_OPTIMIZERS):
        config |= {"module": "keras.optimizers", "registered_name": None}
    return config


def noise_states(model: keras.Model) -> list[keras.Variable]:
    """Returns the states of random generators (Dropout's too), which Keras does not save."""
    weights = {id(weight) for weight in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]


def save_noise_states(model: keras.Model, store: Any) -> None:
    """Adds the noise states to what `save_own_variables` stores."""
    for i, state in enumerate(noise_states(model)):
        store[f"noise_{i}"] = state


def load_noise_states(model: keras.Model, store: Any) -> dict[str, Any]:
    """Takes the noise states out of a store into the model.

    Args:
        model: the model.
        store: what `save_noise_states` has written to, with the variables of the model.

    Returns:
        A dict with the rest of the store.
    """
    rest = {key: store[key] for key in store.keys()}  # noqa: SIM118 (an HDF5 group)
    for i, state in enumerate(noise_states(model)):
        value = rest.pop(f"noise_{i}", None)
        if value is not None:
            state.assign(value)
    return rest


def quantized_layers(model: keras.Model) -> list[dict[str, Any]]:
    """Records where a model holds quantized layers, and how, for its config.

    The config of a network records its own; that of a part does not record its layers.

    Args:
        model: the model.

    Returns:
        A list of dicts with `index`, `mode` and `config`, as `quantize_layers` takes it.
    """
    return [
        {
            "index": index,
            "mode": layer.quantization_mode,
            "config": keras.saving.serialize_keras_object(
                getattr(layer, "quantization_config", None)
            ),
        }
        for index, layer in enumerate(keras_compat.flatten_layers(model))
        if getattr(layer, "quantization_mode", None)
    ]


def quantize_layers(model: keras.Model, recorded: list[dict[str, Any]]) -> None:
    """Quantizes the layers that `quantized_layers` recorded, so that their weights can be read."""
    layers = keras_compat.flatten_layers(model)
    for entry in recorded:
        layer = layers[entry["index"]]
        if layer.quantization_mode is None:
            config = keras.saving.deserialize_keras_object(entry["config"])
            options = {} if config is None else {"config": config}
            layer.quantize(entry["mode"], **options)
