"""Where a figure is drawn, and marks that several figures share.

A figure is drawn on axes that the caller gives, or on a new figure of a column's width.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.style import (
    DOUBLE_WIDTH,
    SINGLE_WIDTH,
    Plot,
    Table,
    color,
    fill_style,
    line_style,
    new_figure,
    paper_style,
)
from bisnn_pyro.analysis.validation import FloatArray
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Points (1/72 inch) between the bars of two curves at the same place.
DODGE = 2.0


@dataclass(frozen=True)
class Canvas:
    """The axes to draw into.

    Attributes:
        axes: row by row.
        own: whether their figure was made for this, so that its margins are free.
    """

    axes: tuple[Axes, ...]
    own: bool

    @property
    def figure(self) -> Figure:
        """The figure that holds the axes."""
        return cast("Figure", self.axes[0].figure.figure)

    def legend(self, columns: int, panel: int = 0) -> None:
        """Name the curves of one panel: above a figure of our own, inside axes that were given."""
        ax = self.axes[panel]
        if not ax.get_legend_handles_labels()[1]:
            return
        if self.own:
            _outside_legend(self.figure, ax, columns)
        else:
            ax.legend(handlelength=2.8)

    def fullest(self) -> int:
        """The first panel with the most curves, whose names are those of the legend."""
        named = [len(ax.get_legend_handles_labels()[1]) for ax in self.axes]
        return named.index(max(named))

    def without(self, panels: Iterable[int]) -> Canvas:
        """Remove panels that nothing is drawn in."""
        empty = set(panels)
        for k in empty:
            self.axes[k].remove()
        return Canvas(tuple(ax for k, ax in enumerate(self.axes) if k not in empty), self.own)

    def plot(self, table: Table) -> Plot:
        """The result of a ``plot_*`` function."""
        return Plot(self.figure, table, self.axes)


@contextmanager
def canvas(
    given: Axes | Sequence[Axes] | None, shape: tuple[int, int], size: tuple[float, float], **options: Any
) -> Iterator[Canvas]:
    """Axes to draw into, in the paper's style for the length of the block.

    Args:
        given: the caller's axes, row by row; None for a new figure.
        shape: rows and columns of panels.
        size: width and height in inches of a new figure.
        options: of ``Figure.subplots``, such as ``sharey``.

    Raises:
        DataError: another number of axes was given than there are panels.
    """
    n = shape[0] * shape[1]
    with paper_style():
        if given is None:
            made = new_figure(*size).subplots(*shape, squeeze=False, **options)
            yield Canvas(tuple(made.flat), True)
            return
        axes = tuple(np.ravel(np.asarray(given, dtype=object)))
        if len(axes) != n:
            raise DataError(f"{len(axes)} axes were given for {n} panels; give one for each, row by row.")
        yield Canvas(axes, False)


def grid_shape(n_panels: int, max_columns: int = 3) -> tuple[int, int, float]:
    """Rows and columns for `n_panels`, filling rows evenly, and the width of their figure in inches.

    Raises:
        DataError: there is no panel.
    """
    if n_panels < 1:
        raise DataError("The figure has nothing to show; give at least one predictor.")
    rows = -(-n_panels // max_columns)
    columns = -(-n_panels // rows)
    return rows, columns, SINGLE_WIDTH if columns == 1 else DOUBLE_WIDTH


def _outside_legend(figure: Figure, axes: Axes, columns: int) -> None:
    """One legend for the whole figure above the panels, from the curves of one of them.

    It has fewer columns than asked for where the names would not fit the page.
    """
    handles, names = axes.get_legend_handles_labels()
    for fewer in range(columns, 0, -1):
        legend = figure.legend(handles, names, loc="outside upper center", ncols=fewer, handlelength=2.8)
        if fewer == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def draw_interval_curve(
    ax: Axes,
    index: int,
    n_curves: int,
    label: str,
    x: FloatArray,
    middle: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> None:
    """Draw a curve with marks and bars; no bar where an end is not finite, a sign on top for infinite values.

    Curves stand apart by a point or two on the page, so that their bars can be told; their data are exact.
    """
    from matplotlib.transforms import ScaledTranslation

    shift = (index - (n_curves - 1) / 2) * DODGE / 72
    transform = ax.transData + ScaledTranslation(shift, 0, ax.figure.dpi_scale_trans)
    shown = np.isfinite(middle)
    bars = np.array([middle[shown] - low[shown], high[shown] - middle[shown]])
    drawn = ax.errorbar(
        x[shown],
        middle[shown],
        yerr=np.where(np.isfinite(bars), np.maximum(bars, 0.0), np.nan),
        label=label,
        elinewidth=0.8,
        capsize=1.8,
        zorder=2 + 0.1 * index,
        **line_style(index),
    )
    # Moved once drawn: the limits of the axes come from the data.
    for artist in drawn.get_children():
        artist.set_transform(transform)
    for place in x[np.isposinf(middle)]:
        ax.text(
            place, 0.99, "∞", transform=ax.get_xaxis_transform(), color=color(index), ha="center", va="top"
        )


def draw_histogram(ax: Axes, index: int, values: FloatArray, edges: FloatArray, label: str) -> FloatArray:
    """Draw and return the share of the values in each bin, the first filled, others as hatched outlines."""
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    share = counts / len(values)
    if index == 0:
        face = fill_style(4)["facecolor"]
        ax.stairs(share, edges, fill=True, facecolor=face, edgecolor=color(0), linewidth=0.8, label=label)
    else:
        style = {"hatch": fill_style(index)["hatch"], "edgecolor": color(3 if index == 1 else index)}
        ax.stairs(share, edges, fill=True, facecolor="none", linewidth=1.0, label=label, **style)
    return share


def draw_grouped_bars(ax: Axes, groups: Sequence[str], heights: Mapping[str, ArrayLike]) -> None:
    """Draw a group of bars at each tick, one bar per name; NaN has none.

    Args:
        ax: to draw into.
        groups: names of the G ticks.
        heights: name of the bars -> `[G]`.
    """
    width = 0.8 / len(heights)
    place = np.arange(len(groups))
    for index, (name, values) in enumerate(heights.items()):
        offset = (index - (len(heights) - 1) / 2) * width
        ax.bar(place + offset, np.asarray(values), width, label=name, **fill_style(index))
    ax.set_xticks(place, list(groups))
    ax.tick_params(axis="x", length=0)
    ax.set_xlim(-0.6, len(groups) - 0.4)
