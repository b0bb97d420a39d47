"""`keras-vae generate`."""

import argparse

import keras

from keras_vae import plotting, saving
from keras_vae.cli import rows
from keras_vae.cli.output import check_examples, check_new, picture_or_array, write
from keras_vae.cli.table import conditions
from keras_vae.tables import TableVAE


def generate(arguments: argparse.Namespace) -> None:
    """Writes new examples as a picture or an array, or new rows of a table."""
    check_examples(arguments.output, arguments.overwrite, *rows.SUFFIXES)
    vae = saving.load_model(arguments.model)
    if isinstance(vae, TableVAE):
        return generate_rows(vae, arguments)
    check_no_condition(vae, arguments)
    output = picture_or_array(arguments.output, "samples", vae.target_shape)
    check_examples(output, arguments.overwrite)
    x = vae.generate(arguments.num, temperature=arguments.temperature, seed=arguments.seed)
    write(
        x,
        output,
        lambda x, path: plotting.image_grid(x, path, title="Samples from the model"),
    )


def check_no_condition(vae: keras.Model, arguments: argparse.Namespace) -> None:
    """Raises ValueError if values of columns are given for a model that has none."""
    if arguments.condition:
        raise ValueError(
            "`--condition` must be left out, because the model is not of a table. "
            f"Received: --condition {arguments.condition[0]} and a {type(vae).__name__}"
        )


def generate_rows(vae: TableVAE, arguments: argparse.Namespace) -> None:
    """Writes new rows of a table, all or those with given values."""
    output = arguments.output or "rows.csv"
    check_new([output], rows.SUFFIXES, arguments.overwrite)
    vae.table.library = rows.library(output)
    condition = conditions(vae.table, arguments.condition)
    options = {} if condition else {"temperature": arguments.temperature}
    if condition and arguments.temperature != 1:
        raise ValueError(
            "`--temperature` must be left out with --condition, because codes are then drawn from "
            f"what is known of the rows. Received: --temperature {arguments.temperature}"
        )
    frame = vae.generate(arguments.num, condition=condition, seed=arguments.seed, **options)
    rows.write(frame, output)
    print(f"Wrote {len(frame)} rows to {output}")
