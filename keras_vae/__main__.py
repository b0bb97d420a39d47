"""The command line: `keras-vae`, or `python -m keras_vae`."""

import argparse
import contextlib
import csv
import faulthandler
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from keras_vae import (
    callbacks,
    datasets,
    likelihoods,
    plotting,
    recipes,
    replicas,
    report,
    saving,
    schedules,
)

LIKELIHOODS = {
    "bernoulli": likelihoods.Bernoulli,
    "continuous_bernoulli": likelihoods.ContinuousBernoulli,
    "discretized_logistic": likelihoods.DiscretizedLogistic,
    "normal": lambda: likelihoods.Normal(scale="optimal"),
    "laplace": lambda: likelihoods.Laplace(scale="shared"),
}


def train(arguments):
    """Trains, and leaves model, history, logs and pictures in the output folder."""
    output = writable_folder(arguments.output)
    with contextlib.nullcontext() if replicas.in_cluster() else saving.sole_use(output):
        try:
            train_in(output, arguments)
        except OSError as error:
            raise ValueError(
                "`--output` could not be written to any more "
                f"({error.strerror or error}); what is there is whole: make room, and go on with "
                f"the same command and --resume. Received: --output={output}"
            ) from error


def train_in(output, arguments):
    """Trains in a folder; exits with 128 + its number if a signal comes."""
    strategy = replicas.strategy(arguments.strategy)
    splits = load_data(arguments.data, arguments.strict)
    limit = arguments.limit or len(splits.train)
    train_set = datasets.Batches(
        splits.train[:limit], arguments.batch_size, shuffle=True, seed=arguments.seed
    )
    test_set = datasets.Batches(splits.test, arguments.batch_size)
    saving.remove_leftovers(output)
    path, history_path = output / "vae.keras", output / "history.csv"
    with strategy.scope() if strategy else contextlib.nullcontext():
        if arguments.resume and path.exists():
            vae = saving.load_model(path)
            train_set.epoch = finished_epochs(vae, train_set)
            print(f"Going on from {path} after epoch {train_set.epoch}.")
        else:
            vae = new_model(arguments, splits.train.shape[1:], len(train_set))
    try:
        vae.fit(
            train_set,
            epochs=arguments.epochs,
            initial_epoch=train_set.epoch,
            validation_data=test_set,
            shuffle=False,
            callbacks=[
                callbacks.StopOnSignal(),
                callbacks.StopOnNonFinite(path),
                callbacks.CollapseMonitor(some(splits.test, 1000)),
                callbacks.HistoryFile(history_path),
                keras.callbacks.ModelCheckpoint(path),
                *tensorboard(output / "logs"),
                *pictures_while_training(splits.test, output),
            ],
        )
    except callbacks.Interrupted as interrupted:
        vae.save(output / "interrupted.keras")
        print(
            f"\nStopped by {interrupted}. The model as it is: {output / 'interrupted.keras'}. The "
            "same command with --resume goes on from the last whole epoch, and ends as if never "
            "stopped."
        )
        sys.exit(128 + interrupted.signal)
    closing_pictures(vae, splits, output)
    if vae.is_chief:
        (output / "interrupted.keras").unlink(missing_ok=True)
        shown = sorted(p.name for p in output.iterdir() if not p.name.startswith("."))
        print(f"Left in {output}/:", *shown)
        print(f"Next: keras-vae generate {path}")


def new_model(arguments, input_shape, steps_per_epoch):
    """A compiled model as the arguments of `train` ask for."""
    keras.utils.set_random_seed(arguments.seed)
    beta = arguments.beta
    if arguments.warm_up:
        beta = schedules.Linear(arguments.warm_up * steps_per_epoch, end=beta)
    recipe = recipes.seed_vae if arguments.network == "seed" else recipes.vae
    likelihood = LIKELIHOODS[arguments.likelihood]()
    vae = recipe(input_shape, arguments.latent_dim, likelihood, beta, arguments.seed)
    rate = arguments.learning_rate
    if arguments.decay:
        steps = arguments.epochs * steps_per_epoch
        rate = keras.optimizers.schedules.CosineDecay(rate, steps, alpha=0.02)
    vae.compile(optimizer=keras.optimizers.Adam(rate))
    return vae


def finished_epochs(vae, train_set):
    """How many whole epochs of `train_set` the optimizer of a saved model has seen."""
    steps = int(keras.ops.convert_to_numpy(vae.optimizer.iterations))
    epochs, rest = divmod(steps, len(train_set))
    if rest:
        raise ValueError(
            "`--resume` must be given the same --data, --limit and --batch-size as before, because "
            f"an epoch must have as many steps. Received: {len(train_set)} steps an epoch, and a "
            f"model after {steps} steps"
        )
    return epochs


