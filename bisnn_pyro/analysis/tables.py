"""Tables of results: rows of scores in, means with intervals over seeds or folds out.

A row is one predictor of one run: text columns (method, predictor, ...) say which, ``seed`` says which
repetition, numbers are scores.  Rows that differ only in ``seed`` become one line: the mean and the
half-width of its Student t interval, with n stated.  In a cross-validation the repetition is ``fold``
instead, with seeds averaged before (:func:`average_seeds`).  Training sets of folds overlap, so their scores
are not independent and the interval is only a guide, usually too short (Bengio and Grandvalet, JMLR 2004: no
estimator of that variance is unbiased).
"""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from bisnn_pyro.analysis.intervals import MeanInterval, format_interval, mean_interval
from bisnn_pyro.errors import DataError, InputError
from bisnn_pyro.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

#: Rows of a table: a data frame, or one mapping per row.
Rows: TypeAlias = "pd.DataFrame | Sequence[Mapping[str, Any]]"

Digits = int | Mapping[str, int]

MISSING = "–"
SUFFIXES = (".csv", ".md", ".tex")
SEED, FOLD, N_FOLDS = "seed", "fold", "n_folds"

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{char: "\\" + char for char in "&%$#_{}"},
    "±": r"$\pm$",
    "–": "--",
}


def check_suffix(path: str | os.PathLike[str]) -> Path:
    """Return the path of a table if its suffix names a format.

    Raises:
        InputError: the suffix is not .csv, .md or .tex.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise InputError(f"{target}: the suffix {target.suffix!r} is not known; use .csv, .md or .tex.")
    return target


@dataclass(frozen=True)
class PrintedTable:
    """A table ready for print, with the full numbers behind its cells.

    Attributes:
        header: the name of each column.
        body: rows of as many cells, all of them text.
        right: which columns are set flush right.
        notes: lines below the table.
        numbers: what the CSV holds instead of the cells: rows of full numbers, None where missing.
    """

    header: Sequence[str]
    body: Sequence[Sequence[str]]
    right: Sequence[bool]
    notes: Sequence[str]
    numbers: Sequence[Mapping[str, Any]]

    @property
    def frame(self) -> pd.DataFrame:
        """The full numbers as a data frame, NaN where missing."""
        import pandas as pd

        return pd.DataFrame(list(self.numbers))

    def plain(self) -> str:
        """The table in aligned columns for a terminal."""
        table = [self.header, *self.body]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        text = [
            "  ".join(
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(line, widths, self.right, strict=True)
            ).rstrip()
            for line in table
        ]
        text.insert(1, "  ".join("-" * width for width in widths))
        return "\n".join([*text, *self.notes])

    def markdown(self) -> str:
        """The table in Markdown, the notes as paragraphs below it."""
        rule = ["---:" if right else "---" for right in self.right]
        escaped = [[cell.replace("|", r"\|") for cell in line] for line in (self.header, *self.body)]
        text = ["| " + " | ".join(line) + " |" for line in (escaped[0], rule, *escaped[1:])]
        return "\n".join([*text, *(f"\n{note}" for note in self.notes)]) + "\n"

    def latex(self) -> str:
        """The table as a booktabs ``tabular``, the notes as comments above it."""
        columns = "".join("r" if right else "l" for right in self.right)
        cells = [[_escaped(cell) for cell in line] for line in (self.header, *self.body)]
        head, *rows = [" & ".join(line) + r" \\" for line in cells]
        top, bottom = rf"\begin{{tabular}}{{{columns}}}", [r"\bottomrule", r"\end{tabular}", ""]
        notes = [f"% {note}" for note in self.notes]
        return "\n".join([*notes, top, r"\toprule", head, r"\midrule", *rows, *bottom])

    def csv(self) -> str:
        """The full numbers as comma-separated text, without the notes."""
        names = dict.fromkeys(name for row in self.numbers for name in row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(names), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.numbers)
        return text.getvalue()

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the table in the format that the file's suffix names: .csv, .md or .tex (booktabs).

        Raises:
            InputError: see :func:`check_suffix`.
        """
        target = check_suffix(path)
        text = {".csv": self.csv, ".md": self.markdown, ".tex": self.latex}[target.suffix]()
        with atomic_path(target) as temporary:
            temporary.write_text(text, encoding="utf-8", newline="")
        return target

    def __repr__(self) -> str:
        """The table itself, at a prompt."""
        return self.plain()

    def _repr_markdown_(self) -> str:
        """The table, which notebooks show."""
        return self.markdown()


