"""An accelerator's limit: products of two matrices, in what JAX takes there for float32."""

import jax
import jax_loop

SIZE, PRODUCTS = 8192, 20
OPERATIONS = PRODUCTS * 2 * SIZE**3  # of an epoch
device = jax_loop.device


def prepare(x, batch):
    a, b = jax.random.normal(jax.random.key(0), (2, SIZE, SIZE))
    multiply = jax.jit(jax.numpy.matmul)

    def epoch():
        for _ in range(PRODUCTS):
            product = multiply(a, b)
        jax.block_until_ready(product)

    return epoch
