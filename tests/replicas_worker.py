"""Trains small models on logical CPU devices: `replicas_worker.py JOBS.json OUTPUT.npz`.

A job is a case, a number of replicas (0: no strategy) and a mistake to put back on purpose.
"""

import contextlib
import json
import sys

import numpy as np
import tensorflow as tf

DEVICES = 4
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * DEVICES)

import keras  # noqa: E402
from keras import layers, ops  # noqa: E402

import keras_vae  # noqa: E402
from keras_vae import (  # noqa: E402
    adversarial,
    flows,
    hierarchical,
    likelihoods,
    networks,
    objectives,
    optimizers,
    penalties,
    posteriors,
    priors,
    quantized,
    random,
    replicas,
)
from keras_vae.trainers import tensorflow as trainer  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.random((103, 6), "float32")  # batches of 16, the last of 7: uneven on 2 and on 4
W = RNG.random(103).astype("float32")
SHORT = 33  # a last batch of 1 leaves all replicas but one empty


def plain():
    return networks.dense_encoder((6,), units=(8,))


def noisy_and_normalised():
    stack = [layers.Dense(8, "relu"), layers.BatchNormalization(synchronized=True)]
    return keras.Sequential([keras.Input((6,)), *stack, keras_vae.layers.Dropout(0.4, seed=7)])


def regularised():
    l2 = keras.regularizers.L2(0.1)
    return keras.Sequential([keras.Input((6,)), layers.Dense(8, "tanh", kernel_regularizer=l2)])


def ladder(groups=((2,), (3,))):
    up, down = hierarchical.bottom_up((6,), groups, 8), hierarchical.TopDown(groups, (6,), 8)
    return hierarchical.HierarchicalVAE(up, down, objective=objectives.ELBO(free_bits=0.1), seed=3)


def case(optimizer, encoder=plain, rows=103, x=X, policy="float32", steps=1, vae=None, **parts):
    """`parts` are arguments of VAE, each a function that makes one."""
    return dict(locals())


def conditional():
    return networks.dense_encoder((6,), units=(8,), condition_dim=3)


MASK = RNG.random(X.shape) > 0.3
INCOMPLETE = {"x": np.where(MASK, X, np.nan), "mask": MASK, "condition": np.arange(103) % 3}


def with_an_outlier():
    """The only row of the third batch has a gradient that is a thousand times as long."""
    x = X.copy()
    x[32] *= 1e3
    return x


def overflowing():
    """Finite in float32; in float16 the second half of the first batch is infinite."""
    x = X[:32].copy()
    x[8:16] = 1e5
    return x


