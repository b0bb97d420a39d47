"""Networks for photographs: the test ELBO that they reach, against the time that they train.

    python benchmarks/images/networks.py --json networks.json
    python benchmarks/images/networks.py --json networks.json --only image --pictures .

Protocol: sign_digits, 2,062 photographs in class folders, scaled to 64 x 64 pixels; every fifth is
held out. 32 latents, `Normal("optimal")`, Adam with beta_2 = 0.99 at 1e-3, batch 64, one core
(`taskset -c 0`). The ELBO is in nats of pixels in [0, 1], each channel a continuous value, and the
PSNR that of the reconstructions at the mean codes. Both are measured every second epoch; the clock,
CPU seconds of the process, stands still meanwhile. A cell is the best ELBO so far.
"""

import argparse
import json
import pathlib
import time

import keras
import numpy as np

from keras_vae import VAE, datasets, likelihoods, networks, posteriors, recipes

PHOTOS = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data" / "photos" / "sign_digits"
SHAPE = (64, 64, 3)
LATENTS = 32
MOMENTS = (30, 60, 120)
"""CPU seconds at which the best ELBO so far is reported."""


def strided():
    filters = (32, 64, 128, 256)
    return networks.conv_encoder(SHAPE, filters), networks.conv_decoder(
        LATENTS, SHAPE, filters[::-1]
    )


def residual():
    return networks.residual_encoder(SHAPE), networks.residual_decoder(LATENTS, SHAPE)


def image():
    """Returns the networks of `recipes.vae`."""
    return recipes.fitting_networks(SHAPE, LATENTS)


CONTENDERS = {"image": image, "strided": strided, "residual": residual}


class Curve(keras.callbacks.Callback):
    """Test ELBO and PSNR against the CPU seconds of training."""

    def __init__(self, x, seconds):
        super().__init__()
        self.x, self.seconds, self.spent, self.rows = x, seconds, 0.0, []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        self.spent += time.process_time() - self.start
        self.model.stop_training = self.spent > self.seconds
        if epoch % 2 or self.model.stop_training:
            error = np.mean((self.model.predict(self.x, verbose=0) - self.x) ** 2, axis=(1, 2, 3))
            elbo = float(np.mean(self.model.elbo(self.x)))
            psnr = float(np.mean(-10 * np.log10(error)))
            self.rows.append(
                {"seconds": self.spent, "epoch": epoch + 1, "elbo": elbo, "psnr": psnr}
            )


def measure(name, seconds, seed, pictures):
    keras.utils.set_random_seed(seed)
    folder = datasets.ImageFolder(PHOTOS, image_size=SHAPE[:2])
    x = folder[np.arange(len(folder))].astype("float32") / 255
    held_out = np.arange(len(x)) % 5 == 0
    encoder, decoder = CONTENDERS[name]()
    posterior, likelihood = posteriors.DiagonalNormal(LATENTS), likelihoods.Normal("optimal")
    vae = VAE(encoder, decoder, posterior=posterior, likelihood=likelihood, seed=seed)
    vae.compile(keras.optimizers.Adam(1e-3, beta_2=0.99))
    curve = Curve(x[held_out], seconds)
    vae.fit(x[~held_out], batch_size=64, epochs=10_000, verbose=0, callbacks=[curve])
    if pictures:
        shown, new = x[held_out][::52][:8], vae.generate(16, seed=1)
        rows = [shown, vae.predict(shown, verbose=0), new[:8], new[8:]]
        grid = np.concatenate([np.concatenate(row, axis=1) for row in rows])
        keras.utils.save_img(pictures / f"{name}.png", np.clip(grid, 0, 1) * 255, scale=False)
    return {"weights": vae.count_params(), "rows": curve.rows}


def print_table(figures):
    print(f"| networks | weights | {' | '.join(f'{m} s' for m in MOMENTS)} | best | epoch | PSNR |")
    print("|---" * (5 + len(MOMENTS)) + "|")
    for name, found in figures.items():
        best = max(found["rows"], key=lambda row: row["elbo"])
        cells = []
        for moment in MOMENTS:
            so_far = [row["elbo"] for row in found["rows"] if row["seconds"] <= moment]
            cells.append(f"{max(so_far):,.0f}" if so_far else "")
        last = f"{best['elbo']:,.0f} | {best['epoch']} | {best['psnr']:.2f}"
        print(f"| {name} | {found['weights']:,} | {' | '.join(cells)} | {last} |")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--seconds", type=float, default=125)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=pathlib.Path, help="figures of earlier runs, and of these")
    parser.add_argument("--pictures", type=pathlib.Path, help="a folder for a picture of each")
    arguments = parser.parse_args()
    stored = arguments.json and arguments.json.exists()
    figures = json.loads(arguments.json.read_text()) if stored else {}
    for name in arguments.only:
        key = f"{name}, seed {arguments.seed}"
        if key not in figures:
            figures[key] = measure(name, arguments.seconds, arguments.seed, arguments.pictures)
        if arguments.json:
            arguments.json.write_text(json.dumps(figures))
    print_table(figures)


if __name__ == "__main__":
    main()
