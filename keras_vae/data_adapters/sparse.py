"""Sparse matrices of SciPy, made dense one batch at a time."""

import sys
from typing import Any

import numpy as np

from keras_vae.data_adapters.arrays import RowSource, check_numeric


class SparseAdapter:
    """A `scipy.sparse` matrix or array of any format."""

    @staticmethod
    def accepts(value: Any) -> bool:
        """Returns whether `value` is sparse; imports nothing for other values."""
        sparse = sys.modules.get("scipy.sparse")
        return sparse is not None and sparse.issparse(value)

    @staticmethod
    def read(value: Any, argument: str, missing: bool = False) -> RowSource:
        """Returns a `RowSource` of dense rows."""
        check_numeric(np.empty((0,), value.dtype), argument)
        return RowSource(value.tocsr(), lambda rows: np.asarray(rows.toarray()))