SGD, Adam = keras.optimizers.SGD, keras.optimizers.Adam
CASES = {
    "SGD": case(lambda: SGD(0.05)),
    "Adam": case(lambda: Adam(0.01)),
    "empty shards": case(lambda: SGD(0.05), rows=SHORT),
    "clipnorm": case(lambda: SGD(0.05, clipnorm=0.05)),
    "global_clipnorm": case(lambda: SGD(0.05, global_clipnorm=0.05)),
    "clipvalue": case(lambda: SGD(0.05, clipvalue=0.02)),
    "gradient norm guard": case(
        lambda: optimizers.GradientNormGuard(SGD(0.01), max_norm=50.0),
        rows=SHORT,
        x=with_an_outlier(),
        likelihood=lambda: likelihoods.Normal(1.0),
    ),
    "EMA": case(lambda: SGD(0.05, use_ema=True, ema_momentum=0.7)),
    "steps_per_execution": case(lambda: SGD(0.05), steps=3),
    "BatchNormalization and Dropout": case(lambda: SGD(0.05), noisy_and_normalised),
    "regularisers": case(lambda: SGD(0.05), regularised),
    "optimal scale": case(lambda: SGD(0.01), likelihood=lambda: likelihoods.Normal("optimal")),
    "learned scales": case(
        lambda: SGD(0.01),
        rows=SHORT,
        likelihood=lambda: likelihoods.Mixed(
            [likelihoods.Normal("per_feature"), likelihoods.Laplace("shared")], [3, 3]
        ),
    ),
    "total correlation": case(
        lambda: SGD(0.05), penalties=lambda: [penalties.TotalCorrelation(103, weight=2.0)]
    ),
    "total correlation, stratified": case(
        lambda: SGD(0.05),
        rows=SHORT,
        penalties=lambda: [penalties.TotalCorrelation(33, estimator="stratified")],
    ),
    "DIP and MMD": case(
        lambda: SGD(0.05),
        rows=SHORT,
        penalties=lambda: [penalties.DIP(), penalties.MMD(10.0)],
        prior=lambda: priors.NormalMixture(3),
    ),
    "free bits on a sphere": case(
        lambda: SGD(0.05),
        rows=SHORT,
        objective=lambda: objectives.ELBO(free_bits=0.05),
        posterior=lambda: posteriors.VonMisesFisher(2),
    ),
    "capacity of classes": case(
        lambda: SGD(0.01),
        objective=lambda: objectives.ELBO(9.0, capacity=0.3),
        posterior=lambda: posteriors.Categorical(1, 2),
    ),
    "doubly reparameterized": case(
        lambda: SGD(0.05),
        objective=lambda: objectives.IWAE(3, "doubly_reparameterized"),
        prior=lambda: priors.VampPrior((6,), 4),
    ),
    "flow": case(
        lambda: SGD(0.02),
        rows=SHORT,
        posterior=lambda: posteriors.NormalizingFlow(
            posteriors.FullNormal(2), [flows.Planar(), flows.Autoregressive(8)]
        ),
        prior=lambda: priors.FlowPrior([flows.Coupling(8)]),
    ),
    "condition and mask": case(
        lambda: SGD(0.02),
        conditional,
        x=INCOMPLETE,
        likelihood=lambda: likelihoods.Normal("optimal"),
        prior=lambda: priors.ConditionalNormal(3),
    ),
    "vector quantizer": case(
        lambda: SGD(0.05),
        posterior=lambda: quantized.VectorQuantizer(4, 5, 2, restart=0.5),
        penalties=lambda: [quantized.Commitment()],
    ),
    "word dropout": case(
        lambda: SGD(0.02),
        lambda: networks.dense_encoder((6, 1), units=(8,)),
        rows=SHORT,
        x=X[..., None],
        likelihood=lambda: likelihoods.AutoregressiveSequence(
            likelihoods.Normal("optimal"), (6, 1), units=8, word_dropout=0.4
        ),
    ),
    "total correlation adversary": case(
        lambda: SGD(0.05, clipnorm=0.05),
        rows=SHORT,
        penalties=lambda: [
            adversarial.TotalCorrelationAdversary(networks.discriminator(2, units=(8,)), 2.0)
        ],
    ),
    "prior adversary": case(
        lambda: SGD(0.05),
        penalties=lambda: [adversarial.PriorAdversary(networks.discriminator(2, units=(8,)), 2.0)],
    ),
    "patch adversary": case(
        lambda: SGD(0.02, clipnorm=0.5),
        penalties=lambda: [
            adversarial.PatchAdversary(networks.discriminator(6, units=(8,)), 0.5, start=3)
        ],
    ),
    "adversary, mixed_float16": case(
        lambda: SGD(0.05, clipnorm=0.05),
        policy="mixed_float16",
        penalties=lambda: [
            adversarial.TotalCorrelationAdversary(networks.discriminator(2, units=(8,)), 2.0)
        ],
    ),
    "ladder": case(lambda: SGD(0.02), rows=SHORT, vae=ladder),
    "residual quantizer": case(
        lambda: SGD(0.05),
        rows=SHORT,
        posterior=lambda: quantized.VectorQuantizer(4, 5, 2, restart=0.5, depth=2),
        penalties=lambda: [quantized.Commitment()],
    ),
    "learned quantizer": case(
        lambda: Adam(0.01),
        posterior=lambda: quantized.VectorQuantizer(4, 5, 2, decay=None, restart=0.5),
        penalties=lambda: [quantized.Commitment()],
    ),
    "cosine quantizer, k-means": case(
        lambda: SGD(0.05),
        posterior=lambda: quantized.VectorQuantizer(
            4, 5, 2, restart=0.5, distance="cosine", initializer="k_means"
        ),
        penalties=lambda: [quantized.Commitment()],
    ),
    "linear quantizer": case(
        lambda: Adam(0.01),
        posterior=lambda: quantized.LinearVectorQuantizer(4, 5, 2),
        penalties=lambda: [quantized.Commitment()],
    ),
    "binary quantizer": case(
        lambda: SGD(0.05),
        rows=SHORT,
        posterior=lambda: quantized.BinaryQuantizer(4, 2, spherical=True),
        penalties=lambda: [quantized.CodeEntropy(), quantized.Commitment()],
    ),
    "residual scalars": case(
        lambda: SGD(0.05),
        posterior=lambda: quantized.FiniteScalarQuantizer(4, (3, 4), depth=2),
    ),
    "gumbel quantizer": case(
        lambda: SGD(0.05), posterior=lambda: quantized.GumbelQuantizer(4, 5, 2)
    ),
    "mixed_float16": case(lambda: SGD(0.05, clipnorm=0.05), policy="mixed_float16"),
    "overflow on one replica": case(
        lambda: SGD(0.05),
        rows=32,
        x=overflowing(),
        policy="mixed_float16",
        likelihood=lambda: likelihoods.Normal(100.0),
    ),
}


