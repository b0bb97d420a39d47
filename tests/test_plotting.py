import datetime
import statistics
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from keras_vae import callbacks, plotting

RNG = np.random.default_rng(0)
GREY = RNG.random((12, 8, 8, 1))


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_originals_are_drawn_over_reconstructions(tmp_path):
    white, black = np.ones((3, 8, 8, 1)), np.zeros((3, 8, 8, 1))
    path = tmp_path / "r.png"
    plotting.reconstructions(white, black, path, title=None)
    drawn = pixels(path)[:, -150:]  # clear of the labels
    rows = drawn.mean((1, 2))
    half = len(rows) // 2
    assert rows[: half - 10].mean() > 245
    assert rows[half + 10 :].mean() < 60


def test_anomaly_maps_are_bright_where_a_pixel_scores_high(tmp_path):
    images, scores = np.ones((3, 8, 8, 3)), np.zeros((3, 8, 8, 3))
    scores[1, :4] = 5.0
    figure = plotting.anomaly_maps(images, scores, tmp_path / "maps.png", max_columns=2)
    drawn = [axis.images[0] for axis in figure.axes]
    assert len(drawn) == 4
    np.testing.assert_array_equal(drawn[3].get_array(), scores[1].sum(axis=-1))
    assert drawn[2].get_clim() == drawn[3].get_clim() == (0.0, 15.0)
    with pytest.raises(ValueError, match=r"`scores` must be shaped like `images`.*Received"):
        plotting.anomaly_maps(images, scores[..., 0])


def test_colours_and_bytes_are_kept(tmp_path):
    red = np.zeros((4, 8, 8, 3), "uint8")
    red[..., 0] = 255
    plotting.image_grid(red, tmp_path / "a.png", title="red")
    plotting.image_grid(red / 255.0, tmp_path / "b.png", title="red")
    np.testing.assert_array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))
    centre = pixels(tmp_path / "a.png")[100, 50]
    np.testing.assert_array_equal(centre, [255, 0, 0])


def test_the_latent_map_decodes_the_plane_with_z2_upwards(tmp_path):
    def decode(z):
        return np.broadcast_to((z[:, 1] > 0)[:, None, None, None], (len(z), 4, 4, 1)) * 1.0

    path = tmp_path / "map.png"
    axis = plotting.latent_map(decode, path, steps=6).axes[0]
    mosaic = axis.images[0].get_array()
    assert mosaic.shape == (24, 24)
    assert mosaic[:12].min() == 1
    assert mosaic[12:].max() == 0
    assert path.exists()


def test_scatter_has_a_colour_and_a_name_for_each_class():
    codes, labels = RNG.normal(size=(30, 2)), np.arange(30) % 3
    axis = plotting.latent_scatter(codes, labels, class_names=["a", "b", "c"]).axes[0]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b", "c"]
    assert sum(len(collection.get_offsets()) for collection in axis.collections) == 30
    assert plotting.latent_scatter(codes).axes[0].get_legend() is None


def test_texts_are_labels_too():
    codes = RNG.normal(size=(6, 2))
    labels = np.array(["cat", "dog", "cat", "emu", "dog", "cat"])
    for given in (labels, labels.tolist(), labels.astype(object), pd.Series(labels)):
        axis = plotting.latent_scatter(codes, given, class_names=["a", "b"]).axes[0]
        assert [text.get_text() for text in axis.get_legend().get_texts()] == ["cat", "dog", "emu"]
        assert [len(own.get_offsets()) for own in axis.collections] == [3, 2, 1]
        np.testing.assert_allclose(axis.collections[1].get_offsets(), codes[[1, 4]])


def test_named_classes_have_the_same_colours_in_all_pictures():
    names = ["a", "b", "c"]
    axis = plotting.latent_scatter(np.zeros((2, 2)), [2, 1], class_names=names).axes[0]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["b", "c"]
    colours = [own.get_facecolor()[0, :3] for own in axis.collections]
    np.testing.assert_allclose(colours, [plotting.figure_colours()(i)[:3] for i in (1, 2)])


def test_more_than_ten_classes_differ_in_their_marks():
    axis = plotting.latent_scatter(RNG.normal(size=(24, 2)), np.arange(24) % 12).axes[0]
    looks = {
        (str(own.get_facecolor()), own.get_paths()[0].to_polygons()[0].tobytes())
        for own in axis.collections
    }
    assert len(looks) == 12


