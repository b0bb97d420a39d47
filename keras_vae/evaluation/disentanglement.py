"""Do single latent dimensions stand for single factors of the data? Scores from codes and factors.

`codes` are (N, D), such as `vae.encode(x)`; `factors` are (N, F), discrete: classes, or steps of a
grid (`discretize` makes them of measurements). Bins, estimators and sizes are those of
Locatello et al., Challenging Common Assumptions (arXiv:1811.12359), appendix C; where they draw
new data, these draw from the given examples. Every score is between 0 and 1, the higher the better.
"""

import numpy as np

from keras_vae.validation import optional


def disentanglement_scores(
    codes: np.ndarray, factors: np.ndarray, seed: int = 0
) -> dict[str, float]:
    """Computes all scores of this module.

    Args:
        codes, factors: as for `mutual_information_gap`.
        seed: int, of draws and estimators.

    Returns:
        Dict of the scores by name.

    Example: `disentanglement_scores(vae.encode(x), factors)`.
    """
    return {
        "beta_vae_score": beta_vae_score(codes, factors, seed=seed),
        "factor_vae_score": factor_vae_score(codes, factors, seed=seed),
        "mutual_information_gap": mutual_information_gap(codes, factors),
        **{f"dci_{key}": value for key, value in dci(codes, factors, seed=seed).items()},
        "sap": sap(codes, factors, seed=seed),
        "modularity": modularity(codes, factors),
        "explicitness": explicitness(codes, factors, seed=seed),
        "interventional_robustness": interventional_robustness(codes, factors),
    }


def discretize(values: np.ndarray, bins: int = 20) -> np.ndarray:
    """Puts the values of each column into bins of equal width.

    Args:
        values: (N, K).
        bins: int, from the smallest value of a column to its largest.

    Returns:
        Numbers of the bins, from 1, (N, K).

    Example: `factors = discretize(measurements, bins=10)`.
    """
    values = np.asarray(values, "float64")
    edges = [np.histogram_bin_edges(column, bins)[:-1] for column in values.T]
    return np.stack([np.digitize(c, e) for c, e in zip(values.T, edges, strict=True)], axis=1)


def beta_vae_score(
    codes: np.ndarray,
    factors: np.ndarray,
    batch_size: int = 64,
    num_train: int = 10_000,
    num_test: int = 5000,
    seed: int = 0,
) -> float:
    """Measures how well a linear classifier tells which factor two groups have in common.

    It sees the mean of |z - z'| over `batch_size` pairs that agree in the factor.

    Args:
        codes, factors: as for `mutual_information_gap`.
        batch_size: pairs for one point.
        num_train, num_test: points to train and to test the classifier.
        seed: int, of the draws.

    Returns:
        Its accuracy on the test points.

    Reference: Higgins et al., beta-VAE (ICLR 2017), section 3.
    """
    codes, factors = _checked(codes, factors)
    linear_model = _sklearn("linear_model")
    rng = np.random.default_rng(seed)
    first = rng.integers(len(codes), size=(num_train + num_test, batch_size))
    labels = rng.integers(factors.shape[1], size=len(first))
    points = np.empty((len(first), codes.shape[1]))
    for k, factor in enumerate(factors.T):
        rows = first[labels == k]
        second = _rows_alike(factor, rows.ravel(), 1, rng).reshape(rows.shape)
        points[labels == k] = np.mean(np.abs(codes[rows] - codes[second]), axis=1)
    model = linear_model.LogisticRegression(max_iter=1000)
    model.fit(points[:num_train], labels[:num_train])
    return float(model.score(points[num_train:], labels[num_train:]))


def factor_vae_score(
    codes: np.ndarray,
    factors: np.ndarray,
    batch_size: int = 64,
    num_train: int = 10_000,
    num_test: int = 5000,
    seed: int = 0,
) -> float:
    """Measures how well the dimension that varies least tells which factor a group has in common.

    The variances are relative to those over all examples. Each dimension votes for the factor it
    stood for most often in training.

    Args:
        codes, factors: as for `mutual_information_gap`.
        batch_size: examples in a group.
        num_train, num_test: groups to train and to test the votes.
        seed: int, of the draws.

    Returns:
        The accuracy on the test groups.

    Reference: Kim and Mnih, Disentangling by Factorising (arXiv:1802.05983), section 3.
    """
    codes, factors = _checked(codes, factors)
    variances = np.var(codes, axis=0, ddof=1)
    codes, variances = codes[:, variances > 0], variances[variances > 0]
    if not len(variances):
        return 0.0
    rng = np.random.default_rng(seed)
    labels = rng.integers(factors.shape[1], size=num_train + num_test)
    dims = np.empty_like(labels)
    for k, factor in enumerate(factors.T):
        starts = rng.integers(len(codes), size=np.sum(labels == k))
        rows = _rows_alike(factor, starts, batch_size, rng)
        dims[labels == k] = np.argmin(np.var(codes[rows], axis=1, ddof=1) / variances, axis=1)
    votes = np.zeros((factors.shape[1], len(variances)))
    np.add.at(votes, (labels[:num_train], dims[:num_train]), 1)
    return float(np.mean(np.argmax(votes, axis=0)[dims[num_train:]] == labels[num_train:]))


