"""Every recipe on the same images: reconstructions and samples for the gallery, and a table.

    python benchmarks/gallery.py
    python benchmarks/gallery.py --only vae vq_vae --output runs/gallery

Protocol: the first 6,000 training images of Fashion-MNIST, batches of 128, Adam at 2e-3 falling
along a cosine, one seed; 10 latents where the recipe has a `latent_dim`. The negative ELBO (beta =
1, without penalties) and its KL are means over the first 1,000 test images, in nats; only rows of
one likelihood compare. Samples of quantised models are drawn after `fit_prior` has fitted a prior
to their codes, which the ELBO of the table does not use. A picture has ten test images in its
first row, their reconstructions below, and twenty samples below these.

The recipes are those of `keras_vae.recipes`. A recipe that needs more than the shape of an image
is made by a function in `MADE`; one that has no picture is in `NOT_SHOWN` with the reason. A run
that was stopped continues where it was: it leaves out recipes whose row is in the output folder.
After each recipe its picture and its numbers are written into `docs/gallery.md`.
"""

import argparse
import inspect
import json
import pathlib
import re
import time

import keras
import numpy as np

from keras_vae import likelihoods, quantized, recipes

SHAPE = (28, 28, 1)
IMAGES = 6_000
LATENTS = 10
LARGEST_CODEBOOK = 1024
NOT_SHOWN = {
    "fitting_networks": "makes networks and no model",
    "table_vae": "takes tables; its pictures are on the pages about tables",
}
MADE = {
    "annealed_vae": lambda: recipes.annealed_vae(
        SHAPE, LATENTS, gamma=30.0, capacity=15.0, steps=300
    ),
    "beta_tc_vae": lambda: recipes.beta_tc_vae(SHAPE, IMAGES, LATENTS, beta=4.0),
    "conditional_vae": lambda: recipes.conditional_vae(SHAPE, 10, LATENTS),
    "bsq_vae": lambda: recipes.bsq_vae(SHAPE, filters=(32, 64)),
    "fsq_vae": lambda: recipes.fsq_vae(SHAPE, filters=(32, 64)),
    "lfq_vae": lambda: recipes.lfq_vae(SHAPE, filters=(32, 64)),
    "kl_autoencoder": lambda: recipes.kl_autoencoder(SHAPE, filters=(32, 64)),
    "miwae": lambda: recipes.miwae(SHAPE, LATENTS, likelihoods.Bernoulli(), num_samples=5),
    "rvq_vae": lambda: recipes.rvq_vae(SHAPE, filters=(32, 64)),
    "vamp_vae": lambda: recipes.vamp_vae(SHAPE, LATENTS, num_components=100),
    "vq_vae": lambda: recipes.vq_vae(SHAPE, filters=(32, 64)),
}
RATES = {"hyperspherical_vae": 5e-4}  # at 2e-3 it collapses
HEADER = ("recipe", "-ELBO", "KL", "likelihood", "CPU s")
PAGE = pathlib.Path(__file__).parents[1] / "docs" / "gallery.md"
CARD = """![Test images, reconstructions and samples of {recipe}](images/gallery/{recipe}.webp)

A negative ELBO of {-ELBO} nats, of which {KL} are the KL (likelihood {likelihood}, {CPU s} s)."""


def names():
    """The recipes of the gallery, new ones too."""
    return [name for name in recipes.__all__ if name not in NOT_SHOWN]


def make(name):
    """The model of a recipe for these images."""
    if name in MADE:
        return MADE[name]()
    recipe = getattr(recipes, name)
    arguments = inspect.signature(recipe).parameters
    return recipe(SHAPE, **{"latent_dim": LATENTS} if "latent_dim" in arguments else {})


def data(vae, images, labels):
    """Images in [0, 1], with their classes where the model takes a condition."""
    x = images[..., None].astype("float32") / 255
    return {"x": x, "condition": labels} if vae.condition_dim else x


