"""The KL autoencoder beside diffusers' AutoencoderKL, on photographs, for the same CPU seconds.

    python benchmarks/images/kl_autoencoder.py --seconds 900 --json kl_autoencoder.json

Protocol: 2,062 photographs of hands (Mavi, arXiv:2011.08927), 64 x 64; every fifth file of each
folder, in the order of the names, is held out. Latents are 16 x 16 x 4. Each contender trains on
batches of 32 until it has used the CPU seconds, compilation included, with Adam at the best of the
learning rates `--rates`, as judged by the last losses of a run of a tenth of the time. Held-out
photographs are reconstructed from their mean latents and clipped to [0, 1]. PSNR and SSIM are means
over images; SSIM has a Gaussian window with a standard deviation of 1.5 (Wang et al., 2004), on
grey values. The Fréchet distance is that between held-out photographs and their reconstructions.
Its features are the 64 of `evaluation.feature_model`, trained for 20 epochs on the training
photographs and their digits, with seed 0; this was fixed before any contender was tuned.

Contenders: `recipes.kl_autoencoder` with 32 and 64 filters, alone and with a discriminator that
starts after as many steps as there are seconds; and diffusers' `AutoencoderKL` with as many
weights, without attention, trained by a plain loop of torch with the same loss: -log p(x|z) of a
Laplace distribution with a learned scale, and 1e-6 times the KL.
"""

import argparse
import contextlib
import json
import pathlib
import sys
import tempfile
import time

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
PHOTOS = HERE.parents[2] / "shared" / "data" / "photos" / "sign_digits"
FILTERS, SIZE, BATCH, BETA = (32, 64), 64, 32, 1e-6
WEIGHTS = 260_000
"""Weights of both networks together that the contender's width comes closest to; ours has about as
many."""


def photographs(folder):
    """The images to train on with their digits, and those held out, in [0, 1]."""
    from PIL import Image

    train, labels, held_out = [], [], []
    for digit, group in enumerate(sorted(p for p in folder.iterdir() if p.is_dir())):
        for number, path in enumerate(sorted(group.iterdir())):
            image = Image.open(path).convert("RGB").resize((SIZE, SIZE), Image.BILINEAR)
            array = np.asarray(image, "float32") / 255
            if number % 5 == 4:
                held_out.append(array)
            else:
                train.append(array)
                labels.append(digit)
    return np.stack(train), np.array(labels), np.stack(held_out)


def ours(x, held_out, seconds, rate, opposed=False):
    """The reconstructions of our recipe, and figures of its training."""
    import keras

    from keras_vae import adversarial, networks, recipes

    keras.utils.set_random_seed(0)
    judge = networks.patch_discriminator(x.shape[1:], (32, 64))
    adversary = adversarial.PatchAdversary(judge, 0.5, start=int(seconds)) if opposed else False
    vae = recipes.kl_autoencoder(x.shape[1:], 4, BETA, None, FILTERS, discriminator=adversary)
    vae.compile(keras.optimizers.Adam(rate))
    losses, start = [], time.process_time()

    class Stop(keras.callbacks.Callback):
        """Ends training in the midst of an epoch."""

        def on_train_batch_end(self, batch, logs=None):
            losses.append(logs["reconstruction_loss"])
            if time.process_time() - start > seconds:
                raise StopIteration

    with contextlib.suppress(StopIteration):
        vae.fit(x, batch_size=BATCH, epochs=100_000, verbose=0, callbacks=[Stop()])
    used = time.process_time() - start
    weights = vae.encoder.count_params() + vae.decoder.count_params()
    figures = {"weights": weights, "steps": len(losses), "seconds": used, "last": losses[-1]}
    return vae.predict(held_out, verbose=0), figures


def autoencoder_kl(width):
    """diffusers' autoencoder with latents of a quarter of height and width."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 3,
        up_block_types=["UpDecoderBlock2D"] * 3,
        block_out_channels=[width, width, 2 * width],
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=SIZE,
        mid_block_add_attention=False,
    )


def number_of_weights(width):
    return sum(p.numel() for p in autoencoder_kl(width).parameters())


def theirs(x, held_out, seconds, rate):
    """The reconstructions of diffusers' model, and figures of its training."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    width = min(range(8, 65, 4), key=lambda width: abs(number_of_weights(width) - WEIGHTS))
    model = autoencoder_kl(width)
    log_scale = torch.nn.Parameter(torch.zeros(()))
    optimizer = torch.optim.Adam([*model.parameters(), log_scale], rate)
    images, rng = torch.tensor(x).permute(0, 3, 1, 2), np.random.default_rng(0)
    losses, start = [], time.process_time()
    while time.process_time() - start < seconds:
        batch = images[rng.integers(len(images), size=BATCH)]
        posterior = model.encode(batch).latent_dist
        error = (model.decode(posterior.sample()).sample - batch).abs().sum((1, 2, 3))
        size = batch[0].numel()
        reconstruction = (error / log_scale.exp() + size * (log_scale + np.log(2.0))).mean()
        loss = reconstruction + BETA * posterior.kl().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(reconstruction.detach()))
    used, model = time.process_time() - start, model.eval()
    figures = {"weights": number_of_weights(width), "steps": len(losses), "seconds": used}
    with torch.no_grad():
        found = [
            model.decode(model.encode(part).latent_dist.mean).sample
            for part in torch.tensor(held_out).permute(0, 3, 1, 2).split(BATCH)
        ]
    made = torch.cat(found).permute(0, 2, 3, 1).numpy()
    return made, figures | {"last": float(np.mean(losses[-20:]))}


