"""A small conditional model, computed one draw of one row at a time with NumPy and SciPy."""

import keras
import numpy as np
from checks import small_vae
from keras import ops
from scipy import special, stats

from keras_vae import priors
from keras_vae.batch import unpack

RNG = np.random.default_rng(0)
B, F, D, C = 5, 6, 2, 4
X = RNG.integers(0, 2, (B, F)).astype("float32")
MASK = RNG.random((B, F)) > 0.4
CONDITION = np.arange(B) % C
ONE_HOT = np.eye(C, dtype="float32")[CONDITION]
MASKS = {"all": np.ones((B, F), "bool"), "mask": MASK}


def conditional(**parts):
    """A model whose encoder, decoder and prior take a condition, with random weights."""
    vae = small_vae((F,), latent_dim=D, prior=priors.ConditionalNormal(C), **parts)
    rng = np.random.default_rng(1)
    for weight in vae.trainable_weights:
        weight.assign(0.7 * rng.normal(size=weight.shape))
    return vae


def data(mask=None, **more):
    """What the methods of the model take."""
    batch = {"x": X, "condition": CONDITION, **more}
    return batch if mask is None else batch | {"mask": mask}


def batch_of(vae, mask=None, **more):
    """The same as a `Batch`."""
    return unpack(data(mask, **more), vae.likelihood, C)


def arrays(tensors):
    """Tensors as float64 arrays."""
    return keras.tree.map_structure(lambda a: ops.convert_to_numpy(a).astype("float64"), tensors)


def one(layer, *inputs):
    """What a layer gives for one row."""
    inputs = [np.float32(a)[None] for a in inputs]
    return arrays(layer(inputs if len(inputs) > 1 else inputs[0]))[0]


def logits_of(vae, z):
    """The decoder's output for draws (K, B, D), one at a time."""
    return np.array([[one(vae.decoder, row[b], ONE_HOT[b]) for b in range(B)] for row in z])


def prior_of(vae, b):
    """The prior of row b."""
    layers = vae.prior.mean_layer, vae.prior.log_variance_layer
    mean, log_variance = (one(layer, ONE_HOT[b]) for layer in layers)
    return stats.norm(mean, np.exp(0.5 * log_variance))


def posterior_of(q, b):
    """The posterior of row b."""
    return stats.norm(q["mean"][b], np.exp(0.5 * q["log_variance"][b]))


def log_likelihood(vae, z, mask):
    """log p(x_b | z_kb, c_b) of what is observed, (K, B)."""
    log_p = stats.bernoulli(special.expit(logits_of(vae, z))).logpmf(X)
    return np.stack([log_p[:, b, mask[b]].sum(-1) for b in range(B)], axis=1)


def log_prior(vae, z):
    """log p(z_kb | c_b), (K, B)."""
    return np.stack([prior_of(vae, b).logpdf(z[:, b]).sum(-1) for b in range(B)], axis=1)


def log_posterior(q, z):
    """log q(z_kb | x_b, c_b), (K, B)."""
    return np.stack([posterior_of(q, b).logpdf(z[:, b]).sum(-1) for b in range(B)], axis=1)


def log_weights(vae, z, q, mask):
    """log p(x_b, z_kb | c_b) - log q(z_kb | x_b, c_b), (K, B)."""
    return log_likelihood(vae, z, mask) + log_prior(vae, z) - log_posterior(q, z)