def train(name, train_set, epochs):
    """The trained model, and the CPU seconds that it took."""
    keras.utils.set_random_seed(0)
    vae = make(name)
    steps = epochs * -(-len(train_set[0]) // 128)
    rate = keras.optimizers.schedules.CosineDecay(RATES.get(name, 2e-3), steps, alpha=0.02)
    vae.compile(keras.optimizers.Adam(rate))
    start = time.process_time()
    vae.fit(data(vae, *train_set), epochs=epochs, batch_size=128, verbose=2)
    return vae, time.process_time() - start


def for_samples(vae, train_set, epochs):
    """The model to draw from: a quantised one needs a prior that is fitted to its codes."""
    posterior = vae.posterior
    is_quantized = isinstance(posterior, quantized.Quantizer)
    if not is_quantized or posterior.num_codes > LARGEST_CODEBOOK:
        return vae
    prior = quantized.AutoregressiveCodes(posterior.length, posterior.num_codes)
    options = {"epochs": epochs, "batch_size": 128, "verbose": 2}
    return vae.fit_prior(data(vae, *train_set), prior, learning_rate=2e-3, **options)


def samples(vae):
    """Twenty new images, two of each class where the model takes a condition."""
    condition = np.arange(20) % 10 if vae.condition_dim else None
    return vae.generate(20, seed=0, condition=condition)


def tiled(images, gap=2):
    """Images (N, 28, 28, 1) as one of 10 columns, black, with a small gap between them."""
    padded = np.pad(images[..., 0], ((0, 0), (gap, 0), (gap, 0)))
    rows = padded.reshape(-1, 10, *padded.shape[1:])
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


def picture(vae, drawn, test_set, path):
    """Saves test images, their reconstructions and samples as one small picture."""
    from matplotlib import pyplot

    images, labels = (part[:10] for part in test_set)
    seen = images[..., None] / 255.0
    reconstructed = vae.predict(data(vae, images, labels), verbose=0)
    parts = [tiled(np.concatenate([seen, reconstructed])), tiled(drawn)]
    white = np.ones((6, parts[0].shape[1]))
    whole = np.clip(np.concatenate([parts[0], white, parts[1]]), 0, 1)
    double = whole.repeat(2, axis=0).repeat(2, axis=1)
    options = {"quality": 45, "method": 6}
    pyplot.imsave(path, np.dstack([double] * 3), format="webp", pil_kwargs=options)


def run(name, train_set, test_set, arguments):
    """One row of the table; saves the picture."""
    vae, seconds = train(name, train_set, arguments.epochs)
    x_test = data(vae, *test_set)
    logs = vae.evaluate(x_test, batch_size=500, verbose=0, return_dict=True)
    drawn = samples(for_samples(vae, train_set, arguments.prior_epochs))
    picture(vae, drawn, test_set, arguments.pictures / f"{name}.webp")
    return {
        "recipe": name,
        "-ELBO": f"{-vae.elbo(x_test, batch_size=500).mean():.1f}",
        "KL": f"{logs['kl_loss']:.1f}",
        "likelihood": type(vae.likelihood).__name__,
        "CPU s": f"{seconds:.0f}",
    }


def table(rows):
    """The rows as a table in Markdown."""
    lines = [HEADER, ["---"] * len(HEADER), *(row.values() for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(rows, page):
    """Writes pictures and numbers between the comments of the page that mark their places."""
    made = {row["recipe"]: CARD.format_map(row) for row in rows} | {"numbers": table(rows)}
    text = page.read_text(encoding="utf-8")
    for name, lines in made.items():
        begin, end = f"<!-- made: {name} -->", "<!-- end -->"
        pattern = f"{re.escape(begin)}.*?{end}"
        text = re.sub(pattern, lambda _: f"{begin}\n\n{lines}\n\n{end}", text, flags=re.S)  # noqa: B023
    page.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--prior-epochs", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=names(), choices=names())
    parser.add_argument("--pictures", type=pathlib.Path, default="docs/images/gallery")
    parser.add_argument("--output", type=pathlib.Path, default="runs/gallery")
    arguments = parser.parse_args()
    for folder in (arguments.pictures, arguments.output):
        folder.mkdir(parents=True, exist_ok=True)
    train_set, test_set = keras.datasets.fashion_mnist.load_data()
    train_set = tuple(part[:IMAGES] for part in train_set)
    test_set = tuple(part[:1000] for part in test_set)
    files = {name: arguments.output / f"{name}.json" for name in names()}
    for name in arguments.only:
        if not files[name].exists():
            files[name].write_text(json.dumps(run(name, train_set, test_set, arguments)))
        rows = [json.loads(file.read_text()) for file in files.values() if file.exists()]
        write(rows, PAGE)
    print(table(rows))


if __name__ == "__main__":
    main()
