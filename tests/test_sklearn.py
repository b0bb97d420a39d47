"""The estimators for scikit-learn, compared with closed forms, and scikit-learn's own checks."""

import copy
import functools
import importlib.util
import inspect
import pickle
import random
import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from sklearn import compose, linear_model, metrics, model_selection, pipeline, preprocessing
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks

import keras_vae
from keras_vae.sklearn import VAEDetector, VAEImputer, VAETransformer
from keras_vae.tables import Count, TableVAE

COVARIANCE = np.array([[1.0, 0.9, 0.0], [0.9, 1.0, -0.3], [0.0, -0.3, 1.0]])
MEAN = np.array([3.0, -2.0, 100.0])
ESTIMATORS = (VAETransformer, VAEImputer, VAEDetector)
SMALL = {"latent_dim": 2, "units": (8,), "epochs": 1, "batch_size": 128, "random_state": 0}
HAS_EXPECTED = (
    "expected_failed_checks"
    in inspect.signature(estimator_checks.parametrize_with_checks).parameters
)


@pytest.fixture
def eager(monkeypatch):
    """Trains without graphs, which is faster for a few steps."""
    compiled = functools.partialmethod(keras_vae.VAE.compile, run_eagerly=True)
    monkeypatch.setattr(keras_vae.VAE, "compile", compiled)


def gaussian(rows, seed=0):
    return np.random.default_rng(seed).multivariate_normal(MEAN, COVARIANCE, rows)


def with_gaps(x, share=0.25, seed=1):
    return np.where(np.random.default_rng(seed).random(x.shape) < share, np.nan, x)


def mixed(rows=60, seed=0):
    rng = np.random.default_rng(seed)
    made = {"age": rng.integers(18, 90, rows), "height": rng.normal(170.0, 9.0, rows).round(1)}
    made |= {"sex": rng.choice(["f", "m"], rows), "country": "NL"}
    made["day"] = np.datetime64("2024-01-01") + rng.integers(0, 99, rows)
    frame = pd.DataFrame(made, index=np.arange(rows) + 1000).astype({"sex": "category"})
    frame.loc[::5, "height"] = np.nan
    frame.loc[1001::7, "sex"] = None
    frame.loc[1002::9, "day"] = pd.NaT
    return frame


def conditional_means(x):
    """The gaps of rows of the Gaussian filled by their exact conditional means."""
    found = x.copy()
    for row in found:
        gaps = np.isnan(row)
        if gaps.any():
            slope = COVARIANCE[np.ix_(gaps, ~gaps)] @ np.linalg.pinv(
                COVARIANCE[np.ix_(~gaps, ~gaps)]
            )
            row[gaps] = MEAN[gaps] + slope @ (row[~gaps] - MEAN[~gaps])
    return found


# What the estimators compute.


@pytest.fixture(scope="module")
def imputer():
    x = with_gaps(gaussian(1000))
    options = {"epochs": 60, "learning_rate": 5e-3, "batch_size": 128, "random_state": 0}
    return VAEImputer(3, (32,), num_samples=500, **options).fit(x)


def test_filled_gaps_are_near_the_conditional_means(imputer):
    x = with_gaps(gaussian(300, seed=5), seed=6)
    gaps = np.isnan(x)
    exact, filled = conditional_means(x)[gaps], imputer.transform(x)[gaps]
    by_means = np.broadcast_to(MEAN, x.shape)[gaps]
    error, of_means = (np.sqrt(np.mean((found - exact) ** 2)) for found in (filled, by_means))
    assert error < 0.35 * of_means
    truth = gaussian(300, seed=5)[gaps]
    assert np.mean((filled - truth) ** 2) < 0.75 * np.mean((by_means - truth) ** 2)


def test_drawn_gaps_have_the_conditional_spread(imputer):
    x = np.repeat([[3.0, np.nan, 100.0]], 400, axis=0)
    drawing = copy.deepcopy(imputer).set_params(sample_posterior=True)
    first, second = drawing.transform(x)[:, 1], drawing.transform(x)[:, 1]
    assert not np.array_equal(first, second)
    variance = COVARIANCE[1, 1] - 0.9**2 - 0.3**2  # the other two are independent
    assert np.std(first) == pytest.approx(np.sqrt(variance), rel=0.5)
    assert np.mean(first) == pytest.approx(MEAN[1], abs=0.15)
    means = imputer.transform(x[:5])[:, 1]
    assert np.ptp(means) < 0.2


