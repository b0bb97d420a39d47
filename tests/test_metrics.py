import numpy as np
import pytest

from keras_vae import metrics


def test_means_are_weighted_over_all_batches():
    rng = np.random.default_rng(0)
    loss, kl, weights = rng.random((3, 10)).astype("float32")
    means = metrics.WeightedMeans(["loss", "kl_loss"])
    for rows in (slice(0, 7), slice(7, 10), slice(0, 0)):
        means.update_state((loss[rows], kl[rows]), weights[rows])
    found = {name: float(value) for name, value in means.result().items()}
    assert list(found) == ["loss", "kl_loss"]
    assert found["loss"] == pytest.approx(np.average(loss, weights=weights), rel=1e-6)
    assert found["kl_loss"] == pytest.approx(np.average(kl, weights=weights), rel=1e-6)
    means.reset_state()
    assert [float(value) for value in means.result().values()] == [0.0, 0.0]
