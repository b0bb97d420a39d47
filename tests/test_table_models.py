"""Models of tables: units, gaps, new rows, files, and all methods with frames."""

import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from scipy import stats

from keras_vae import recipes, tables
from keras_vae.tables import Table, TableVAE, table_encoder

pd = pytest.importorskip("pandas", reason="pandas is not installed")
pl = pytest.importorskip("polars", reason="polars is not installed")

N = 48


def people(n=N, seed=0):
    """A frame with columns of all kinds, and with gaps; one row has hardly a value."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=n)
    frame = pd.DataFrame(
        {
            "real": (z + 0.1 * rng.normal(size=n)).round(3),
            "price": np.exp(z).round(2) + 5,
            "kids": pd.array(rng.integers(0, 30, n), "Int64"),
            "sex": pd.Categorical(np.resize(["f", "m"], n), ["m", "f", "x"]),
            "grade": rng.integers(1, 5, n),
            "smoker": pd.array(np.resize([True, False], n), "boolean"),
            "day": np.datetime64("2020-01-01") + rng.integers(0, 99, n),
            7: rng.normal(size=n),
            "country": "NL",
            "name": [f"p{i}" for i in range(n)],
        },
        index=[f"r{i // 2}" for i in range(n)],
    )
    for place, name in enumerate(["real", "kids", "sex", "smoker", "day", "country"]):
        frame.iloc[place :: place + 4, frame.columns.get_loc(name)] = None
    frame.iloc[3, :4] = None
    return frame


def small(frame, **parts):
    keras.utils.set_random_seed(0)
    return recipes.table_vae(frame, latent_dim=2, units=(8,), seed=0, **parts)


@pytest.fixture(scope="module")
def vae():
    model = small(people())
    model.compile("adam", run_eagerly=True)
    model.fit(people(), epochs=2, verbose=0)
    return model


def same(a, b):
    return a.equals(b) if hasattr(a, "equals") else np.array_equal(a, b)


# The units of the log-likelihood.


def continuous(scale, density=None):
    """A model of two numbers and a category, the numbers of which are multiplied."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"a": rng.normal(size=N), "b": rng.normal(size=N) ** 2})
    frame = frame * scale
    frame.loc[frame.index[::3], "a"] = np.nan
    frame["c"] = np.resize(["u", "v"], N)
    table = Table.infer(frame)
    table["a"] = tables.Real(density)
    return small(table), frame


@pytest.mark.parametrize("density", ["normal", pytest.param("histogram", marks=pytest.mark.slow)])
def test_a_column_in_thousandths_has_a_thousandth_of_the_density(density):
    (one, frame), (other, scaled) = continuous(1.0, density), continuous(1000.0, density)
    other.set_weights(one.get_weights())
    observed = frame[["a", "b"]].notna().sum(axis=1)
    for method in ("log_likelihood", "elbo"):
        options = {"num_samples": 8}
        before = getattr(one, method)(frame, **options)
        after = getattr(other, method)(scaled, **options)
        np.testing.assert_allclose(after - before, -np.log(1000) * observed, atol=2e-4)
    shift = other.explain(scaled, num_samples=4) - one.explain(frame, num_samples=4)
    np.testing.assert_allclose(shift[["a", "b"]].max(), np.log(1000), atol=2e-4)
    np.testing.assert_allclose(shift["c"], 0.0, atol=1e-5)


def test_dates_have_a_density_by_the_second():
    days = np.datetime64("2020-01-01") + np.random.default_rng(0).integers(0, 99, N)
    as_dates = pd.DataFrame({"day": days})
    as_days = pd.DataFrame({"day": (days - days[0]).astype("float64") + 0.25})
    by_date, by_day = small(as_dates), small(as_days)
    by_day.set_weights(by_date.get_weights())
    found = by_date.elbo(as_dates, num_samples=4) - by_day.elbo(as_days, num_samples=4)
    np.testing.assert_allclose(found, -np.log(86_400.0), atol=2e-4)