def evaluate(arguments):
    """Prints the logs of the test set, in nats per example; writes a report on request."""
    vae = saving.load_model(arguments.model)
    splits = load_data(arguments.data, arguments.strict)
    data = datasets.Batches(splits.test, arguments.batch_size)
    logs = vae.evaluate(data, return_dict=True)
    if arguments.diagnose:
        logs |= vae.diagnose(some(splits.test, 10_000))
    for name, value in logs.items():
        values = " ".join(f"{v:10.3f}" for v in np.ravel(value))
        print(f"{name:22} {values}")
    if arguments.report:
        write_report(vae, splits, arguments)


def write_report(vae, splits, arguments):
    """The page of `--report`, with the curves of the history beside the model."""
    history = pathlib.Path(arguments.model).with_name("history.csv")
    report.write(
        arguments.report,
        vae,
        some(splits.test, 10_000),
        splits.test_labels,
        splits.class_names,
        callbacks.read_history(history) if history.exists() else None,
        arguments.draws,
        title=f"VAE {arguments.model}",
    )
    print(f"Wrote {arguments.report}")


def generate(arguments):
    """Writes new examples as a picture or an array."""
    vae = saving.load_model(arguments.model)
    x = vae.generate(arguments.num, arguments.temperature, arguments.seed)
    write(x, arguments.output, plotting.image_grid)


def reconstruct(arguments):
    """Writes test examples and their reconstructions, as a picture or an array."""
    vae = saving.load_model(arguments.model)
    x = some(load_data(arguments.data, arguments.strict).test, arguments.num)
    write(
        vae.predict(x, verbose=0),
        arguments.output,
        lambda y, path: plotting.reconstructions(x, y, path),
    )


def encode(arguments):
    """Writes the codes of the test set: one row an example, the label last if there is one."""
    vae = saving.load_model(arguments.model)
    splits = load_data(arguments.data, arguments.strict)
    codes = vae.encode(datasets.Batches(splits.test, arguments.batch_size))
    header = [f"z{i}" for i in range(codes.shape[1])]
    rows = [header, *codes.tolist()]
    if splits.test_labels is not None:
        labels = ["label", *np.asarray(splits.test_labels).tolist()]
        rows = [[*row, label] for row, label in zip(rows, labels, strict=True)]
    with saving.atomic(arguments.output) as temporary, open(temporary, "w", newline="") as file:
        csv.writer(file).writerows(rows)
    print(f"Wrote {len(codes)} codes to {arguments.output}")


def export(arguments):
    """Writes a model for TF Serving, ONNX Runtime or LiteRT."""
    vae = saving.load_model(arguments.model)
    vae.export(arguments.output, arguments.format, component=arguments.component)


def load_data(name, strict=False):
    """The named data; unnamed, Fashion-MNIST or, where it cannot be had, the built-in shapes."""
    if name is not None:
        splits = datasets.load(name, strict)
        skipped = getattr(splits.train, "skipped", 0)
        if skipped:
            print(f"Left out {skipped} files in {name} that are no whole images.", file=sys.stderr)
        return splits
    try:
        return datasets.load("fashion_mnist")
    except ValueError as error:
        print(
            f"\n*** Fashion-MNIST cannot be downloaded ({error}).\n"
            "*** USING THE BUILT-IN DRAWN SHAPES INSTEAD. Name your data with --data.\n",
            file=sys.stderr,
        )
        return datasets.load("shapes")


def some(source, count):
    """The first examples of a data set as float32, 8-bit images scaled to [0, 1]."""
    return datasets.Batches(source, min(count, len(source)))[0]


def writable_folder(path):
    """The folder, made if need be; ValueError if nothing can be written there."""
    path = pathlib.Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise ValueError(
            "`--output` must be a folder that can be written to, because the model and its "
            f"history go there ({error.strerror}). Received: --output={path}"
        ) from error
    return path


def write(x, path, draw):
    """Saves an array as `.npy`, or draws it to an image file."""
    path = pathlib.Path(path)
    if path.suffix == ".npy":
        with saving.atomic(path) as temporary, open(temporary, "wb") as file:
            np.save(file, x, allow_pickle=False)
    else:
        draw(x, path=path)
    print(f"Wrote {path}")


