"""Fills the gaps of a table of numbers, a class and a count, and compares with the optimum."""

import numpy as np

import keras_vae
from keras_vae import likelihoods

rng = np.random.default_rng(0)
slope, spread = np.array([1.0, -0.5]), 0.2
size = rng.normal(size=(4000, 1))  # hidden; all columns depend on it
numbers = size * slope + spread * rng.normal(size=(4000, 2))
kind = (size > 0) + (size > 1).astype(int)  # class 0, 1 or 2
count = rng.poisson(np.exp(1.0 + 0.7 * size))
x = np.concatenate([numbers, kind, count], axis=1).astype("float32")
observed = rng.random(x.shape) > 0.3
gaps = np.where(observed, x, np.nan)

table = likelihoods.Mixed(
    [likelihoods.Normal("per_feature"), likelihoods.Categorical(3), likelihoods.Poisson()],
    columns=[2, 1, 1],
)
vae = keras_vae.recipes.miwae((4,), latent_dim=2, likelihood=table)
vae.compile("adam")
vae.fit({"x": gaps, "mask": observed}, epochs=10, batch_size=64)
filled = vae.impute(gaps, observed)


def best():
    """What is expected given the observed columns, by Bayes' rule on a grid of sizes."""
    grid = np.linspace(-4, 4, 801)
    kinds, rate = (grid > 0) + (grid > 1).astype(int), np.exp(1.0 + 0.7 * grid)
    log_p = [-0.5 * ((x[:, [i]] - slope[i] * grid) / spread) ** 2 for i in (0, 1)]
    log_p.append(np.where(x[:, [2]] == kinds, 0.0, -np.inf))
    log_p.append(x[:, [3]] * np.log(rate) - rate)
    seen = [np.where(observed[:, [i]], log_p[i], 0.0) for i in range(4)]
    weights = np.exp(sum(seen) - 0.5 * grid**2)
    weights /= weights.sum(axis=1, keepdims=True)
    likely = np.argmax(weights @ np.eye(3)[kinds], axis=1)
    return np.stack([*(weights @ (s * grid) for s in slope), likely, weights @ rate], axis=1)


optimum, usual = best(), np.nanmean(gaps, axis=0)
usual[2] = np.bincount(x[observed[:, 2], 2].astype(int)).argmax()
for column, name in enumerate(["first number", "second number", "class", "count"]):
    missing = ~observed[:, column]
    errors = [(guess - x)[missing, column] for guess in (filled, optimum, usual)]
    if name == "class":
        here, least, most = (np.mean(error != 0) for error in errors)
    else:
        here, least, most = (np.sqrt(np.mean(error**2)) for error in errors)
    print(f"{name:14} error {here:.2f}, at best {least:.2f}, of the mean or mode {most:.2f}")
print("root mean squares; of the class, the share that is wrong")
