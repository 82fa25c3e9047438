"""Rows of a cross-validation: seeds are averaged within a fold, and folds are what a mean is over."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bisnn_pyro.errors import DataError

FOLD = "fold"
N_FOLDS = "n_folds"
_SEED = "seed"


def average_seeds(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Average the rows of each fold over its training seeds.

    Seeds of one fold share their test points and are no further folds: an interval over all rows alike
    would be too short.

    Args:
        rows: text columns say which line a row belongs to; ``fold`` and ``n_folds`` say which part of the
            data it was tested on, ``seed`` which repetition it is; the numbers are scores.

    Returns:
        One row a line and fold, without ``seed`` and ``n_folds``: scores averaged over the seeds that
        have them, and the text column ``folds``, which names the folds that the line has, such as
        ``0-7 of 8``.

    Raises:
        DataError: a row without a fold, other numbers of folds, or the same seed twice in a fold.
    """
    _check(rows)
    columns = list(dict.fromkeys(k for row in rows for k in row if k not in (_SEED, FOLD, N_FOLDS)))
    texts = [c for c in columns if any(isinstance(row.get(c), str) for row in rows)]
    lines: dict[tuple[Any, ...], dict[int, list[Mapping[str, Any]]]] = {}
    for row in rows:
        folds = lines.setdefault(tuple(row.get(c) for c in texts), {})
        folds.setdefault(row[FOLD], []).append(row)
    averaged = []
    for values, folds in lines.items():
        names = {**dict(zip(texts, values, strict=True)), "folds": _listing(folds, rows[0][N_FOLDS])}
        for fold in sorted(folds):
            _check_seeds(names, fold, folds[fold])
            scores = {c: _mean(row.get(c) for row in folds[fold]) for c in columns if c not in texts}
            averaged.append({**names, FOLD: fold, **scores})
    return averaged


def _check(rows: Sequence[Mapping[str, Any]]) -> None:
    if any(row.get(FOLD) is None or row.get(N_FOLDS) is None for row in rows):
        raise DataError("Some rows have a fold and others do not; a table is of one or the other.")
    numbers = sorted({row[N_FOLDS] for row in rows})
    if len(numbers) > 1:
        raise DataError(f"The rows are of {numbers} folds; a table is of one number of folds.")


def _check_seeds(names: Mapping[str, Any], fold: int, rows: Sequence[Mapping[str, Any]]) -> None:
    seeds = [row.get(_SEED) for row in rows]
    if len(set(seeds)) != len(seeds):
        what = ", ".join(str(value) for value in names.values())
        raise DataError(f"Fold {fold} of ({what}) has the seeds {seeds}; each may stand there once.")


def _mean(values: Iterable[Any]) -> float | None:
    found = [float(v) for v in values if v is not None and not math.isnan(v)]
    return float(np.mean(found)) if found else None


def _listing(folds: Iterable[int], n_folds: int) -> str:
    """The folds with neighbours drawn together, such as ``0-2,5 of 8``."""
    runs: list[list[int]] = []
    for fold in sorted(folds):
        if runs and fold == runs[-1][-1] + 1:
            runs[-1].append(fold)
        else:
            runs.append([fold])
    parts = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return f"{','.join(parts)} of {n_folds}"
