"""Every part of the library, as the tests make it: a new part needs one line in `PARTS`."""

import dataclasses
from collections.abc import Callable

import keras

from keras_vae import (
    adversarial,
    flows,
    likelihoods,
    networks,
    objectives,
    penalties,
    posteriors,
    priors,
    quantized,
    schedules,
)

MIXED = ("mixed_float16", "float32")


@dataclasses.dataclass
class Example:
    """A part, and what the checks need to know of it.

    Args:
        role: the argument of VAE that the part goes to; "penalties" too.
        make: function without arguments that makes the part.
        x_shapes: the shapes of x that it is checked on; models are saved with the first.
        beside: what else the model is made of: a function for each further argument of VAE.
        policies: the dtype policies to train in, apart from the gradients, which are checked in
            float32 and in mixed_float16.
        runs_encoder: whether the part runs the model's encoder, whose half precision overflows
            where the numbers are those of a diverging network.
        size: of the features and parameters that stand for a diverging network.
        usual: whether it is one of the few that the usual run checks, and the tests marked
            `backends` on JAX, where each takes long to compile. The slow tests check all.
    """

    role: str
    make: Callable
    x_shapes: tuple = ((5, 3, 1), (7,))
    beside: dict = dataclasses.field(default_factory=dict)
    policies: tuple = ("float32",)
    runs_encoder: bool = False
    size: float = 1e4
    usual: bool = False

    def parts(self):
        """New parts, as arguments of VAE."""
        arguments = {role: make() for role, make in self.beside.items()}
        part = self.make()
        return arguments | {self.role: [part] if self.role == "penalties" else part}


def quantizer(make, **options):
    """A quantizer of the 8 features of `checks.small_vae`, with what it is trained with."""
    beside = {"penalties": lambda: [quantized.Commitment()]}
    return Example("posterior", make, beside=beside, policies=MIXED, **options)


def of_codes(role, make, **beside):
    """A part for the codes of a `VectorQuantizer`."""
    beside = {"posterior": lambda: quantized.VectorQuantizer(4, 5, 2), **beside}
    return Example(role, make, beside=beside)


def adversary(kind):
    """A penalty with a discriminator of 2 latent dimensions."""
    make = lambda: kind(networks.discriminator(2, units=(8,)), 2.0)  # noqa: E731
    return Example("penalties", make, policies=MIXED)


def patch_adversary(**options):
    """A penalty with a discriminator of images."""
    network = networks.patch_discriminator((5, 3, 1), filters=(4,))
    return adversarial.PatchAdversary(network, 0.5, **options)


def flow(posterior, *steps):
    """The posterior with flows after it."""
    return lambda: posteriors.NormalizingFlow(posterior(), [step() for step in steps])


def perceptual():
    return penalties.Perceptual(
        keras.Sequential([keras.Input((5, 3, 1)), keras.layers.Conv2D(2, 3)])
    )


def tokens():
    return likelihoods.AutoregressiveSequence(
        likelihoods.Categorical(3), (4, 1), units=5, word_dropout=0.4, seed=1
    )


def table():
    return likelihoods.Mixed(
        [likelihoods.Normal("per_feature"), likelihoods.Categorical(3)], [2, 1]
    )


def wide_table():
    """A table whose groups have several parameters a column, or hold a part."""
    counts = likelihoods.ZeroInflated(likelihoods.NegativeBinomial())
    return likelihoods.Mixed(
        [likelihoods.StudentT("decoder"), likelihoods.Ordinal(3), counts], [2, 1, 1]
    )


def histogram():
    edges = [[-3.0, -0.5, 0.0, 0.2, 4.0], [0.0, 0.4, 1.0], [-1.0, 0.0, 0.5, 2.0]]
    return likelihoods.Histogram(edges, [[1, 5, 3, 1], [2, 1], [0, 1, 1]])


def rescaled():
    return likelihoods.Rescaled(table(), [2.0, 1e-3, 1.0])