def printed_table(
    rows: Rows,
    metrics: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    digits: Digits = 3,
) -> PrintedTable:
    """Average rows over seeds or folds, and print each line with its interval.

    Example:
        >>> rows = [{"method": "bayes", "seed": k, "nll": 0.21 + 0.02 * k} for k in range(3)]
        >>> printed_table(rows)
        method  n            nll
        ------  -  -------------
        bayes   3  0.230 ± 0.050
        mean ± half-width of the 95 % Student t interval over n seeds

    Args:
        rows: a data frame, or one mapping per row; see the module.
        metrics: the number columns, in order; all of them where None.
        level: coverage of the intervals over seeds or folds.
        digits: places after the point, for all columns or by column (3 where it is not named).

    Raises:
        DataError: see :func:`summarise`.
    """
    lines = summarise(rows, metrics, level)
    names = list(lines[0])
    first_number = names.index("n")
    body = [[_cell(v, line["n"], _places(digits, name)) for name, v in line.items()] for line in lines]
    over = FOLD if any(FOLD in row for row in _records(rows)) else SEED
    note = f"mean ± half-width of the {100 * level:g} % Student t interval over n {over}s"
    notes = [note] if any(line["n"] > 1 for line in lines) else []
    numbers = [_numbers(line) for line in lines]
    return PrintedTable(names, body, [i >= first_number for i in range(len(names))], notes, numbers)


def plain_table(rows: Rows, *, digits: Digits = 4, notes: Iterable[str] = ()) -> PrintedTable:
    """Print rows as they are, nothing averaged; numbers flush right, a dash where one is missing.

    Args:
        rows: a data frame, or one mapping per line; all of their columns are shown.
        digits: places after the point of floats, for all columns or by column (4 where it is not named).
        notes: lines below the table.
    """
    records = _records(rows)
    header = list(dict.fromkeys(name for row in records for name in row))
    body = [[_plain_cell(row.get(name), _places(digits, name, 4)) for name in header] for row in records]
    right = [all(_is_number(row.get(name)) for row in records) for name in header]
    return PrintedTable(header, body, right, [*notes], records)


def summarise(rows: Rows, metrics: Sequence[str] | None = None, level: float = 0.95) -> list[dict[str, Any]]:
    """Gather rows that differ only in ``seed``, or in ``fold``.

    Args:
        rows: see the module; None, NaN or a missing key count as missing.
        metrics: the number columns to keep, in order; all of them where None.
        level: coverage of the intervals.

    Returns:
        One dict per line, in order of first appearance: the text columns, ``n`` (seeds or folds), then a
        :class:`MeanInterval` per metric (None where no row has it).

    Raises:
        DataError: no rows, or the same seed or fold twice for one line.
    """
    records = _records(rows)
    if not records:
        raise DataError("The table has no rows; give at least one.")
    over = FOLD if any(FOLD in row for row in records) else SEED
    columns = list(dict.fromkeys(key for row in records for key in row if key != over))
    scores = [c for c in columns if all(_is_number(row.get(c)) for row in records)]
    keys = [c for c in columns if c not in scores]
    lines = []
    for values, members in _grouped(records, keys).items():
        _check_once(values, over, [row.get(over) for row in members])
        line: dict[str, Any] = {**dict(zip(keys, values, strict=True)), "n": len(members)}
        for metric in scores if metrics is None else metrics:
            found = _present(row.get(metric) for row in members)
            line[metric] = mean_interval(found, level) if found else None
        lines.append(line)
    return lines