RUN = {
    "keras_vae": ours,
    "keras_vae, discriminator": lambda *arguments: ours(*arguments, opposed=True),
    "diffusers": theirs,
}
CONTENDERS = {"keras_vae": None, "keras_vae, discriminator": None, "diffusers": "images_diffusers"}


def work(title, seconds, arguments):
    """Chooses the rate, trains, and prints figures and the name of a file of reconstructions."""
    x, _, held_out = photographs(arguments.photos)
    trials = {}
    for rate in arguments.rates if len(arguments.rates) > 1 else []:
        trials[rate] = RUN[title](x, held_out[:8], seconds / 10, rate)[1]["last"]
    rate = min(trials, key=trials.get) if trials else arguments.rates[0]
    made, figures = RUN[title](x, held_out, seconds, rate)
    with tempfile.NamedTemporaryFile(suffix=".npy", delete=False) as file:
        np.save(file, np.clip(made, 0.0, 1.0))
    print(json.dumps({"file": file.name, "rate": rate, **figures}))


def ssim(a, b):
    """The structural similarity of each pair of images in [0, 1], (N,)."""
    from scipy.ndimage import gaussian_filter

    a, b = (images.mean(axis=-1, dtype="float64") for images in (a, b))

    def mean(images):
        return gaussian_filter(images, (0, 1.5, 1.5), truncate=3.5)

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    upper = (2 * mean_a * mean_b + 0.01**2) * (2 * covariance + 0.03**2)
    lower = (mean_a**2 + mean_b**2 + 0.01**2) * (variance_a + variance_b + 0.03**2)
    return (upper / lower).mean(axis=(1, 2))


def feature_network(arguments):
    """The network of the Fréchet distance, trained once and kept in a file."""
    import keras

    from keras_vae import evaluation

    if arguments.features.exists():
        return keras.saving.load_model(arguments.features)
    keras.utils.set_random_seed(0)
    x, labels, _ = photographs(arguments.photos)
    network = evaluation.feature_model(x, labels, epochs=20)
    arguments.features.parent.mkdir(parents=True, exist_ok=True)
    network.save(arguments.features)
    return network


def judged(figures, held_out, network):
    """A run's figures with how close its reconstructions are."""
    from keras_vae import evaluation

    made = np.load(figures.pop("file"))
    errors = np.mean(np.square(made - held_out), axis=(1, 2, 3), dtype="float64")
    of = [evaluation.features(network, images) for images in (held_out, made)]
    return figures | {
        "psnr": float(np.mean(-10 * np.log10(errors))),
        "ssim": float(ssim(made, held_out).mean()),
        "frechet": evaluation.frechet_distance(*of),
    }


def arguments_of(parser):
    parser.add_argument("--photos", type=pathlib.Path, default=PHOTOS)
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--rates", type=float, nargs="+", default=[3e-4, 1e-3])
    return parser


def main():
    sys.path.append(str(HERE.parent / "tables"))
    from harness import CACHE, parser, print_table, run_all
    from harness import work as in_a_process

    made = arguments_of(parser(__doc__, CONTENDERS))
    file = CACHE / "keras_vae_photograph_features.keras"
    made.add_argument("--features", type=pathlib.Path, default=file)
    arguments = made.parse_args()
    network = feature_network(arguments)
    _, _, held_out = photographs(arguments.photos)
    options = ["--photos", arguments.photos, "--rates", *arguments.rates]

    def once(*run):
        return judged(in_a_process(*run), held_out, network)

    cases = [(arguments.seconds,)]
    figures = run_all(__file__, CONTENDERS, cases, arguments, options, once)
    names = ("weights", "rate", "steps", "seconds", "psnr", "ssim", "frechet")
    found = {title: figures.get(title, arguments.seconds) for title in arguments.only}
    rows = [[t, *(f"{row[name]:.4g}" for name in names)] for t, row in found.items() if row]
    print_table(["", *names], rows)


def worker():
    """What runs in the process of one contender, which may lack what `main` needs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--worker", nargs=2)
    arguments, _ = arguments_of(parser).parse_known_args()
    work(arguments.worker[0], float(arguments.worker[1]), arguments)


if __name__ == "__main__":
    worker() if "--worker" in sys.argv else main()
