import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import flows

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(0)
MAKERS = {
    "Planar": flows.Planar,
    "Coupling": lambda: flows.Coupling(8),
    "Autoregressive": lambda: flows.Autoregressive(8),
}
INVERTIBLE = ["Coupling", "Autoregressive"]
CASES = [(name, dim, context) for name in MAKERS for dim in (1, 2, 5) for context in (None, 3)]


def made(name, dim, context, scale=0.7):
    """A flow of random weights, and a context."""
    flow = MAKERS[name]()
    flow.build((None, dim), None if context is None else (None, context))
    flow.set_weights([scale * RNG.normal(size=w.shape) for w in flow.get_weights()])
    return flow, None if context is None else RNG.normal(size=(6, context)).astype("float32")


def codes(dim):
    return tf.constant(RNG.normal(size=(6, dim)), "float32")


def jacobian(flow, z, context):
    with tf.GradientTape() as tape:
        tape.watch(z)
        out, _ = flow.forward_and_log_det(z, context)
    return tape.batch_jacobian(out, z).numpy()


@pytest.mark.parametrize(("name", "dim", "context"), CASES)
def test_the_log_determinant_is_that_of_the_jacobian(name, dim, context):
    (flow, c), z = made(name, dim, context), codes(dim)
    expected = np.linalg.slogdet(jacobian(flow, z, c).astype("float64"))[1]
    np.testing.assert_allclose(flow.forward_and_log_det(z, c)[1], expected, atol=1e-4)


@pytest.mark.parametrize(("name", "dim", "context"), [c for c in CASES if c[0] in INVERTIBLE])
def test_the_inverse_inverts(name, dim, context):
    (flow, c), z = made(name, dim, context, scale=0.3), codes(dim)
    out, change = flow.forward_and_log_det(z, c)
    back, change_back = flow.inverse_and_log_det(out, c)
    np.testing.assert_allclose(back, z, atol=1e-4)
    np.testing.assert_allclose(change + change_back, np.zeros(6), atol=1e-4)


def test_each_dimension_of_an_autoregressive_flow_sees_those_before_it_only():
    (flow, c), z = made("Autoregressive", 5, 3), codes(5)
    matrix = jacobian(flow, z, c)
    assert np.all(matrix[:, *np.triu_indices(5, 1)] == 0)
    assert np.all(np.abs(matrix[:, *np.tril_indices(5)]).max(0) > 0)


def test_a_chain_reverses_and_inverts():
    names = ["Coupling", "Autoregressive", "Coupling"]
    chain, z = [made(name, 3, None, scale=0.3)[0] for name in names], codes(3)
    out, change = flows.forward(chain, z)
    back, change_back = flows.inverse(chain, out)
    np.testing.assert_allclose(back, z, atol=1e-4)
    np.testing.assert_allclose(change + change_back, np.zeros(6), atol=1e-4)
    with tf.GradientTape() as tape:
        tape.watch(z)
        out, change = flows.forward(chain, z)
    expected = np.linalg.slogdet(tape.batch_jacobian(out, z).numpy())[1]
    np.testing.assert_allclose(change, expected, atol=1e-4)
    np.testing.assert_array_equal(flows.forward([], z)[0], z)


def test_draws_share_the_context_of_their_example():
    (flow, c), z = made("Autoregressive", 3, 2), RNG.normal(size=(4, 6, 3)).astype("float32")
    together, change = flow.forward_and_log_det(z, c)
    for k in range(4):
        alone, alone_change = flow.forward_and_log_det(z[k], c)
        np.testing.assert_allclose(together[k], alone, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(change[k], alone_change, rtol=1e-5, atol=1e-6)


def test_a_planar_flow_stays_invertible_where_its_weights_would_fold_it():
    flow, _ = made("Planar", 1, None)
    flow.parameters_layer.set_weights([np.zeros((1, 3)), np.float32([-5.0, 3.0, 0.2])])
    line = np.linspace(-3, 3, 2001, dtype="float32")[:, None]
    out, change = flow.forward_and_log_det(line)
    assert np.all(np.diff(keras.ops.convert_to_numpy(out)[:, 0]) > 0)
    assert np.isfinite(change).all()
