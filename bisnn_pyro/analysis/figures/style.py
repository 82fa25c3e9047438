"""The look that the figures share: sizes of a paper's column, fonts, and marks that survive greyscale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Widths in inches of one and of two columns of a paper.
SINGLE_WIDTH = 3.4
DOUBLE_WIDTH = 7.0

#: From the cividis map; the first three go from dark to light, and dash and marker tell all six apart.
LINES: tuple[dict[str, Any], ...] = (
    {"color": "#00224e", "linestyle": "-", "marker": "o"},
    {"color": "#7d7c78", "linestyle": "--", "marker": "s"},
    {"color": "#b0a15f", "linestyle": "-.", "marker": "^"},
    {"color": "#444f6d", "linestyle": ":", "marker": "D"},
    {"color": "#d9c34a", "linestyle": (0, (5, 1, 1, 1, 1, 1)), "marker": "v"},
    {"color": "#000000", "linestyle": (0, (1, 1)), "marker": "x"},
)
PROBABILITY_MAP = "cividis"
UNCERTAINTY_MAP = "Greys"

_RC: dict[Any, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,  # TrueType: Type 3 fonts are refused by many publishers
    "figure.constrained_layout.use": False,
}

Table = dict[str, np.ndarray]


class Plot(NamedTuple):
    """A figure and the columns behind it, all of one length."""

    figure: Figure
    table: Table


@contextmanager
def paper_style() -> Iterator[None]:
    """Matplotlib's defaults with the paper's settings on top, for the length of a block."""
    import matplotlib as mpl
    from matplotlib import rcParamsDefault

    safe: dict[Any, Any] = {
        key: value for key, value in rcParamsDefault.items() if not key.startswith("backend")
    }
    with mpl.rc_context({**safe, **_RC}):
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


def line_style(index: int) -> dict[str, Any]:
    """Colour, dash and marker of the curve number `index`."""
    return dict(LINES[index % len(LINES)])


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
    """One legend for the whole figure above the panels, from the curves of one of them."""
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=columns, handlelength=2.8)
