"""A task in folds from a MATLAB file: the text tasks of the expectation backpropagation paper."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from scipy import sparse

from bisnn_pyro.data.checks import check_count
from bisnn_pyro.data.labels import LabelMap
from bisnn_pyro.data.mat_file import find_mat, read_mat
from bisnn_pyro.data.scaling import FeatureScaler
from bisnn_pyro.data.splitting import at_most, choose, contiguous_folds, held_out, stratified_folds
from bisnn_pyro.data.task import Split, Task
from bisnn_pyro.errors import DataError


def load_mat(
    path: str | os.PathLike[str] | None = None,
    file: str | None = None,
    x: str | None = None,
    y: str | None = None,
    n_folds: int = 8,
    fold: int = 0,
    shuffle: bool = False,
    n_val: int = 0,
    n_train: int | None = None,
    seed: int = 0,
) -> Task:
    """Make a classification of the rows of a matrix; one fold of them is the test set.

    Folds are contiguous blocks of rows, as in Soudry, Hubara and Meir, Expectation Backpropagation (NIPS
    2014), whose files hold the classes in random order; a file sorted by class needs ``shuffle``.
    Features are scaled to [0, 1] by the training rows' minimum and maximum, a range a feature, and clipped
    elsewhere; one that is constant in the training rows becomes 0.  A file whose features were
    standardised over all rows, as the paper's were, thereby knows nothing of its test rows any more: the
    encoder ``standard`` with ``scale = "feature"`` standardises by the training rows alone.

    Memory: the matrix as stored (float64 if dense), then once in float32, and the splits in float32; 1943
    x 29409 takes 0.75 GB at its peak and 0.23 GB after.  A sparse matrix becomes dense split by split.

    Args:
        path: The file, its folder, or a folder of data folders; None for ``$BISNN_DATA``.
        file: Which ``.mat`` file of the folder; None where it holds a single one.
        x: Name of the features ``[N, F]``, dense or sparse; None for the file's only matrix.
        y: Name of the labels ``[N, 1]``, whole numbers; None for the only vector of N numbers.
        n_folds: K, the number of folds.
        fold: Which of them, 0..K-1, is the test set.
        shuffle: Deal rows to folds at random, classes in proportion, instead of contiguous blocks.
        n_val: Training rows that validate instead, classes in proportion; with 0 nothing stops training
            early, and there is nothing to tune on.
        n_train: At most so many training rows, classes in proportion; None for all.
        seed: Seed of these choices; not the training seed.

    Returns:
        The task, named after the file.

    Raises:
        DataError: If the file or a setting is not as described.
    """
    if not isinstance(shuffle, bool):
        raise DataError(f"data.shuffle is {shuffle!r}; expected true or false")
    found = find_mat(path, file)
    features, raw = read_mat(found, x, y)
    labels = _label_map(str(found), raw)
    target = labels.encode(raw)
    folds = stratified_folds(n_folds, seed, target) if shuffle else contiguous_folds(len(target), n_folds)
    test = held_out(folds, fold, n_folds)
    train, val = _train_and_val(np.flatnonzero(~test), target, n_val, n_train, seed)
    _check_classes(str(found), target[train], labels, shuffle)
    scaler = FeatureScaler.fit(_dense(features, train))

    def split(rows: np.ndarray) -> Split:
        if not len(rows):
            return Split(np.zeros((0, features.shape[1]), np.float32), target[:0])
        return Split(scaler.transform(_dense(features, rows)), target[rows])

    return Task(
        found.stem,
        "classification",
        split(train),
        split(val),
        split(np.flatnonzero(test)),
        labels.names,
        scaler=scaler,
        labels=labels,
    )


def _label_map(file: str, raw: np.ndarray) -> LabelMap:
    labels = LabelMap.fit(raw)
    if len(labels.labels) < 2:
        raise DataError(f"the labels of {file} are all {labels.names[0]}; expected 2 classes or more")
    if not all(isinstance(label, int) for label in labels.labels):
        raise DataError(f"the labels of {file} are not whole numbers ({raw[:4]} ...); expected classes")
    return labels


def _train_and_val(
    rest: np.ndarray, target: np.ndarray, n_val: int, n_train: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    if check_count("data.n_val", n_val, 0) >= len(rest):
        raise DataError(f"data.n_val is {n_val}; expected fewer than the {len(rest)} rows outside the fold")
    val = choose(len(rest), n_val, seed + 1, target[rest])
    train = rest[~val]
    return train[at_most(n_train, len(train), seed + 2, target[train])], rest[val]


def _check_classes(file: str, y_train: np.ndarray, labels: LabelMap, shuffle: bool) -> None:
    missing = sorted(set(range(len(labels.labels))) - set(y_train.tolist()))
    if missing:
        way_out = (
            "use fewer classes or folds" if shuffle else "set data.shuffle = true if rows are sorted by it"
        )
        raise DataError(
            f"no training row of {file} has the label {labels.names[missing[0]]}, which other rows have; "
            f"{way_out}"
        )


def _dense(features: Any, rows: np.ndarray) -> np.ndarray:
    chosen = features[rows]
    return chosen.toarray() if sparse.issparse(chosen) else chosen
