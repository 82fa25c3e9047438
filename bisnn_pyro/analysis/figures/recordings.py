"""Pictures of recordings: where the events of each fell, one panel a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.style import (
    DOUBLE_WIDTH,
    SINGLE_WIDTH,
    Plot,
    Table,
    grid_shape,
    new_figure,
    paper_style,
)
from bisnn_pyro.analysis.validation import FloatArray, as_real
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COLUMNS = 5
MAP = "Greys"
#: Counts above this percentile of those that are not zero look alike: a few pixels fire without end.
TOP_PERCENTILE = 99.0


@dataclass(frozen=True)
class Picture:
    """One panel.

    Attributes:
        title: what the recording is of.
        caption: lines below it.
        counts: `[H, W]` events in each cell.
    """

    title: str
    caption: str
    counts: ArrayLike


def plot_recordings(
    pictures: Sequence[Picture],
    axis_names: tuple[str, str] = ("x (pixels)", "y (pixels)"),
    extent: tuple[float, float] | None = None,
) -> Plot:
    """Counts of events as shades of grey, white where there was none, on one scale for all panels.

    Args:
        pictures: the panels, row by row; all of one shape.
        axis_names: what the columns and the rows of the counts are.
        extent: upper ends of both axes, which begin at 0; None for the numbers of columns and rows.

    Returns:
        The figure, and a table of the cells with events: ``title``, ``row``, ``column``, ``events``.

    Raises:
        DataError: no picture, one that is no matrix of counts, or unequal shapes.
    """
    from matplotlib.ticker import MaxNLocator

    counts = [_counts(picture) for picture in pictures]
    if len({count.shape for count in counts}) > 1:
        raise DataError(f"The pictures have shapes {sorted({c.shape for c in counts})}; expected one shape.")
    rows, columns = grid_shape(len(pictures), MAX_COLUMNS)
    height, width = counts[0].shape
    right, bottom = extent or (float(width), float(height))
    filled = np.concatenate([count[count > 0] for count in counts])
    top = max(float(np.ceil(np.percentile(filled, TOP_PERCENTILE))), 1.0) if filled.size else 1.0
    with paper_style():
        page = SINGLE_WIDTH if columns == 1 else DOUBLE_WIDTH
        side = (page - 0.9) / columns
        panel = side * (0.75 if extent else min(height / width, 1.5))
        lines = 1 + max(picture.caption.count("\n") + 1 for picture in pictures)
        figure = new_figure(page, rows * (panel + 0.14 * lines + 0.1) + 0.4)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for k, (picture, count) in enumerate(zip(pictures, counts, strict=True)):
            ax = axes[k // columns, k % columns]
            image = ax.imshow(
                count,
                cmap=MAP,
                vmin=0.0,
                vmax=top,
                extent=(0.0, right, bottom, 0.0),
                aspect="auto" if extent else "equal",
                interpolation="nearest",
            )
            ax.set_title(f"{picture.title}\n{picture.caption}")
            _label(ax, axis_names, k, columns, len(pictures))
        for k in range(len(pictures), rows * columns):
            axes[k // columns, k % columns].remove()
        clipped = bool(filled.size) and float(filled.max()) > top
        bar = figure.colorbar(image, ax=figure.axes, extend="max" if clipped else "neither", shrink=0.8)
        bar.set_label("events")
        bar.locator = MaxNLocator(6, integer=True)
        bar.outline.set_linewidth(0.6)
    table = _table({p.title: c for p, c in zip(pictures, counts, strict=True)})
    return Plot(figure, table, tuple(figure.axes))


def _counts(picture: Picture) -> FloatArray:
    counts = as_real(picture.counts, f"the counts of {picture.title!r}", 2)
    if not counts.size or counts.min() < 0:
        raise DataError(f"The counts of {picture.title!r} have shape {counts.shape}; expected counts [H, W].")
    return counts


def _label(ax: Axes, names: tuple[str, str], k: int, columns: int, n: int) -> None:
    """Names and numbers at the left and at the bottom of the grid only."""
    lowest = k + columns >= n
    ax.tick_params(labelleft=k % columns == 0, labelbottom=lowest)
    ax.locator_params(nbins=4)
    ax.set_xlabel(names[0] if lowest else "")
    ax.set_ylabel("" if k % columns else names[1])


def _table(counts: Mapping[str, FloatArray]) -> Table:
    cells = {title: np.nonzero(count) for title, count in counts.items()}
    names = [np.full(len(cells[title][0]), title, dtype=object) for title in counts]
    return {
        "title": np.concatenate(names),
        "row": np.concatenate([row for row, _ in cells.values()]),
        "column": np.concatenate([column for _, column in cells.values()]),
        "events": np.concatenate([counts[title][cell].astype(np.int64) for title, cell in cells.items()]),
    }
