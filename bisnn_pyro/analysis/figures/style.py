"""The look that the figures share: sizes of a paper's column, fonts, and marks that survive greyscale."""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from bisnn_pyro.errors import DataError
from bisnn_pyro.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Widths in inches of one and of two columns of a paper.
SINGLE_WIDTH = 3.4
DOUBLE_WIDTH = 7.0

#: The settings, colours and dashes; ``matplotlib.style.use`` takes it too.
STYLE_FILE = Path(__file__).with_name("bisnn.mplstyle")

#: With colour and dash, what tells curves and areas apart in greyscale.
MARKERS = ("o", "s", "^", "D", "v", "x", "P", "+")
HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++")
PROBABILITY_MAP = "cividis"
UNCERTAINTY_MAP = "Greys"

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
        with paper_style(), atomic_path(Path(path)) as temporary:
            self.figure.savefig(temporary, dpi=dpi, format="png")
        return Path(path)

    def _repr_png_(self) -> bytes:
        """The picture, which notebooks show."""
        buffer = io.BytesIO()
        with paper_style():
            self.figure.savefig(buffer, format="png")
        return buffer.getvalue()


@cache
def _settings() -> dict[Any, Any]:
    from matplotlib import rc_params_from_file

    settings: Any = rc_params_from_file(STYLE_FILE, use_default_template=False)
    return dict(settings)


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


def grid_shape(n_panels: int, max_columns: int) -> tuple[int, int]:
    """Rows and columns for `n_panels`, filling rows evenly.

    Raises:
        DataError: there is no panel.
    """
    if n_panels < 1:
        raise DataError("The figure has nothing to show; give at least one predictor.")
    rows = -(-n_panels // max_columns)
    return rows, -(-n_panels // rows)


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
    """Stack one table a name into a long one with the name as its first column; gaps become NaN.

    Args:
        parts: name -> columns of equal length.
        key: heading of the column of names.
    """
    columns = list(dict.fromkeys(column for part in parts.values() for column in part))
    lengths = {name: len(next(iter(part.values()), ())) for name, part in parts.items()}
    table: Table = {key: np.concatenate([np.full(n, name, dtype=object) for name, n in lengths.items()])}
    for column in columns:
        pieces: Sequence[np.ndarray] = [
            np.asarray(part[column]) if column in part else np.full(lengths[name], np.nan)
            for name, part in parts.items()
        ]
        table[column] = np.concatenate(pieces)
    return table


def outside_legend(figure: Figure, axes: Axes, columns: int) -> None:
    """One legend for the whole figure above the panels, from the curves of one of them.

    It takes fewer columns than asked for where the names would not fit the page.
    """
    handles, names = axes.get_legend_handles_labels()
    for fewer in range(columns, 0, -1):
        legend = figure.legend(handles, names, loc="outside upper center", ncols=fewer, handlelength=2.8)
        if fewer == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()
