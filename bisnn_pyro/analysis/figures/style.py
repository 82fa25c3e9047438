"""The look that the figures share, what a figure returns, and writing it to files.

Sizes fit a paper's column, and marks survive greyscale.
"""

from __future__ import annotations

import csv
import io
import os
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.errors import DataError
from bisnn_pyro.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Widths in inches of one and of two columns of a paper.
SINGLE_WIDTH = 3.4
DOUBLE_WIDTH = 7.0

#: The settings, colours and dashes; ``matplotlib.style.use`` takes it too.
STYLE_FILE = Path(__file__).with_name("bisnn.mplstyle")
PNG_DPI = 200

#: Together with colour and dash, what tells curves and areas apart in greyscale.
MARKERS = ("o", "s", "^", "D", "v", "x", "P", "+")
HATCHES = ("", "////", "....", "xxxx", "\\\\", "++++")

#: Of a title in the style's 8 points, on the safe side.
_CHARACTERS_PER_INCH = 15.0

Table = dict[str, np.ndarray]


class Plot(NamedTuple):
    """The axes drawn into, their figure, and the columns behind it, all of one length."""

    figure: Figure
    table: Table
    axes: tuple[Axes, ...]

    @property
    def ax(self) -> Axes:
        """The first, or only, axes."""
        return self.axes[0]

    def save_png(self, path: str | os.PathLike[str], dpi: int = 120) -> Path:
        """Write the picture alone; :func:`~bisnn_pyro.analysis.save_figure` writes PDF and numbers too."""
        return _draw(self.figure, Path(path), format="png", dpi=dpi)

    def _repr_png_(self) -> bytes:
        """The picture, which notebooks show."""
        buffer = io.BytesIO()
        with paper_style():
            self.figure.savefig(buffer, format="png")
        return buffer.getvalue()


def save_figure(
    figure: Figure, directory: str | os.PathLike[str], name: str, table: Mapping[str, ArrayLike]
) -> dict[str, Path]:
    """Write ``name.pdf``, ``name.png`` (200 dpi) and ``name.csv`` into a folder, made where missing.

    Files carry no date, so that the same figure gives the same bytes.  Numbers go to the CSV with all
    their digits.

    Args:
        figure: what to draw.
        directory: the folder.
        name: file name without suffix.
        table: column -> `[n]` the numbers behind the figure.

    Returns:
        Suffix (``pdf``, ``png``, ``csv``) -> path.

    Raises:
        DataError: columns that are not one-dimensional or not of one length.
    """
    folder = Path(directory)
    columns = _columns(table)  # before anything is written
    paths = {suffix: folder / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")}
    _draw(figure, paths["pdf"], format="pdf", metadata={"CreationDate": None})
    _draw(figure, paths["png"], format="png", dpi=PNG_DPI)
    save_columns(paths["csv"], columns)
    return paths


def _draw(figure: Figure, path: Path, **settings: Any) -> Path:
    """Draw into memory, and write the file at once."""
    buffer = io.BytesIO()
    with paper_style():
        figure.savefig(buffer, **settings)
    return write_whole(path, buffer.getvalue())


def save_columns(path: Path, table: Mapping[str, ArrayLike]) -> None:
    """Write the numbers behind a figure to a CSV, with all their digits.

    Args:
        path: the file.
        table: column -> `[n]`.

    Raises:
        DataError: columns that are not one-dimensional or not of one length.
    """
    columns = _columns(table)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
    write_whole(path, text.getvalue().encode())


@contextmanager
def paper_style() -> Iterator[None]:
    """Matplotlib's defaults with the paper's settings on top, for the length of a block."""
    import matplotlib as mpl
    from matplotlib import rcParamsDefault

    safe: dict[Any, Any] = {
        key: value for key, value in rcParamsDefault.items() if not key.startswith("backend")
    }
    with mpl.rc_context({**safe, **_settings()}):
        yield


def new_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure in inches, laid out so that labels do not overlap; it belongs to no window."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def wrapped(name: str, width: float) -> str:
    """Break a title at spaces and hyphens into lines of at most so many inches, in the style's type."""
    characters = max(int(width * _CHARACTERS_PER_INCH), 8)
    return textwrap.fill(name, characters, break_long_words=True)


def line_style(index: int) -> dict[str, Any]:
    """Colour, dash and marker of the curve number `index`."""
    cycle = list(_settings()["axes.prop_cycle"])
    marker = (index + index // len(cycle)) % len(MARKERS)  # a colour that comes again has another marker
    return {**cycle[index % len(cycle)], "marker": MARKERS[marker]}


def color(index: int) -> str:
    """Colour of the curve number `index`."""
    return str(line_style(index)["color"])


def fill_style(index: int) -> dict[str, Any]:
    """Face, edge and hatch of the bars number `index`: the first is plain, others are light with a hatch."""
    from matplotlib.colors import to_rgb

    own = np.array(to_rgb(color(index)))
    face = own if index % len(HATCHES) == 0 else 0.35 * own + 0.65
    return {
        "facecolor": tuple(face.tolist()),
        "edgecolor": "black",
        "hatch": HATCHES[index % len(HATCHES)],
        "linewidth": 0.6,
    }


def long_table(parts: Mapping[str, Mapping[str, Any]], key: str) -> Table:
    """Stack one table per name into a long one, with the name as its first column; gaps become NaN.

    Args:
        parts: name -> columns of equal length.
        key: heading of the column of names.
    """
    columns = list(dict.fromkeys(column for part in parts.values() for column in part))
    lengths = {name: len(next(iter(part.values()), ())) for name, part in parts.items()}
    table: Table = {key: np.concatenate([np.full(n, name, dtype=object) for name, n in lengths.items()])}
    for column in columns:
        pieces = [
            np.asarray(part[column]) if column in part else np.full(lengths[name], np.nan)
            for name, part in parts.items()
        ]
        table[column] = np.concatenate(pieces)
    return table


@cache
def _settings() -> dict[Any, Any]:
    from matplotlib import rc_params_from_file

    settings: Any = rc_params_from_file(STYLE_FILE, use_default_template=False)
    return dict(settings)


def _columns(table: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    columns = {name: np.asarray(values) for name, values in table.items()}
    shapes = {name: column.shape for name, column in columns.items()}
    if not columns or len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise DataError(f"The table's columns have shapes {shapes}; expected one-dimensional, equally long.")
    return columns
