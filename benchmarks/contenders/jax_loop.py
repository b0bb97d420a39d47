"""A training loop by hand in JAX: one jitted step, with Adam written out."""

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp

NUMBERS = ("NHWC", "HWIO", "NHWC")


def initial(key):
    shapes = {
        "c1": (3, 3, 1, 32),
        "c2": (3, 3, 32, 64),
        "d1": (3136, 16),
        "d2": (16, 4),
        "d3": (2, 3136),
        "t1": (3, 3, 64, 64),
        "t2": (3, 3, 64, 32),
        "t3": (3, 3, 32, 1),
    }
    weights = {}
    for name, shape in shapes.items():
        key, own = jax.random.split(key)
        scale = np.sqrt(2.0 / (np.prod(shape[:-1]) + 9 * shape[-1]))
        weights[name] = (scale * jax.random.normal(own, shape), jnp.zeros(shape[-1]))
    return weights


def encode(w, x):
    for name in ("c1", "c2"):
        x = lax.conv_general_dilated(x, w[name][0], (2, 2), "SAME", dimension_numbers=NUMBERS)
        x = jax.nn.relu(x + w[name][1])
    x = x.reshape(len(x), -1) @ w["d1"][0] + w["d1"][1]
    return jnp.split(x @ w["d2"][0] + w["d2"][1], 2, axis=1)


def decode(w, z):
    x = jax.nn.relu(z @ w["d3"][0] + w["d3"][1]).reshape(-1, 7, 7, 64)
    for name, stride in (("t1", 2), ("t2", 2), ("t3", 1)):
        strides = (stride, stride)
        x = lax.conv_transpose(x, w[name][0], strides, "SAME", dimension_numbers=NUMBERS)
        x = x + w[name][1] if name == "t3" else jax.nn.relu(x + w[name][1])
    return x


def loss(w, x, key):
    mean, log_variance = encode(w, x)
    logits = decode(w, mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape))
    entropy = jax.nn.softplus(logits) - x * logits
    kl = 0.5 * jnp.sum(mean**2 + jnp.exp(log_variance) - log_variance - 1.0, axis=1)
    return jnp.mean(jnp.sum(entropy, axis=(1, 2, 3)) + kl)


@jax.jit
def step(state, data, rows):
    w, m, v, t, key = state
    key, own = jax.random.split(key)
    gradient = jax.grad(loss)(w, data[rows], own)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
    rate = 1e-3 * jnp.sqrt(1 - 0.999 ** (t + 1)) / (1 - 0.9 ** (t + 1))
    w = jax.tree.map(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), w, m, v)
    return w, m, v, t + 1, key


def device():
    return str(jax.devices()[0])


def prepare(x, batch):
    w = initial(jax.random.key(0))
    zeros = jax.tree.map(jnp.zeros_like, w)
    state, rng = [(w, zeros, zeros, 0.0, jax.random.key(1))], np.random.default_rng(0)
    data = jnp.asarray(x)

    def epoch():
        rows = rng.permutation(len(x))
        for i in range(0, len(x) - batch + 1, batch):
            state[0] = step(state[0], data, rows[i : i + batch])
        jax.block_until_ready(state[0])

    return epoch
