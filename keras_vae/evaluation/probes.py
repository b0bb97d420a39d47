"""What can be read off the codes: accuracies of simple classifiers, of neighbours, of clusters."""

import numpy as np

from keras_vae.validation import optional


def linear_probe(
    codes: np.ndarray, labels: np.ndarray, test_codes: np.ndarray, test_labels: np.ndarray
) -> float:
    """Computes the test accuracy of logistic regression on standardised codes.

    Args:
        codes, labels: (N, D) and (N,), to train on.
        test_codes, test_labels: (M, D) and (M,).

    Returns:
        The part of the test codes that are classified right.

    Example: `linear_probe(vae.encode(x), y, vae.encode(x_test), y_test)`.

    Reference: Alain and Bengio, Understanding Intermediate Layers Using Linear Classifier Probes
    (arXiv:1610.01644).
    """
    preprocessing, pipeline = _sklearn("preprocessing"), _sklearn("pipeline")
    regression = _sklearn("linear_model").LogisticRegression(max_iter=1000)
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), regression)
    return float(model.fit(codes, labels).score(test_codes, test_labels))


def neighbour_accuracy(
    codes: np.ndarray,
    labels: np.ndarray,
    test_codes: np.ndarray,
    test_labels: np.ndarray,
    nearest_k: int = 5,
) -> float:
    """Computes the test accuracy of the vote of the nearest codes.

    Args:
        codes, labels, test_codes, test_labels: as for `linear_probe`.
        nearest_k: int, how many codes vote.

    Returns:
        The part of the test codes that are classified right.

    Example: `neighbour_accuracy(vae.encode(x), y, vae.encode(x_test), y_test)`.
    """
    model = _sklearn("neighbors").KNeighborsClassifier(nearest_k)
    return float(model.fit(codes, labels).score(test_codes, test_labels))


def cluster_accuracy(codes: np.ndarray, labels: np.ndarray, seed: int = 0) -> float:
    """Computes the accuracy of k-means with as many clusters as classes.

    Clusters and classes are matched one to one in the best way.

    Args:
        codes, labels: (N, D) and (N,).
        seed: int, of k-means.

    Returns:
        The part of the codes whose cluster is that of their class.

    Reference: Xie et al., Unsupervised Deep Embedding for Clustering Analysis (arXiv:1511.06335),
    equation 10.
    """
    classes, labels = np.unique(labels, return_inverse=True)
    model = _sklearn("cluster").KMeans(len(classes), n_init=10, random_state=seed)
    counts = np.zeros((len(classes), len(classes)), int)
    np.add.at(counts, (model.fit_predict(codes), labels), 1)
    matching = optional("scipy.optimize", "evaluation", "Matching clusters to classes")
    return float(counts[matching.linear_sum_assignment(counts, maximize=True)].sum() / len(labels))


def _sklearn(module):
    return optional(f"sklearn.{module}", "evaluation", "Accuracies of codes")