def average_seeds(rows: Rows) -> pd.DataFrame:
    """Average the rows of each fold of a cross-validation over its training seeds.

    Seeds of one fold share their test points and are not further folds: an interval over all rows alike would
    be too short.

    Args:
        rows: text columns say which line a row belongs to; ``fold`` and ``n_folds`` say which part of the
            data it was tested on, ``seed`` which repetition it is; the numbers are scores.

    Returns:
        One row per line and fold, without ``seed`` and ``n_folds``: scores averaged over the seeds that have
        them, and the text column ``folds``, which names the folds that the line has, such as ``0-7 of 8``.

    Raises:
        DataError: a row without a fold, different numbers of folds, or the same seed twice in a fold.
    """
    import pandas as pd

    records = _records(rows)
    if not records or any(row.get(FOLD) is None or row.get(N_FOLDS) is None for row in records):
        raise DataError("Some rows have no fold; seeds are averaged within the folds of a cross-validation.")
    numbers = sorted({row[N_FOLDS] for row in records})
    if len(numbers) > 1:
        raise DataError(f"The rows are of {numbers} folds; a table has one number of folds.")
    columns = list(dict.fromkeys(k for row in records for k in row if k not in (SEED, FOLD, N_FOLDS)))
    texts = [c for c in columns if any(isinstance(row.get(c), str) for row in records)]
    averaged = []
    for values, members in _grouped(records, texts).items():
        folds = _grouped(members, [FOLD])
        names = dict(zip(texts, values, strict=True))
        names["folds"] = f"{_ranges(int(fold) for (fold,) in folds)} of {int(numbers[0])}"
        for (fold,), own in sorted(folds.items()):
            _check_once((*values, f"fold {fold}"), SEED, [row.get(SEED) for row in own])
            found = {c: _present(row.get(c) for row in own) for c in columns if c not in texts}
            means = {c: float(np.mean(v)) if v else None for c, v in found.items()}
            averaged.append({**names, FOLD: int(fold), **means})
    return pd.DataFrame(averaged)


def _records(rows: Any) -> list[dict[str, Any]]:
    """Rows as mappings, None where missing; without the columns of folds where no row has a fold."""
    if hasattr(rows, "to_dict"):
        rows = rows.astype(object).where(rows.notna(), None).to_dict("records")
    records = [{k: None if _is_missing(v) else v for k, v in row.items()} for row in rows]
    if any(row.get(FOLD) is not None for row in records):
        return records
    return [{k: v for k, v in row.items() if k not in (FOLD, N_FOLDS)} for row in records]


def _grouped(
    records: Iterable[dict[str, Any]], keys: Sequence[str]
) -> dict[tuple[Any, ...], list[dict[str, Any]]]:
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in records:
        groups.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    return groups


def _check_once(names: Iterable[Any], over: str, repeated: list[Any]) -> None:
    if len(set(repeated)) != len(repeated):
        line = ", ".join(map(str, names))
        raise DataError(f"The rows of ({line}) have the {over}s {repeated}; each may occur only once.")


def _present(values: Iterable[Any]) -> list[float]:
    return [float(value) for value in values if value is not None]


def _ranges(folds: Iterable[int]) -> str:
    """The folds with neighbours drawn together, such as ``0-2,5``."""
    runs: list[list[int]] = []
    for fold in sorted(folds):
        if runs and fold == runs[-1][-1] + 1:
            runs[-1].append(fold)
        else:
            runs.append([fold])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _places(digits: Digits, name: str, default: int = 3) -> int:
    return digits if isinstance(digits, int) else digits.get(name, default)


def _plain_cell(value: Any, places: int) -> str:
    if value is None:
        return MISSING
    return f"{value:.{places}f}" if isinstance(value, float | np.floating) else str(value)


def _cell(value: Any, n: int, places: int) -> str:
    if value is None:
        return MISSING
    if not isinstance(value, MeanInterval):
        return str(value)
    # A count that is the same for all seeds has no spread to show.
    half = math.nan if places == 0 and value.half_width == 0 else value.half_width
    # n again where a score is missing for some of the line's seeds.
    return format_interval(value.mean, half, None if value.n == n else value.n, places)


def _numbers(line: Mapping[str, Any]) -> dict[str, Any]:
    """Full numbers for CSV: every column, and the half-width after each score."""
    flat: dict[str, Any] = {}
    after_n = False
    for name, value in line.items():
        interval = value if isinstance(value, MeanInterval) else None
        flat[name] = interval.mean if interval else value
        if after_n:
            half = interval.half_width if interval else math.nan
            flat[f"{name}_half_width"] = None if math.isnan(half) else half
        after_n = after_n or name == "n"
    return flat


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, Real) and not isinstance(value, bool))


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, Real) and math.isnan(value))


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)


def results_table(
    rows: Rows, metrics: Sequence[str] | None = None, *, level: float = 0.95, digits: Digits = 3
) -> str:
    """Return :func:`printed_table` as aligned plain text for a terminal."""
    return printed_table(rows, metrics, level=level, digits=digits).plain()


def write_table(
    rows: Rows, path: str | os.PathLike[str], metrics: Sequence[str] | None = None, *, digits: Digits = 3
) -> Path:
    """Write :func:`printed_table` in the format that the file's suffix names."""
    check_suffix(path)
    return printed_table(rows, metrics, digits=digits).write(path)
