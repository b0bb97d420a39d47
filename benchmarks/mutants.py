"""Applies known faults to the library, one at a time, and names the test that notices each.

Each fault is made in a temporary copy of the library and its tests. The benchmark fails if the
tests of a module fail without a fault, or if they pass with one:

    python benchmarks/mutants.py

It can also draw small changes at random, such as < for <= or n + 1 for n, and run the tests of the
changed module, first the usual ones and then the slow ones. The benchmark fails if fewer than 95 %
of the changes are noticed, apart from those that nobody can see (`random_changes.EQUIVALENT`). If
a run of the tests takes more than 15 minutes, as in an endless loop, the change is noticed too.
`--list` only shows the changes, and `--first K` goes on at the row with the number K:

    python benchmarks/mutants.py --random 200 --seed 0
"""

import argparse
import contextlib
import os
import pathlib
import shlex
import shutil
import sys
import tempfile
from typing import NamedTuple

import random_changes

ROOT = pathlib.Path(__file__).resolve().parent.parent
NO_CONDITION = "None if batch.condition is None else 0.0 * batch.condition"


class Mutant(NamedTuple):
    """A small change of one file, and the tests that should notice it."""

    title: str
    file: str
    old: str
    new: str
    tests: str


MUTANTS = [
    Mutant(
        "a condition is repeated instead of tiled over the draws",
        "model.py",
        "condition = ops.tile(condition, (draws, 1))",
        "condition = ops.repeat(condition, draws, axis=0)",
        "test_inference.py",
    ),
    Mutant(
        "the joint density that is computed again ignores the mask",
        "model.py",
        "return density(batch.target, params, mask=batch.target_mask) + prior.log_prob(z)",
        "return density(batch.target, params) + prior.log_prob(z)",
        "test_objectives.py -k joint",
    ),
    Mutant(
        "the joint density that is computed again uses the prior without the condition",
        "model.py",
        "return density(batch.target, params, mask=batch.target_mask) + prior.log_prob(z)",
        "return density(batch.target, params, mask=batch.target_mask) + "
        f"self._prior_for({NO_CONDITION}).log_prob(z)",
        "test_objectives.py -k joint",
    ),
    Mutant(
        "the loss uses the prior without the condition",
        "model.py",
        "prior = self._prior_for(batch.condition, training)\n        log_prior",
        f"prior = self._prior_for({NO_CONDITION}, training)\n        log_prior",
        "test_prior_temperature.py",
    ),
    Mutant(
        "fit_prior gives the prior no gradient",
        "prior_fitting.py",
        "posterior.log_prob(q, z), prior.log_prob(z))",
        "posterior.log_prob(q, z), ops.stop_gradient(prior.log_prob(z)))",
        "test_prior_fitting.py",
    ),
    Mutant(
        "fit_prior ignores sample weights",
        "prior_fitting.py",
        "weights = weights * ops.cast(sample_weight, weights.dtype)",
        "weights = weights + 0.0 * ops.cast(sample_weight, weights.dtype)",
        "test_prior_fitting.py",
    ),
    Mutant(
        "fit_prior ignores the condition",
        "prior_fitting.py",
        'condition_on(x.get("condition"), posterior',
        'condition_on(0.0 * x["condition"] if "condition" in x else None, posterior',
        "test_prior_fitting.py",
    ),
    Mutant(
        "the model with the fitted prior loses the seed",
        "prior_fitting.py",
        'constructor_arguments(vae) | {"prior": prior}',
        'constructor_arguments(vae) | {"prior": prior, "seed": None}',
        "test_prior_fitting.py",
    ),
    Mutant(
        "the noise of fit_prior loses the seed",
        "prior_fitting.py",
        "self.noise = keras.random.SeedGenerator(random.stream(vae.seed, 0))",
        "self.noise = keras.random.SeedGenerator(random.new_seed())",
        "test_prior_fitting.py",
    ),
    Mutant(
        "the first guess of fit_prior loses the seed",
        "prior_fitting.py",
        "prior.start_from(ops.convert_to_numpy(codes), vae.seed)",
        "prior.start_from(ops.convert_to_numpy(codes), random.new_seed())",
        "test_prior_fitting.py",
    ),
    Mutant(
        "the features of a ladder are repeated instead of tiled over the draws",
        "hierarchical/model.py",
        "tiled = [ops.tile(f, (num_samples, *[1] * (len(f.shape) - 1))) for f in features]",
        "tiled = [ops.repeat(f, num_samples, axis=0) for f in features]",
        "test_hierarchical.py -k 'each_draw or group'",
    ),
    Mutant(
        "the condition of a ladder is repeated instead of tiled over the draws",
        "hierarchical/model.py",
        "condition = ops.tile(condition, (num_samples, 1))",
        "condition = ops.repeat(condition, num_samples, axis=0)",
        "test_hierarchical.py -k 'each_draw or group'",
    ),
    Mutant(
        "the condition of a ladder's prior is repeated instead of tiled over the draws",
        "hierarchical/parts.py",
        "condition = ops.tile(condition, (draws, 1))",
        "condition = ops.repeat(condition, draws, axis=0)",
        "test_hierarchical.py -k 'each_draw or group'",
    ),
    Mutant(
        "kl_1, kl_2, … ignore sample weights",
        "hierarchical/model.py",
        "ops.unstack(terms.kl_summands, axis=1), terms.weights",
        "ops.unstack(terms.kl_summands, axis=1), ops.ones_like(terms.weights)",
        "test_hierarchical.py -k 'each_draw or group'",
    ),
    Mutant(
        "a ladder scales every group by the temperature of the first",
        "hierarchical/parts.py",
        "return np.repeat(np.broadcast_to(scales, len(sizes)), sizes)",
        "return np.repeat(np.broadcast_to(scales[:1], len(sizes)), sizes)",
        "test_hierarchical.py -k 'each_draw or group'",
    ),
    Mutant(
        "the exported `generate` ignores a conditional prior",
        "inference.py",
        "vae._prior_for(batch.condition).from_noise(batch.x)",
        f"vae._prior_for({NO_CONDITION}).from_noise(batch.x)",
        "test_inference.py",
    ),
    Mutant(
        "imputed values are not weighted by what is observed",
        "inference.py",
        "ops.exp(log_weights - ops.logsumexp(log_weights, axis=0))",
        "ops.full_like(log_weights, 1.0 / num_samples)",
        "test_inference.py",
    ),
    Mutant(
        "imputed values are weighted over the rows instead of the draws",
        "inference.py",
        "ops.exp(log_weights - ops.logsumexp(log_weights, axis=0))",
        "ops.exp(log_weights - ops.logsumexp(log_weights, axis=1, keepdims=True))",
        "test_inference.py",
    ),
    Mutant(
        "anomaly scores have the sign of the ELBO",
        "model.py",
        "return -self.elbo(x, y, num_samples",
        "return self.elbo(x, y, num_samples",
        "test_model.py -k anomalies",
    ),
    Mutant(
        "interpolation goes from b to a",
        "model.py",
        "start + fraction * (end - start)",
        "end + fraction * (start - end)",
        "test_model.py -k interpolation",
    ),
    Mutant(
        "validation ignores its batch size",
        "model.py",
        'size = call.get("validation_batch_size") or call.get("batch_size")',
        'size = call.get("batch_size")',
        "test_trainer.py -k validation",
    ),
    Mutant(
        "MMD ignores sample weights",
        "penalties.py",
        "weights = replicas.all_gather(terms.weights)\n        draws",
        "weights = ops.ones_like(codes[:, 0])\n        draws",
        "test_penalties.py -k mmd",
    ),
    Mutant(
        "the class of a mixture averages logits",
        "likelihoods/counts.py",
        "share_sum(shares, ops.softmax(self._by_class(params), axis=-1))",
        "share_sum(shares, self._by_class(params))",
        "test_likelihood_edges.py",
    ),
    Mutant(
        "a step that is partly missing is shown as if it were whole",
        "likelihoods/sequences.py",
        "ops.all(mask, axis=-1, keepdims=True)",
        "ops.any(mask, axis=-1, keepdims=True)",
        "test_sequences.py -k missing",
    ),
    Mutant(
        "the density of ContinuousBernoulli has another series near 1/2",
        "likelihoods/pixels.py",
        "math.log(2.0) + ops.square(params) / 12",
        "math.log(2.0) + ops.square(params) / 24",
        "test_likelihood_edges.py",
    ),
    Mutant(
        "the mean of ContinuousBernoulli has another series near 1/2",
        "likelihoods/pixels.py",
        "0.5 + params / 12",
        "0.5 + params / 10",
        "test_likelihood_edges.py",
    ),
    Mutant(
        "FlowPrior ignores the temperature",
        "priors/flow.py",
        "temperature * noise",
        "noise",
        "test_prior_temperature.py",
    ),
    Mutant(
        "the temperature of NormalMixture scales the means too",
        "priors/mixtures.py",
        "normal.from_noise(mean, log_variance, noise[:, :-2], temperature)",
        "temperature * normal.from_noise(mean, log_variance, noise[:, :-2])",
        "test_prior_temperature.py",
    ),
    Mutant(
        "the temperature of VampPrior scales the means too",
        "priors/mixtures.py",
        "self.posterior.from_noise(q, temperature * noise[None, :, :-2])[0]",
        "temperature * self.posterior.from_noise(q, noise[None, :, :-2])[0]",
        "test_prior_temperature.py",
    ),
    Mutant(
        "the temperature of codes is inverted",
        "quantized/codes.py",
        "/ max(temperature, 1e-6)",
        "* max(temperature, 1e-6)",
        "test_prior_temperature.py",
    ),
    Mutant(
        "the count of a restarted code is 0",
        "quantized/vector.py",
        "ops.where(dead, least, count)",
        "ops.where(dead, 0.0, count)",
        "test_quantized.py -k restart",
    ),
    Mutant(
        "the weights of an adversary's reference are 1 instead of the mean weight",
        "adversarial/codes.py",
        "ones * replicas.mean(weights, ones)",
        "ones",
        "test_adversarial.py -k reference",
    ),
    Mutant(
        "virtual HDF5 datasets are allowed",
        "archives.py",
        "item.external or item.is_virtual or",
        "item.external or",
        "test_archives.py",
    ),
]


