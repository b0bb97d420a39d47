"""Imputation of five tables with numbers and categories, with the masks of the HI-VAE paper.

    python benchmarks/tables/imputation.py --json imputation.json --masks 1
    python benchmarks/tables/imputation.py --json imputation.json --masks 1 --only keras_vae
    python benchmarks/tables/imputation.py --json imputation.json --tables wine breast --rates 10

Protocol: 10, 20 and 50 % of each column's entries are hidden by the published masks. Entries that
are missing in the original stay so for all. Errors are those of the paper (arXiv:1807.03653): of
numbers the root mean squared error over the column's range (maximum less minimum), of categories
the share of wrong ones, of ordinals the mean absolute difference over the number of classes; then
the mean over the columns. A cell is the mean over the masks that have run.

Contenders: mean and mode; 5 nearest neighbours (scikit-learn's `KNNImputer`); chained Bayesian
ridge and chained extra trees (`chained.py`, 10 rounds; 100 trees; categories one-hot); and our
table model. A run gets `--cap` CPU seconds: the chained ones then end with what they have (a star
in the table; the last table says after how many rounds), others without a result.

The coverage is of our 90 % intervals: the share of the hidden numbers between the 5 % and the 95 %
quantile of `--imputations` imputations.
"""

import json

import numpy as np
from chained import Blocks, RidgeClasses, chained, mean_and_mode, neighbours
from data import MASKS, NUMBERS, TABLES, as_codes, as_frame, class_counts, codes, kinds
from data import published_mask as mask_of
from harness import OURS, Clock, parser, print_table, run_all

RATES = (10, 20, 50)
GROUPS = {"numbers": NUMBERS, "classes": ("cat",), "ordinals": ("ordinal",)}
TITLES = {
    "error": "mean error of all columns",
    "numbers": "numbers",
    "classes": "categories",
    "ordinals": "ordinals",
}


def filled_by_mean(gaps, kinds, arguments):
    blocks = Blocks(gaps, kinds)
    return blocks.filled(mean_and_mode(blocks)), {}


def filled_by_neighbours(gaps, kinds, arguments):
    blocks = Blocks(gaps, kinds)
    return blocks.filled(neighbours(blocks)), {}


def filled_by_ridge(gaps, kinds, arguments):
    from sklearn.linear_model import BayesianRidge

    blocks = Blocks(gaps, kinds)
    matrix, rounds = chained(blocks, BayesianRidge, RidgeClasses, arguments.cap)
    return blocks.filled(matrix), {"rounds": rounds}


def filled_by_trees(gaps, kinds, arguments):
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    blocks = Blocks(gaps, kinds)
    regression, classification = (
        lambda kind=kind: kind(n_estimators=100, random_state=0)
        for kind in (ExtraTreesRegressor, ExtraTreesClassifier)
    )
    matrix, rounds = chained(blocks, regression, classification, arguments.cap)
    return blocks.filled(matrix), {"rounds": rounds}


def ours(gaps, kinds, arguments):
    """Returns the filled codes, and several imputations for the coverage."""
    import keras_vae

    frame = as_frame(gaps, kinds)
    vae = keras_vae.recipes.table_vae(frame, seed=0)
    vae.fit(frame, verbose=0)
    filled = as_codes(vae.impute(frame, seed=0)).to_numpy()
    many = vae.impute(frame, num_imputations=arguments.imputations, seed=0)
    return filled, {"many": np.stack([as_codes(one).to_numpy() for one in many])}


CONTENDERS = {
    "mean and mode": filled_by_mean,
    "kNN": filled_by_neighbours,
    "chained ridge": filled_by_ridge,
    "chained ExtraTrees": filled_by_trees,
    OURS: ours,
}
REQUIREMENTS = dict.fromkeys(CONTENDERS)  # this Python has what they need


def error(kind, truth, found, extent, classes):
    """The paper's error of one column."""
    if kind in NUMBERS:
        return np.sqrt(np.mean((found - truth) ** 2)) / extent
    if kind == "cat":
        return np.mean(found != truth)
    return np.mean(np.abs(np.round(found) - truth)) / classes


def covered(kinds, truth, many, hidden):
    """Returns the share of hidden numbers in the 90 % intervals, over all columns and of each."""
    low, high = np.quantile(many, (0.05, 0.95), axis=0, method="weibull")
    inside = (low <= truth) & (truth <= high)
    numbers = [i for i, kind in enumerate(kinds.values()) if kind in NUMBERS]
    names = list(kinds)
    each = {names[i]: float(inside[hidden[:, i], i].mean()) for i in numbers}
    together = inside[:, numbers][hidden[:, numbers]]
    return {"coverage": float(together.mean()), "coverages": each} if numbers else {}