def put_back(mistake):
    """The classic mistakes of hand-written loops."""

    def local_mean(values, weights):
        return ops.sum(weights * values) / ops.sum(weights)

    def mean_of_means(values, weights):
        mean = ops.divide_no_nan(ops.sum(weights * values), ops.sum(weights))
        return mean / replicas.count()

    def nan_when_empty(values, weights):
        return ops.mean(weights * values) / ops.mean(weights) / replicas.count()

    if mistake == "gradients summed":
        replicas.replica_loss = local_mean
    elif mistake == "mean of the replicas' means":
        replicas.replica_loss = mean_of_means
    elif mistake == "NaN on an empty shard":
        replicas.replica_loss = nan_when_empty
    elif mistake == "the same noise on every replica":
        random.rows_of_global_draw = lambda draw, shape, axis=0: draw(shape)
    elif mistake == "clipping per replica":
        trainer._clip = lambda gradients, *_: gradients
    elif mistake == "regularisers once a replica":
        replicas.count = lambda: 1


def train(name, count):
    options = CASES[name]
    strategy = None
    if count:
        devices = [f"CPU:{i}" for i in range(count)]
        # the default all-reduce clashes when one process makes several strategies
        reduce = tf.distribute.ReductionToOneDevice()
        strategy = tf.distribute.MirroredStrategy(devices, cross_device_ops=reduce)
    keras.config.set_dtype_policy(options["policy"])
    with strategy.scope() if strategy else contextlib.nullcontext():
        keras.utils.set_random_seed(0)
        parts = {role: make() for role, make in options["parts"].items()}
        latent_dim = getattr(parts.get("posterior"), "latent_dim", 2)
        decoder = networks.dense_decoder(latent_dim, (6,), units=(8,))
        opposed = any(isinstance(p, adversarial.Opponent) for p in parts.get("penalties", ()))
        model = adversarial.AdversarialVAE if opposed else keras_vae.VAE
        make = options["vae"] or (lambda: model(options["encoder"](), decoder, seed=3, **parts))
        vae = make()
        second = {"discriminator_optimizer": options["optimizer"]()} if opposed else {}
        vae.compile(
            options["optimizer"](), **second, steps_per_execution=options["steps"], metrics=["mae"]
        )
    x, w = keras.tree.map_structure(lambda a: a[: options["rows"]], (options["x"], W))
    target = x["x"] if isinstance(x, dict) else x
    data = tf.data.Dataset.from_tensor_slices((x, target, w)).batch(16)
    epochs = 3 if name == "SGD" else 1  # replicas take long to begin one
    passes = data.repeat(3 // epochs)
    history = vae.fit(passes, epochs=epochs, validation_data=data, verbose=0).history  # 21 steps
    keras.config.set_dtype_policy("float32")
    results = {
        "weights": np.concatenate([np.ravel(w) for w in vae.get_weights()]),
        "logs": np.array(list(history.values())),
        "iterations": keras.ops.convert_to_numpy(vae.optimizer.iterations),
    }
    if name == "SGD":
        results["codes"] = vae.encode(X[:50], batch_size=16)
    if hasattr(vae.optimizer, "skipped"):
        results["skipped"] = keras.ops.convert_to_numpy(vae.optimizer.skipped)
    if hasattr(vae.optimizer, "dynamic_scale"):
        results["scale"] = keras.ops.convert_to_numpy(vae.optimizer.dynamic_scale)
    return results


def main(jobs_path, output):
    with open(jobs_path) as file:
        jobs = json.load(file)
    originals = (replicas.replica_loss, random.rows_of_global_draw, trainer._clip, replicas.count)
    everything = {}
    for name, count, mistake in jobs:
        put_back(mistake)
        for key, value in train(name, count).items():
            everything["|".join([name, str(count), mistake, key])] = value
        (
            replicas.replica_loss,
            random.rows_of_global_draw,
            trainer._clip,
            replicas.count,
        ) = originals
    np.savez(output, **everything)


if __name__ == "__main__":
    main(*sys.argv[1:])
