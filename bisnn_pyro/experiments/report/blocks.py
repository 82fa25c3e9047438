"""What a page is made of: sections of text, tables and pictures, and the warnings that they give rise to."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from bisnn_pyro.analysis import MISSING, Digits, PrintedTable


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Table:
    """A table under a caption; a folded one shows at a click, and in print."""

    kind: ClassVar[str] = "table"
    caption: str
    table: PrintedTable
    folded: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture, held in the page itself.

    Attributes:
        caption: what it shows, also said in its place where it cannot be seen.
        source: a ``data:`` URI.
        width: in CSS pixels where there is room.
    """

    kind: ClassVar[str] = "picture"
    caption: str
    source: str
    width: int


Block = Text | Table | Picture


@dataclass(frozen=True)
class Caution:
    """Something that a reader of the numbers should know.

    Attributes:
        title: what it is, a few words.
        text: what it means and what to do about it.
        items: the runs or predictors that it is about, with their numbers.
    """

    title: str
    text: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it.

    Attributes:
        anchor: by which the page links to it.
        title: its heading.
        blocks: in order.
        cautions: for the list at the top of the page.
    """

    anchor: str
    title: str
    blocks: Sequence[Block]
    cautions: Sequence[Caution] = field(default=())


def plain_table(
    rows: Sequence[Mapping[str, Any]], *, digits: Digits = 4, notes: Iterable[str] = ()
) -> PrintedTable:
    """Return rows as they are, nothing averaged; numbers flush right, None and NaN as a dash.

    Args:
        rows: a dict a line; the columns of all of them are shown.
        digits: places after the point, for all columns or by column (4 where it is not named).
        notes: lines below the table.
    """
    header = list(dict.fromkeys(name for row in rows for name in row))
    places = {name: digits if isinstance(digits, int) else digits.get(name, 4) for name in header}
    body = [[_cell(row.get(name), places[name]) for name in header] for row in rows]
    right = [all(_is_number(row.get(name)) for row in rows) for name in header]
    return PrintedTable(header, body, right, [*notes], list(rows))


def without(table: PrintedTable, column: str) -> PrintedTable:
    """Return the table less a column that says the same in every line; one that tells lines apart stays."""
    place = table.header.index(column)
    if len({line[place] for line in table.body}) > 1:
        return table
    header, right = ([*cells[:place], *cells[place + 1 :]] for cells in (table.header, table.right))
    body = [[*cells[:place], *cells[place + 1 :]] for cells in table.body]
    return replace(table, header=header, body=body, right=right)


def some(items: Sequence[str], most: int = 12) -> tuple[str, ...]:
    """Return the first items, and how many there are besides."""
    if len(items) <= most:
        return tuple(items)
    return (*items[:most], f"and {len(items) - most} more")


def _cell(value: Any, digits: int) -> str:
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return MISSING
    if isinstance(value, float | np.floating):
        return f"{value:.{digits}f}"
    return str(value)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | np.number) and not isinstance(value, bool))
