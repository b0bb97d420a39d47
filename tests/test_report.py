import os
import re
import shutil
import tempfile

import keras
import numpy as np
import pandas as pd
import polars as pl
import pytest

import keras_vae
from keras_vae import datasets, likelihoods, networks, recipes, report

HISTORY = {"loss": [30.0, 20.0], "val_loss": [31.0, 22.0], "kl_loss": [1.0, 2.0]}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A report of a model with two latents, and its numbers."""
    keras.utils.set_random_seed(0)
    images, factors = datasets.shapes(300, image_size=16)
    x, labels = images.astype("float32") / 255, factors[:, 0].astype(int)
    vae = recipes.vae((16, 16, 1), 2, seed=0)
    vae.compile(keras.optimizers.Adam(0.002))
    vae.fit(x, epochs=3, batch_size=32, verbose=0)
    path = tmp_path_factory.mktemp("report") / "report.html"
    numbers = report.write(path, vae, x, labels, datasets.SHAPES, HISTORY, 10, title="<shapes>")
    return path, numbers, vae, x


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium. Without it these tests are skipped, but not in CI, which installs it."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (program and driver):
        assert not os.environ.get("CI"), "CI must have chromium and chromium-driver"
        pytest.skip("needs Debian's packages chromium and chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    with tempfile.TemporaryDirectory() as profile:
        for flag in (
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
            *("--disable-dev-shm-usage", "--window-size=1200,1000", f"--user-data-dir={profile}"),
        ):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        chromium = webdriver.Chrome(options, webdriver.ChromeService(driver))
        yield chromium
        chromium.quit()


@pytest.fixture
def opened(browser, page):
    browser.get_log("performance")
    browser.get(page[0].as_uri())
    return browser


def find(browser, selector):
    return browser.find_element("css selector", selector)


def test_the_page_stands_alone(page):
    text = page[0].read_text()
    assert len(text) < 5_000_000
    assert not re.search(r"https?://|//[a-z]+\.", re.sub(r"base64,[\w+/=]+", "", text))
    assert "&lt;shapes&gt;" in text


def test_the_numbers_are_those_of_the_verbs(page):
    path, numbers, vae, x = page
    assert numbers["elbo"] == pytest.approx(vae.elbo(x).mean(), rel=1e-5)
    assert numbers["log_likelihood"] > numbers["elbo"]
    assert f"{numbers['elbo']:.2f} nats" in path.read_text()


def test_it_opens_without_a_complaint_and_asks_for_nothing(opened):
    assert opened.get_log("browser") == []
    requests = [e for e in opened.get_log("performance") if "Network.requestWillBeSent" in str(e)]
    assert not [r for r in requests if "http" in str(r["message"]).split("documentURL")[0]]
    assert opened.title == "<shapes>"
    assert all(
        opened.execute_script("return arguments[0].naturalWidth > 0", image)
        for image in opened.find_elements("css selector", "img")
    )


def test_the_map_follows_the_pointer_and_shows_the_tile_of_the_code(opened, page):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.support.wait import WebDriverWait

    area = find(opened, "#map")
    before = find(opened, "#where").text
    size = area.size
    at = (int(0.3 * size["width"]), int(-0.2 * size["height"]))
    opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", area)
    ActionChains(opened).move_to_element_with_offset(area, *at).perform()
    WebDriverWait(opened, 10).until(lambda b: find(b, "#where").text != before)
    after = find(opened, "#where").text
    z1, z2 = (float(value) for value in re.findall(r"-?\d+\.\d+", after))
    # the part of the prior to the left, and below: 0.8 and 0.7 of it
    assert z1 == pytest.approx(0.842, abs=0.1)
    assert z2 == pytest.approx(0.524, abs=0.1)
    shown = opened.execute_async_script(PIXELS, find(opened, "#tile"))
    expected = page[2].decode([[z1, z2]])[0, ..., 0]
    np.testing.assert_allclose(np.reshape(shown, (16, 16)) / 255, expected, atol=0.03)


PIXELS = """
const [tile, done] = arguments, style = getComputedStyle(tile), image = new Image();
image.onload = () => {
  const steps = 20, side = image.width / steps;
  const [x, y] = style.backgroundPosition.split(" ")
    .map((p) => Math.round(parseFloat(p) * 19 / 100));
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d");
  context.drawImage(image, -x * side, -y * side);
  done(Array.from(context.getImageData(0, 0, side, side).data).filter((_, i) => i % 4 == 0));
};
image.src = style.backgroundImage.slice(5, -2);
"""


def test_the_map_follows_the_keyboard(opened):
    from selenium.webdriver import Keys

    area, where = find(opened, "#map"), find(opened, "#where")
    start = where.text
    area.send_keys(Keys.ARROW_RIGHT)
    assert where.text != start
    area.send_keys(Keys.ARROW_LEFT)
    assert where.text == start
    area.send_keys(*[Keys.ARROW_UP] * 30)
    assert where.text.endswith("1.96)")
    assert opened.execute_script("return document.activeElement.id") == "map"


def test_codes_are_shown_on_request(opened):
    points = find(opened, "#points")
    assert not points.is_displayed()
    find(opened, "#codes").click()
    assert points.is_displayed()
    assert len(opened.find_elements("css selector", "#points circle")) == 300
    assert [item.text for item in opened.find_elements("css selector", ".legend li")] == list(
        datasets.SHAPES
    )


def test_it_can_be_read_on_a_phone(opened):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_dimensions_are_in_falling_order_of_kl(opened, page):
    shown = [float(b.text) for b in opened.find_elements("css selector", ".bar b")]
    np.testing.assert_allclose(shown, sorted(page[1]["kl_per_dimension"])[::-1], atol=0.006)


def test_models_of_measurements_have_numbers_and_no_pictures(tmp_path):
    vae = recipes.vae((5,), 3, likelihoods.Normal(scale="optimal"))
    x = np.random.default_rng(0).normal(size=(50, 5)).astype("float32")
    report.write(tmp_path / "r.html", vae, x, num_samples=5)
    text = (tmp_path / "r.html").read_text()
    assert "<h2>Numbers" in text
    assert "Latent dimensions" in text
    assert "<img" not in text


@pytest.fixture(scope="module")
def table_page(tmp_path_factory):
    """A report of a model of a table, and the table; row 7 has a height that no other has."""
    rng = np.random.default_rng(0)
    height = rng.normal(170.0, 9.0, 120).round(1)
    frame = pd.DataFrame({"height": height, "weight": (0.9 * height - 85).round(1)})
    frame["sex"] = np.where(height > 170, "<m>", "<f>")
    frame["country"] = "NL"
    frame.loc[7, ["height", "weight"]] = [250.0, 70.0]
    frame.loc[9, "weight"] = np.nan
    vae = recipes.table_vae(frame, seed=0)
    vae.fit(frame, epochs=3, verbose=0)
    path = tmp_path_factory.mktemp("report") / "report.html"
    numbers = report.write(path, vae, frame, history=HISTORY, num_samples=10, title="People")
    return path, numbers, vae, frame


def test_the_page_of_a_table_shows_its_columns_and_its_strangest_rows(browser, table_page):
    browser.get_log("browser")
    browser.get(table_page[0].as_uri())
    assert browser.get_log("browser") == []
    headings = [heading.text for heading in browser.find_elements("css selector", "h2")]
    assert headings[:4] == ["Numbers", "Columns", "Real and generated rows", "Strangest rows"]
    text = find(browser, "main").text
    assert "2 classes: '<f>', '<m>'" in text
    assert "always 'NL'; left out of the model" in text
    rows = browser.find_elements("css selector", ".cells tbody tr")
    assert rows[0].text.split() == ["7", "250", "70", "<m>"]
    assert len(rows) == 15
    images = browser.find_elements("css selector", "img")
    assert all(browser.execute_script("return arguments[0].naturalWidth", i) for i in images)
    assert len(images) == 2


def test_the_strangest_cell_is_the_darkest(browser, table_page):
    browser.get(table_page[0].as_uri())
    shades = [
        float(browser.execute_script("return arguments[0].style.getPropertyValue('--shade')", cell))
        for cell in browser.find_elements("css selector", ".cells td")
    ]
    strangeness = table_page[2].explain(table_page[3])["height"]
    expected = (strangeness[7] - strangeness.mean()) / strangeness.std(ddof=0)
    assert shades[0] == pytest.approx(np.clip(expected / 6, 0, 1), abs=0.006)
    assert max(shades) == shades[0]


def test_a_gap_among_the_strangest_rows_is_grey(tmp_path, table_page):
    vae, frame = table_page[2:]
    rows = pl.DataFrame(frame.iloc[[7, 9]].to_dict("list"), nan_to_null=True)
    report.write(tmp_path / "r.html", vae, rows, num_samples=5)
    text = (tmp_path / "r.html").read_text()
    assert text.count('title="a gap"') == 1
    assert text.count('class="gap"') == 1


def test_the_numbers_of_a_table_are_in_its_own_units(table_page):
    path, numbers, vae, frame = table_page
    assert numbers["elbo"] == pytest.approx(vae.elbo(frame).mean(), rel=1e-5)
    assert "bits_per_dim" not in numbers
    assert "120 rows of 4 columns" in path.read_text()


def test_a_table_can_be_read_on_a_phone(browser, table_page):
    metrics = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(table_page[0].as_uri())
    try:
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def overflow(browser, page, width):
    """By how many pixels a page is wider than a window."""
    metrics = {"width": width, "height": 740, "deviceScaleFactor": 2, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(page.as_uri())
    try:
        return browser.execute_script("return document.documentElement.scrollWidth") - width
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def darkness(browser, scheme):
    """The red of the background and of the letters, from 0 to 255."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    style = "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
    return [int(re.search(r"\d+", text)[0]) for text in browser.execute_script(style)]