def tensorboard(folder):
    """The TensorBoard callback where its package is installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        print('No TensorBoard logs: pip install "keras_vae[tensorboard]".')
        return []
    return [keras.callbacks.TensorBoard(folder, write_graph=False)]


def pictures_while_training(source, output):
    """The callback that draws, for images and where matplotlib is installed."""
    if not has_matplotlib() or not plotting.is_image(source.shape[1:]):
        return []
    return [callbacks.Pictures(some(source, 10), output)]


def closing_pictures(vae, splits, output):
    """Loss curves, and with two latents the codes of the test set by class."""
    if not has_matplotlib():
        print('No pictures: pip install "keras_vae[plot]".')
        return
    if vae.is_chief:
        plotting.loss_curves(
            callbacks.read_history(output / "history.csv"), path=output / "loss.png"
        )
    if vae.posterior.latent_dim == 2:
        codes = vae.encode(datasets.Batches(splits.test, 1000))  # on every worker
        path = output / "latent_scatter.png" if vae.is_chief else None
        plotting.latent_scatter(codes, splits.test_labels, path, splits.class_names)


def has_matplotlib():
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults that say something."""

    def _get_help_string(self, action):
        silent = action.default is None or action.default is False
        return action.help if silent else super()._get_help_string(action)


def parser():
    """The argument parser, one subcommand for each verb."""
    top = argparse.ArgumentParser(prog="keras-vae", description="Variational autoencoders.")
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument(
        "--data",
        help="fashion_mnist, shapes, a folder of images, a .npy or .npz file "
        "(default: fashion_mnist)",
    )
    data.add_argument("--strict", action="store_true", help="refuse a folder with a damaged image")
    data.add_argument(
        "--batch-size", type=int, default=128, metavar="N", help="examples in a batch"
    )

    def command(function, *parents):
        sub = commands.add_parser(
            function.__name__,
            help=function.__doc__,
            description=function.__doc__,
            parents=parents,
            formatter_class=_HelpFormatter,
        )
        sub.set_defaults(run=function)
        return sub

    add = command(train, data).add_argument
    add("--output", default="vae_run", metavar="DIR", help="folder for all that it leaves")
    add("--epochs", type=int, default=10, metavar="N", help="in total, with --resume too")
    add("--latent-dim", type=int, default=2, metavar="D", help="length of the code")
    add("--network", choices=["vae", "seed"], default="vae", help="seed: the small convolutional")
    add("--likelihood", choices=LIKELIHOODS, default="bernoulli", help="of the data, p(x|z)")
    add("--beta", type=float, default=1.0, help="weight of the KL")
    add("--warm-up", type=int, default=0, metavar="N", help="epochs in which beta rises from 0")
    add("--learning-rate", type=float, default=1e-3, metavar="R", help="of Adam")
    add("--decay", action="store_true", help="let the rate fall along a cosine over --epochs")
    add("--strategy", choices=["none", "mirrored"], default="none", help="mirrored: all devices")
    add("--limit", type=int, metavar="N", help="use the first N training examples")
    add("--seed", type=int, default=0, help="of weights, noise and order")
    add("--resume", action="store_true", help="go on after the last epoch in --output")

    add = command(evaluate, data).add_argument
    add("model", help="a .keras file")
    add("--diagnose", action="store_true", help="print active units and the parts of the KL too")
    add("--report", metavar="FILE", help="write a page with numbers and pictures, such as r.html")
    add("--draws", type=int, default=100, metavar="K", help="for the report's log-likelihood")

    sub = command(generate)
    sub.add_argument("model", help="a .keras file")
    sub.add_argument("--num", type=int, default=64, metavar="N", help="how many")
    sub.add_argument(
        "--temperature", type=float, default=1.0, metavar="T", help="scale of the prior"
    )
    sub.add_argument("--seed", type=int, help="of the draws")
    sub.add_argument("--output", default="samples.png", help="a .png or .npy file")

    sub = command(reconstruct, data)
    sub.add_argument("model", help="a .keras file")
    sub.add_argument("--num", type=int, default=10, metavar="N", help="how many")
    sub.add_argument("--output", default="reconstructions.png", help="a .png or .npy file")

    sub = command(encode, data)
    sub.add_argument("model", help="a .keras file")
    sub.add_argument("--output", default="codes.csv", help="a .csv file")

    sub = command(export)
    sub.add_argument("model", help="a .keras file")
    sub.add_argument(
        "--format", choices=["tf_saved_model", "onnx", "litert"], default="tf_saved_model"
    )
    sub.add_argument("--component", choices=["encoder", "decoder", "all"], default="all")
    sub.add_argument("--output", required=True, help="a folder, .onnx or .tflite file")
    return top


def main(argv=None):
    arguments = parser().parse_args(argv)
    if not faulthandler.is_enabled():
        faulthandler.enable(
            sys.__stderr__
        )  # names the line of a crash; and signals have a stack of their own
    try:
        arguments.run(arguments)
    except (ValueError, ImportError, FloatingPointError) as error:
        sys.exit(f"keras-vae: {error}")


if __name__ == "__main__":
    main()
