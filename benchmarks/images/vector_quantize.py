"""Tokens of Fashion-MNIST: our quantizers and those of vector-quantize-pytorch.

    python benchmarks/images/vector_quantize.py --json tokens.json

Protocol: the examples of vector-quantize-pytorch on Fashion-MNIST. Images in [-1, 1]; two
convolutions with pooling make 7 x 7 places of 32 channels, and two with upsampling turn their codes
into an image; FSQ, LFQ and BSQ have one more convolution on either side, to their few channels and
back, and the last two a normalisation without weights. AdamW at 3e-4 with a weight decay of 0.01,
1,000 steps of 256 images, the absolute error as the loss; 256 codes (240 of FSQ, as there). Both
libraries see the same images in the same order and draw their first weights from the same
distributions, ours with the defaults of Keras' layers replaced by those of torch.

Theirs has the settings of its examples: the loss is the mean error plus 10 times their commitment,
for LFQ and BSQ plus 0.02 times the entropies. Ours is the same loss as a sum over an example, with
the default settings of each part. Each run is a process of its own on the CPU. The error is the
mean absolute one on the 10,000 test images, clipped to [-1, 1], and usage is the share of all codes
that these images use, over the codebooks of a place where there are several.
"""

import argparse
import gzip
import json
import os
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parent / "tables"))

from harness import OURS, Clock, parser, print_table, run_all  # noqa: E402

THEIRS = "vector-quantize-pytorch"
REQUIREMENTS = {THEIRS: "vector_quantize", OURS: None}
CODES, CHANNELS, PLACES, BITS, LEVELS = 256, 32, 49, 8, (8, 6, 5)
RATE, DECAY, BATCH = 3e-4, 0.01, 256
COMMITMENT = 10 * 784 / (PLACES * CHANNELS)
"""Ten times the mean over channels and places, in units of the error's sum over 784 pixels."""
ENTROPY = 0.02 * 784 / PLACES
TITLES = (
    "VQ",
    "VQ, k-means",
    "VQ, cosine",
    "VQ, learned",
    "VQ, two heads",
    "residual VQ, four codes",
    "SimVQ",
    "FSQ",
    "residual FSQ, two codes",
    "LFQ",
    "BSQ",
)
WIDTHS = {"FSQ": len(LEVELS), "residual FSQ, two codes": len(LEVELS), "LFQ": BITS, "BSQ": BITS}
NORMALISED = ("LFQ", "BSQ")
HEADS = "VQ, two heads"  # which share one codebook


def images(kind):
    """The images of "train" or "t10k", (N, 28, 28), float32 in [-1, 1]."""
    home = pathlib.Path(os.environ.get("KERAS_HOME", pathlib.Path.home() / ".keras"))
    file = home / "datasets" / "fashion-mnist" / f"{kind}-images-idx3-ubyte.gz"
    with gzip.open(file) as stream:
        pixels = np.frombuffer(stream.read(), "uint8", offset=16)
    return pixels.reshape(-1, 28, 28).astype("float32") / 127.5 - 1.0


