"""Learns compact codes of waves of different lengths, which are padded to one length.

For tokens, each of which depends on the tokens before it, see tokens.py.

Needs `pip install "keras_vae[evaluation]"`.
"""

import numpy as np

import keras_vae
from keras_vae import evaluation, likelihoods, networks, posteriors

rng = np.random.default_rng(0)
size, steps, noise = 4000, 64, 0.1
amplitude, rate, phase = (rng.uniform(*ends, size) for ends in ((0.5, 2), (0.15, 0.4), (0, 3)))
time = np.arange(steps)
waves = amplitude[:, None] * np.sin(rate[:, None] * time + phase[:, None])
x = (waves + noise * rng.normal(size=waves.shape)).astype("float32")[..., None]
lengths = rng.integers(32, steps + 1, size)
mask = (time < lengths[:, None])[..., None]  # 1 on what is there, 0 on what is padded

vae = keras_vae.VAE(
    networks.sequence_encoder((steps, 1)),
    networks.sequence_decoder(6, (steps, 1)),
    posteriors.DiagonalNormal(6),
    likelihood=likelihoods.Normal("shared"),
)
vae.compile("adam")
vae.fit({"x": x, "mask": mask}, epochs=30, batch_size=64)

inside = {"x": x, "mask": mask}
error = np.sqrt(np.mean((vae.predict(inside, verbose=0) - waves[..., None])[mask] ** 2))
print(f"noise of the data {noise:.2f}, error of the reconstructed waves {error:.2f}")
codes, half = vae.encode(inside), size // 2
for name, factor in (("amplitude", amplitude), ("rate", rate), ("phase", phase)):
    fast = (factor > np.median(factor)).astype(int)
    parts = (codes[:half], fast[:half], codes[half:], fast[half:])
    accuracy = evaluation.neighbour_accuracy(*parts)
    print(f"{name:9} above or below its median, by the nearest codes: {100 * accuracy:.0f} % right")
