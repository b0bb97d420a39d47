"""`keras-vae impute`."""

import argparse
import pathlib

from keras_vae.cli import rows
from keras_vae.cli.output import check_new
from keras_vae.cli.table import load_table_model, read_rows


def impute(arguments: argparse.Namespace) -> None:
    """Writes the rows of a file with their gaps filled, and all else as it is."""
    several = arguments.num_imputations
    paths = [arguments.output] if several is None else numbered(arguments.output, several)
    check_new(paths, rows.SUFFIXES, arguments.overwrite)
    vae = load_table_model(arguments)
    frame = read_rows(vae, arguments, *paths)
    filled = vae.impute(frame, num_imputations=several, seed=arguments.seed)
    rows.write_all([filled] if several is None else filled, paths)
    print(f"Wrote {len(frame)} rows to {', '.join(paths)}")


def numbered(path: str, count: int) -> list[str]:
    """Returns `filled-1.csv`, `filled-2.csv`, … for `filled.csv`."""
    whole = pathlib.Path(path)
    return [str(whole.with_stem(f"{whole.stem}-{i + 1}")) for i in range(count)]
