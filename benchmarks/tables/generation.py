"""Generated rows of two tables: their likeness to real rows, and what can be learned from them.

    python benchmarks/tables/generation.py --json generation.json --seeds 1
    python benchmarks/tables/generation.py --json generation.json --only keras_vae

Protocol: adult without its 1,843 rows with gaps, which the other libraries don't take, and default
credit. Every fifth row is held out; the models train on the others and generate as many rows. The
quality is the score of SDMetrics' report on generated and training rows: the mean of the scores of
the columns' shapes and of the pairs' trends, categories and ordinals as categories. The AUC is that
on the real held-out rows of scikit-learn's `HistGradientBoostingClassifier` with its defaults,
trained on the generated rows; the loss is that against the same classifier trained on the real
rows. It predicts sex in adult (the ninth column) and default in default credit (the last one) from
all other columns. The distance to the closest training row is Gower's: of numbers and ordinals the
difference over the training rows' range, of categories 1 where they differ, the mean over the
columns; the median over 2,000 generated rows, beside that of 2,000 held-out rows, and the shares of
those that equal a training row. Rows that lie closer than held-out rows have been learned by heart.

Contenders: TVAE and CTGAN of the package `ctgan` with their defaults, in an environment of their
own (categories and ordinals are its discrete columns); and our table model. "Independent columns"
shuffles each column of the training rows.
"""

import json
import pathlib
import warnings

import numpy as np
import pandas as pd
from data import NUMBERS, as_codes, as_frame, codes, kinds
from harness import CACHE, OURS, Clock, parser, print_table, run_all, work

TARGETS = {"adult": "sex", "defaultcredit": "c23"}


def split(data, table):
    """Returns the rows to train on, and those held out, both without gaps."""
    rows = codes(data, table).dropna().reset_index(drop=True)
    whole = [name for name in rows if (rows[name] % 1 == 0).all()]
    rows = rows.astype(dict.fromkeys(whole, "int64"))
    held_out = rows.index % 5 == 0
    return rows[~held_out].reset_index(drop=True), rows[held_out].reset_index(drop=True)


def independent(train, kinds, seed):
    random = np.random.default_rng(seed)
    return train.apply(lambda column: random.permutation(column.to_numpy()))


def synthesizer(name, train, kinds, seed):
    """One of the package `ctgan`, with its defaults."""
    import ctgan
    import torch

    np.random.seed(seed)
    torch.manual_seed(seed)
    model = getattr(ctgan, name)()
    model.set_random_state(seed)
    model.fit(train, [column for column, kind in kinds.items() if kind not in NUMBERS])
    return model.sample(len(train))


def tvae(train, kinds, seed):
    return synthesizer("TVAE", train, kinds, seed)


def gan(train, kinds, seed):
    return synthesizer("CTGAN", train, kinds, seed)


def ours(train, kinds, seed):
    import keras_vae

    frame = as_frame(train, kinds)
    vae = keras_vae.recipes.table_vae(frame, seed=seed)
    vae.fit(frame, verbose=0)
    return as_codes(vae.generate(len(train), seed=seed))


CONTENDERS = {
    "independent columns": (independent, None),
    "TVAE": (tvae, "tables_generation"),
    "CTGAN": (gan, "tables_generation"),
    OURS: (ours, None),
}


def file_of(title, table, seed, folder):
    return folder / f"{title.replace(' ', '_')}_{table}_{seed}.csv"


def generate(title, table, seed, arguments):
    """Trains one contender and writes its rows."""
    train, _ = split(arguments.data, table)
    clock = Clock()
    rows = CONTENDERS[title][0](train, kinds(arguments.data, table), int(seed))
    figures = {"cpu_seconds": clock.seconds()}
    arguments.rows.mkdir(parents=True, exist_ok=True)
    rows.to_csv(file_of(title, table, seed, arguments.rows), index=False)
    return figures


def quality(train, rows, types):
    """Returns SDMetrics' score and those of its two properties."""
    from sdmetrics.reports.single_table import QualityReport

    warnings.filterwarnings("ignore", category=FutureWarning)  # the report has a new name
    sort = {True: "numerical", False: "categorical"}
    columns = {name: {"sdtype": sort[kind in NUMBERS]} for name, kind in types.items()}
    report = QualityReport()
    report.generate(train, rows, {"columns": columns}, verbose=False)
    shapes, trends = report.get_properties()["Score"]
    return {"quality": report.get_score(), "shapes": float(shapes), "trends": float(trends)}