PARTS = {
    # posteriors
    "DiagonalNormal": Example("posterior", lambda: posteriors.DiagonalNormal(2)),
    "GridNormal": Example("posterior", lambda: posteriors.GridNormal((2, 1, 2))),
    "FullNormal": Example("posterior", lambda: posteriors.FullNormal(3)),
    "Planar": Example("posterior", flow(lambda: posteriors.DiagonalNormal(2), flows.Planar)),
    "Autoregressive, Coupling": Example(
        "posterior",
        flow(
            lambda: posteriors.FullNormal(3),
            lambda: flows.Autoregressive(8),
            lambda: flows.Coupling(8),
        ),
    ),
    "Categorical posterior": Example(
        "posterior",
        lambda: posteriors.Categorical(
            2, 3, keras.optimizers.schedules.ExponentialDecay(1.0, 10, 0.9)
        ),
    ),
    "VonMisesFisher": Example("posterior", lambda: posteriors.VonMisesFisher(3)),
    "VectorQuantizer": quantizer(lambda: quantized.VectorQuantizer(4, 5, 2)),
    "VectorQuantizer learned": quantizer(lambda: quantized.VectorQuantizer(4, 5, 2, decay=None)),
    "VectorQuantizer rotation": quantizer(
        lambda: quantized.VectorQuantizer(4, 5, 2, gradient="rotation", restart=0.0), size=100.0
    ),
    "VectorQuantizer residual": quantizer(lambda: quantized.VectorQuantizer(4, 5, 2, depth=3)),
    "VectorQuantizer residual, rotation": quantizer(
        lambda: quantized.VectorQuantizer(4, 5, 2, decay=None, gradient="rotation", depth=2),
        size=100.0,
    ),
    "VectorQuantizer cosine": quantizer(
        lambda: quantized.VectorQuantizer(4, 5, 2, distance="cosine", initializer="k_means")
    ),
    "VectorQuantizer learned, cosine": quantizer(
        lambda: quantized.VectorQuantizer(4, 5, 2, decay=None, distance="cosine")
    ),
    "LinearVectorQuantizer": quantizer(lambda: quantized.LinearVectorQuantizer(4, 5, 2)),
    "FiniteScalarQuantizer": Example(
        "posterior", lambda: quantized.FiniteScalarQuantizer(4, (3, 4)), policies=MIXED
    ),
    "FiniteScalarQuantizer residual": Example(
        "posterior",
        lambda: quantized.FiniteScalarQuantizer(4, (3, 4), symmetric=True, depth=2),
        policies=MIXED,
    ),
    "BinaryQuantizer": quantizer(lambda: quantized.BinaryQuantizer(4, 2)),
    "BinaryQuantizer spherical": Example(
        "posterior",
        lambda: quantized.BinaryQuantizer(4, 2, spherical=True),
        beside={"penalties": lambda: [quantized.CodeEntropy()]},
        policies=MIXED,
    ),
    "GumbelQuantizer": Example(
        "posterior", lambda: quantized.GumbelQuantizer(4, 5, 2), policies=MIXED
    ),
    # priors
    "StandardNormal": Example("prior", priors.StandardNormal),
    "LearnedNormal": Example("prior", priors.LearnedNormal),
    "NormalMixture": Example("prior", lambda: priors.NormalMixture(3)),
    "ConditionalNormal": Example("prior", lambda: priors.ConditionalNormal(4), usual=True),
    "FlowPrior": Example(
        "prior", lambda: priors.FlowPrior([flows.Coupling(8), flows.Autoregressive(8)])
    ),
    "VampPrior": Example("prior", lambda: priors.VampPrior((7,), 3), ((7,),), runs_encoder=True),
    "VampPrior of FullNormal": Example(
        "prior",
        lambda: priors.VampPrior((7,), 3),
        ((7,),),
        {"posterior": lambda: posteriors.FullNormal(2)},
        runs_encoder=True,
    ),
    "UniformCategorical": Example(
        "prior",
        lambda: priors.UniformCategorical(3),
        beside={"posterior": lambda: posteriors.Categorical(2, 3)},
    ),
    "UniformSphere": Example(
        "prior", priors.UniformSphere, beside={"posterior": lambda: posteriors.VonMisesFisher(3)}
    ),
    "UniformCodes": of_codes("prior", lambda: quantized.UniformCodes(4, 5)),
    "AutoregressiveCodes": of_codes("prior", lambda: quantized.AutoregressiveCodes(4, 5)),
    # likelihoods
    "Bernoulli": Example("likelihood", likelihoods.Bernoulli),
    "ContinuousBernoulli": Example("likelihood", likelihoods.ContinuousBernoulli),
    "Normal fixed": Example("likelihood", lambda: likelihoods.Normal(0.5)),
    "Normal shared": Example("likelihood", lambda: likelihoods.Normal("shared")),
    "Normal optimal": Example("likelihood", lambda: likelihoods.Normal("optimal"), usual=True),
    "Normal per feature": Example("likelihood", lambda: likelihoods.Normal("per_feature")),
    "Laplace fixed": Example("likelihood", lambda: likelihoods.Laplace(0.5)),
    "Laplace shared": Example("likelihood", lambda: likelihoods.Laplace("shared")),
    "Normal decoder": Example("likelihood", lambda: likelihoods.Normal("decoder")),
    "Laplace decoder": Example("likelihood", lambda: likelihoods.Laplace("decoder")),
    "StudentT": Example("likelihood", likelihoods.StudentT),
    "StudentT fixed": Example("likelihood", lambda: likelihoods.StudentT(0.5, 4.0)),
    "StudentT shared": Example("likelihood", lambda: likelihoods.StudentT("shared", 2.0)),
    "StudentT decoder": Example("likelihood", lambda: likelihoods.StudentT("decoder")),
    "LogNormal": Example("likelihood", likelihoods.LogNormal),
    "LogNormal decoder": Example("likelihood", lambda: likelihoods.LogNormal("decoder")),
    "Beta": Example("likelihood", likelihoods.Beta),
    "Categorical": Example("likelihood", lambda: likelihoods.Categorical(3)),
    "Ordinal": Example("likelihood", lambda: likelihoods.Ordinal(4)),
    "Poisson": Example("likelihood", likelihoods.Poisson),
    "NegativeBinomial": Example("likelihood", likelihoods.NegativeBinomial),
    "ZeroInflated": Example(
        "likelihood", lambda: likelihoods.ZeroInflated(likelihoods.NegativeBinomial())
    ),
    "ZeroInflated Poisson": Example(
        "likelihood", lambda: likelihoods.ZeroInflated(likelihoods.Poisson())
    ),
    "DiscretizedLogistic": Example("likelihood", lambda: likelihoods.DiscretizedLogistic(4)),
    "DiscretizedLogisticMixture": Example(
        "likelihood", lambda: likelihoods.DiscretizedLogisticMixture(3, levels=4)
    ),
    "Mixed": Example("likelihood", table, ((3,),)),
    "Mixed wide": Example("likelihood", wide_table, ((4,),)),
    "Histogram": Example("likelihood", histogram, ((3,),)),
    "Rescaled": Example("likelihood", rescaled, ((3,),)),
    "AutoregressiveSequence": Example("likelihood", tokens, ((4, 1),), policies=MIXED),
    # objectives
    "ELBO": Example("objective", lambda: objectives.ELBO(beta=2.0, num_samples=3)),
    "ELBO scheduled": Example("objective", lambda: objectives.ELBO(beta=schedules.Sigmoid(9))),
    "ELBO free": Example("objective", lambda: objectives.ELBO(free_bits=0.1)),
    "ELBO capacity": Example(
        "objective", lambda: objectives.ELBO(9.0, capacity=schedules.Linear(9))
    ),
    "IWAE": Example("objective", lambda: objectives.IWAE(3)),
    "IWAE sticking": Example("objective", lambda: objectives.IWAE(3, "sticking_the_landing")),
    "IWAE dreg": Example(
        "objective", lambda: objectives.IWAE(3, "doubly_reparameterized"), usual=True
    ),
    "IWAE partial": Example("objective", lambda: objectives.IWAE(4, "partial", num_groups=2)),
    "IWAE mixed": Example("objective", lambda: objectives.IWAE(3, elbo_weight=0.5)),
    # penalties
    "TotalCorrelation": Example("penalties", lambda: penalties.TotalCorrelation(12, 2.0)),
    "TotalCorrelation stratified": Example(
        "penalties", lambda: penalties.TotalCorrelation(12, estimator="stratified")
    ),
    "DIP": Example("penalties", lambda: penalties.DIP(2.0, kind="I")),
    "MMD": Example("penalties", lambda: penalties.MMD(2.0)),
    "MMD rbf": Example("penalties", lambda: penalties.MMD(schedules.Linear(9), "rbf")),
    "Perceptual": Example("penalties", perceptual, ((5, 3, 1),)),
    "Commitment": of_codes("penalties", quantized.Commitment),
    "CodeEntropy": of_codes(
        "penalties",
        lambda: quantized.CodeEntropy(2.0, diversity=0.5, group_bits=1),
        posterior=lambda: quantized.BinaryQuantizer(4, 2),
    ),
    "TotalCorrelationAdversary": adversary(adversarial.TotalCorrelationAdversary),
    "PriorAdversary": adversary(adversarial.PriorAdversary),
    "PatchAdversary": Example("penalties", patch_adversary, ((5, 3, 1),), policies=MIXED),
    "PatchAdversary non-saturating": Example(
        "penalties",
        lambda: patch_adversary(kind="non_saturating", adaptive=False, start=2),
        ((5, 3, 1),),
        policies=MIXED,
    ),
}

EXCLUDED = {
    "LadderPosterior": "a HierarchicalVAE makes it of its decoder; test_hierarchical.py",
    "LadderPrior": "a HierarchicalVAE makes it of its decoder; test_hierarchical.py",
}


def of_role(role):
    """The examples of a role, by name."""
    return {name: example for name, example in PARTS.items() if example.role == role}
