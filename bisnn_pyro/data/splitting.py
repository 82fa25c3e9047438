"""Seeded splits of a data set that keep the share of every class."""

from __future__ import annotations

import numpy as np

from bisnn_pyro.data.checks import check_count
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
    """Which training examples to keep: all, or ``n_max`` of them when there are more.

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