def test_the_log_likelihood_is_that_of_a_linear_model_in_the_units_of_the_table():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"mm": rng.normal(900, 40, N), "kg": rng.normal(0.3, 0.02, N)})
    table = Table.infer(frame)
    inputs = keras.Input((1,))
    decoder = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    model = TableVAE(table_encoder(table.num_classes, (4,)), decoder, table, seed=0)
    weights, bias = np.array([[0.8, -0.5]]), np.array([0.1, 0.3])
    decoder.set_weights([weights, bias])
    for layer in (model.posterior.mean_layer, model.posterior.log_variance_layer):
        layer.set_weights([np.zeros((4, 1)), np.zeros(1)])  # q is the prior
    size = np.array([table["mm"].deviation, table["kg"].deviation])
    mean = bias * size + [table["mm"].mean, table["kg"].mean]
    noise = np.exp(2 * np.asarray(model.likelihood.likelihood.likelihoods[0].log_scale))
    cov = (weights.T @ weights + np.diag(np.ravel(noise) * np.ones(2))) * np.outer(size, size)
    found = model.log_likelihood(frame, num_samples=4000)
    expected = stats.multivariate_normal(mean, cov).logpdf(frame.to_numpy())
    np.testing.assert_allclose(found, expected, atol=0.1)
    gaps = frame.assign(kg=np.nan)
    expected = stats.norm.logpdf(frame["mm"], mean[0], np.sqrt(cov[0, 0]))
    np.testing.assert_allclose(model.log_likelihood(gaps, num_samples=4000), expected, atol=0.1)


# Gaps.


def changes_only_gaps(frame, filled):
    assert list(filled.columns) == list(frame.columns)
    assert filled.index.equals(frame.index)
    assert (filled.dtypes == frame.dtypes).all()
    assert filled.notna().all(axis=None)
    for name in frame:
        seen = frame[name].notna().to_numpy()
        assert filled[name][seen].equals(frame[name][seen])


def test_impute_changes_only_gaps(vae):
    frame = people()
    filled = vae.impute(frame, num_samples=20)
    changes_only_gaps(frame, filled)
    assert frame.equals(people())
    assert set(filled["sex"]) <= {"f", "m"}
    assert filled["kids"].between(0, 29).all()
    assert same(vae.impute(filled, num_samples=20), filled)


def test_multiple_imputations_differ_only_in_gaps(vae):
    frame = people()
    found = vae.impute(frame, num_imputations=3, num_samples=20, seed=1)
    for filled in found:
        changes_only_gaps(frame, filled)
    assert not found[0].equals(found[1])
    again = vae.impute(frame, num_imputations=3, num_samples=20, seed=1)
    assert all(map(same, found, again))
    other = vae.impute(frame, num_imputations=1, num_samples=20, seed=2)
    assert not same(other[0], found[0])


def test_a_row_a_column_or_a_frame_without_values_is_filled(vae):
    frame = people()
    empty = frame.astype(object)
    empty.loc[:, :] = None
    for gaps in (frame.assign(real=None, sex=None, day=None), frame[3:4], empty):
        filled = vae.impute(gaps, num_samples=5)
        assert filled[vae.table.names].notna().all(axis=None)


def test_frames_of_polars_come_back_as_such(vae):
    frame = people().drop(columns=[7, "name"])
    columns = {
        name: pl.Series(frame[name].astype(object).where(frame[name].notna(), None).tolist())
        for name in ("real", "price", "grade", "country")
    }
    own = pl.DataFrame(columns | {"n": pl.Series(range(N), dtype=pl.UInt8) % 7})
    own = own.with_columns(pl.when(own["n"] == 2).then(None).otherwise(own["n"]).alias("n"))
    model = small(own)
    filled = model.impute(own, num_samples=5)
    assert filled.schema == own.schema
    assert filled.null_count().sum_horizontal().item() == 0
    assert model.generate(3, seed=0).schema == own.schema
    assert isinstance(model.explain(own, num_samples=2), pl.DataFrame)


# New rows.


def test_new_rows_look_like_rows_of_the_table(vae):
    frame = people()
    rows = vae.generate(200, seed=1)
    assert rows.equals(vae.generate(200, seed=1))
    assert not rows.equals(vae.generate(200, seed=2))
    assert list(rows.columns) == [name for name in frame if name != "name"]
    assert (rows.dtypes == frame.dtypes[rows.columns]).all()
    assert set(rows["sex"]) <= {"f", "m"}
    assert set(rows["country"]) == {"NL"}
    for name in ("real", "price", "kids", "day", "grade", 7):
        assert rows[name].between(frame[name].min(), frame[name].max()).all()
    assert (rows["price"].round(2) == rows["price"]).all()


def test_new_rows_have_the_values_of_the_condition(vae):
    given = {"sex": "f", "price": 7.123456789, "day": pd.Timestamp("2020-02-03"), 7: 0.1}
    options = {"num_samples": 300, "seed": 0}
    rows, size = vae.generate(20, condition=given, **options, return_effective_sample_size=True)
    for name, value in given.items():
        assert (rows[name] == value).all()
    assert 10 <= size <= 300
    assert rows.equals(vae.generate(20, condition=given, **options))
    assert len(vae.generate(3, condition={}, num_samples=20)) == 3