def batches(steps, count, seed):
    """Rows of each step, (steps, 256): whole passes in random order."""
    rng = np.random.default_rng(seed)
    passes = -(-steps * BATCH // count)
    rows = np.concatenate([rng.permutation(count) for _ in range(passes)])
    return rows[: steps * BATCH].reshape(steps, BATCH)


def figures(x, made, tokens, num_codes, one_book):
    """The figures of a run; tokens have the codebooks on their last axis."""
    tokens = tokens.reshape(len(x) * PLACES, -1)
    tokens = tokens.reshape(-1, 1) if one_book else tokens
    used = np.mean([len(np.unique(book)) / num_codes for book in tokens.T])
    error = np.abs(np.clip(made, -1, 1) - x).mean()
    return {"error": float(error), "usage": float(used)}


# Ours.


def our_layers():
    """A convolution with the first weights of torch's."""
    import keras

    def convolution(channels, size, inputs):
        bound = (size * size * inputs) ** -0.5
        return keras.layers.Conv2D(
            channels,
            size,
            padding="same",
            kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
            bias_initializer=keras.initializers.RandomUniform(-bound, bound),
        )

    return convolution


def our_encoder(title):
    from keras import Input, Sequential, layers

    convolution = our_layers()
    made = [Input((28, 28, 1)), convolution(16, 3, 1), layers.MaxPool2D()]
    made += [layers.Activation("gelu"), convolution(CHANNELS, 3, 16), layers.MaxPool2D()]
    if title in NORMALISED:
        made.append(layers.GroupNormalization(4, center=False, scale=False, epsilon=1e-5))
    if title in WIDTHS:
        made.append(convolution(WIDTHS[title], 1, CHANNELS))
    return Sequential([*made, layers.Flatten()])


def our_decoder(title, depth):
    from keras import Input, Sequential, layers, ops

    import keras_vae

    convolution, width = our_layers(), WIDTHS.get(title, CHANNELS)
    inputs = Input((PLACES * depth * width,))
    x = ops.sum(layers.Reshape((7, 7, depth, width))(inputs), axis=3)
    made = [convolution(CHANNELS, 3, width)] if title in WIDTHS else []
    made += [layers.UpSampling2D(), convolution(16, 3, CHANNELS), layers.Activation("gelu")]
    made += [layers.UpSampling2D(), convolution(1, 3, 16)]
    images = ops.clip(Sequential(made)(x), -1.0, 1.0)  # as in their loss, or ours learns later
    return keras_vae.networks.blocks.model(inputs, [], images, "decoder")


def our_parts(title):
    """The posterior and the penalties."""
    from keras_vae import quantized

    vector = {
        "VQ": {},
        "VQ, k-means": {"initializer": "k_means"},
        "VQ, cosine": {"distance": "cosine"},
        "VQ, learned": {"decay": None},
        "residual VQ, four codes": {"depth": 4},
    }
    commitment = [quantized.Commitment(COMMITMENT)]
    if title in vector:
        options = {"gradient": "rotation", **vector[title]}
        return quantized.VectorQuantizer(PLACES, CODES, CHANNELS, **options), commitment
    if title == HEADS:
        options = {"gradient": "rotation"}
        return quantized.VectorQuantizer(2 * PLACES, CODES, CHANNELS // 2, **options), commitment
    if title == "SimVQ":
        options = {"gradient": "rotation"}
        return quantized.LinearVectorQuantizer(PLACES, CODES, CHANNELS, **options), commitment
    if title in NORMALISED:
        posterior = quantized.BinaryQuantizer(PLACES, BITS, spherical=title == "BSQ")
        return posterior, [quantized.CodeEntropy(ENTROPY)]
    return quantized.FiniteScalarQuantizer(PLACES, LEVELS, depth=1 + (title != "FSQ")), []


def ours(title, seed, steps):
    import keras
    import tensorflow as tf

    import keras_vae

    keras.utils.set_random_seed(seed)
    x, x_test = images("train")[..., None], images("t10k")[..., None]
    posterior, penalties = our_parts(title)
    vae = keras_vae.VAE(
        our_encoder(title),
        our_decoder(title, posterior.depth),
        posterior,
        likelihood=keras_vae.likelihoods.Laplace(1.0),
        penalties=penalties,
    )
    vae.compile(keras.optimizers.AdamW(RATE, weight_decay=DECAY))
    rows = tf.data.Dataset.from_tensor_slices(batches(steps, len(x), seed))
    clock, memory = Clock(), tf.constant(x)
    vae.fit(rows.map(lambda chosen: tf.gather(memory, chosen)), verbose=0)
    found = {"cpu_seconds": clock.seconds()}
    tokens = vae.tokens(x_test, batch_size=500)
    made = vae.from_tokens(tokens, batch_size=500)
    return figures(x_test, made, tokens, posterior.num_codes, title == HEADS) | found


# Theirs.


def their_quantizer(title):
    import vector_quantize_pytorch as theirs

    options = {"dim": CHANNELS, "codebook_size": CODES, "accept_image_fmap": True}
    options["rotation_trick"] = True
    vector = {
        "VQ": {},
        "VQ, k-means": {"kmeans_init": True},
        "VQ, cosine": {"use_cosine_sim": True},
        "VQ, learned": {"learnable_codebook": True, "ema_update": False},
        HEADS: {"heads": 2, "codebook_dim": CHANNELS // 2},
    }
    if title in vector:
        return theirs.VectorQuantize(**options | vector[title])
    if title == "residual VQ, four codes":
        options["accept_image_fmap"] = False  # with which it ends in an error in 1.32.0
        return by_place(theirs.ResidualVQ(num_quantizers=4, **options))
    if title == "SimVQ":
        return theirs.SimVQ(dim=CHANNELS, codebook_size=CODES, channel_first=True)
    if title == "FSQ":
        return theirs.FSQ(list(LEVELS))
    if title == "residual FSQ, two codes":
        options = {"dim": len(LEVELS), "num_quantizers": 2, "is_channel_first": True}
        return theirs.ResidualFSQ(levels=list(LEVELS), **options)
    options = {"entropy_loss_weight": 0.02, "diversity_gamma": 1.0}
    return theirs.LFQ(dim=BITS, spherical=title == "BSQ", **options)


def by_place(quantizer):
    """A module for images whose quantizer takes sequences."""
    from torch import nn

    class ByPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.quantizer = quantizer

        def forward(self, x):
            codes, tokens, *extra = self.quantizer(x.flatten(2).transpose(1, 2))
            return codes.transpose(1, 2).reshape(x.shape), tokens, *extra

    return ByPlace()


def their_networks(title):
    from torch import nn

    encoder = [nn.Conv2d(1, 16, 3, padding=1), nn.MaxPool2d(2), nn.GELU()]
    encoder += [nn.Conv2d(16, CHANNELS, 3, padding=1), nn.MaxPool2d(2)]
    decoder = [nn.Upsample(scale_factor=2), nn.Conv2d(CHANNELS, 16, 3, padding=1), nn.GELU()]
    decoder += [nn.Upsample(scale_factor=2), nn.Conv2d(16, 1, 3, padding=1)]
    if title in NORMALISED:
        encoder.append(nn.GroupNorm(4, CHANNELS, affine=False))
    if title in WIDTHS:
        encoder.append(nn.Conv2d(CHANNELS, WIDTHS[title], 1))
        decoder.insert(0, nn.Conv2d(WIDTHS[title], CHANNELS, 3, padding=1))
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


def theirs(title, seed, steps):
    import torch

    torch.manual_seed(seed)
    x, x_test = (torch.tensor(images(kind)[:, None]) for kind in ("train", "t10k"))
    encoder, decoder = their_networks(title)
    model = torch.nn.ModuleList([encoder, their_quantizer(title), decoder])
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    weight = 1.0 if title in ("SimVQ", *NORMALISED) else 10.0  # those of the examples

    def passed(x):
        codes, tokens, *extra = model[1](encoder(x))
        return decoder(codes).clamp(-1, 1), tokens, sum(loss.sum() for loss in extra)

    clock = Clock()
    for chosen in batches(steps, len(x), seed):
        optimizer.zero_grad()
        made, _, extra = passed(x[chosen])
        ((made - x[chosen]).abs().mean() + weight * extra).backward()
        optimizer.step()
    found = {"cpu_seconds": clock.seconds()}
    model.eval()
    with torch.no_grad():
        parts = [passed(part)[:2] for part in x_test.split(500)]
    made, tokens = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    num_codes = np.prod(LEVELS) if "FSQ" in title else CODES
    return figures(x_test.numpy(), made, tokens, num_codes, title == HEADS) | found


def main():
    made = parser(__doc__, REQUIREMENTS)
    made.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    made.add_argument("--steps", type=int, default=1000)
    made.add_argument("--seeds", type=int, default=1)
    made.add_argument("--quantizers", nargs="+", choices=TITLES, default=TITLES)
    arguments = made.parse_args()
    if arguments.worker:
        name, title, seed = arguments.worker
        run = ours if name == OURS else theirs
        print(json.dumps(run(title, int(seed), arguments.steps)))
        return
    cases = [(title, seed) for seed in range(arguments.seeds) for title in arguments.quantizers]
    found = run_all(__file__, REQUIREMENTS, cases, arguments, ("--steps", arguments.steps))
    rows = []
    for title in arguments.quantizers:
        row = [title]
        for key, form in (("error", "{:.4f}"), ("usage", "{:.1%}"), ("cpu_seconds", "{:.0f}")):
            for name in REQUIREMENTS:
                runs = [found.get(name, title, seed) for seed in range(arguments.seeds)]
                values = [run[key] for run in runs if run]
                row.append(form.format(np.mean(values)) if values else "not run")
        rows.append(row)
    shown = ("error", "codes used", "CPU s")
    header = [f"{what}, {name}" for what in shown for name in ("theirs", "ours")]
    print_table(["quantizer", *header], rows)


if __name__ == "__main__":
    main()
