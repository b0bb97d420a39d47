"""What all posteriors share."""

import keras

from keras_vae.part import Part


class Posterior(Part):
    """Base of posteriors: a layer from features (B, F) to parameters `q`, a dict of tensors.

    A subclass has `latent_dim` and gives `call`, `mean`, `sample` and `log_prob`.
    """

    space = "real"
    """Where its codes are; that of the prior must be equal."""
    frozen = False
    """Whether training leaves alone what it learns without a gradient; `fit_prior` sets it."""

    def default_prior(self):
        """The parameter-free prior for its codes, or None for the standard one of its space."""
        return None

    def observe(self, q):
        """Updates the metrics of its own, once a step."""

    def mean(self, q):
        """One code an example that stands for q, (B, D)."""
        raise NotImplementedError

    def sample(self, q, num_samples, seed):
        """`num_samples` reparameterised draws an example, (K, B, D)."""
        raise NotImplementedError

    def log_prob(self, q, z):
        """log q(z|x) in nats, (K, B); any leading axes of z before (B, D)."""
        raise NotImplementedError

    def log_prob_of_each(self, q, z):
        """log q(z|x_m) in nats, (…, M): each z of (…, D) under each of a batch of M."""
        return self.log_prob(q, z[..., None, :])

    def draw(self, q, num_samples, seed, step=None):
        """Draws (K, B, D) and their log q(z|x), (K, B).

        Args:
            step: the optimizer's step in training, None in evaluation.
        """
        z = self.sample(q, num_samples, seed)
        return z, self.log_prob(q, z)

    def _dense(self, units, features_shape, name, **options):
        if len(features_shape) != 2:
            raise ValueError(
                "The encoder must return one vector of features an example, (B, F), because the "
                "posterior is linear in it; end the encoder with `keras.layers.Flatten()`. "
                f"Received: encoder output shape={tuple(features_shape)}"
            )
        layer = keras.layers.Dense(units, dtype=self.dtype_policy, name=name, **options)
        layer.build(features_shape)
        return layer