@pytest.fixture(scope="module")
def sequence_page(tmp_path_factory):
    """A report of a model of tokens, with labels that are texts."""
    tokens, topics = datasets.TopicChains(num_steps=8).sample(40)
    vae = keras_vae.VAE(
        networks.recurrent_encoder((8, 1), num_classes=8, units=8),
        networks.dense_decoder(2, (8, 8), units=(8,)),
        likelihood=likelihoods.Categorical(8),
    )
    path = tmp_path_factory.mktemp("report") / "report.html"
    labels = np.array(["news", "sport", "weather", "people"])[topics]
    report.write(path, vae, tokens, labels, num_samples=5)
    return path


def test_sequences_are_shown_with_their_reconstructions(browser, sequence_page):
    assert sequence_page.stat().st_size < 5_000_000
    browser.get_log("browser")
    assert overflow(browser, sequence_page, 390) <= 0
    assert overflow(browser, sequence_page, 1400) <= 0
    assert browser.get_log("browser") == []
    headings = [heading.text for heading in browser.find_elements("css selector", "h3")]
    assert headings == ["Sequences", "Samples"]
    images = browser.find_elements("css selector", "img.wide")
    assert all(browser.execute_script("return arguments[0].naturalWidth", i) for i in images)
    assert len(images) == 2


def test_the_page_is_dark_where_the_reader_prefers_that(browser, sequence_page):
    browser.get(sequence_page.as_uri())
    assert darkness(browser, "light") == [255, 28]
    background, ink = darkness(browser, "dark")
    assert (background < 40, ink > 200) == (True, True)
    darkness(browser, "light")


def test_labels_may_be_texts(page, tmp_path, browser):
    _, _, vae, x = page
    labels = np.array(["cat", "dog", "emu"])[np.arange(len(x)) % 3]
    report.write(tmp_path / "r.html", vae, x, labels.tolist(), num_samples=2)
    browser.get((tmp_path / "r.html").as_uri())
    names = [item.text for item in browser.find_elements("css selector", ".legend li")]
    assert names == ["cat", "dog", "emu"]
    circles = browser.find_elements("css selector", "#points circle")
    assert [c.get_attribute("class") for c in circles[:4]] == ["c0", "c1", "c2", "c0"]


def test_conditional_models_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"`vae`.*Received"):
        report.write(
            tmp_path / "r.html", recipes.conditional_vae((4, 4, 1), 3, 2), np.zeros((5, 4))
        )
    assert not list(tmp_path.iterdir())
