"""`keras-vae score`."""

import argparse

from keras_vae.cli import rows
from keras_vae.cli.output import check_new
from keras_vae.cli.table import load_table_model, read_rows


def score(arguments: argparse.Namespace) -> None:
    """Writes how strange each row of a file is, in nats, and on request each of its cells."""
    check_new([arguments.output], rows.SUFFIXES, arguments.overwrite)
    vae = load_table_model(arguments)
    frame = read_rows(vae, arguments, arguments.output)
    columns = {"anomaly_score": vae.anomaly_score(frame)}
    if arguments.cells:
        cells = vae.explain(frame)
        columns |= {name: cells[name].to_numpy() for name in cells.columns}
    columns = rows.index(frame, list(columns)) | columns
    rows.write(rows.make(columns, rows.library(arguments.output)), arguments.output)
    print(f"Wrote the scores of {len(frame)} rows to {arguments.output}")
