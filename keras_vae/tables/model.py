"""A VAE of a table: every method takes and returns data frames."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_vae import data_adapters, inference, random, validation
from keras_vae.model import VAE
from keras_vae.part import register
from keras_vae.tables import frames, training
from keras_vae.tables.table import LARGE, Table
from keras_vae.typing import Data

DRAWS = 1000
"""Draws of z for each row from which gaps are filled."""
DRAWS_OF_MANY = 200
"""The same for large frames, where more take long."""
_DECODED = 2_000_000
"""Numbers that are decoded at a time."""
FEW = 10
"""Fewer effective draws of z than this are worth a warning."""


@register
class TableVAE(VAE):
    """A VAE of the rows of a table, which takes and returns data frames.

    Its likelihood is in nats of the table's own units, and gaps of any kind (NaN, None, NaT, pd.NA,
    null) are values that it does not know. Arrays and dicts, as for `VAE`, hold the columns in the
    order of `table.names`. `recipes.table_vae` makes one that fits a frame.

    Args:
        encoder, decoder: as for `VAE`.
        table: the description of the columns.
        parts: other arguments of `VAE`.

    Example:

    ```python
    vae = keras_vae.recipes.table_vae(df)
    vae.fit(df)
    filled = vae.impute(df)
    ```

    References: Nazabal et al., Handling Incomplete Heterogeneous Data using VAEs
    (arXiv:1807.03653); Mattei and Frellsen, MIWAE (arXiv:1812.02633).
    """

    def __init__(
        self, encoder: keras.Model, decoder: keras.Model, table: Table, **parts: Any
    ) -> None:
        table = table if isinstance(table, Table) else Table.infer(table)
        self.table = Table.from_config(table.get_config())  # which nobody else changes
        parts = {"likelihood": self.table.likelihood(), **parts}
        super().__init__(encoder, decoder, **parts)

    def prepare(self, x: Any) -> Any:
        """Returns a frame as the dict of `x` and `mask` that a VAE takes, all else as it is."""
        return self.table.to_arrays(x) if frames.is_frame(x) else x

    def fit(  # type: ignore[override]
        self, x: Data, y: Data | None = None, *, epochs: int | None = None, **arguments: Any
    ) -> keras.callbacks.History:
        """Trains the model on a frame, by default until it predicts best what it has not seen.

        Without `epochs` some cells are held out of a table with gaps, and some rows of a complete
        one. Training stops where these are no longer predicted better, and keeps the weights that
        predict them best. A table of less than 5,000 rows is then fitted again for as many epochs,
        with nothing held out. A model that is not compiled gets Adam.

        Args:
            x: a frame with the columns of the table, or arrays as for `VAE.fit`.
            y: as for `VAE.fit`.
            epochs: int, how many epochs; nothing is held out then.
            arguments: other arguments of `VAE.fit`. Rows of `validation_data` are what is
                predicted, if they are given.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: if the frame does not fit the table.

        Example: `vae.fit(df)`.
        """
        if getattr(self, "optimizer", None) is None:
            self.compile(keras.optimizers.Adam(training.LEARNING_RATE))
        x = self.prepare(x)
        by_itself = epochs is None and y is None and isinstance(x, dict) and "mask" in x
        if by_itself and not arguments.get("validation_split"):
            return training.fit(self, x, arguments)
        return self.fit_epochs(x, y, epochs=epochs or 1, **arguments)

    def fit_epochs(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains the model for a given number of epochs, as `VAE.fit` does."""
        return super().fit(*args, **kwargs)

    def reconstructed(self, x: Data) -> np.ndarray:
        """Returns what `predict` makes a frame of: numbers (N, F), in the order of `table.names`.

        Args:
            x: a frame, or arrays as for `VAE.predict`.
        """
        return super().predict(x, verbose=0)

    def predict(self, x: Data, *args: Any, **kwargs: Any) -> Any:
        """Returns a frame of the means of p(x|z) at the mean code of each row.

        Args:
            x: a frame, or arrays as for `VAE.predict`.
            args, kwargs: other arguments of `VAE.predict`.

        Example: `vae.predict(df)`.
        """
        return self.table.to_frame(super().predict(x, *args, **kwargs))

    def decode(self, z: Data, **options: Any) -> Any:
        """Decodes codes to a frame of the means of p(x|z), or of rows that are drawn from it.

        Args:
            z: codes, (N, D).
            options: other arguments of `VAE.decode`, such as `sample=True`.

        Returns:
            A frame with N rows.

        Example: `rows = vae.decode(vae.encode(df), sample=True)`.
        """
        return self.table.to_frame(super().decode(z, **options))

    def generate(  # type: ignore[override]
        self,
        n: int,
        *,
        condition: Mapping[str, Any] | None = None,
        sample: bool = True,
        seed: int | None = None,
        num_samples: int = DRAWS,
        return_effective_sample_size: bool = False,
        **options: Any,
    ) -> Any:
        """Generates `n` new rows, drawn from the model, all or those with given values.

        With a condition, codes are drawn by importance resampling from those that the encoder finds
        likely for the given values. The effective sample size is the number of draws that carry the
        weight; a warning tells where it is below 10.

        Args:
            n: int, how many.
            condition: dict of values by column, which all rows have.
            sample: whether to draw rows instead of taking means of p(x|z); only without condition.
            seed: int; the same seed gives the same rows.
            num_samples: number of draws of z from which one is kept, with a condition.
            return_effective_sample_size: whether to return it too, with a condition.
            options: other arguments of `VAE.generate`.

        Returns:
            A frame of n rows; or a tuple of it and the mean effective sample size.

        Raises:
            ValueError: if a column or a value of the condition is none of the table.

        Example: `rows = vae.generate(1000, condition={"sex": "f"})`.
        """
        n = validation.positive_integer(n, "n", "how many rows to generate")
        seed = random.new_seed() if seed is None else seed
        if condition is None:
            return super().generate(n, sample=sample, seed=seed, **options)
        self._check_options(options)
        known = self._repeated(condition, n)
        found = self._drawn(known, 1, num_samples, seed, **options)
        size = float(np.mean(found["effective_sample_size"]))
        training.warn_of_few(size, FEW, condition)
        rows = np.where(known["mask"], known["x"], found["x"][:, 0])
        frame = self.table.to_frame(rows, condition)
        return (frame, size) if return_effective_sample_size else frame

    def _check_options(self, options):
        unknown = sorted(options.keys() - {"batch_size", "verbose"})
        if unknown:
            raise ValueError(
                f"`{unknown[0]}` must be left out beside a condition, because codes are drawn "
                f"given it, and not from the prior. Received: {unknown[0]}={options[unknown[0]]!r}"
            )

    def _repeated(self, condition, n):
        """The arrays of n rows of which only the condition is known."""
        names = self.table.names
        is_dict = isinstance(condition, Mapping)
        if not is_dict or any(name not in names for name in condition):
            raise ValueError(
                "`condition` must be a dict of values by column, and the model must see the "
                f"columns: {names}. Received: condition={condition!r}"
            )
        x, mask = np.zeros((n, len(names)), "float32"), np.zeros((n, len(names)), "bool")
        for name, value in condition.items():
            own = names.index(name)
            x[:, own], mask[:, own] = self.table.number_of(name, value), True
        return {"x": x, "mask": mask}

    def drawn(
        self, x: Data, num_imputations: int, num_samples: int = DRAWS, seed: int | None = None
    ) -> np.ndarray:
        """Draws rows given what is observed of them, as numbers in the order of `table.names`.

        Args:
            x: a frame, or a dict of `x` and `mask`.
            num_imputations: M, the number of draws of each row.
            num_samples: number of draws of z for each row, from which M are kept.
            seed: int; the same seed gives the same draws.

        Returns:
            NumPy array (N, M, F), also of what is observed.
        """
        return self._drawn(self.prepare(x), num_imputations, num_samples, seed)["x"]

    def _drawn(self, x, num_imputations, num_samples, seed, **options):
        """What `inference.impute_draws` returns for the rows of a dict of arrays."""
        x = data_adapters.for_score(self, x)
        num_samples = self._different_draws(num_samples)
        self._seed_evaluation_noise(random.new_seed() if seed is None else seed)
        runner = self._runners.get(inference.impute_draws, num_samples, num_imputations)
        return runner.run(x, options.pop("batch_size", None) or self._rows(num_samples), **options)

    def _rows(self, num_samples):
        """How many rows fit into memory where each has so many draws."""
        outputs = self.likelihood.params_shape(self.target_shape)[-1]
        return max(1, min(128, _DECODED // (num_samples * outputs)))

    def impute(  # type: ignore[override]
        self,
        x: Data,
        mask: Data | None = None,
        *,
        num_imputations: int | None = None,
        num_samples: int | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        verbose: int = 0,
    ) -> Any:
        """Fills the gaps of a frame; everything else in it stays as it is.

        Args:
            x: a frame with gaps, or arrays as for `VAE.impute`.
            mask: only with arrays.
            num_imputations: None fills each gap by its mean, or its most probable class, given the
                observed values of the row. A number gives as many frames, whose gaps are drawn, for
                multiple imputation.
            num_samples: number of draws of z for each row; by default 1,000, or 200 for at least
                5,000 rows.
            seed: int, for draws; the same seed gives the same frames.
            batch_size: int, by default what fits into memory.
            verbose: 1 shows a progress bar.

        Returns:
            A frame, or a list of `num_imputations` frames, with the types, index and column order
            of x.

        Raises:
            ValueError: if the frame does not fit the table.

        Example: `frames = vae.impute(df, num_imputations=20)`.

        Reference: Mattei and Frellsen, MIWAE (arXiv:1812.02633), section 3.
        """
        if num_samples is None:
            num_samples = DRAWS if len(x) < LARGE else DRAWS_OF_MANY
        options = {"batch_size": batch_size or self._rows(num_samples), "verbose": verbose}
        if not frames.is_frame(x):
            return super().impute(x, mask, num_samples=num_samples, **options)
        arrays = self.prepare(x)
        if num_imputations is None:
            return self.table.fill(x, super().impute(arrays, num_samples=num_samples, **options))
        validation.positive_integer(num_imputations, "num_imputations", "how many frames to draw")
        drawn = self._drawn(arrays, num_imputations, num_samples, seed, **options)["x"]
        return [self.table.fill(x, drawn[:, i]) for i in range(num_imputations)]

    def explain(self, x: Data, y: Data | None = None, **options: Any) -> Any:
        """Computes how strange each cell is: -log p(x|z) in nats, averaged over q(z|x).

        The cells of a row add up to its reconstruction loss. A value of a continuous column may
        have a density above 1, and so a negative score; compare cells of the same column.

        Args:
            x: a frame, or arrays as for `VAE.explain`.
            y, options: as for `VAE.explain`.

        Returns:
            A frame like x with the columns that the model sees, NaN at gaps.

        Example: `vae.explain(df).max()`.
        """
        arrays = self.prepare(x)
        found = super().explain(arrays, y, **options)
        masks = arrays if isinstance(arrays, dict) else {}
        counts = masks.get("target_mask", masks.get("mask"))
        if counts is not None:
            found = np.where(ops.convert_to_numpy(counts).astype("bool"), found, np.nan)
        return self.table.scores(x, found)
