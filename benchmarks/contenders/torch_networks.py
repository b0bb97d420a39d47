"""The article's two networks in PyTorch."""

from torch import nn


def encoder(outputs=4):
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(7 * 7 * 64, 16),
        nn.Linear(16, outputs),
    )


def decoder():
    options = {"stride": 2, "padding": 1, "output_padding": 1}
    return nn.Sequential(
        nn.Linear(2, 7 * 7 * 64),
        nn.ReLU(),
        nn.Unflatten(1, (64, 7, 7)),
        nn.ConvTranspose2d(64, 64, 3, **options),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 3, **options),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 3, padding=1),
    )
