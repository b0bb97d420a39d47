import pathlib
import re
import sys

import keras
import pytest

HERE = pathlib.Path(__file__).parent
LIBRARY = str(HERE.parent / "keras_vae")
# by import, or by what they start: strategies, and the examples, some of which have one
OF_TENSORFLOW = (
    '^ *(import|from) tensorflow|^from reference|replicas_worker|cluster_worker|/ "examples"'
)
collect_ignore = []
if keras.backend.backend() != "tensorflow":
    collect_ignore = [
        path.name
        for path in sorted(HERE.glob("test_*.py"))
        if re.search(OF_TENSORFLOW, path.read_text(), re.M)
    ]


if keras.backend.backend() == "torch":
    import torch

    to_array = torch.Tensor.__array__

    def array(self, *args, **kw):
        """Tests compare values, gradient or not. To the library tensors are as those of a GPU."""
        caller = sys._getframe(1)
        while "numpy" in caller.f_globals.get("__name__", ""):
            caller = caller.f_back
        if caller.f_code.co_filename.startswith(LIBRARY):
            raise TypeError("NumPy takes no tensor of a GPU: ops.convert_to_numpy does")
        return to_array(self.detach().cpu(), *args, **kw)

    torch.Tensor.__array__ = array


def pytest_report_header():
    if collect_ignore:
        return f"left out, as they are of TensorFlow: {', '.join(collect_ignore)}"


@pytest.fixture(scope="session")
def fashion_mnist():
    """(training images, test images), float32 (N, 28, 28, 1) in [0, 1]."""
    try:
        (x_train, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
    except Exception as error:
        pytest.skip(f"Fashion-MNIST is neither in KERAS_HOME nor to be downloaded: {error}")
    return tuple(x[..., None].astype("float32") / 255 for x in (x_train, x_test))