def area(train, test, target):
    """The AUC on the rows `test` of a classifier trained on the rows `train`."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    model = HistGradientBoostingClassifier(random_state=0)
    model.fit(train.drop(columns=target), train[target])
    scores = model.predict_proba(test.drop(columns=target))[:, -1]
    return float(roc_auc_score(test[target] == test[target].max(), scores))


def distances(train, rows, types, number=2000):
    """Returns Gower's distance to the closest training row of some rows."""
    category = np.array([kind == "cat" for kind in types.values()])
    extent = np.ptp(train.to_numpy("float32"), axis=0)
    extent = np.where(category | (extent == 0), 1, extent).astype("float32")
    some = rows.sample(min(number, len(rows)), random_state=0)
    train, some = (frame.to_numpy("float32") / extent for frame in (train, some))
    found = []
    for row in some:
        differences = np.abs(train - row)
        differences[:, category] = differences[:, category] != 0
        found.append(differences.mean(axis=1).min())
    return np.array(found)


def score(title, table, seed, arguments):
    """The figures of the rows that one contender has written."""
    types = kinds(arguments.data, table)
    train, held_out = split(arguments.data, table)
    rows = pd.read_csv(file_of(title, table, seed, arguments.rows))[list(train)]
    figures = quality(train, rows, types)
    figures["auc"] = area(rows, held_out, TARGETS[table])
    figures["real_auc"] = area(train, held_out, TARGETS[table])
    for name, frame in (("generated", rows), ("held_out", held_out)):
        found = distances(train, frame, types)
        figures[f"{name}_distance"] = float(np.median(found))
        figures[f"{name}_equal"] = float(np.mean(found == 0))
    return figures


def once(script, run, arguments, requirements, options):
    """Generates, in the contender's environment, and scores, in that of the package `ctgan`."""
    figures = work(script, ("generate", *run), arguments, requirements, options)
    if "cut" in figures:
        return figures
    return figures | work(script, ("score", *run), arguments, "tables_generation", options)


def print_figures(figures, tables, seeds):
    for table in tables:
        rows = []
        for title in CONTENDERS:
            found = [figures.get(title, table, seed) for seed in range(seeds)]
            found = [f for f in found if f and "auc" in f]
            rows.append([title, *cells(found)] if found else [title, "not run", *8 * [""]])
        header = ["quality", "shapes", "trends", "AUC", "real rows", "loss of AUC"]
        header += ["distance, generated / held out", "equal", "CPU s"]
        print_table([table, *header], rows)


def cells(found):
    """One contender's cells: means over its seeds, with the standard deviation of several."""

    def shown(values, form):
        spread = f" ± {np.std(values):{form}}" if len(values) > 1 else ""
        return f"{np.mean(values):{form}}{spread}"

    names = ("quality", "shapes", "trends", "auc", "real_auc")
    made = [shown([f[name] for f in found], ".4f") for name in names]
    made.append(shown([f["real_auc"] - f["auc"] for f in found], ".4f"))
    pairs = [("generated_distance", "held_out_distance"), ("generated_equal", "held_out_equal")]
    for pair in pairs:
        made.append(" / ".join(f"{np.mean([f[name] for f in found]):.4f}" for name in pair))
    return [*made, shown([f["cpu_seconds"] for f in found], ".0f")]


def main():
    made = parser(__doc__, CONTENDERS)
    made.add_argument("--tables", nargs="+", choices=list(TARGETS), default=list(TARGETS))
    made.add_argument("--seeds", type=int, default=3)
    rows = CACHE / "keras_vae_tables"
    made.add_argument("--rows", type=pathlib.Path, default=rows, help="for the generated rows")
    arguments = made.parse_args()
    if arguments.worker:
        stage, *run = arguments.worker
        print(json.dumps({"generate": generate, "score": score}[stage](*run, arguments)))
        return
    cases = [(table, seed) for seed in range(arguments.seeds) for table in arguments.tables]
    requirements = {title: found[1] for title, found in CONTENDERS.items()}
    options = ("--rows", arguments.rows)
    figures = run_all(__file__, requirements, cases, arguments, options, once)
    print_figures(figures, arguments.tables, arguments.seeds)


if __name__ == "__main__":
    main()