def mutual_information_gap(codes: np.ndarray, factors: np.ndarray, bins: int = 20) -> float:
    """Measures how much more the best dimension says about a factor than the second best: MIG.

    Args:
        codes: (N, D).
        factors: (N, F), discrete.
        bins: int, of the histogram of each dimension.

    Returns:
        The gap as a part of the factor's entropy, averaged over factors.

    Example: `mutual_information_gap(vae.encode(x), factors)`.

    Reference: Chen et al., Isolating Sources of Disentanglement (arXiv:1802.04942), equation 6.
    """
    codes, factors = _checked(codes, factors)
    information = np.sort(_mutual_information(discretize(codes, bins), factors), axis=0)
    entropy = np.diag(_mutual_information(factors, factors))
    second = information[-2] if len(information) > 1 else 0.0
    return float(np.mean((information[-1] - second) / entropy))


def dci(
    codes: np.ndarray,
    factors: np.ndarray,
    num_train: int = 10_000,
    num_test: int = 5000,
    seed: int = 0,
) -> dict[str, float]:
    """Computes disentanglement, completeness and informativeness by gradient-boosted trees.

    A dimension is disentangled if the trees use it for one factor; a factor is complete if they
    need one dimension; informativeness is their accuracy on test examples. Slow: minutes for
    factors of many values.

    Args:
        codes, factors: as for `mutual_information_gap`.
        num_train, num_test: examples, at most two thirds and a third of those given.
        seed: int, of the draws.

    Returns:
        Dict of `disentanglement`, `completeness`, `informativeness`.

    Reference: Eastwood and Williams, A Framework for the Quantitative Evaluation of Disentangled
    Representations (ICLR 2018), section 2.
    """
    codes, factors = _checked(codes, factors)
    ensemble = _sklearn("ensemble")
    train, test = _split(len(codes), num_train, num_test, seed)
    importance, accuracy = np.empty((codes.shape[1], factors.shape[1])), []
    for k, factor in enumerate(factors.T):
        trees = ensemble.GradientBoostingClassifier(random_state=seed)
        trees.fit(codes[train], factor[train])
        importance[:, k] = trees.feature_importances_
        accuracy.append(trees.score(codes[test], factor[test]))
    return {
        "disentanglement": _concentration(importance),
        "completeness": _concentration(importance.T),
        "informativeness": float(np.mean(accuracy)),
    }


def sap(
    codes: np.ndarray,
    factors: np.ndarray,
    num_train: int = 10_000,
    num_test: int = 5000,
    seed: int = 0,
) -> float:
    """Measures how much better the best dimension alone classifies a factor than the second: SAP.

    Args:
        codes, factors: as for `mutual_information_gap`.
        num_train, num_test: examples, at most two thirds and a third of those given.
        seed: int, of the draws.

    Returns:
        The gap in accuracy on test examples, averaged over factors.

    Reference: Kumar et al., Variational Inference of Disentangled Latent Concepts
    (arXiv:1711.00848), section 3.
    """
    codes, factors = _checked(codes, factors)
    svm = _sklearn("svm")
    train, test = _split(len(codes), num_train, num_test, seed)
    scores = np.zeros((codes.shape[1], factors.shape[1]))
    for d, k in np.ndindex(*scores.shape):
        one, factor = codes[:, d : d + 1], factors[:, k]
        model = svm.LinearSVC(C=0.01, dual="auto", class_weight="balanced", random_state=seed)
        model.fit(one[train], factor[train])
        scores[d, k] = model.score(one[test], factor[test])
    scores = np.sort(scores, axis=0)
    return float(np.mean(scores[-1] - scores[-2])) if len(scores) > 1 else float(scores[-1].mean())


def modularity(codes: np.ndarray, factors: np.ndarray, bins: int = 20) -> float:
    """Measures whether each dimension says something about one factor only.

    Args:
        codes, factors, bins: as for `mutual_information_gap`.

    Returns:
        The mean over dimensions; one that says nothing of any factor counts 0.

    Reference: Ridgeway and Mozer, Learning Deep Disentangled Embeddings with the F-Statistic Loss
    (arXiv:1802.05312), section 3.
    """
    codes, factors = _checked(codes, factors)
    squares = np.square(_mutual_information(discretize(codes, bins), factors))
    best = np.max(squares, axis=1)
    told = best > 0
    rest = (np.sum(squares, axis=1) - best)[told] / (best[told] * max(1, factors.shape[1] - 1))
    return float(np.sum(1.0 - rest) / len(best))


