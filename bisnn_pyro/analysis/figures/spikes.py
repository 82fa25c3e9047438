"""Spikes and recordings: rasters, intervals between spikes, and where the events of a recording fell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas, grid_shape
from bisnn_pyro.analysis.figures.style import (
    SINGLE_WIDTH,
    Plot,
    Table,
    color,
    long_table,
    new_figure,
    paper_style,
)
from bisnn_pyro.analysis.posterior.spikes import as_spikes
from bisnn_pyro.analysis.validation import FloatArray, as_real, check_level
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Without a longest interval, the axis ends where this share of all intervals is reached.
SHOWN_SHARE = 0.99
#: Counts above this percentile of those that are not zero look alike: a few pixels fire all the time.
TOP_PERCENTILE = 99.0


@dataclass(frozen=True)
class Picture:
    """One panel of :func:`plot_recordings`.

    Attributes:
        title: what the recording is of.
        caption: lines below the title.
        counts: `[H, W]` events in each cell.
    """

    title: str
    caption: str
    counts: ArrayLike


def plot_spike_raster(
    layers: Mapping[str, ArrayLike], *, step_ms: float | None = None, axes: Sequence[Axes] | None = None
) -> Plot:
    """One panel per layer, over a common axis of time; a stroke is a spike.

    Args:
        layers: name -> `[T, U]`, 0 or 1, one example; the same T for all.
        step_ms: length of a step, for an axis in milliseconds; None for steps.
        axes: one for each layer, top to bottom; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per spike: ``layer``, ``step``, ``unit``.

    Raises:
        DataError: no layer, arrays of a wrong shape or with other values, or unequal T.
    """
    from matplotlib.ticker import MaxNLocator

    trains = {name: as_spikes(np.asarray(spikes)[:, None], name)[:, 0] for name, spikes in layers.items()}
    lengths = {len(train) for train in trains.values()}
    if len(lengths) != 1:
        raise DataError(
            f"The layers have {sorted(lengths)} steps; give at least one layer, all of one length."
        )
    (n_steps,) = lengths
    unit, factor = ("steps", 1.0) if step_ms is None else ("ms", step_ms)
    heights = [max(train.shape[1], 8) ** 0.5 for train in trains.values()]
    size = (SINGLE_WIDTH, 0.5 + 0.14 * sum(heights) + 0.25 * len(trains))
    tables: dict[str, Table] = {}
    with canvas(axes, (len(trains), 1), size, sharex=True, height_ratios=heights) as page:
        for ax, (name, train) in zip(page.axes, trains.items(), strict=True):
            step, fired = np.nonzero(train)
            ax.vlines(factor * (step + 0.5), fired - 0.4, fired + 0.4, color="black", linewidth=0.7)
            n_units = train.shape[1]
            ax.set_title(f"{name}: {n_units} units, {len(step) / train.size:.3f} spikes per unit and step")
            ax.set(ylim=(n_units - 0.5, -0.5), xlim=(0, factor * n_steps), ylabel="unit")
            ax.yaxis.set_major_locator(MaxNLocator(3, integer=True))
            tables[name] = {"step": step, "unit": fired}
        page.axes[-1].set_xlabel(f"time ({unit})")
    return page.plot(long_table(tables, "layer"))


def plot_interval_histogram(
    observed: ArrayLike,
    predictive: ArrayLike,
    *,
    step_ms: float | None = None,
    longest: int | None = None,
    level: float = 0.95,
    ax: Axes | None = None,
) -> Plot:
    """Shares of the intervals between spikes: observed as points, predictive draws as a band.

    *Assumes* draws simulated for the inputs of the observed trains, of the same length, so that intervals cut
    off at their ends are missing from both.  The band is pointwise: of 20 intervals one leaves a 95 % band by
    chance, or more, as they are few and correlated.

    Args:
        observed: `[T]` counts of intervals of 0, 1, ... T - 1 steps, such as
            ``interval_counts(spikes).sum(1)``.
        predictive: `[S, T]` the same of each posterior draw.
        step_ms: length of a step, for an axis in milliseconds; None for steps.
        longest: the last interval shown, in steps; None shows 99 % of all intervals.
        level: share of the draws inside the band.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per interval, all of them.

    Raises:
        DataError: an array of a wrong shape, with negative numbers or without intervals, or a wrong level.
    """
    check_level(level)
    seen, drawn = _shares(observed, "observed", 1), _shares(predictive, "predictive", 2)
    if drawn.shape[1:] != seen.shape:
        raise DataError(f"predictive has shape {drawn.shape}; expected [S, {len(seen)}], as observed has.")
    low, middle, high = np.quantile(drawn, [0.5 - level / 2, 0.5, 0.5 + level / 2], axis=0)
    last = _last(seen + drawn.mean(0)) if longest is None else min(longest, len(seen) - 1)
    shown = slice(1, last + 1)
    unit, factor = ("steps", 1.0) if step_ms is None else ("ms", step_ms)
    x, half = factor * np.arange(len(seen)), factor / 2
    edges = np.append(x[shown] - half, x[last] + half)
    n = int(np.asarray(observed).sum())
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.4)) as page:
        (ax,) = page.axes
        band = f"predictive, {100 * level:g} % of {len(drawn)} draws"
        ax.stairs(high[shown], edges, baseline=low[shown], fill=True, color="0.8", label=band)
        dashed: dict[str, Any] = {
            "color": "0.35",
            "linewidth": 0.9,
            "linestyle": "--",
            "label": "predictive median",
        }
        ax.stairs(middle[shown], edges, baseline=None, label="predictive median", **dashed)
        ax.plot(x[shown], seen[shown], "o", color=color(0), label=f"observed (n = {n})")
        ax.set(xlabel=f"interval between spikes ({unit})", ylabel="share of intervals")
        ax.set_xlim(edges[0], edges[-1])
        ax.set_ylim(bottom=0)
        page.legend(1)
    table = {"interval_steps": np.arange(len(seen)), "observed": seen}
    return page.plot(table | {"predictive_low": low, "predictive_median": middle, "predictive_high": high})


def plot_recordings(
    pictures: Sequence[Picture],
    axis_names: tuple[str, str] = ("x (pixels)", "y (pixels)"),
    extent: tuple[float, float] | None = None,
) -> Plot:
    """Counts of events as shades of grey, white where there are none, on one scale for all panels.

    Args:
        pictures: the panels, row by row; all of one shape.
        axis_names: what the columns and the rows of the counts are.
        extent: upper ends of both axes, which begin at 0; None for the numbers of columns and rows.

    Returns:
        The figure, and a table of the cells with events: ``title``, ``row``, ``column``, ``events``.

    Raises:
        DataError: no picture, one that is not a matrix of counts, or unequal shapes.
    """
    from matplotlib.ticker import MaxNLocator

    counts = [_counts(picture) for picture in pictures]
    if len({count.shape for count in counts}) > 1:
        raise DataError(f"The pictures have shapes {sorted({c.shape for c in counts})}; expected one shape.")
    rows, columns, page = grid_shape(len(pictures), 5)
    height, width = counts[0].shape
    right, bottom = extent or (float(width), float(height))
    filled = np.concatenate([count[count > 0] for count in counts])
    top = max(float(np.ceil(np.percentile(filled, TOP_PERCENTILE))), 1.0) if filled.size else 1.0
    scale: dict[str, Any] = {"cmap": "Greys", "vmin": 0.0, "vmax": top, "interpolation": "nearest"}
    with paper_style():
        side = (page - 0.9) / columns
        panel = side * (0.75 if extent else min(height / width, 1.5))
        lines = 1 + max(picture.caption.count("\n") + 1 for picture in pictures)
        figure = new_figure(page, rows * (panel + 0.14 * lines + 0.1) + 0.4)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for k, (picture, count) in enumerate(zip(pictures, counts, strict=True)):
            ax = axes[k // columns, k % columns]
            aspect = "auto" if extent else "equal"
            image = ax.imshow(count, extent=(0.0, right, bottom, 0.0), aspect=aspect, **scale)
            ax.set_title(f"{picture.title}\n{picture.caption}")
            # Names and numbers only at the left and at the bottom of the grid.
            left, lowest = k % columns == 0, k + columns >= len(pictures)
            ax.tick_params(labelleft=left, labelbottom=lowest)
            ax.locator_params(nbins=4)
            ax.set(xlabel=axis_names[0] if lowest else "", ylabel=axis_names[1] if left else "")
        for k in range(len(pictures), rows * columns):
            axes[k // columns, k % columns].remove()
        clipped = bool(filled.size) and float(filled.max()) > top
        bar = figure.colorbar(image, ax=figure.axes, extend="max" if clipped else "neither", shrink=0.8)
        bar.set_label("events")
        bar.locator = MaxNLocator(6, integer=True)
        bar.outline.set_linewidth(0.6)
    return Plot(figure, _cells(pictures, counts), tuple(figure.axes))


def _shares(counts: ArrayLike, name: str, ndim: int) -> FloatArray:
    array = as_real(counts, name, ndim)
    total = array.sum(-1, keepdims=True)
    if array.min() < 0 or (total == 0).any():
        raise DataError(f"{name} (shape {array.shape}) has negative counts, or a row without intervals.")
    return np.asarray(array / total)


def _last(share: FloatArray) -> int:
    reached = np.cumsum(share) >= SHOWN_SHARE * share.sum()
    return max(int(reached.argmax()), 1)


def _counts(picture: Picture) -> FloatArray:
    counts = as_real(picture.counts, f"the counts of {picture.title!r}", 2)
    if counts.min() < 0:
        raise DataError(f"The counts of {picture.title!r} have shape {counts.shape}; expected counts [H, W].")
    return counts


def _cells(pictures: Sequence[Picture], counts: Sequence[FloatArray]) -> Table:
    parts: dict[str, Table] = {}
    for picture, count in zip(pictures, counts, strict=True):
        row, column = np.nonzero(count)
        parts[picture.title] = {"row": row, "column": column, "events": count[row, column].astype(np.int64)}
    return long_table(parts, "title")