def test_a_condition_that_few_draws_carry_causes_a_warning(vae):
    with pytest.warns(UserWarning, match="Only 1.0 draws of z"):
        vae.generate(2, condition={"sex": "f"}, num_samples=1)


@pytest.mark.parametrize(
    ("condition", "sentence"),
    [
        ({"nothing": 1}, "`condition` must"),
        ({"country": "NL"}, "`condition` must"),
        ([("sex", "f")], "`condition` must"),
        ({"sex": "z"}, "Column 'sex' must hold values that the table knows"),
        ({"sex": None}, "Column 'sex' must"),
        ({"sex": ["f"]}, "Column 'sex' must be given one value"),
        ({"price": "7"}, "Column 'price' must hold numbers"),
        ({"price": float("nan")}, "Column 'price' must hold finite"),
        ({"price": -1.0}, "Column 'price' must hold finite numbers of at least 0"),
        ({"day": "2020-01-01"}, "Column 'day' must hold numbers"),
    ],
)
def test_a_condition_that_cannot_be_is_refused_by_column(vae, condition, sentence):
    with pytest.raises(ValueError, match=rf"(?s){sentence}.*Received: "):
        vae.generate(2, condition=condition)


def test_arguments_that_do_not_go_with_a_condition_are_refused(vae):
    with pytest.raises(ValueError, match=r"`temperature` must be left out.*Received"):
        vae.generate(2, condition={"sex": "f"}, temperature=0.5)
    with pytest.raises(ValueError, match="`n` must be an integer"):
        vae.generate(0, condition={"sex": "f"})


# All methods.


def test_methods_take_and_return_frames(vae):
    frame = people()
    for rows in (vae.predict(frame, verbose=0), vae.decode(vae.encode(frame), sample=True, seed=0)):
        assert list(rows.columns) == [name for name in frame if name != "name"]
        assert (rows.dtypes == frame.dtypes[rows.columns]).all()
        assert len(rows) == N
    assert len(vae.interpolate(frame[:1], frame[1:2], steps=4)) == 4
    assert vae.infer(frame)["mean"].shape == (N, 2)
    assert vae.anomaly_score(frame, num_samples=4).shape == (N,)


def test_cells_add_up_to_the_reconstruction_loss(vae):
    frame = people()
    cells = vae.explain(frame, num_samples=8)
    names = [name for name in frame if name in vae.table.names]
    assert list(cells.columns) == names
    assert cells.index.equals(frame.index)
    assert (cells.isna() == frame[names].isna()).all(axis=None)
    expected = vae.diagnose(frame, num_samples=8)["reconstruction_loss"]
    assert cells.sum(axis=1).mean() == pytest.approx(expected, rel=1e-4)


def test_cells_outside_a_target_mask_are_gaps(vae):
    arrays = vae.table.to_arrays(people())
    counts = np.zeros_like(arrays["mask"])
    counts[:, 0] = arrays["mask"][:, 0]
    cells = vae.explain(arrays | {"target_mask": counts}, num_samples=4)
    assert cells[vae.table.names].notna().sum().tolist() == counts.sum(0).tolist()


def test_batches_of_frames_and_of_dicts_are_trained_on(vae):
    model, frame = small(people()), people(8, 3)
    model.compile("sgd", run_eagerly=True)
    model.fit((people(4, i) for i in range(2)), steps_per_epoch=2, verbose=0)
    arrays = model.table.to_arrays(frame)
    model.fit(((arrays,) for _ in range(2)), steps_per_epoch=2, verbose=0)
    given = {"sample_weight": pd.Series(np.ones(8)), "validation_data": people(4, 9)}
    history = model.fit(frame, epochs=2, verbose=0, **given).history
    assert len(history["val_loss"]) == 2
    assert np.isfinite(history["loss"]).all()
    assert len(model.evaluate(frame, verbose=0)) == 3
    assert np.isfinite(model.train_on_batch(frame)[0])
    assert np.isfinite(model.test_on_batch(frame)[0])


@pytest.mark.slow
def test_a_prior_is_fitted_to_a_frame(vae):
    fitted = vae.fit_prior(people(), epochs=1, verbose=0)
    assert type(fitted) is TableVAE
    assert len(fitted.generate(2, seed=0)) == 2


def test_the_table_of_a_model_stays_as_it_was():
    table = Table.infer(people())
    model = small(table)
    table["real"] = tables.Ignored()
    assert "real" in model.table.names
    with pytest.raises(ValueError, match="must be set before the model is made"):
        model.table["real"] = tables.Ignored()


