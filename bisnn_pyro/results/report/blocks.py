"""What the page is made of: sections of text, tables and pictures, and the cautions for the reader."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from bisnn_pyro.analysis import Plot, PrintedTable, paper_style

MISSING = "–"
PIXELS_PER_INCH = 125
"""On screen; 8-point fonts then read like the text around them."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Table:
    """A table under a caption. A folded table opens with a click, and is always open in print."""

    kind: ClassVar[str] = "table"
    caption: str
    table: PrintedTable
    folded: bool = False


@dataclass(frozen=True)
class Picture:
    """A picture that is stored inside the page.

    Attributes:
        caption: what it shows; also the alternative text.
        source: a ``data:`` URI.
        width: in CSS pixels, where the window is wide enough.
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
        title: the problem in a few words.
        text: what it means and what to do about it.
        items: the runs or predictors concerned, with their numbers.
    """

    title: str
    text: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class Section:
    """A heading and the blocks below it.

    Attributes:
        anchor: the target of links to it.
        title: the heading.
        blocks: in the order of the page.
        cautions: for the list at the top of the page.
    """

    anchor: str
    title: str
    blocks: Sequence[Block]
    cautions: Sequence[Caution] = field(default=())


def caution_if(items: Sequence[str], title: str, text: str) -> list[Caution]:
    """Return one caution about these items, or nothing if there are no items."""
    return [Caution(title, text, some(items))] if items else []


def some(items: Sequence[str], most: int = 12) -> tuple[str, ...]:
    """Return the first items and how many more there are."""
    return tuple(items) if len(items) <= most else (*items[:most], f"and {len(items) - most} more")


def numbers(values: Iterable[int]) -> str:
    """Return whole numbers as text, with a dash for ranges.

    Example:
        >>> numbers([4, 0, 1, 2, 7])
        '0-2, 4, 7'
    """
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def plain_table(
    rows: pd.DataFrame | Iterable[Any], *, digits: int | Mapping[str, int] = 4, notes: Sequence[str] = ()
) -> PrintedTable:
    """Return a table of the rows as they are, without averaging.

    Args:
        rows: a DataFrame, or one dict per row; the columns of all rows are shown.
        digits: decimal places of floats, for all columns or by column (4 for the others).
        notes: lines below the table.

    Example:
        >>> plain_table([{"run": "a", "nll": 0.5}, {"run": "b"}], digits=1)
        run  nll
        ---  ---
        a    0.5
        b      –
    """
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows), dtype=object)
    places = [digits if isinstance(digits, int) else digits.get(name, 4) for name in frame]
    body = [list(map(_cell, row, places)) for row in frame.itertuples(index=False)]
    right = [bool(frame[name].map(_is_number).all()) for name in frame]
    return PrintedTable(list(frame), body, right, list(notes), frame.to_dict("records"))


def drawn(plot: Plot, caption: str) -> Picture:
    """Return a figure as an SVG picture, with its text as outlines so that no font is needed."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    # Identifiers in an SVG are random unless the salt is fixed; the same figure must give the same bytes.
    with paper_style(), mpl.rc_context({"svg.hashsalt": "bisnn", "svg.fonttype": "path"}):
        plot.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    width = round(float(plot.figure.get_size_inches()[0]) * PIXELS_PER_INCH)
    return Picture(caption, _uri("image/svg+xml", buffer.getvalue()), width)


def stored(path: Path, caption: str) -> Picture:
    """Return a PNG file of a run folder as a picture."""
    return Picture(caption, _uri("image/png", path.read_bytes()), 7 * PIXELS_PER_INCH)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _cell(value: Any, digits: int) -> str:
    if pd.isna(value):
        return MISSING
    return f"{value:.{digits}f}" if pd.api.types.is_float(value) else str(value)


def _is_number(value: Any) -> bool:
    return pd.isna(value) or (pd.api.types.is_number(value) and not pd.api.types.is_bool(value))
