"""Old names of arguments, which go on working for one minor version after they were changed."""

import functools
import warnings
from collections.abc import Callable


def renamed_arguments(since: str, **new_names: str) -> Callable:
    """Returns a decorator for a function some of whose arguments have a new name.

    The function then takes an old name too, with a DeprecationWarning.

    Args:
        since: the version that changed the names, such as "0.2".
        **new_names: the new name for each old name.

    Returns:
        A decorator. The decorated function raises TypeError if it gets both names.

    Example:

    ```python
    @renamed_arguments(since="0.2", latents="latent_dim")
    def vae(latent_dim=2): ...

    vae(latents=3)  # DeprecationWarning: ... `latent_dim` since keras_vae 0.2 ...
    ```
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def with_old_names(*args, **kwargs):
            for old in [name for name in new_names if name in kwargs]:
                _warn(function, old, new_names[old], since)
                if new_names[old] in kwargs:
                    raise TypeError(
                        f"{function.__qualname__} got both `{old}` and `{new_names[old]}`, which "
                        f"is its new name; leave `{old}` out"
                    )
                kwargs[new_names[old]] = kwargs.pop(old)
            return function(*args, **kwargs)

        return with_old_names

    return decorate


def _warn(function, old, new, since):
    warnings.warn(
        f"The argument `{old}` of {function.__qualname__} is called `{new}` since keras_vae "
        f"{since}. The old name will be removed in the next minor version.",
        DeprecationWarning,
        stacklevel=3,
    )
