"""Intervals between spikes, against those of the posterior predictive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.style import SINGLE_WIDTH, Plot, color
from bisnn_pyro.analysis.validation import FloatArray, as_real, check_level
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Without a longest interval, the axis ends where this share of all intervals is reached.
SHOWN_SHARE = 0.99


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

    *Assumes* draws simulated for the inputs of the observed trains, of the same length, so that intervals
    cut off at their ends are missing from both.  The band is pointwise: of 20 intervals one leaves a 95 %
    band by chance, or more, as they are few and correlated.

    Args:
        observed: `[T]` counts of intervals of 0, 1, ... T - 1 steps, such as
            ``interval_counts(spikes).sum(1)``.
        predictive: `[S, T]` the same of each posterior draw.
        step_ms: length of a step, for an axis in milliseconds; None for steps.
        longest: the last interval shown, in steps; None shows 99 % of all intervals.
        level: share of the draws inside of the band.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row an interval, all of them.

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
        ax.stairs(
            middle[shown],
            edges,
            baseline=None,
            color="0.35",
            linewidth=0.9,
            linestyle="--",
            label="predictive median",
        )
        ax.plot(x[shown], seen[shown], "o", color=color(0), label=f"observed (n = {n})")
        ax.set(xlabel=f"interval between spikes ({unit})", ylabel="share of intervals")
        ax.set_xlim(edges[0], edges[-1])
        ax.set_ylim(bottom=0)
        page.legend(1)
    table = {"interval_steps": np.arange(len(seen)), "observed": seen}
    return page.plot(table | {"predictive_low": low, "predictive_median": middle, "predictive_high": high})


def _shares(counts: ArrayLike, name: str, ndim: int) -> FloatArray:
    array = as_real(counts, name, ndim)
    total = array.sum(-1, keepdims=True)
    if array.min() < 0 or (total == 0).any():
        raise DataError(f"{name} (shape {array.shape}) has negative counts, or a row without intervals.")
    return np.asarray(array / total)


def _last(share: FloatArray) -> int:
    reached = np.cumsum(share) >= SHOWN_SHARE * share.sum()
    return max(int(reached.argmax()), 1)