def run(title, table, rate, number, arguments):
    """One contender with one mask: its figures."""
    truth, types = codes(arguments.data, table), kinds(arguments.data, table)
    classes = class_counts(arguments.data, table)
    hidden = mask_of(arguments.data, table, rate, number) & truth.notna().to_numpy()
    clock = Clock()
    filled, more = CONTENDERS[title](truth.mask(hidden), types, arguments)
    figures = {"cpu_seconds": clock.seconds(), "rounds": more.get("rounds")}
    errors = {}
    for i, (name, kind) in enumerate(types.items()):
        column, rows = truth[name].to_numpy("float64"), hidden[:, i]
        extent = np.nanmax(column) - np.nanmin(column)
        errors[name] = float(error(kind, column[rows], filled[rows, i], extent, classes[name]))
    figures["error"] = float(np.mean(list(errors.values())))
    for group, members in GROUPS.items():
        of_group = [errors[name] for name, kind in types.items() if kind in members]
        figures[group] = float(np.mean(of_group)) if of_group else None
    if "many" in more:
        figures |= covered(types, truth.to_numpy("float64"), more["many"], hidden)
    return figures | {"errors": errors}


def of_masks(figures, title, table, rate):
    """Returns the figures of all masks that have run, and whether one was cut."""
    found = [figures.get(title, table, rate, n) for n in range(1, 1 + MASKS.get(table, 5))]
    cut = any(f and ("cut" in f or (f["rounds"] or 10) < 10) for f in found)
    return [f for f in found if f and "error" in f], cut


def cell(found, key, cut=False):
    if not found:
        return "cut" if cut else "not run"
    return f"{np.mean([f[key] for f in found]):.4f}{'*' if cut else ''}"


def print_errors(figures, arguments, key):
    """A table of one kind of error: a row for each table and rate, a column for each contender."""
    rows = []
    for table in arguments.tables:
        types = kinds(arguments.data, table).values()
        if key in GROUPS and not set(GROUPS[key]) & set(types):
            continue
        for rate in arguments.rates:
            found = {name: of_masks(figures, name, table, rate) for name in CONTENDERS}
            counts = sorted({len(f) for f, _ in found.values() if f})
            number = " to ".join(map(str, dict.fromkeys([*counts[:1], *counts[-1:]])))
            cells = [cell(f, key, cut) for f, cut in found.values()]
            rows.append([f"{table}, {rate} %", number, *cells])
    print_table([TITLES[key], "masks", *CONTENDERS], rows)


def print_costs(figures, arguments):
    """CPU seconds of a run, rounds of the chained contenders, and our coverage."""
    rows = []
    for table in arguments.tables:
        for rate in arguments.rates:
            cells = []
            for name in CONTENDERS:
                found, _ = of_masks(figures, name, table, rate)
                seconds = np.mean([f["cpu_seconds"] for f in found]) if found else None
                rounds = [f["rounds"] for f in found if f["rounds"] is not None]
                after = f" ({min(rounds):.1f} rounds)" if rounds else ""
                cells.append("not run" if seconds is None else f"{seconds:.0f}{after}")
            coverages = [
                f["coverage"] for f in of_masks(figures, OURS, table, rate)[0] if "coverage" in f
            ]
            cells.append(f"{100 * np.mean(coverages):.1f} %" if coverages else "")
            rows.append([f"{table}, {rate} %", *cells])
    print_table(["CPU seconds", *CONTENDERS, "coverage of ours"], rows)


def main():
    made = parser(__doc__, CONTENDERS)
    made.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    made.add_argument("--rates", nargs="+", type=int, choices=RATES, default=RATES)
    made.add_argument("--masks", type=int, default=5, help="the first so many of each rate")
    made.add_argument("--imputations", type=int, default=39, help="for the coverage")
    arguments = made.parse_args()
    if arguments.worker:
        print(json.dumps(run(*arguments.worker, arguments)))
        return
    cases = [
        (table, rate, number)
        for number in range(1, 1 + arguments.masks)
        for table in arguments.tables
        for rate in arguments.rates
        if number <= MASKS.get(table, 5)
    ]
    options = ("--imputations", arguments.imputations)
    figures = run_all(__file__, REQUIREMENTS, cases, arguments, options)
    for key in TITLES:
        print_errors(figures, arguments, key)
    print_costs(figures, arguments)


if __name__ == "__main__":
    main()
