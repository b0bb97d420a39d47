"""MIWAE (Mattei and Frellsen 2019, arXiv:1812.02633) in PyTorch, with its authors' settings.

Their demonstrations are notebooks in github.com/pamattei/miwae. Both have 128 ReLU units a layer,
10 latents, a decoder of two hidden layers, bounds of 20 draws, and for each number a Student-t
whose location, scale (softplus + 0.001) and degrees of freedom (softplus + 3) the decoder emits.
A gap is filled with the self-normalised importance-weighted mean of 10,000 draws.

`BREAST_CANCER` has the settings of the notebook on this very table, in TensorFlow: three hidden
layers in the encoder, a Student-t posterior, gaps fed as a learned value, He's initialisation.
`EXERCISES` has those of the notebook in PyTorch: two hidden layers, a Gaussian posterior, gaps fed
as zeros, orthogonal weights; its table is another, for which it has one latent.
"""

import dataclasses
import itertools
import math

import numpy as np
import torch
from torch import distributions, nn
from torch.nn import functional

HIDDEN, LATENTS, DRAWS = 128, 10, 20


def he_normal(weight):
    """Draws from the truncated normal that Keras calls `he_normal`."""
    scale = math.sqrt(2 / weight.shape[1]) / 0.8796256610342398
    nn.init.trunc_normal_(weight, std=scale, a=-2 * scale, b=2 * scale)


@dataclasses.dataclass(frozen=True)
class Settings:
    encoder_layers: int
    initialise: object
    student_posterior: bool
    learned_gaps: bool
    learning_rate: float
    batch: int
    epochs: int


BREAST_CANCER = Settings(3, he_normal, True, True, 2e-4, 32, 1001)
EXERCISES = Settings(2, nn.init.orthogonal_, False, False, 1e-3, 64, 2001)


def network(inputs, hidden_layers, outputs, initialise):
    widths = [inputs, *hidden_layers * [HIDDEN]]
    made = []
    for width, following in itertools.pairwise(widths):
        made += [nn.Linear(width, following), nn.ReLU()]
    made.append(nn.Linear(HIDDEN, outputs))
    for layer in made[::2]:
        initialise(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*made)


class Miwae:
    """The model of one table, (N, D), standardised, with NaN for gaps."""

    def __init__(self, x, seed, settings):
        torch.manual_seed(seed)
        self.random, self.settings = np.random.default_rng(seed), settings
        self.observed = torch.tensor(~np.isnan(x))
        self.x = torch.tensor(np.nan_to_num(x), dtype=torch.float32)
        columns, initialise = x.shape[1], settings.initialise
        self.encoder = network(columns, settings.encoder_layers, 3 * LATENTS, initialise)
        self.decoder = network(LATENTS, 2, 3 * columns, initialise)
        self.gap = torch.zeros(columns, requires_grad=settings.learned_gaps)
        weights = [*self.encoder.parameters(), *self.decoder.parameters(), self.gap]
        self.optimizer = torch.optim.Adam(weights, lr=settings.learning_rate)

    def posterior(self, x, observed):
        mean, scale, freedom = self.encoder(torch.where(observed, x, self.gap)).chunk(3, -1)
        scale = functional.softplus(scale)
        if self.settings.student_posterior:
            return distributions.StudentT(functional.softplus(freedom) + 3, mean, scale)
        return distributions.Normal(mean, scale)

    def weighted(self, x, observed, draws):
        """Returns the logarithms of the weights, (draws, N), and the means, (draws, N, D)."""
        posterior = self.posterior(x, observed)
        z = posterior.rsample([draws])
        location, scale, freedom = self.decoder(z).chunk(3, -1)
        scale, freedom = functional.softplus(scale) + 1e-3, functional.softplus(freedom) + 3
        density = distributions.StudentT(freedom, location, scale).log_prob(x)
        prior = distributions.Normal(torch.zeros(()), torch.ones(())).log_prob(z)
        log_weight = (density * observed).sum(-1) + (prior - posterior.log_prob(z)).sum(-1)
        return log_weight, location

    def train_epoch(self):
        order = self.random.permutation(len(self.x))
        for start in range(0, len(order), self.settings.batch):
            rows = order[start : start + self.settings.batch]
            log_weight, _ = self.weighted(self.x[rows], self.observed[rows], DRAWS)
            bound = torch.logsumexp(log_weight, 0) - math.log(DRAWS)
            self.optimizer.zero_grad()
            (-bound.mean()).backward()
            self.optimizer.step()

    @torch.no_grad()
    def impute(self, draws=10_000, at_once=8):
        """Returns the table with its gaps filled."""
        parts = []
        for start in range(0, len(self.x), at_once):
            x, observed = (a[start : start + at_once] for a in (self.x, self.observed))
            log_weight, location = self.weighted(x, observed, draws)
            mean = torch.einsum("kn,knd->nd", torch.softmax(log_weight, 0), location)
            parts.append(torch.where(observed, x, mean))
        return torch.cat(parts).numpy()