def test_what_is_observed_stays_as_it_is(imputer):
    x = with_gaps(gaussian(20, seed=2))
    filled = imputer.transform(x)
    np.testing.assert_array_equal(filled[~np.isnan(x)], x[~np.isnan(x)])
    assert np.isfinite(filled).all()
    assert filled.dtype == x.dtype
    assert imputer.transform(x.astype("float32")).dtype == "float32"


@pytest.fixture(scope="module")
def detector():
    options = {"epochs": 40, "learning_rate": 5e-3, "batch_size": 128, "random_state": 0}
    return VAEDetector(2, (32,), contamination=0.1, **options).fit(gaussian(1500))


def test_the_score_is_the_mean_bound(detector):
    x = gaussian(50, seed=3)
    exact = -0.5 * (3 * np.log(2 * np.pi) + np.linalg.slogdet(COVARIANCE)[1])
    inverse = np.linalg.inv(COVARIANCE)
    exact = exact - 0.5 * np.einsum("ni,ij,nj->n", x - MEAN, inverse, x - MEAN)
    found = detector.score(x)
    assert exact.mean() - 0.3 < found < exact.mean() + 0.05
    bounds = detector.model_.elbo(pd.DataFrame(x, columns=["x0", "x1", "x2"]))
    assert found == pytest.approx(bounds.mean(), rel=1e-6)


def test_outliers_that_break_a_correlation_are_found(detector):
    normal = gaussian(500, seed=8)
    strange = gaussian(100, seed=9)
    strange[:, 1] = 2 * MEAN[1] - strange[:, 1] + 2.5 * np.sign(MEAN[1] - strange[:, 1])
    scores = detector.score_samples(np.concatenate([normal, strange]))
    is_strange = np.arange(600) >= 500
    assert metrics.roc_auc_score(is_strange, -scores) > 0.95


def test_the_rate_of_false_alarms_is_the_contamination(detector):
    rate = np.mean(detector.predict(gaussian(3000, seed=10)) == -1)
    assert rate == pytest.approx(0.1, abs=3.5 * np.sqrt(0.1 * 0.9 / 300))


def test_decisions_are_scores_above_the_threshold(detector):
    x = gaussian(100, seed=11)
    decisions = detector.decision_function(x)
    np.testing.assert_allclose(decisions, detector.score_samples(x) - detector.offset_)
    np.testing.assert_array_equal(detector.predict(x), np.where(decisions < 0, -1, 1))


def test_the_threshold_comes_from_rows_that_the_model_was_not_trained_on(eager, monkeypatch):
    seen = []

    def fit(self, x, **options):
        seen.append(x["x"])
        return keras_vae.VAE.fit(self, x, **options)

    monkeypatch.setattr(TableVAE, "fit", fit)
    x = gaussian(99)
    detector = VAEDetector(**SMALL, contamination=0.25).fit(x)
    scaled = (x - x.mean(axis=0)) / x.std(axis=0)
    distances = np.abs(scaled[:, None] - seen[0][None]).max(axis=-1).min(axis=1)
    held_out = x[distances > 1e-4]
    assert (len(seen[0]), len(held_out)) == (79, 20)
    scores = np.sort(detector.score_samples(held_out))
    # 21 equally likely places of a new score: 5.25 of them, from the first on, are a quarter.
    expected = 0.75 * scores[4] + 0.25 * scores[5]
    assert detector.offset_ == pytest.approx(expected, abs=1e-4)


def test_codes_are_those_of_the_model(eager):
    frame = mixed()
    transformer = VAETransformer(**SMALL).fit(frame)
    codes = transformer.transform(frame)
    np.testing.assert_allclose(codes, transformer.model_.encode(frame), rtol=1e-5, atol=1e-6)
    x = with_gaps(gaussian(40))
    transformer = VAETransformer(**SMALL).fit(x)
    expected = transformer.model_.encode(pd.DataFrame(x, columns=["x0", "x1", "x2"]))
    np.testing.assert_allclose(transformer.transform(x), expected, rtol=1e-5, atol=1e-6)


def test_codes_turn_back_into_rows(eager):
    x = np.column_stack([gaussian(40), np.full(40, 7.0), np.full(40, np.nan)])
    transformer = VAETransformer(**SMALL).fit(x)
    codes = transformer.transform(x)
    rows = transformer.inverse_transform(codes)
    expected = transformer.model_.predict(dict(transformer._arrays(x)), verbose=0)
    np.testing.assert_allclose(rows[:, :3], expected[["x0", "x1", "x2"]], rtol=1e-4)
    assert (rows[:, 3] == 7.0).all()
    assert np.isnan(rows[:, 4]).all()
    with pytest.raises(ValueError, match=r"codes.*Received"):
        transformer.inverse_transform(codes[:, :1])


