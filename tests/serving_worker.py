"""What a served model is asked, on the backend that KERAS_BACKEND names.

`serving_worker.py FOLDER write` makes a file of every recipe; `serving_worker.py FOLDER answer`
calls every method of every model in FOLDER, and writes what came to FOLDER/BACKEND.npz.
"""

import pathlib
import sys
import traceback

import keras
import numpy as np

BACKEND = keras.backend.backend()


class Refused:
    """Finds no training framework: whoever imports another than this backend's fails."""

    def find_spec(self, name, path=None, target=None):
        if name in {"tensorflow", "torch"} - {BACKEND}:
            raise ImportError(f"{name} was imported on {BACKEND}")


sys.meta_path.insert(0, Refused())

import keras_vae  # noqa: E402

ROWS, CLASSES = 7, 4
BATCH = {"batch_size": 4}  # a whole batch, and one of 3


def models():
    """Functions that make a small model of each recipe, and of what no recipe has."""
    from test_recipes import PAPERS

    from keras_vae import networks, recipes

    shape = (9, 8, 3)
    others = {
        "linear_vae": lambda: recipes.linear_vae((6,), 2),
        "tutorial_vae": recipes.tutorial_vae,
        "images": lambda: keras_vae.VAE(
            networks.image_encoder(shape, (4, 8)), networks.image_decoder(3, shape, (4, 8))
        ),
    }
    return PAPERS | others


def write(folder):
    for name, make in models().items():
        keras.utils.set_random_seed(0)
        vae = make()
        vae.compile("adam")
        vae.save(folder / f"{name}.keras")


def examples(vae):
    """Examples of 0 and 1, with a condition where the model takes one."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (ROWS, *vae.x_shape)).astype("float32")
    x.reshape(ROWS, -1)[:, 0] = 1.0  # zeros alone would make the classes of a code equally probable
    return {"x": x, "condition": np.arange(ROWS) % CLASSES} if vae.condition_dim else x


def questions(vae):
    """Functions of no arguments by name; those after "random" draw noise, which differs."""
    given = examples(vae)
    x = given["x"] if vae.condition_dim else given
    of_one = {"condition": 1} if vae.condition_dim else {}
    first, last = ({"x": x[i], "condition": i} if of_one else x[i] for i in (0, 1))
    z = np.random.default_rng(1).normal(size=(ROWS, vae.latent_dim)).astype("float32")
    exact = "" if vae.posterior.deterministic or has_points(vae) else "random "
    asked = {
        "encode": lambda: vae.encode(given, **BATCH),
        "infer": lambda: vae.infer(given, **BATCH),
        "predict": lambda: vae.predict(given, verbose=0, **BATCH),
        "predict_on_batch": lambda: vae.predict_on_batch(given),
        "decode": lambda: vae.decode(z, **of_one, **BATCH),
        "interpolate": lambda: vae.interpolate(first, last, 3, **of_one),
        f"{exact}elbo": lambda: vae.elbo(given, **BATCH),
        f"{exact}anomaly_score": lambda: vae.anomaly_score(given),
        f"{exact}explain": lambda: vae.explain(given, **BATCH),
        "random diagnose": lambda: vae.diagnose(given, **BATCH),
        "random encode": lambda: vae.encode(given, sample=True, seed=1),
        "random decode": lambda: vae.decode(z, sample=True, seed=1, **of_one),
        "random generate": lambda: vae.generate(5, seed=1, **of_one),
        "random generate sample": lambda: vae.generate(5, sample=True, temperature=0.8, **of_one),
        "random log_likelihood": lambda: vae.log_likelihood(given, num_samples=60, **BATCH),
        "random impute": lambda: vae.impute(given, x > 0.5, num_samples=20),
        "random evaluate": lambda: vae.evaluate(given, verbose=0, return_dict=True, **BATCH),
        "random encode many": lambda: vae.encode(given, sample=True, batch_size=3),
        "random test_on_batch": lambda: vae.test_on_batch(given, return_dict=True),
    }
    if isinstance(vae.posterior, keras_vae.quantized.Quantizer):
        asked["tokens"] = lambda: vae.tokens(given, **BATCH)
        asked["from_tokens"] = lambda: vae.from_tokens(vae.tokens(given))
    if hasattr(vae, "encode_latents"):
        asked["encode_latents"] = lambda: vae.encode_latents(given)
    return asked


def has_points(vae):
    """Whether the draws for scores come from fixed points, the same on every backend."""
    posterior = keras_vae.posteriors
    return isinstance(vae.posterior, posterior.DiagonalNormal)


def answer(folder):
    found = {}
    for path in sorted(folder.glob("*.keras")):
        vae = keras_vae.load_model(path)
        for question, ask in questions(vae).items():
            try:
                values = ask()
            except Exception:
                values = {"error": traceback.format_exc()}
            for key, value in (values if isinstance(values, dict) else {"": values}).items():
                found[f"{path.stem}|{question}|{key}"] = np.asarray(value)
    np.savez(folder / f"{BACKEND}.npz", **found)


if __name__ == "__main__":
    {"write": write, "answer": answer}[sys.argv[2]](pathlib.Path(sys.argv[1]))
