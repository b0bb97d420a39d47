"""Peers that fill the gaps of tables with numbers and categories.

All see ordinals as numbers and categories one-hot. The chained ones go as scikit-learn's
`IterativeImputer` does, which has no categories: from the columns' means and modes on, round after
round, each column with gaps is predicted from all others, those with the fewest gaps first. Numbers
and ordinals are predicted by regression; categories, as in missForest, by classification, since the
one-hot columns of a category would predict each other.
"""

import time

import numpy as np

ROUNDS = 10


class Blocks:
    """A table as a matrix of numbers: a column for each number, one for each class of a category.

    The numbers are standardised with the entries that are not gaps.
    """

    def __init__(self, codes, kinds):
        self.codes = codes.to_numpy("float64")
        self.gaps = np.isnan(self.codes)
        self.classes, self.columns, start = {}, [], 0
        for i, kind in enumerate(kinds.values()):
            values = self.codes[~self.gaps[:, i], i]
            if kind == "cat":
                self.classes[i] = np.unique(values)
            width = len(self.classes.get(i, [0]))
            self.columns.append(slice(start, start + width))
            start += width
        self.mean = np.nanmean(self.codes, axis=0)
        self.scale = np.nanstd(self.codes, axis=0)
        self.scale[self.scale == 0] = 1

    def matrix(self):
        """Returns the table as a matrix, (N, W), with NaN for gaps."""
        parts = []
        for i, column in enumerate(self.codes.T):
            if i in self.classes:
                part = (column[:, None] == self.classes[i]).astype("float64")
                part[self.gaps[:, i]] = np.nan
            else:
                part = ((column - self.mean[i]) / self.scale[i])[:, None]
            parts.append(part)
        return np.concatenate(parts, axis=1)

    def filled(self, matrix):
        """Returns the codes, of which those in gaps are from the matrix."""
        found = self.codes.copy()
        for i, columns in enumerate(self.columns):
            gaps, part = self.gaps[:, i], matrix[:, columns]
            if i in self.classes:
                values = self.classes[i][part.argmax(axis=1)]
            else:
                values = part[:, 0] * self.scale[i] + self.mean[i]
            found[gaps, i] = values[gaps]
        return found


def mean_and_mode(blocks):
    """Returns the matrix with means in the gaps, and the most frequent class of each category."""
    matrix = blocks.matrix()
    mean = np.nanmean(matrix, axis=0)
    return np.where(np.isnan(matrix), mean, matrix)


def neighbours(blocks):
    from sklearn.impute import KNNImputer

    return KNNImputer().fit_transform(blocks.matrix())


class RidgeClasses:
    """Linear classification by Bayesian ridge regression of each one-hot column."""

    def fit(self, x, y):
        from sklearn.linear_model import BayesianRidge

        self.classes = np.unique(y)
        self.models = [BayesianRidge().fit(x, y == value) for value in self.classes]
        return self

    def predict(self, x):
        found = np.stack([model.predict(x) for model in self.models], axis=1)
        return self.classes[found.argmax(axis=1)]


def chained(blocks, regression, classification, seconds, rounds=ROUNDS):
    """Returns the filled matrix and the rounds that it took.

    Args:
        blocks: The table.
        regression: Returns a new model for numbers and ordinals.
        classification: Returns a new model for categories.
        seconds: After so many CPU seconds it stops, with what it has.
        rounds: The number of rounds, if time allows.
    """
    matrix, start = mean_and_mode(blocks), time.process_time()
    order = np.argsort(blocks.gaps.sum(axis=0), kind="stable")
    order = [i for i in order if blocks.gaps[:, i].any()]
    for done in range(rounds * len(order)):
        if time.process_time() - start > seconds:
            return matrix, done / len(order)
        i = order[done % len(order)]
        predict_column(blocks, matrix, i, classification if i in blocks.classes else regression)
    return matrix, rounds


def predict_column(blocks, matrix, i, make):
    """Fits a new model of the column to the rows that have it, and fills the others in place."""
    gaps, columns = blocks.gaps[:, i], blocks.columns[i]
    others = np.delete(matrix, np.r_[columns], axis=1)
    if i in blocks.classes:
        model = make().fit(others[~gaps], blocks.codes[~gaps, i])
        found = model.predict(others[gaps])[:, None] == blocks.classes[i]
    else:
        model = make().fit(others[~gaps], matrix[~gaps, columns.start])
        found = model.predict(others[gaps])[:, None]
    matrix[gaps, columns] = found