def test_few_codes_have_larger_marks_than_many():
    sizes = [
        plotting.latent_scatter(np.zeros((count, 2))).axes[0].collections[0].get_sizes()[0]
        for count in (3, 50, 200, 10_000)
    ]
    assert sizes == [40, 40, 10, 4]


def test_codes_without_as_many_labels_are_refused():
    with pytest.raises(ValueError, match=r"`labels` must .*Received: 3 labels for 4 codes"):
        plotting.latent_scatter(np.zeros((4, 2)), [0, 1, 2])


# Machado et al., A Physiologically-based Model for Simulation of Color Vision Deficiency (2009),
# table 1: what people see who lack one of three kinds of cones, in linear RGB.
VISION = {
    "usual": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]


def lab(colours, vision):
    """CIELAB of sRGB colours (N, 3), as somebody with this vision sees them."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(vision).T, 0, 1)
    xyz = seen @ np.array(TO_XYZ).T / np.sum(TO_XYZ, axis=1)
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    a, b = 500 * (f[:, 0] - f[:, 1]), 200 * (f[:, 1] - f[:, 2])
    return np.stack([116 * f[:, 1] - 16, a, b], axis=1)


@pytest.mark.parametrize("vision", VISION)
def test_the_colours_can_be_told_apart_with_any_colour_vision(vision):
    colours = np.array([plotting.figure_colours()(i)[:3] for i in range(10)])
    seen = lab(colours, VISION[vision])
    distances = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[np.triu_indices(10, 1)]
    assert distances.min() > 17  # of matplotlib's own ten, two are 4.6 apart in protanopia
    assert np.linalg.norm(lab(np.ones((1, 3)), VISION[vision]) - seen, axis=-1).min() > 15


def test_the_axes_of_the_latent_map_say_what_their_numbers_are():
    axis = plotting.latent_map(lambda z: np.zeros((len(z), 4, 4, 1)), steps=7).axes[0]
    for name in (axis.get_xlabel(), axis.get_ylabel()):
        assert "standard deviations of the prior" in name
    ticks = [float(text.get_text()) for text in axis.get_xticklabels()]
    expected = [statistics.NormalDist().inv_cdf(p) for p in np.linspace(0.02, 0.98, 7)]
    np.testing.assert_allclose(ticks, expected, atol=0.051)


def test_a_denoiser_is_drawn_in_three_rows():
    noisy, output, clean = (np.full((3, 8, 8, 1), value) for value in (0.2, 0.5, 0.9))
    figure = plotting.reconstructions(noisy, output, targets=clean)
    first = [axis for axis in figure.axes if axis.texts]
    assert [axis.texts[0].get_text() for axis in first] == ["input", "output", "clean"]
    shown = [float(axis.images[0].get_array().mean()) for axis in first]
    np.testing.assert_allclose(shown, [0.2, 0.5, 0.9])
    with pytest.raises(ValueError, match=r"`targets` must have an image for each"):
        plotting.reconstructions(noisy, output, targets=clean[:2])


TOKENS = np.arange(24).reshape(3, 8, 1) % 5
WAVES = np.sin(np.arange(60.0)).reshape(3, 10, 2)


def test_tokens_are_cells_with_their_reconstruction_below():
    axis = plotting.sequences(TOKENS, (TOKENS + 1) % 5).axes[0]
    shown = np.ma.filled(axis.images[0].get_array().astype(float), np.nan)
    assert shown.shape == (8, 8)
    np.testing.assert_array_equal(shown[0::3], TOKENS[..., 0])
    np.testing.assert_array_equal(shown[1::3], (TOKENS[..., 0] + 1) % 5)
    assert np.isnan(shown[2::3]).all()
    written = [int(text.get_text()) for text in axis.texts]
    assert written[:8] == TOKENS[0, :, 0].tolist()
    assert len(written) == 48
    names = [text.get_text() for text in axis.get_yticklabels()]
    assert names[:4] == ["1", "reconstructed", "", "2"]


def test_measurements_are_lines_with_their_reconstruction_dashed():
    figure = plotting.sequences(WAVES, WAVES + 1, max_rows=2)
    assert len(figure.axes) == 2
    drawn = [line.get_ydata() for line in figure.axes[1].lines]
    x = WAVES[1]
    np.testing.assert_allclose(drawn, [x[:, 0], x[:, 0] + 1, x[:, 1], x[:, 1] + 1])
    assert [line.is_dashed() for line in figure.axes[1].lines] == [False, True] * 2
    assert len(plotting.sequences(WAVES).axes[0].lines) == 2


def test_long_sequences_of_many_tokens_have_no_numbers():
    axis = plotting.sequences(np.arange(200).reshape(2, 100) % 30).axes[0]
    assert axis.images[0].get_array().shape == (2, 100)
    assert not axis.texts


def test_loss_curves_show_every_epoch_of_training_and_validation():
    history = {"loss": [3.0], "val_loss": [4.0], "kl_loss": [1.0], "mae": [2.0]}
    axes = plotting.loss_curves(history).axes
    assert [axis.get_title() for axis in axes] == ["loss", "kl loss"]
    assert [line.get_ydata()[0] for line in axes[0].lines] == [3.0, 4.0]
    assert [line.get_xdata()[0] for line in axes[0].lines] == [1, 1]


def people(count, seed=0):
    """A table of a number, a count, a class and a date, with gaps in the number."""
    rng = np.random.default_rng(seed)
    ages = rng.normal(40.0, 9.0, count)
    ages[::5] = np.nan
    days = np.datetime64("2024-01-01") + rng.integers(0, 300, count)
    found = {"age": ages, "children": rng.integers(0, 4, count), "admitted": days}
    return pd.DataFrame(found | {"colour": rng.choice(["red", "green"], count)})


def scores():
    """Nats of three columns; row "b" is the strangest, and its cell "y" is."""
    rows = {"x": [1.0, 2.0, 3.0, 2.0], "y": [0.0, 9.0, 0.0, np.nan], "z": [5.0, 5.0, 5.0, 5.0]}
    return pd.DataFrame(rows, index=list("abcd"))


DRAWN = {
    "sequences": lambda **title: plotting.sequences(TOKENS, TOKENS, **title),
    "waves": lambda **title: plotting.sequences(WAVES[:1], **title),
    "image_grid": lambda **title: plotting.image_grid(GREY, **title),
    "denoised": lambda **title: plotting.reconstructions(GREY, GREY, targets=GREY, **title),
    "reconstructions": lambda **title: plotting.reconstructions(GREY, GREY, **title),
    "loss_curves": lambda **title: plotting.loss_curves({"loss": [3], "kl_loss": [1]}, **title),
    "latent_map": lambda **title: plotting.latent_map(lambda z: GREY[:4], steps=2, **title),
    "latent_scatter": lambda **title: plotting.latent_scatter(np.zeros((3, 2)), **title),
    "traversals": lambda **title: plotting.traversals(
        lambda z: np.zeros((len(z), 8, 8, 1)), [0.0, 0.0], **title
    ),
    "marginals": lambda **title: plotting.marginals(people(30), people(20), **title),
    "pairs": lambda **title: plotting.pairs(people(30), people(20), **title),
    "cell_scores": lambda **title: plotting.cell_scores(scores(), **title),
}


def title_of(figure):
    return figure.get_suptitle() or (figure.axes[0].get_title() if len(figure.axes) == 1 else "")


@pytest.mark.parametrize("name", DRAWN)
def test_each_picture_has_a_title_that_can_be_changed_or_left_out(name):
    assert len(title_of(DRAWN[name]()).split()) > 2
    assert title_of(DRAWN[name](title="Mine")) == "Mine"
    assert title_of(DRAWN[name](title=None)) == ""


def test_traversals_move_one_entry_at_a_time():
    seen = []

    def decode(codes):
        seen.append(codes)
        return np.zeros((len(codes), 4, 4, 1))

    plotting.traversals(decode, [0.5, -0.5], span=2.0, steps=3)
    expected = [[-2, -0.5], [0, -0.5], [2, -0.5], [0.5, -2], [0.5, 0], [0.5, 2]]
    np.testing.assert_allclose(seen[0], expected)


@pytest.mark.parametrize("shape", [(3, 7), (3, 4, 4, 2), (3, 4, 4, 4, 1)])
def test_what_is_no_image_is_refused(shape):
    with pytest.raises(
        ValueError, match=r"`images` must be one or more images.*Received: images with shape"
    ):
        plotting.image_grid(np.zeros(shape))


def test_importing_the_library_loads_no_matplotlib():
    script = (
        "import sys, keras; before = 'matplotlib' in sys.modules\n"  # Keras itself may
        "import keras_vae; sys.exit('matplotlib' in sys.modules and not before)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_pictures_are_drawn_every_so_many_epochs(tmp_path):
    class Model:
        is_chief = True

        class posterior:
            latent_dim = 2

        def predict(self, x, verbose):
            return x

        def generate(self, n, seed):
            return np.zeros((n, 8, 8, 1))

        def decode(self, z):
            return np.zeros((len(z), 8, 8, 1))

    callback = callbacks.Pictures(GREY, tmp_path / "pictures", every=2, num_samples=4)
    callback.set_model(Model())
    callback.on_train_begin()
    callback.on_epoch_end(0)
    assert not list((tmp_path / "pictures").iterdir())
    callback.on_epoch_end(1)
    names = {path.stem for path in (tmp_path / "pictures").iterdir()}
    assert names == {"reconstructions", "samples", "latent_map"}


def test_one_epoch_has_whole_numbers_on_its_axis():
    axis = plotting.loss_curves({"loss": [3.0]}).axes[0]
    assert [tick for tick in axis.get_xticks() if tick % 1] == []


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plotting.image_grid(GREY[:0]),
        lambda: plotting.reconstructions(GREY, GREY[:3]),
        lambda: plotting.loss_curves({"mae": [1.0]}),
        lambda: plotting.sequences(WAVES[0, 0]),
        lambda: plotting.sequences(WAVES, WAVES[:2]),
    ],
)
def test_what_cannot_be_drawn_is_refused(draw):
    with pytest.raises(ValueError, match=r"must .*Received: "):
        draw()


def test_the_users_settings_of_matplotlib_are_left_alone():
    import matplotlib

    before = dict(matplotlib.rcParams)
    plotting.loss_curves({"loss": [3.0]})
    assert dict(matplotlib.rcParams) == before


def drawn_shares(axis):
    """What a panel of `marginals` shows of the real and of the generated rows."""
    if axis.containers:
        horizontal = [[bar.get_width() for bar in bars] for bars in axis.containers]
        return np.array(horizontal)
    return np.array([patch.get_data().values for patch in axis.patches])


def test_marginals_show_the_shares_of_rows_that_are_not_gaps():
    real, generated = people(50), people(80, seed=1)
    axes = plotting.marginals(real, generated).axes
    assert [axis.get_title() for axis in axes] == list(real.columns)
    for axis in axes:
        np.testing.assert_allclose(drawn_shares(axis).sum(1), 1.0)
    edges = axes[0].patches[0].get_data().edges
    for frame, shares in zip((real, generated), drawn_shares(axes[0]), strict=True):
        ages = frame["age"].dropna()
        np.testing.assert_allclose(shares, np.histogram(ages, edges)[0] / len(ages))
    bars = drawn_shares(axes[1])
    for frame, shares in zip((real, generated), bars, strict=True):
        np.testing.assert_allclose(
            shares, [(frame["children"] == number).mean() for number in range(4)]
        )


def test_classes_are_named_with_the_most_frequent_first():
    real = pd.DataFrame({"colour": ["red"] * 3 + ["green"] * 5})
    generated = pd.DataFrame({"colour": ["red", "green", "blue", "blue"]})
    axis = plotting.marginals(real, generated).axes[0]
    assert [text.get_text() for text in axis.get_yticklabels()] == ["green", "red", "others"]
    np.testing.assert_allclose(drawn_shares(axis), [[5 / 8, 3 / 8, 0], [1 / 4, 1 / 4, 1 / 2]])


def test_rare_classes_are_counted_together():
    names = [name for number, name in enumerate("abcdefghijkl") for _ in range(20 - number)]
    frame = pd.DataFrame({"letter": names})
    axis = plotting.marginals(frame, frame).axes[0]
    shown = [text.get_text() for text in axis.get_yticklabels()]
    assert shown == [*"abcdefgh", "others"]
    np.testing.assert_allclose(drawn_shares(axis)[0][-1], np.isin(names, [*"ijkl"]).mean())


def test_bins_of_whole_numbers_hold_equally_many_of_these():
    frame = pd.DataFrame({"weight": np.arange(70, 163)})
    edges = plotting.marginals(frame, frame).axes[0].patches[0].get_data().edges
    assert edges[0] == 69.5
    assert set(np.diff(edges)) == {4.0}
    assert edges[-1] > 162


def test_dates_are_marked_as_dates():
    axis = plotting.marginals(people(50), people(50)).axes[2]
    axis.figure.draw_without_rendering()
    assert axis.get_xlim()[0] > (datetime.date(2023, 11, 1) - datetime.date(1970, 1, 1)).days
    assert "2024" in [text.get_text() for text in axis.get_xticklabels()]


def test_frames_of_pandas_and_polars_give_the_same_picture(tmp_path):
    real, generated = people(40), people(30, seed=1)
    plotting.marginals(real, generated, tmp_path / "pandas.png")
    others = [pl.DataFrame(frame.to_dict("list")) for frame in (real, generated)]
    plotting.marginals(*others, tmp_path / "polars.png")
    np.testing.assert_array_equal(pixels(tmp_path / "pandas.png"), pixels(tmp_path / "polars.png"))


def test_columns_that_are_left_out_are_counted_in_the_title():
    frame = pd.DataFrame(RNG.normal(size=(20, 6)), columns=list("abcdef"))
    assert (
        plotting.marginals(frame, frame, max_columns=5)
        .get_suptitle()
        .endswith("(the first 5 of 6 columns)")
    )
    assert plotting.pairs(frame, frame).get_suptitle().endswith("(4 of 6 columns)")
    assert "of 6" not in plotting.marginals(frame, frame).get_suptitle()


def test_columns_of_one_frame_alone_are_left_out():
    real = people(20).assign(name="someone")
    assert len(plotting.marginals(real, people(20)).axes) == 4


def test_a_column_without_values_says_so():
    real = people(20).assign(empty=np.nan)
    axis = plotting.marginals(real, real).axes[4]
    assert [text.get_text() for text in axis.texts] == ["no values"]


def test_pairs_show_the_rows_of_both_frames():
    real, generated = people(40), people(30, seed=1)
    figure = plotting.pairs(real, generated, ["age", "admitted", "colour"], max_rows=25)
    axes = np.reshape(figure.axes, (3, 3))
    points = axes[1, 0].collections[0].get_offsets()
    assert len(points) == 2 * 25
    shown = np.ma.getdata(points)[:, 0]
    expected = np.concatenate([real["age"][:25], generated["age"][:25]])
    np.testing.assert_allclose(np.sort(shown), np.sort(expected))
    classes = axes[2, 0].collections[0].get_offsets()[:, 1]
    assert np.abs(classes - np.round(classes)).max() <= 0.25
    assert [axis.get_xlabel() for axis in axes[2]] == ["age", "admitted", "colour"]
    assert not axes[0, 1].axison


def test_pairs_choose_numbers_before_classes():
    frame = people(40)[["colour", "children", "age", "admitted"]]
    figure = plotting.pairs(frame, frame, max_columns=2)
    assert [axis.get_xlabel() for axis in figure.axes[-2:]] == ["age", "admitted"]


def test_cells_are_coloured_by_standard_deviations_of_their_column():
    axis = plotting.cell_scores(scores()).axes[0]
    shown = np.ma.filled(axis.images[0].get_array(), np.nan)
    x, y = np.array([2.0, 3.0, 1.0, 2.0]), np.array([9.0, 0.0, 0.0])
    np.testing.assert_allclose(shown[:, 0], ((x - 2) / x.std())[[0, 1, 3, 2]])
    np.testing.assert_allclose(shown[[0, 1, 3], 1], (y - 3) / y.std())
    assert np.isnan(shown[2, 1])
    assert not shown[:, 2].any()
    assert [text.get_text() for text in axis.get_yticklabels()] == ["b", "c", "d", "a"]


def test_cells_show_their_values_or_how_strange_they_are():
    values = pd.DataFrame({"x": ["p", "q", "r", "s"], "y": [1e6, 2.5, 3.0, np.nan], "z": True})
    values["z"] = pd.to_datetime(["2024-01-01"] * 4)
    axis = plotting.cell_scores(scores(), values, max_rows=3).axes[0]
    written = np.reshape([text.get_text() for text in axis.texts], (3, 3)).tolist()
    assert written[0] == ["q", "2.5", "2024-01-01"]
    assert written[2] == ["s", "", "2024-01-01"]
    alone = plotting.cell_scores(scores(), max_rows=1, max_columns=1).axes[0]
    assert [text.get_text() for text in alone.texts] == ["1.4"]
    assert [text.get_text() for text in alone.get_xticklabels()] == ["y"]


def test_rows_of_polars_are_numbered():
    frame = pl.DataFrame({"x": [0.0, 3.0, 1.0]})
    assert plotting.strangest_cells(frame, max_rows=2)["rows"] == ["1", "2"]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plotting.marginals(people(9), people(9).add_prefix("my ")),
        lambda: plotting.marginals(np.zeros((3, 2)), people(9)),
        lambda: plotting.pairs(people(9), people(9), ["age", "height"]),
        lambda: plotting.cell_scores(scores(), people(4)),
        lambda: plotting.cell_scores(scores(), scores()[:3]),
    ],
)
def test_tables_that_cannot_be_drawn_are_refused(draw):
    with pytest.raises(ValueError, match=r"must .*Received: "):
        draw()
