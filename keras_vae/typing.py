"""Names for type annotations."""

from typing import Any

Tensor = Any
"""A tensor of the backend in use, or a NumPy array. The backends share no base class."""
Seed = Any
"""An integer, a `keras.random.SeedGenerator` or a `keras_vae.random.RowSharedSeed`."""
Shape = Any
"""A shape as Keras passes it to `build`: a tuple with None for the batch."""
Params = dict[str, Tensor]
"""The parameters of a batch of posteriors."""
