"""Fills the gaps of a table with numbers, a class and a count, and compares with the truth."""

import numpy as np

import keras_vae
from keras_vae import likelihoods

rng = np.random.default_rng(0)
size = rng.normal(size=(4000, 1))
numbers = size * [[1.0, -0.5]] + 0.2 * rng.normal(size=(4000, 2))
kind = (size > 0) + (size > 1)  # class 0, 1 or 2
count = rng.poisson(np.exp(1.0 + 0.7 * size))
x = np.concatenate([numbers, kind, count], axis=1).astype("float32")
observed = rng.random(x.shape) > 0.3

table = likelihoods.Mixed(
    [likelihoods.Normal("per_feature"), likelihoods.Categorical(3), likelihoods.Poisson()],
    columns=[2, 1, 1],
)
vae = keras_vae.recipes.miwae((4,), latent_dim=2, likelihood=table)
vae.compile("adam")
gaps = np.where(observed, x, np.nan)
vae.fit({"x": gaps, "mask": observed}, epochs=10, batch_size=64)
filled = vae.impute(gaps, observed)
for column, name in enumerate(["first number", "second number", "class", "count"]):
    missing = ~observed[:, column]
    error = np.abs(filled - x)[missing, column].mean()
    usual = np.abs(np.nanmedian(gaps[:, column]) - x[missing, column]).mean()
    print(f"{name:14} mean error {error:.2f}, of the median {usual:.2f}")
