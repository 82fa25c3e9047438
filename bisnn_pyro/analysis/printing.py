"""A table ready for print: cells for the terminal, Markdown and LaTeX, numbers for CSV."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisnn_pyro.errors import InputError
from bisnn_pyro.files import atomic_path

MISSING = "–"
SUFFIXES = (".csv", ".md", ".tex")

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
        InputError: another suffix than .csv, .md and .tex.
    """
    target = Path(path)
    if target.suffix not in SUFFIXES:
        raise InputError(f"{target}: the suffix {target.suffix!r} is not known; use .csv, .md or .tex.")
    return target


@dataclass(frozen=True)
class PrintedTable:
    """Header and cells, all of them text.

    Attributes:
        header: one name a column.
        body: rows of as many cells.
        right: which columns are set flush right.
        notes: lines below the table.
        numbers: what the CSV holds instead of the cells: rows of full numbers, None where missing.
    """

    header: Sequence[str]
    body: Sequence[Sequence[str]]
    right: Sequence[bool]
    notes: Sequence[str]
    numbers: Sequence[Mapping[str, Any]]

    def plain(self) -> str:
        """The table in aligned columns for a terminal."""
        table = [self.header, *self.body]
        widths = [max(len(line[i]) for line in table) for i in range(len(self.header))]
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

    def __repr__(self) -> str:
        """The table itself, at a prompt."""
        return self.plain()

    def _repr_markdown_(self) -> str:
        """The table, which notebooks show."""
        return self.markdown()

    def latex(self) -> str:
        """The table as a booktabs ``tabular``, the notes as comments above it."""
        columns = "".join("r" if right else "l" for right in self.right)
        rows = [" & ".join(_escape(cell) for cell in line) + r" \\" for line in (self.header, *self.body)]
        return "\n".join(
            [
                *(f"% {note}" for note in self.notes),
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

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the table in the format that the file's suffix names.

        Raises:
            InputError: see :func:`check_suffix`.
        """
        target = check_suffix(path)
        with atomic_path(target) as temporary:
            if target.suffix == ".csv":
                self._write_csv(temporary)
            else:
                text = self.markdown() if target.suffix == ".md" else self.latex()
                temporary.write_text(text, encoding="utf-8")
        return target

    def _write_csv(self, path: Path) -> None:
        names = dict.fromkeys(name for row in self.numbers for name in row)
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(names), restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.numbers)


def _escape(text: str) -> str:
    return "".join(_LATEX.get(char, char) for char in text)
