"""The library converts no torch tensor with NumPy itself, which fails for those of a GPU."""

import pathlib
import sys

import keras
import numpy as np
import pytest
from checks import small_vae

import keras_vae

pytestmark = [
    pytest.mark.backends,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="about tensors of torch"),
]
LIBRARY = str(pathlib.Path(keras_vae.__file__).parent)
X = np.random.default_rng(0).random((12, 4)).astype("float32")


def as_on_a_gpu():
    """A context in which a tensor that the library gives to NumPy is an error."""
    import torch

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is torch.Tensor.__array__ and first_caller().startswith(LIBRARY):
                raise TypeError("NumPy takes no tensor of a GPU: ops.convert_to_numpy does")
            return function(*args, **(kwargs or {}))

    return Mode()


def first_caller():
    """The file of the code that called NumPy or torch."""
    frame = sys._getframe(2)
    while frame.f_globals.get("__name__", "").partition(".")[0] in ("numpy", "torch", __name__):
        frame = frame.f_back
    return frame.f_code.co_filename


CALLS = {
    "fit": lambda vae: vae.fit(X, validation_data=X, verbose=0),
    "evaluate": lambda vae: vae.evaluate(X, verbose=0),
    "predict": lambda vae: vae.predict(X, verbose=0),
    "encode": lambda vae: vae.encode(X),
    "decode": lambda vae: vae.decode(np.zeros((3, 2), "float32")),
    "generate": lambda vae: vae.generate(3, sample=True),
    "interpolate": lambda vae: vae.interpolate(X[0], X[1], 3),
    "elbo": lambda vae: vae.elbo(X),
    "log_likelihood": lambda vae: vae.log_likelihood(X, num_samples=3),
    "anomaly_score": lambda vae: vae.anomaly_score(X),
    "impute": lambda vae: vae.impute({"x": X, "mask": X > 0.5}),
    "diagnose": lambda vae: vae.diagnose(X),
    "train_on_batch": lambda vae: vae.train_on_batch(X),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_method_gives_a_tensor_to_numpy(name):
    vae = small_vae((4,), prior=keras_vae.priors.NormalMixture(3))
    with as_on_a_gpu():
        CALLS[name](vae)


def test_the_context_notices_what_it_forbids():
    import torch

    code = compile("numpy.asarray(tensor)", f"{LIBRARY}/anywhere.py", "eval")
    names = {"__name__": "keras_vae.anywhere", "numpy": np, "tensor": torch.ones(3)}
    with as_on_a_gpu(), pytest.raises(TypeError, match="GPU"):
        eval(code, names)  # noqa: S307 (its own code, with a file name of the library)
