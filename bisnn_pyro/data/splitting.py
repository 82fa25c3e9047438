"""Seeded splits of a data set that keep the share of every class."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bisnn_pyro.data.checks import check_count
from bisnn_pyro.data.events.spikes import Recordings
from bisnn_pyro.data.task import Split, Task
from bisnn_pyro.errors import DataError


def choose(n: int, n_chosen: int, seed: int, labels: np.ndarray | None = None) -> np.ndarray:
    """Choose examples at random, every class in proportion.

    The examples are shuffled, ordered by class, and every (n / n_chosen)-th is taken: each class
    gets its exact share rounded up or down, and the total is exact.

    Args:
        n: Number of examples.
        n_chosen: Number to choose, at most ``n``.
        seed: Seed of the shuffle.
        labels: Class indices ``[n]``; None for no classes.

    Returns:
        Whether each example is chosen, bool ``[n]``, ``n_chosen`` of them True.

    Raises:
        DataError: If a count is out of range or the seed is negative.
    """
    check_count("seed", seed, 0)
    if not 0 <= n_chosen <= n:
        raise DataError(f"cannot choose {n_chosen} examples out of {n}")
    order = np.random.default_rng(seed).permutation(n)
    if labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    # Whole-number systematic sampling, half a stride in, so that rounding never loses an example.
    marks = (np.arange(n + 1, dtype=np.int64) * n_chosen + n // 2) // max(n, 1)
    chosen = np.zeros(n, dtype=bool)
    chosen[order[np.diff(marks) > 0]] = True
    return chosen


def at_most(n_max: int | None, n: int, seed: int, labels: np.ndarray | None = None) -> np.ndarray:
    """Choose which training examples to keep: all, or ``n_max`` of them if there are more.

    Args:
        n_max: The maximum (``data.n_train``); None for all.
        n: Number of examples there are.
        seed: Seed of the choice.
        labels: Class indices ``[n]``, whose shares are kept; None for no classes.

    Returns:
        Mask, bool ``[n]``.

    Raises:
        DataError: If ``n_max`` is not a whole number of at least 1.
    """
    if n_max is None or check_count("n_train", n_max) >= n:
        return np.ones(n, dtype=bool)
    return choose(n, n_max, seed, labels)


def kept_classes(classes: Sequence[int] | None, n_classes: int) -> tuple[int, ...]:
    """Check which classes of a set to learn; the others are left out of all parts.

    Args:
        classes: ``data.classes``; None for all.
        n_classes: Number of classes of the whole set.

    Returns:
        The classes, ascending.

    Raises:
        DataError: If they are not at least two different whole numbers in 0..n_classes - 1.
    """
    if classes is None:
        return tuple(range(n_classes))
    listed = classes if isinstance(classes, list | tuple) else ()
    found = [check_count("data.classes", c, 0) for c in listed]
    if len(found) < 2 or len(set(found)) < len(found) or max(found) >= n_classes:
        raise DataError(
            f"data.classes is {classes!r}; expected a list of at least two different classes out of "
            f"0 to {n_classes - 1}"
        )
    return tuple(sorted(found))


def of_classes(rows: np.ndarray, labels: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Return those of ``rows``, indices of examples ``[n]``, whose label is among the classes."""
    return rows[np.isin(labels[rows], classes)]


def contiguous_folds(n: int, n_folds: int) -> np.ndarray:
    """Divide the examples into folds in their given order.

    Fold k is the rows from round(k n / K) up to round((k + 1) n / K), halves rounded up, so sizes differ
    by at most one.  It assumes that the order is independent of the targets: in a file sorted by class
    a fold holds classes that no training example has.

    Args:
        n: Number of examples.
        n_folds: K, at least 2 and at most ``n``.

    Returns:
        The fold of each example, int64 ``[n]``, in 0..K-1 and non-decreasing.

    Raises:
        DataError: If ``n_folds`` is out of range.
    """
    _check_folds(n, n_folds)
    bounds = (2 * np.arange(n_folds + 1, dtype=np.int64) * n + n_folds) // (2 * n_folds)
    return np.repeat(np.arange(n_folds), np.diff(bounds))


def stratified_folds(n_folds: int, seed: int, labels: np.ndarray) -> np.ndarray:
    """Assign shuffled examples to folds, class after class, so that every fold has its share of each.

    Args:
        n_folds: K, at least 2 and at most the number of examples.
        seed: Seed of the shuffle.
        labels: Class indices ``[n]``.

    Returns:
        The fold of each example, int64 ``[n]``, in 0..K-1; sizes differ by at most one, and so do the
        counts of any one class.

    Raises:
        DataError: If ``n_folds`` is out of range or the seed is negative.
    """
    check_count("seed", seed, 0)
    _check_folds(len(labels), n_folds)
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    folds = np.empty(len(labels), dtype=np.int64)
    folds[order] = np.arange(len(labels)) % n_folds
    return folds


def held_out(folds: np.ndarray, fold: int, n_folds: int) -> np.ndarray:
    """Mark the examples that are the test set of one fold; all others train.

    Args:
        folds: The fold of each example, int64 ``[n]``.
        fold: k, in 0..K-1.
        n_folds: K.

    Returns:
        Mask, bool ``[n]``.

    Raises:
        DataError: If ``fold`` is not a whole number in 0..K-1.
    """
    if check_count("data.fold", fold, 0) >= n_folds:
        raise DataError(f"data.fold is {fold}; expected 0..{n_folds - 1}, as data.n_folds is {n_folds}")
    return folds == fold


def _check_folds(n: int, n_folds: int) -> None:
    if check_count("data.n_folds", n_folds, 2) > n:
        raise DataError(f"data.n_folds is {n_folds}, but there are {n} examples; expected at most {n}")


def take_share(task: Task, low: float, high: float) -> Task:
    """Return the task with a part of its training examples.

    The examples are taken in a permutation that depends on their number alone, from ``low`` N up to
    ``high`` N (rounded): ``[0, 0.5]`` and ``[0.5, 1]`` are disjoint and together all examples.  The part
    keeps the order of the data, and its ``fingerprint`` says which examples it holds.

    Args:
        task: the whole task.
        low: where the part begins, in [0, 1).
        high: where it ends, in (low, 1].

    Raises:
        DataError: if the part is empty, or the fractions are out of order.

    Example:
        >>> from bisnn_pyro.data import two_moons
        >>> task = two_moons(n_train=101)
        >>> len(take_share(task, 0, 0.5).train), len(take_share(task, 0.5, 1).train)
        (50, 51)
    """
    n = len(task.train)
    first, last = round(low * n), round(high * n)
    if not 0 <= low < high <= 1 or first == last:
        raise DataError(f"the share [{low}, {high}] of {n} training examples is empty")
    rows = np.sort(np.random.default_rng(0).permutation(n)[first:last])
    x = task.train.x.take(rows) if isinstance(task.train.x, Recordings) else task.train.x[rows]
    part = Split(x, task.train.y[rows])
    return replace(task, train=replace(part, fingerprint=_fingerprint(part, task.train.fingerprint, rows)))


def _fingerprint(part: Split, source: str, rows: np.ndarray) -> str:
    """Return a hash of the examples; of recordings on disk, of their source's hash and their numbers."""
    digest = hashlib.sha256(source.encode())
    content = (rows,) if isinstance(part.x, Recordings) else (part.x,)
    for array in (*content, part.y):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