def test_codes_turn_back_into_rows_of_a_frame(eager):
    frame = mixed()
    transformer = VAETransformer(**SMALL).fit(frame)
    rows = transformer.inverse_transform(transformer.transform(frame))
    assert rows.shape == frame.shape
    assert set(rows[:, 2]) <= {"f", "m"}
    assert set(rows[:, 3]) == {"NL"}


# Frames.


def test_a_frame_comes_back_as_it_came(eager):
    frame = mixed()
    imputer = VAEImputer(**SMALL, num_samples=20).set_output(transform="pandas")
    filled = imputer.fit_transform(frame)
    pd.testing.assert_series_equal(filled.dtypes, frame.dtypes)
    pd.testing.assert_index_equal(filled.index, frame.index)
    assert not filled.isna().any().any()
    for name in frame:
        there = frame[name].notna()
        pd.testing.assert_series_equal(filled[name][there], frame[name][there])


def test_without_set_output_a_frame_becomes_an_array(eager):
    frame = mixed()
    imputer = VAEImputer(**SMALL, num_samples=20).fit(frame)
    filled = imputer.transform(frame)
    assert filled.dtype == object
    assert filled.shape == frame.shape
    np.testing.assert_array_equal(filled[:, 0], frame["age"])
    assert list(imputer.get_feature_names_out()) == list(frame.columns)
    assert list(imputer.feature_names_in_) == list(frame.columns)
    assert imputer.transform(frame).tolist() == filled.tolist()


def test_polars_frames(eager):
    gaps = mixed()["height"].tolist(), mixed()["sex"].astype(object).tolist()
    frame = pl.DataFrame({"height": gaps[0], "sex": gaps[1]}, nan_to_null=True, strict=False)
    imputer = VAEImputer(**SMALL, num_samples=20).set_output(transform="polars")
    filled = imputer.fit_transform(frame)
    assert filled.schema == frame.schema
    assert sum(filled.null_count().row(0)) == 0


def test_codes_as_a_frame(eager):
    frame = mixed()
    transformer = VAETransformer(**SMALL).set_output(transform="pandas")
    codes = transformer.fit_transform(frame)
    assert list(codes.columns) == ["vaetransformer0", "vaetransformer1"]
    pd.testing.assert_index_equal(codes.index, frame.index)


def test_the_configuration_of_scikit_learn_asks_for_frames_too(eager):
    with sklearn.config_context(transform_output="pandas"):
        filled = VAEImputer(**SMALL, num_samples=20).fit_transform(mixed())
    assert filled["day"].dtype.kind == "M"


def test_constant_columns_are_filled_and_changes_of_them_cause_a_warning(eager):
    x = np.column_stack([gaussian(40), np.where(np.arange(40) % 2, 7.0, np.nan)])
    imputer = VAEImputer(**SMALL, num_samples=20).fit(x)
    assert (imputer.transform(x)[:, 3] == 7.0).all()
    x[0, 3] = 8.0
    with pytest.warns(UserWarning, match=r"'x3'\] held one value"):
        imputer.transform(x)


@pytest.mark.parametrize("as_frame", [False, True])
def test_kinds_may_be_given(eager, as_frame):
    x = np.random.default_rng(0).poisson([[50.0, 20.0]], (40, 2)) - [[50.0, 0.0]]
    data = pd.DataFrame(x, columns=["x0", "x1"]) if as_frame else x
    kind = Count()
    detector = VAEDetector(**SMALL, kinds={"x1": kind}).fit(data)
    assert isinstance(detector.model_.table["x1"], Count)
    assert not isinstance(detector.model_.table["x0"], Count)
    assert not kind.fitted


# Errors.


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (VAETransformer(latent_dim=0), "`latent_dim` must be an integer.*Received: latent_dim=0"),
        (VAETransformer(epochs=1.5), "`epochs` must be an integer.*Received: epochs=1.5"),
        (VAETransformer(batch_size=0), "`batch_size` must be.*Received: batch_size=0"),
        (VAETransformer(learning_rate=0.0), "`learning_rate` must be.*Received: learning_rate=0.0"),
        (VAETransformer(kinds={"z": Count()}), r"`kinds` must name columns.*Received.*\['z'\]"),
        (VAEImputer(num_samples=0), "`num_samples` must be.*Received: num_samples=0"),
        (VAEDetector(contamination=0.6), "`contamination` must be.*Received: contamination=0.6"),
        (VAEDetector(validation_fraction=1), "`validation_fraction` must be.*Received: valid"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made.fit(gaussian(10))


def test_data_without_a_column_that_varies_are_refused():
    with pytest.raises(
        ValueError, match=r"`X` must have at least one column that varies.*Received"
    ):
        VAETransformer().fit(np.ones((5, 2)))


@pytest.mark.parametrize("made", ESTIMATORS)
def test_an_estimator_that_was_not_fitted_says_so(made):
    with pytest.raises(NotFittedError):
        made().score(gaussian(10))


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    spec = importlib.util.spec_from_file_location("another", keras_vae.sklearn.__file__)
    with pytest.raises(ImportError, match=r'need sklearn: pip install "keras_vae\[sklearn\]"'):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


@pytest.mark.slow
def test_the_package_does_not_need_scikit_learn():
    """Keras imports it where it is installed."""
    code = "import sys; sys.modules['sklearn'] = None; import keras_vae; keras_vae.tables"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=200)