def explicitness(
    codes: np.ndarray,
    factors: np.ndarray,
    num_train: int = 10_000,
    num_test: int = 5000,
    seed: int = 0,
) -> float:
    """Measures whether a linear classifier reads the factors off the whole code.

    Args:
        codes, factors: as for `mutual_information_gap`.
        num_train, num_test: examples, at most two thirds and a third of those given.
        seed: int, of the draws.

    Returns:
        The area under the ROC, the mean over values and factors, on test examples; 0.5 is chance.

    Reference: Ridgeway and Mozer, Learning Deep Disentangled Embeddings with the F-Statistic Loss
    (arXiv:1802.05312), section 3.
    """
    codes, factors = _checked(codes, factors)
    linear_model, metrics = _sklearn("linear_model"), _sklearn("metrics")
    train, test = _split(len(codes), num_train, num_test, seed)
    spread = np.std(codes[train], axis=0)
    codes = (codes - np.mean(codes[train], axis=0)) / np.where(spread > 0, spread, 1.0)
    areas = []
    for factor in factors.T:
        model = linear_model.LogisticRegression(max_iter=1000).fit(codes[train], factor[train])
        probability = model.predict_proba(codes[test]).T
        hits = (factor[test] == value for value in model.classes_)
        pairs = [(h, p) for h, p in zip(hits, probability, strict=True) if 0 < h.sum() < len(h)]
        areas.append(np.mean([metrics.roc_auc_score(h, p) for h, p in pairs]))
    return float(np.mean(areas))


def interventional_robustness(
    codes: np.ndarray, factors: np.ndarray, quantile: float = 0.99
) -> float:
    """Measures whether a dimension stays put while all factors but its own change: IRS.

    Args:
        codes, factors: as for `mutual_information_gap`.
        quantile: of the deviations within a value of a factor, to count as their largest.

    Returns:
        The mean over dimensions, weighted by their largest deviation.

    Reference: Suter et al., Robustly Disentangled Causal Mechanisms (arXiv:1811.00007), section 4.
    """
    codes, factors = _checked(codes, factors)
    codes = codes[:, np.var(codes, axis=0) > 0]
    if not codes.shape[1]:
        return 0.0
    largest = np.max(np.abs(codes - np.mean(codes, axis=0)), axis=0)
    within = [
        np.mean([_deviation(codes[f == value], quantile) for value in np.unique(f)], axis=0)
        for f in factors.T
    ]
    return float(np.average(np.max(1.0 - np.stack(within) / largest, axis=0), weights=largest))


def _deviation(codes, quantile):
    return np.quantile(np.abs(codes - np.mean(codes, axis=0)), quantile, axis=0)


def _checked(codes, factors):
    """Both as arrays, factors as the numbers of their values; or ValueError."""
    codes, factors = np.asarray(codes, "float64"), np.asarray(factors)
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or len(codes) < 3:
        raise ValueError(
            "`codes` must be (N, D) and `factors` (N, F), a row for each of at least three "
            f"examples. Received: codes with shape={codes.shape}, factors with "
            f"shape={factors.shape}"
        )
    if not np.isfinite(codes).all():
        raise ValueError(
            "`codes` must be finite, to be compared with the factors. "
            f"Received: codes with {np.sum(~np.isfinite(codes))} entries that are not"
        )
    columns = [np.unique(column, return_inverse=True)[1].ravel() for column in factors.T]
    values = [int(column.max()) + 1 for column in columns]
    if min(values) < 2 or max(values) > len(codes) / 2:
        raise ValueError(
            "`factors` must each have at least two values, and fewer than half as many as there "
            "are examples, because examples with equal values are compared; "
            "`evaluation.discretize` makes bins of measurements. "
            f"Received: factors with {values} values over {len(codes)} examples"
        )
    return codes, np.stack(columns, axis=1)


def _rows_alike(factor, rows, count, rng):
    """For each of `rows`, `count` random rows with the same value of the factor."""
    order = np.argsort(factor, kind="stable")
    _, starts, sizes = np.unique(factor[order], return_index=True, return_counts=True)
    group = factor[rows]
    places = rng.random((len(rows), count)) * sizes[group][:, None]
    return order[starts[group][:, None] + places.astype(int)]


def _mutual_information(a, b):
    """Of each column of a with each of b, in nats; both discrete."""
    score = _sklearn("metrics").mutual_info_score
    return np.array([[score(one, other) for other in b.T] for one in a.T])


def _concentration(importance):
    """1 - the entropy of each row, relative to its largest, weighted by the rows' sums."""
    p = importance + 1e-11
    p = p / p.sum(axis=1, keepdims=True)
    scores = 1.0 + np.sum(p * np.log(p), axis=1) / np.log(max(2, p.shape[1]))
    weights = importance.sum(axis=1)
    return float(np.average(scores, weights=weights if weights.sum() else None))


def _split(size, num_train, num_test, seed):
    """Rows to train and rows to test, in the ratio two to one where there are not enough."""
    rows = np.random.default_rng(seed).permutation(size)
    num_train = min(num_train, size * 2 // 3)
    return rows[:num_train], rows[num_train : num_train + num_test]


def _sklearn(module):
    return optional(f"sklearn.{module}", "evaluation", "Scores of codes")
