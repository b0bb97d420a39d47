"""Names for type annotations."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Tensor = Any
"""A tensor of the backend in use, or a NumPy array. The backends share no base class."""
Seed = Any
"""An integer, a `keras.random.SeedGenerator` or a `keras_vae.random.RowSharedSeed`."""
Shape = Any
"""A shape as Keras passes it to `build`: a tuple with None for the batch."""
Params = dict[str, Tensor]
"""The parameters of a batch of posteriors."""
Activation = str | Callable | None
"""What Keras takes as an activation: its name, a function or layer, or None."""
ScheduledNumber = Any
"""A number, a schedule of the optimizer's steps or a `keras.Variable`."""
FilePath = str | os.PathLike[str]
"""The path of a file or a folder."""
Rows = slice | Sequence[int] | np.ndarray
"""What data sets are indexed with: a slice or several integers."""
Data = Any
"""What `fit` takes: an array, a data frame, a dict of them, or a pipeline of batches."""
Logs = dict[str, Any] | None
"""The logs that Keras hands to a callback."""
