import keras
import pytest


def pytest_collection_modifyitems(config, items):
    """Leaves out the tests that are about TensorFlow, where another backend is in use."""
    if keras.backend.backend() == "tensorflow":
        return
    others = [item for item in items if item.get_closest_marker("tensorflow")]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if not item.get_closest_marker("tensorflow")]


@pytest.fixture(scope="session")
def fashion_mnist():
    """(training images, test images), float32 (N, 28, 28, 1) in [0, 1]."""
    try:
        (x_train, _), (x_test, _) = keras.datasets.fashion_mnist.load_data()
    except Exception as error:
        pytest.skip(f"Fashion-MNIST is neither in KERAS_HOME nor to be downloaded: {error}")
    return tuple(x[..., None].astype("float32") / 255 for x in (x_train, x_test))
