"""FactorVAE against a VAE: the total correlation of the codes, at what reconstruction.

    python benchmarks/adversarial.py --seeds 3

Protocol: drawn shapes of 28 x 28 with known factors, 10 latents, networks of `recipes.vae`, Adam at
1e-3 for both networks, batches of 128. Total correlation and mutual information are those of
`vae.diagnose` on 2,000 test images, measured without the discriminator; nats. Mean ± standard
deviation over the seeds.
"""

import argparse

import keras
import numpy as np

from keras_vae import datasets, recipes


def trained(weight, seed, x, epochs):
    """FactorVAE of that weight; for 0 a plain VAE."""
    keras.utils.set_random_seed(seed)
    optimizers = [keras.optimizers.Adam(1e-3)]
    if weight:
        vae = recipes.factor_vae((28, 28, 1), weight=weight, seed=seed)
        optimizers.append(keras.optimizers.Adam(1e-3, beta_1=0.5, beta_2=0.9))
    else:
        vae = recipes.vae((28, 28, 1), latent_dim=10, seed=seed)
    vae.compile(*optimizers)
    vae.fit(x, batch_size=128, epochs=epochs, verbose=0)
    return vae


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--weights", type=float, nargs="*", default=[0.0, 5.0, 20.0])
    arguments = parser.parse_args()
    images, _ = datasets.shapes(arguments.images + 2000, seed=0)
    x = images.astype("float32") / 255
    x, x_test = x[:-2000], x[-2000:]
    names = ("reconstruction_loss", "kl_loss", "mutual_information", "total_correlation")
    print("| weight |", " | ".join(names), "|\n| --- | --- | --- | --- | --- |")
    for weight in arguments.weights:
        rows = []
        for seed in range(arguments.seeds):
            found = trained(weight, seed, x, arguments.epochs).diagnose(x_test)
            rows.append([found[name] for name in names])
            print(f"weight {weight:g}, seed {seed}:", np.round(rows[-1], 2).tolist(), flush=True)
        cells = [
            f"{m:.2f} ± {s:.2f}" for m, s in zip(np.mean(rows, 0), np.std(rows, 0), strict=True)
        ]
        print(f"| {weight:g} |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
