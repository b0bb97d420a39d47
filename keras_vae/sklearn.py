"""Estimators of scikit-learn for tables: codes, filled gaps and outliers.

`VAETransformer`, `VAEImputer` and `VAEDetector` train a `tables.TableVAE` and work in pipelines,
searches and cross-validation. They need `pip install "keras_vae[sklearn]"`, and are imported on
demand: `import keras_vae.sklearn`.
"""

import contextlib
import copy
import pathlib
import random
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np

from keras_vae import recipes, saving, validation
from keras_vae.model import VAE
from keras_vae.random import stream
from keras_vae.tables import Constant, Kind, Real, Table, TableVAE, frames, training

try:
    import sklearn
    from sklearn.base import (
        BaseEstimator,
        ClassNamePrefixFeaturesOutMixin,
        OneToOneFeatureMixin,
        OutlierMixin,
        TransformerMixin,
    )
    from sklearn.utils import validation as _checks
except ImportError:
    validation.optional("sklearn", "sklearn", "Estimators")  # raises an error with the extra
    raise

__all__ = ["VAEDetector", "VAEImputer", "VAETransformer"]

_FLOATS = ["float64", "float32"]
"""Types of arrays that come back as they went in."""


class _TableEstimator(BaseEstimator):
    """What the estimators share: their common arguments, `fit`, `score` and pickling."""

    def __init__(
        self,
        latent_dim: int | None = None,
        units: Sequence[int] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = training.LEARNING_RATE,
        kinds: Mapping[str, Kind] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.latent_dim = latent_dim
        self.units = units
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.kinds = kinds
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Trains the model.

        Args:
            X: array (N, F) of numbers, or a DataFrame with columns of any kind; NaN and other
                missing values are gaps.
            y: not used.

        Returns:
            The estimator.

        Raises:
            ValueError: if an argument or a column cannot be used.
        """
        self._check_arguments()
        X = _checked(self, X, reset=True)
        self._fitted_on_frame = frames.is_frame(X)
        self.random_state_ = _checks.check_random_state(self.random_state)
        seed = int(self.random_state_.randint(2**31 - 1))
        table = _table_of(X, self.kinds or {})
        arrays = _arrays_of(table, X)
        with _seeded(seed):
            self.model_ = recipes.table_vae(table, self.latent_dim, self.units, seed=seed)
            self._train(arrays)
        return self

    def _check_arguments(self):
        meanings = {
            "latent_dim": "the length of a code",
            "epochs": "how often the model sees each row",
            "batch_size": "the number of rows of a step",
        }
        for name, meaning in meanings.items():
            if getattr(self, name) is not None:
                validation.positive_integer(getattr(self, name), name, meaning)
        if not validation.is_number(self.learning_rate) or self.learning_rate <= 0:
            raise ValueError(
                "`learning_rate` must be a number above 0, because it is the step of the "
                f"optimizer. Received: learning_rate={self.learning_rate!r}"
            )

    def _train(self, arrays):
        """Trains the model on a dict of arrays."""
        self.model_.compile(keras.optimizers.Adam(self.learning_rate))
        batch_size = self.batch_size or training.batch_size_for(len(arrays["x"]))
        options = {"epochs": self.epochs, "batch_size": batch_size, "verbose": self.verbose}
        self.model_.fit(arrays, **options)

    def score(self, X: Any, y: Any = None) -> float:
        """Returns the mean evidence lower bound of the rows in nats; higher is better.

        Args:
            X: as for `fit`.
            y: not used.
        """
        return float(np.mean(self._elbo(self._arrays(X))))

    def _elbo(self, arrays):
        return self.model_.elbo(arrays).astype("float64")

    def _arrays(self, X):
        """`x` and `mask` of data that are not those of `fit`."""
        _checks.check_is_fitted(self, "model_")
        return _arrays_of(self.model_.table, _checked(self, X, reset=False))

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "model_" in state:
            state["model_"] = _to_bytes(state["model_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "model_" in state:
            state = state | {"model_": _from_bytes(state["model_"])}
        super().__setstate__(state)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _more_tags(self):
        """The tags for scikit-learn before 1.6."""
        return {"allow_nan": True}


class VAETransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _TableEstimator):
    """Turns the rows of a table into codes: the means of q(z|x) of a VAE.

    Arrays are tables of numbers. The columns of a DataFrame may be of any kind, as for
    `tables.Table`. Gaps need not be filled first. Pickles hold the model as the bytes of a
    `.keras` file.

    Args:
        latent_dim: int, the length D of a code; by default that of `recipes.table_vae`.
        units: widths of the hidden layers; by default those of `recipes.table_vae`.
        epochs: int, how many epochs; by default the model finds by itself how long to train, as
            `tables.TableVAE.fit` describes.
        batch_size: int; by default what suits the number of rows.
        learning_rate: number, of Adam.
        kinds: dict of kinds by column, such as `{"age": keras_vae.tables.Count()}`, for columns
            whose kind is not to be inferred. The columns of an array are `"x0"`, `"x1"`, ….
        random_state: int, `RandomState` or None, as in scikit-learn. The same int gives the same
            model on the same machine.
        verbose: as for `keras.Model.fit`.

    Attributes:
        model_: the trained `tables.TableVAE`.
        n_features_in_: number of columns.
        feature_names_in_: their names, if X was a DataFrame.

    Example:

    ```python
    transformer = keras_vae.sklearn.VAETransformer(latent_dim=2, random_state=0)
    codes = transformer.fit_transform(measurements)
    ```
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _more_tags(self):
        return {"preserves_dtype": [np.float32]}

    @property
    def _n_features_out(self):
        return self.model_.latent_dim

    def transform(self, X: Any) -> np.ndarray:
        """Returns the mean code of each row, float32 (N, D).

        Args:
            X: as for `fit`.

        Raises:
            ValueError: if X does not have the columns of `fit`.
        """
        return self.model_.encode(self._arrays(X))

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Returns the rows that codes stand for: the means of p(x|z), or the likeliest classes.

        Args:
            X: codes, (N, D).

        Returns:
            Array (N, F) with the columns of `fit`. Columns that the table ignores are missing.
            `model_.decode` returns a DataFrame instead.

        Raises:
            ValueError: if the codes do not have the shape (N, D).
        """
        _checks.check_is_fitted(self, "model_")
        codes = _checks.check_array(X, dtype=_FLOATS)
        table = self.model_.table
        if self._fitted_on_frame:
            decoded = frames.read(self.model_.decode(codes))
            return _stacked(table, {name: decoded[name].to_numpy() for name in decoded.columns})
        return _stacked(table, _values(table, VAE.decode(self.model_, codes)))


class VAEImputer(OneToOneFeatureMixin, TransformerMixin, _TableEstimator):
    """Fills the gaps of a table by their means given the observed values of the row.

    Gaps in a column of classes get the most probable class. Columns that the table ignores keep
    their gaps, and so does a column without any value. `set_output(transform="pandas")` returns
    DataFrames, whose columns keep their types.

    Args:
        latent_dim, units, epochs, batch_size, learning_rate, kinds, random_state, verbose: as for
            `VAETransformer`.
        sample_posterior: whether to draw what fills the gaps, for multiple imputation. Each call of
            `transform` draws anew.
        num_samples: int, number of draws of z for each row with gaps.

    Attributes:
        model_, n_features_in_, feature_names_in_: as for `VAETransformer`.
        random_state_: the generator of the seeds of the draws.

    Example:

    ```python
    imputer = keras_vae.sklearn.VAEImputer(random_state=0).set_output(transform="pandas")
    filled = imputer.fit_transform(df)
    ```

    Reference: Mattei and Frellsen, MIWAE (arXiv:1812.02633).
    """

    def __init__(
        self,
        latent_dim: int | None = None,
        units: Sequence[int] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = training.LEARNING_RATE,
        kinds: Mapping[str, Kind] | None = None,
        random_state: Any = None,
        verbose: int = 0,
        sample_posterior: bool = False,
        num_samples: int = 1000,
    ) -> None:
        super().__init__(
            latent_dim, units, epochs, batch_size, learning_rate, kinds, random_state, verbose
        )
        self.sample_posterior = sample_posterior
        self.num_samples = num_samples

    def _check_arguments(self):
        super()._check_arguments()
        validation.positive_integer(self.num_samples, "num_samples", "the number of draws of z")

    def transform(self, X: Any) -> Any:
        """Returns X with its gaps filled; everything else stays as it is.

        Args:
            X: as for `fit`.

        Returns:
            Array (N, F), of objects if the columns of a DataFrame are not all numbers; or what
            `set_output` asks for.

        Raises:
            ValueError: if X does not have the columns of `fit`.
        """
        _checks.check_is_fitted(self, "model_")
        X = _checked(self, X, reset=False)
        table = self.model_.table
        filled = self._filled(_arrays_of(table, X))
        if not frames.is_frame(X):
            return _filled_array(table, X, filled)
        frame = frames.read(table.fill(X, filled))
        is_wanted = _output_of(self) == frame.implementation.value
        return frame.to_native() if is_wanted else frame.to_numpy()

    def _filled(self, arrays):
        """The arrays' x, (N, F), filled in the rows that have gaps."""
        rows = ~arrays["mask"].all(axis=1)
        if not rows.any():
            return arrays["x"]
        filled = arrays["x"].copy()
        filled[rows] = self._imputed({name: values[rows] for name, values in arrays.items()})
        return filled

    def _imputed(self, arrays):
        if not self.sample_posterior:
            return self.model_.impute(arrays, num_samples=self.num_samples)
        seed = int(self.random_state_.randint(2**31 - 1))
        return self.model_.drawn(arrays, 1, self.num_samples, seed)[:, 0]


class VAEDetector(OutlierMixin, _TableEstimator):
    """Finds outliers: rows whose evidence lower bound is low.

    The threshold comes from rows that the model was not trained on, because the rows of the
    training have higher bounds than others. The model does not see columns that are constant in
    the data of `fit`, and warns if they hold other values later.

    Args:
        latent_dim, units, epochs, batch_size, learning_rate, kinds, random_state, verbose: as for
            `VAETransformer`.
        contamination: the expected share of outliers, above 0 and at most 0.5. If the data of `fit`
            are all normal, it is the rate of false alarms.
        validation_fraction: the share of rows that is held out for the threshold.

    Attributes:
        model_, n_features_in_, feature_names_in_: as for `VAETransformer`.
        offset_: the threshold of `score_samples`, below which a row is an outlier.

    Example:

    ```python
    detector = keras_vae.sklearn.VAEDetector(contamination=0.1, random_state=0).fit(measurements)
    is_outlier = detector.predict(measurements) == -1
    ```
    """

    def __init__(
        self,
        latent_dim: int | None = None,
        units: Sequence[int] | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float = training.LEARNING_RATE,
        kinds: Mapping[str, Kind] | None = None,
        random_state: Any = None,
        verbose: int = 0,
        contamination: float = 0.05,
        validation_fraction: float = 0.2,
    ) -> None:
        super().__init__(
            latent_dim, units, epochs, batch_size, learning_rate, kinds, random_state, verbose
        )
        self.contamination = contamination
        self.validation_fraction = validation_fraction

    def _check_arguments(self):
        super()._check_arguments()
        if not validation.is_number(self.contamination) or not 0 < self.contamination <= 0.5:
            raise ValueError(
                "`contamination` must be a number above 0 and at most 0.5, because it is the share "
                f"of outliers among the rows. Received: contamination={self.contamination!r}"
            )
        fraction = self.validation_fraction
        if not validation.is_number(fraction) or not 0 < fraction < 1:
            raise ValueError(
                "`validation_fraction` must be a number between 0 and 1, because it is the share "
                f"of rows that is held out. Received: validation_fraction={fraction!r}"
            )

    def _train(self, arrays):
        """Trains the model without some rows, whose bounds give the threshold."""
        rows = len(arrays["x"])
        order = np.random.default_rng(stream(self.model_.seed, 3)).permutation(rows)
        held = min(max(1, round(self.validation_fraction * rows)), rows - 1)
        super()._train({name: values[order[held:]] for name, values in arrays.items()})
        bounds = self._elbo({name: values[order[:held]] for name, values in arrays.items()})
        # Of n rows, a new one falls below the k-th with probability k / (n + 1).
        self.offset_ = float(np.quantile(bounds, self.contamination, method="weibull"))

    def score_samples(self, X: Any) -> np.ndarray:
        """Returns the evidence lower bound of each row in nats, (N,); lower is stranger.

        Args:
            X: as for `fit`.

        Raises:
            ValueError: if X does not have the columns of `fit`.
        """
        return self._elbo(self._arrays(X))

    def decision_function(self, X: Any) -> np.ndarray:
        """Returns `score_samples(X) - offset_`, (N,), which is negative for outliers.

        Args:
            X: as for `fit`.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Returns 1 for each normal row and -1 for each outlier, (N,).

        Args:
            X: as for `fit`.
        """
        return np.where(self.decision_function(X) >= 0, 1, -1)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seeds the initial weights and the order of the rows, which Keras draws from global seeds.

    The generators of Python and NumPy continue afterwards where they were. Those of the backend,
    whose state cannot be read, get a seed that Python's generator has drawn before.
    """
    afterwards = random.randrange(2**31)
    of_python, of_numpy = random.getstate(), np.random.get_state()
    keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        keras.utils.set_random_seed(afterwards)
        random.setstate(of_python)
        np.random.set_state(of_numpy)


def _checked(estimator, X, reset):
    """X as an array of numbers, or the frame that it is; `reset` records its columns."""
    if frames.is_frame(X) and (reset or estimator._fitted_on_frame):
        frames.read(X)
        return _validated(estimator, X, reset, skip_check_array=True)
    options = {"dtype": _FLOATS, "ensure_min_samples": 1 + reset}
    return _validated(estimator, X, reset, ensure_all_finite="allow-nan", **options)


def _validated(estimator, X, reset, **options):
    """`validate_data`, which was a method with other names before scikit-learn 1.6."""
    if hasattr(_checks, "validate_data"):
        return _checks.validate_data(estimator, X, reset=reset, **options)
    if options.get("skip_check_array"):
        return estimator._validate_data(X, reset=reset, cast_to_ndarray=False)
    finite = {"force_all_finite": options.pop("ensure_all_finite")}
    return estimator._validate_data(X, reset=reset, **finite, **options)


def _output_of(estimator):
    """What `set_output` or scikit-learn's configuration asks for: `"pandas"`, `"default"`, …."""
    own = getattr(estimator, "_sklearn_output_config", {})
    return own.get("transform", sklearn.get_config()["transform_output"])


def _table_of(X, kinds):
    """The table of a frame or an array, with the kinds that the user gave."""
    table = Table.infer(X) if frames.is_frame(X) else _table_of_array(X, kinds)
    unknown = [name for name in kinds if name not in table.columns]
    if unknown:
        raise ValueError(
            "`kinds` must name columns of X, because it says what they hold; they are "
            f"{list(table)}. Received: kinds with {unknown}"
        )
    if frames.is_frame(X):
        for name, kind in kinds.items():
            table[name] = copy.deepcopy(kind)
    return table


def _table_of_array(X, kinds):
    columns = {}
    for index, values in enumerate(X.T.astype("float64")):
        seen = values[~np.isnan(values)]
        inferred = Real() if len(seen) and np.any(seen != seen[0]) else Constant()
        kind = copy.deepcopy(kinds.get(f"x{index}", inferred))
        kind.fit(values, ~np.isnan(values))
        columns[f"x{index}"] = kind
    if not any(kind.is_modelled for kind in columns.values()):
        raise ValueError(
            "`X` must have at least one column that varies, because there is nothing to learn "
            f"otherwise. Received: an array of shape {X.shape}"
        )
    dtypes = {name: {"name": "Float64"} for name in columns}
    return Table(columns, dtypes, num_rows=len(X))


def _arrays_of(table, X):
    """`x` and `mask` of a checked frame or array, in the order of `table.names`."""
    if frames.is_frame(X):
        return table.to_arrays(X)
    values = dict(zip(table, X.T.astype("float64"), strict=True))
    _warn_of_changes(table, values)
    columns = []
    for name in table.names:
        observed = ~np.isnan(values[name])
        zeros = np.where(observed, values[name], 0.0)
        columns.append((table[name].to_numbers(zeros, observed, name), observed))
    x, mask = (np.stack(parts, axis=1) for parts in zip(*columns, strict=True))
    return {"x": x.astype("float32"), "mask": mask}


def _warn_of_changes(table, values):
    """Warns of columns that were constant, and now are not, as `Table.checked` does for frames."""
    constants = {name: kind for name, kind in table.columns.items() if isinstance(kind, Constant)}
    changed = [n for n, kind in constants.items() if kind.differs(values[n], ~np.isnan(values[n]))]
    if changed:
        warnings.warn(
            f"The columns {changed} held one value in `fit`, and now hold others: the model does "
            "not see them, so that no score tells of it.",
            stacklevel=5,
        )


def _values(table, x):
    """The values by column that x, (N, F), stands for, with those of constant columns."""
    values = table.to_values(np.asarray(x))
    for name, kind in table.columns.items():
        if isinstance(kind, Constant) and kind.value is not None:
            values[name] = np.full(len(x), kind.value)
    return values


def _stacked(table, values):
    """An array (N, F) with all columns of the table, of objects if they are not all numbers."""
    rows = len(next(iter(values.values())))
    columns = [values.get(name, np.full(rows, np.nan)) for name in table]
    are_numbers = all(column.dtype.kind in "biuf" for column in columns)
    dtype = "float64" if are_numbers else object
    return np.stack([column.astype(dtype) for column in columns], axis=1)


def _filled_array(table, X, filled):
    values, found = _values(table, filled), X.copy()
    for index, name in enumerate(table):
        gaps = np.isnan(X[:, index])
        if name in values:
            found[gaps, index] = values[name][gaps]
    return found


def _to_bytes(model: TableVAE) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        model.save(path)
        return path.read_bytes()


def _from_bytes(content: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "model.keras")
        path.write_bytes(content)
        return saving.load_model(path)
