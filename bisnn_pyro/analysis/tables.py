"""The results table: in the terminal, and as CSV, Markdown or LaTeX.

A row is one predictor of one run: text columns (method, predictor, ...) say which, ``seed`` says which
repetition, numbers are scores.  Rows that differ only in ``seed`` become one line, the mean and the
half-width of its Student t interval, with n stated.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.analysis.intervals import MeanInterval, format_interval, mean_interval
from bisnn_pyro.errors import DataError, InputError
from bisnn_pyro.files import atomic_path

Row = Mapping[str, Any]
SEED = "seed"
MISSING = "–"

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{char: "\\" + char for char in "&%$#_{}"},
    "±": r"$\pm$",
    "–": "--",
}


def summarise(
    rows: Sequence[Row], metrics: Sequence[str] | None = None, level: float = 0.95
) -> list[dict[str, Any]]:
    """Gather rows that differ only in ``seed``.

    Args:
        rows: see the module; None, NaN or a missing key count as missing.
        metrics: the number columns to keep, in order; all of them where None.
        level: coverage of the intervals.

    Returns:
        One dict a line, in order of first appearance: the text columns, ``n`` (seeds), then a
        :class:`MeanInterval` a metric (None where no row has it).

    Raises:
        DataError: no rows, or the same seed twice for one line.
    """
    if not rows:
        raise DataError("The table has no rows; give at least one.")
    columns = list(dict.fromkeys(key for row in rows for key in row if key != SEED))
    scores = [c for c in columns if all(_is_number(row.get(c)) for row in rows)]
    keys = [c for c in columns if c not in scores]
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    lines = []
    for values, members in groups.items():
        seeds = [row.get(SEED) for row in members]
        if len(set(seeds)) != len(seeds):
            name = ", ".join(str(value) for value in values)
            raise DataError(f"The rows of ({name}) have the seeds {seeds}; each may stand there once.")
        line: dict[str, Any] = {**dict(zip(keys, values, strict=True)), "n": len(members)}
        for metric in scores if metrics is None else metrics:
            found = [float(row[metric]) for row in members if not _is_missing(row.get(metric))]
            line[metric] = mean_interval(found, level) if found else None
        lines.append(line)
    return lines


def results_table(
    rows: Sequence[Row], metrics: Sequence[str] | None = None, *, level: float = 0.95, digits: int = 3
) -> str:
    """The table as aligned plain text for a terminal.

    Args:
        rows: see the module.
        metrics: the number columns to show, in order; all of them where None.
        level: coverage of the intervals over seeds.
        digits: places after the point.

    Raises:
        DataError: see :func:`summarise`.
    """
    lines = summarise(rows, metrics, level)
    header, body = _cells(lines, digits)
    table = [header, *body]
    widths = [max(len(line[i]) for line in table) for i in range(len(header))]
    text = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, _right(lines), strict=True)
        ).rstrip()
        for line in table
    ]
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*text, *_note(lines, level)])


def write_table(
    rows: Sequence[Row],
    path: str | os.PathLike[str],
    metrics: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    digits: int = 3,
) -> Path:
    """Write the table in the format that the file's suffix names.

    ``.csv`` holds full numbers, ``<metric>`` and ``<metric>_half_width``; ``.md`` and ``.tex`` (booktabs)
    hold what :func:`results_table` shows.

    Args:
        rows: see the module.
        path: ends in .csv, .md or .tex.
        metrics: the number columns to write, in order; all of them where None.
        level: coverage of the intervals over seeds.
        digits: places after the point in .md and .tex.

    Returns:
        `path`.

    Raises:
        InputError: another suffix.
        DataError: see :func:`summarise`.
    """
    target = Path(path)
    if target.suffix not in (".csv", ".md", ".tex"):
        raise InputError(f"{target}: the suffix {target.suffix!r} is not known; use .csv, .md or .tex.")
    lines = summarise(rows, metrics, level)
    with atomic_path(target) as temporary:
        if target.suffix == ".csv":
            _write_csv(lines, temporary)
        else:
            make = _markdown if target.suffix == ".md" else _latex
            temporary.write_text(make(lines, digits, level), encoding="utf-8")
    return target


def _cells(lines: Sequence[Row], digits: int) -> tuple[list[str], list[list[str]]]:
    def cell(value: Any, n: int) -> str:
        if value is None:
            return MISSING
        if isinstance(value, MeanInterval):
            # n again where a score is missing for some of the line's seeds.
            return format_interval(value.mean, value.half_width, None if value.n == n else value.n, digits)
        return str(value)

    return list(lines[0]), [[cell(value, line["n"]) for value in line.values()] for line in lines]


def _right(lines: Sequence[Row]) -> list[bool]:
    """Which columns are numbers, set flush right: those from ``n`` on."""
    names = list(lines[0])
    return [i >= names.index("n") for i in range(len(names))]


def _note(lines: Sequence[Row], level: float) -> list[str]:
    if all(line["n"] == 1 for line in lines):
        return []
    return [f"mean ± half-width of the {100 * level:g} % Student t interval over n seeds"]


def _write_csv(lines: Sequence[Row], path: Path) -> None:
    names = list(lines[0])
    first_score = names.index("n") + 1
    scores = [field for name in names[first_score:] for field in (name, f"{name}_half_width")]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*names[:first_score], *scores], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(_flat(line) for line in lines)


def _flat(line: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in line.items():
        if isinstance(value, MeanInterval):
            flat[name] = value.mean
            flat[f"{name}_half_width"] = "" if math.isnan(value.half_width) else value.half_width
        else:
            flat[name] = "" if value is None else value
    return flat


def _markdown(lines: Sequence[Row], digits: int, level: float) -> str:
    header, body = _cells(lines, digits)
    rule = ["---:" if right else "---" for right in _right(lines)]
    escaped = [[cell.replace("|", r"\|") for cell in line] for line in (header, *body)]
    text = ["| " + " | ".join(line) + " |" for line in (escaped[0], rule, *escaped[1:])]
    return "\n".join([*text, *(f"\n{note}" for note in _note(lines, level))]) + "\n"


def _latex(lines: Sequence[Row], digits: int, level: float) -> str:
    header, body = _cells(lines, digits)
    columns = "".join("r" if right else "l" for right in _right(lines))
    rows = [" & ".join(_escape(cell) for cell in line) + r" \\" for line in (header, *body)]
    notes = [f"% {note}" for note in _note(lines, level)]
    return "\n".join(
        [
            *notes,
            rf"\begin{{tabular}}{{{columns}}}",
            r"\toprule",
            rows[0],
            r"\midrule",
            *rows[1:],
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def _escape(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | np.number) and not isinstance(value, bool))


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value))
