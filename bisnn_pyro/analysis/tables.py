"""The results table: in the terminal, and as CSV, Markdown or LaTeX.

A row is one predictor of one run: text columns (method, predictor, ...) say which, ``seed`` says which
repetition, numbers are scores.  Rows that differ only in ``seed`` become one line, the mean and the
half-width of its Student t interval, with n stated.  In a cross-validation the repetition is ``fold``
instead, with seeds averaged before (:func:`~bisnn_pyro.analysis.average_seeds`).  Training sets of folds
overlap, so their scores are not independent and the interval is a guide, as a rule too short (Bengio and
Grandvalet, JMLR 2004: no estimator of that variance is unbiased).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.analysis.folds import FOLD
from bisnn_pyro.analysis.intervals import MeanInterval, format_interval, mean_interval
from bisnn_pyro.analysis.printing import MISSING, PrintedTable, check_suffix
from bisnn_pyro.errors import DataError

Row = Mapping[str, Any]
SEED = "seed"
Digits = int | Mapping[str, int]


def summarise(
    rows: Sequence[Row], metrics: Sequence[str] | None = None, level: float = 0.95
) -> list[dict[str, Any]]:
    """Gather rows that differ only in ``seed``, or in ``fold``.

    Args:
        rows: see the module; None, NaN or a missing key count as missing.
        metrics: the number columns to keep, in order; all of them where None.
        level: coverage of the intervals.

    Returns:
        One dict a line, in order of first appearance: the text columns, ``n`` (seeds or folds), then a
        :class:`MeanInterval` a metric (None where no row has it).

    Raises:
        DataError: no rows, or the same seed or fold twice for one line.
    """
    if not rows:
        raise DataError("The table has no rows; give at least one.")
    over = _repetition(rows)
    columns = list(dict.fromkeys(key for row in rows for key in row if key != over))
    scores = [c for c in columns if all(_is_number(row.get(c)) for row in rows)]
    keys = [c for c in columns if c not in scores]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    lines = []
    for values, members in groups.items():
        repeated = [row.get(over) for row in members]
        if len(set(repeated)) != len(repeated):
            name = ", ".join(str(value) for value in values)
            raise DataError(f"The rows of ({name}) have the {over}s {repeated}; each may stand there once.")
        line: dict[str, Any] = {**dict(zip(keys, values, strict=True)), "n": len(members)}
        for metric in scores if metrics is None else metrics:
            found = [float(row[metric]) for row in members if not _is_missing(row.get(metric))]
            line[metric] = mean_interval(found, level) if found else None
        lines.append(line)
    return lines


def results_table(
    rows: Sequence[Row], metrics: Sequence[str] | None = None, *, level: float = 0.95, digits: Digits = 3
) -> str:
    """The table as aligned plain text for a terminal.

    Args:
        rows: see the module.
        metrics: the number columns to show, in order; all of them where None.
        level: coverage of the intervals over seeds or folds.
        digits: places after the point, for all columns or by column (3 where it is not named).

    Raises:
        DataError: see :func:`summarise`.
    """
    return printed_table(rows, metrics, level=level, digits=digits).plain()


def write_table(
    rows: Sequence[Row],
    path: str | os.PathLike[str],
    metrics: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    digits: Digits = 3,
) -> Path:
    """Write the table in the format that the file's suffix names.

    ``.csv`` holds full numbers, ``<metric>`` and ``<metric>_half_width``; ``.md`` and ``.tex`` (booktabs)
    hold what :func:`results_table` shows.

    Args:
        rows: see the module.
        path: ends in .csv, .md or .tex.
        metrics: the number columns to write, in order; all of them where None.
        level: coverage of the intervals over seeds or folds.
        digits: places after the point in .md and .tex, for all columns or by column.

    Returns:
        `path`.

    Raises:
        InputError: another suffix.
        DataError: see :func:`summarise`.
    """
    check_suffix(path)
    return printed_table(rows, metrics, level=level, digits=digits).write(path)


def printed_table(
    rows: Sequence[Row], metrics: Sequence[str] | None = None, *, level: float = 0.95, digits: Digits = 3
) -> PrintedTable:
    """The table as cells, which :func:`results_table` shows and :func:`write_table` writes.

    Args:
        rows: see the module.
        metrics: the number columns, in order; all of them where None.
        level: coverage of the intervals over seeds or folds.
        digits: places after the point, for all columns or by column (3 where it is not named).

    Raises:
        DataError: see :func:`summarise`.
    """
    lines = summarise(rows, metrics, level)
    names = list(lines[0])
    right = [i >= names.index("n") for i in range(len(names))]
    body = [[_cell(v, line["n"], _places(digits, name)) for name, v in line.items()] for line in lines]
    notes = _note(lines, level, _repetition(rows))
    return PrintedTable(names, body, right, notes, [_flat(line) for line in lines])


def _places(digits: Digits, name: str) -> int:
    return digits if isinstance(digits, int) else digits.get(name, 3)


def _cell(value: Any, n: int, places: int) -> str:
    if value is None:
        return MISSING
    if not isinstance(value, MeanInterval):
        return str(value)
    # A count that is the same for all seeds has no spread to show.
    half = math.nan if places == 0 and value.half_width == 0 else value.half_width
    # n again where a score is missing for some of the line's seeds.
    return format_interval(value.mean, half, None if value.n == n else value.n, places)


def _repetition(rows: Sequence[Row]) -> str:
    return FOLD if any(FOLD in row for row in rows) else SEED


def _note(lines: Sequence[Row], level: float, over: str) -> list[str]:
    if all(line["n"] == 1 for line in lines):
        return []
    return [f"mean ± half-width of the {100 * level:g} % Student t interval over n {over}s"]


def _flat(line: Row) -> dict[str, Any]:
    """Return full numbers for CSV: each column from ``n`` on and its half-width."""
    flat: dict[str, Any] = {}
    scores = False
    for name, value in line.items():
        interval = isinstance(value, MeanInterval)
        flat[name] = value.mean if interval else value
        if scores:
            flat[f"{name}_half_width"] = value.half_width if interval and value.half_width >= 0 else None
        scores = scores or name == "n"
    return flat


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | np.number) and not isinstance(value, bool))


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value))