# What scikit-learn does with estimators.


@pytest.mark.parametrize("made", ESTIMATORS)
def test_pickles_and_copies_equal_the_estimator(eager, made):
    x = gaussian(40)
    estimator = made(**SMALL).fit(x)
    copies = [pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)]  # noqa: S301
    for other in copies:
        assert other.score(x) == estimator.score(x)
        assert isinstance(other.model_, TableVAE)
    assert isinstance(estimator.model_, TableVAE)
    assert not hasattr(clone(estimator), "model_")
    assert clone(estimator).get_params() == estimator.get_params()


def test_the_same_random_state_gives_the_same_model_and_leaves_other_generators_alone(eager):
    x = gaussian(40)
    states = random.getstate(), np.random.get_state()[1].copy()
    first = VAETransformer(**SMALL).fit_transform(x)
    draws = keras.random.uniform((3,))
    np.testing.assert_array_equal(states[1], np.random.get_state()[1])
    random.random()
    np.testing.assert_array_equal(VAETransformer(**SMALL).fit_transform(x), first)
    assert not np.array_equal(draws, keras.random.uniform((3,)))
    other = VAETransformer(**SMALL | {"random_state": 1}).fit_transform(x)
    assert not np.array_equal(other, first)


def test_in_a_pipeline_with_cross_validation(eager):
    x, y = mixed(), np.arange(60) % 2
    columns = compose.ColumnTransformer(
        [("codes", VAETransformer(**SMALL), ["age", "height", "sex"])], remainder="drop"
    )
    steps = [columns, preprocessing.StandardScaler(), linear_model.LogisticRegression()]
    scores = model_selection.cross_val_score(pipeline.make_pipeline(*steps), x, y, cv=2)
    assert np.all((scores >= 0) & (scores <= 1))


def test_in_a_search_by_score(eager):
    search = model_selection.GridSearchCV(
        VAEImputer(**SMALL, num_samples=20), {"latent_dim": [1, 2]}, cv=2, error_score="raise"
    ).fit(with_gaps(gaussian(40)))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_.model_.latent_dim == search.best_params_["latent_dim"]


@pytest.mark.slow
def test_in_a_search_of_two_processes():
    search = model_selection.GridSearchCV(
        VAEDetector(**SMALL), {"latent_dim": [1, 2]}, cv=2, n_jobs=2, error_score="raise"
    ).fit(gaussian(40))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


# The checks of scikit-learn.

LAST_BITS = "bounds are computed in float32, whose last bits depend on the rows of the batch"
HELD_OUT = "the threshold is that of held-out rows, so that other shares of all rows are below it"
EXPECTED = {
    VAEDetector: {
        "check_outliers_train": HELD_OUT,
        "check_outliers_fit_predict": HELD_OUT,
        "check_methods_sample_order_invariance": LAST_BITS,
        "check_methods_subset_invariance": LAST_BITS,
        "check_classifier_data_not_an_array": (
            "few different whole numbers are ordinal in a frame, and numbers in an array"
        ),
    },
}


def checks():
    """The decorator that gives a test all checks of scikit-learn."""
    if not HAS_EXPECTED:
        reason = f"scikit-learn {sklearn.__version__} takes no expected failures, as 1.6 does"
        return lambda test: pytest.mark.parametrize(
            ("estimator", "check"), [pytest.param(None, None, marks=pytest.mark.skip(reason))]
        )(test)
    small = [VAETransformer(**SMALL), VAEImputer(**SMALL, num_samples=20), VAEDetector(**SMALL)]
    return estimator_checks.parametrize_with_checks(
        small, expected_failed_checks=lambda estimator: EXPECTED.get(type(estimator), {})
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@checks()
def test_the_checks_of_scikit_learn_pass(eager, estimator, check):
    check(estimator)