# Files.

METHODS = {
    "impute": {"num_samples": 5},
    "encode": {},
    "predict": {"verbose": 0},
    "elbo": {"num_samples": 4},
    "log_likelihood": {"num_samples": 4},
    "explain": {"num_samples": 4},
}


def test_a_loaded_model_gives_equal_bits(vae, tmp_path):
    vae.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras", safe_mode=True)
    assert again.table.get_config() == vae.table.get_config()
    assert str(again.table) == str(vae.table)
    for method, options in METHODS.items():
        assert same(
            getattr(vae, method)(people(), **options), getattr(again, method)(people(), **options)
        ), method
    assert same(vae.generate(9, seed=3), again.generate(9, seed=3))


@pytest.mark.slow
def test_a_new_process_generates_the_same_rows(vae, tmp_path):
    vae.save(tmp_path / "vae.keras")
    code = (
        "import keras, keras_vae; vae = keras.saving.load_model('vae.keras');"
        "vae.generate(9, seed=3).to_json('rows.json', orient='table', index=False)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    vae.generate(9, seed=3).to_json(tmp_path / "own.json", orient="table", index=False)
    assert (tmp_path / "rows.json").read_text() == (tmp_path / "own.json").read_text()


@keras.saving.register_keras_serializable("tests")
class Tagged(TableVAE):
    """A subclass with an argument of its own."""

    def __init__(self, encoder, decoder, table, tag="", **parts):
        self.tag = tag
        super().__init__(encoder, decoder, table, **parts)


@pytest.mark.slow
def test_a_subclass_with_kinds_of_the_users_choice_is_saved(tmp_path):
    frame = people()
    table = Table.infer(frame)
    table["grade"] = tables.Count()
    table["price"] = tables.Positive(density="student_t", decimals=1)
    table["sex"] = tables.Category(["f", "m", "x"])
    table["kids"] = tables.Ignored("by choice of a test")
    base = small(table)
    model = Tagged(base.encoder, base.decoder, table, tag="t", likelihood=table.likelihood())
    model.save(tmp_path / "vae.keras")
    again = keras.saving.load_model(tmp_path / "vae.keras")
    assert type(again) is Tagged
    assert again.tag == "t"
    assert again.table.get_config() == model.table.get_config()
    assert same(model.predict(frame, verbose=0), again.predict(frame, verbose=0))
    assert model.impute(frame, num_samples=5)["kids"].equals(frame["kids"])


# Sizes.


@pytest.mark.slow
@pytest.mark.parametrize("rows", [2, 3, 12])
def test_tiny_tables_are_fitted(rows, monkeypatch):
    monkeypatch.setattr("keras_vae.tables.training.STEPS", 20)
    monkeypatch.setattr("keras_vae.tables.training.CHECKED", 4)
    frame = people(60).iloc[4 : 4 + rows]
    model = small(frame)
    model.fit(frame, verbose=0)
    assert model.impute(frame, num_samples=5)[model.table.names].notna().all(axis=None)
    assert len(model.generate(3, seed=0)) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "given", [{}, {"validation_split": 0.2}, {"validation_data": people(16, 1)}]
)
def test_a_model_is_fitted_until_it_is_best(given, monkeypatch):
    monkeypatch.setattr("keras_vae.tables.training.STEPS", 20)
    monkeypatch.setattr("keras_vae.tables.training.CHECKED", 4)
    model = small(people())
    history = model.fit(people(), verbose=0, **given)
    assert np.isfinite(history.history["loss"]).all()


def test_a_table_of_one_column_has_a_model():
    frame = people()[["price"]]
    model = small(frame)
    changes_only_gaps(frame, model.impute(frame, num_samples=5))
    assert model.generate(3, seed=0).shape == (3, 1)
    assert model.explain(frame, num_samples=2).shape == (N, 1)


@pytest.mark.slow
def test_wide_tables_are_learned():
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 2000)))
    frame = frame.mask(frame > 1.5)
    model = small(frame)
    model.fit(frame, epochs=1, verbose=0)
    assert model.impute(frame, num_samples=5).notna().all(axis=None)
    assert model.generate(2, seed=0).shape == (2, 2000)


@pytest.mark.slow
def test_large_tables_are_read_within_seconds():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"text": rng.choice(list("abcd"), 100_000), "real": rng.normal(size=100_000)}
    )
    start = time.process_time()
    table = Table.infer(frame)
    assert table.to_arrays(frame)["x"].shape == (100_000, 2)
    assert time.process_time() - start < 10  # 0.7 s where it was written
