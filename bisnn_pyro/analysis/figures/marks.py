"""Marks that several figures share: curves with intervals, overlaid histograms, groups of bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.style import color, fill_style, line_style
from bisnn_pyro.analysis.validation import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Points (1/72 inch) between the bars of two curves at the same place.
DODGE = 2.0


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
    """Draw a group of bars at each tick, one bar a name; NaN has none.

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