def changed(text, mutant):
    """Returns the text of a file with the fault in it."""
    if text.count(mutant.old) != 1:
        raise SystemExit(
            f"{mutant.file} must have this text exactly once, or the fault {mutant.title!r} must "
            f"be described anew. Received: {text.count(mutant.old)} times {mutant.old!r}"
        )
    return text.replace(mutant.old, mutant.new)


def failing_test(suite, tests):
    """Runs tests, the slow ones too; returns the first that fails, or None."""
    return suite.failure("-m", "", *shlex.split(f"tests/{tests}"))


def noticed(suite, mutant):
    """Returns the name of the test that notices a fault, or None."""
    path = suite.folder / "keras_vae" / mutant.file
    with random_changes.replaced(path, changed(path.read_text(), mutant).encode()):
        return failing_test(suite, mutant.tests)


@contextlib.contextmanager
def suite_in_a_copy(arguments):
    """The tests in a temporary copy of the library."""
    with tempfile.TemporaryDirectory() as name:
        copy(pathlib.Path(name))
        yield random_changes.Suite(pathlib.Path(name), 60 * arguments.minutes)


def copy(folder):
    """Copies the library and its tests to `folder`."""
    for name in ("keras_vae", "keras_vae_cli", "tests"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)


def run_known(arguments):
    """Makes the known faults; returns whether all are noticed."""
    mutants = [m for m in MUTANTS if arguments.only in f"{m.file}: {m.title}"]
    for mutant in MUTANTS:
        changed((ROOT / "keras_vae" / mutant.file).read_text(), mutant)
    if arguments.list:
        return True
    missed = 0
    with suite_in_a_copy(arguments) as suite:
        for tests in sorted({m.tests for m in mutants}):
            failed = failing_test(suite, tests)
            if failed:
                raise SystemExit(f"{failed} fails without a fault")
        print("| file | fault | noticed by |")
        print("| --- | --- | --- |")
        for mutant in mutants:
            test = noticed(suite, mutant)
            missed += test is None
            print(f"| {mutant.file} | {mutant.title} | {test or '**nothing**'} |", flush=True)
    return not missed


def run_random(arguments):
    """Makes random changes; returns whether enough are noticed."""
    drawn = random_changes.draw(arguments.random, arguments.seed, arguments.only)
    changes = {i: change for i, change in enumerate(drawn) if i >= arguments.first}
    if arguments.list:
        random_changes.list_tests(changes)
        return True
    with suite_in_a_copy(arguments) as suite:
        return random_changes.report(changes, suite.noticed)


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="part of the title or the file of the faults")
    parser.add_argument("--list", action="store_true", help="make no fault; check or show them")
    parser.add_argument("--random", type=int, metavar="N", help="number of random changes")
    parser.add_argument("--seed", type=int, default=0, help="of the random changes")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="go on at number K")
    parser.add_argument("--minutes", type=float, default=15, help="limit of each run of the tests")
    return parser.parse_args()


def main():
    arguments = parsed()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    run = run_known if arguments.random is None else run_random
    sys.exit(not run(arguments))


if __name__ == "__main__":
    main()
