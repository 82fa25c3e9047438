"""A one-dimensional regression: committee mean, its predictive interval and the part that is epistemic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.style import (
    DOUBLE_WIDTH,
    SINGLE_WIDTH,
    Plot,
    color,
    grid_shape,
    long_table,
)
from bisnn_pyro.analysis.scores.points import mixture_quantile
from bisnn_pyro.analysis.validation import FloatArray, as_real, check_level
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COLUMNS = 3
#: A stretch of inputs counts as a gap when it is wider than this share of the plotted range.
GAP_SHARE = 0.05
#: Hollow, so that the curve shows through.
_POINTS: dict[str, Any] = {
    "color": "black",
    "markerfacecolor": "white",
    "markeredgewidth": 0.6,
    "markersize": 2.8,
    "zorder": 3,
}


def plot_regression_band(
    x: ArrayLike,
    predictors: Mapping[str, tuple[ArrayLike, ArrayLike]],
    x_train: ArrayLike,
    y_train: ArrayLike,
    *,
    y_true: ArrayLike | None = None,
    gaps: Sequence[tuple[float, float]] | None = None,
    level: float = 0.90,
    axis_names: tuple[str, str] = ("$x$", "$y$"),
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One panel a predictor: training points, true curve, mean, predictive and epistemic band.

    The predictive band is the central `level` interval of the mixture of the members' Gaussians; the
    epistemic band is the same interval of the members' means alone, absent for a single member.

    Args:
        x: `[K]` ascending inputs at which the predictors were evaluated.
        predictors: name -> (means `[S, K]`, noise scale: a number, `[S]` or `[S, K]`).
        x_train: `[N]`.
        y_train: `[N]`.
        y_true: `[K]` the noiseless curve at `x`.
        gaps: stretches (low, high) without training data to shade; None finds them, see :func:`find_gaps`.
        level: coverage of both bands.
        axis_names: labels of the axes.
        axes: one for each place of the grid of panels, at most three a row; None for a new figure.

    Returns:
        The axes, figure, and a table with one row an input and predictor.

    Raises:
        DataError: no predictor, or an array of a wrong shape or with wrong values.
    """
    check_level(level)
    grid, xs, ys = as_real(x, "x", 1), as_real(x_train, "x_train", 1), as_real(y_train, "y_train", 1)
    if xs.shape != ys.shape:
        raise DataError(f"x_train has shape {xs.shape} but y_train has {ys.shape}; they must agree.")
    truth = None if y_true is None else as_real(y_true, "y_true", 1)
    if truth is not None and truth.shape != grid.shape:
        raise DataError(f"y_true has shape {truth.shape}; expected {grid.shape}, as x has.")
    bands = {name: _band(name, grid, *pair, truth, level) for name, pair in predictors.items()}
    shaded = find_gaps(grid, xs) if gaps is None else list(gaps)
    rows, columns = grid_shape(len(bands), MAX_COLUMNS)
    width = SINGLE_WIDTH if columns == 1 else DOUBLE_WIDTH
    size = (width, rows * (1.9 if columns > 1 else 2.1) + 0.5)
    with canvas(axes, (rows, columns), size, sharex=True, sharey=True) as page:
        for ax, (name, band) in zip(page.axes, bands.items(), strict=False):
            _draw_gaps(ax, shaded)
            _draw_band(ax, band, level)
            ax.plot(xs, ys, "o", label=f"training points (n = {xs.size})", **_POINTS)
            ax.set_title(name)
            ax.set_xlabel(axis_names[0])
            ax.set_xlim(grid[0], grid[-1])
            ax.locator_params(axis="x", nbins=4)
        for ax in page.axes[::columns]:
            ax.set_ylabel(axis_names[1])
        page = page.without(range(len(bands), rows * columns))
        named = [len(ax.get_legend_handles_labels()[1]) for ax in page.axes]
        page.legend(2 if columns == 1 else 3, named.index(max(named)))
    return page.plot(long_table(bands, "predictor"))


def find_gaps(x: ArrayLike, x_train: ArrayLike, share: float = GAP_SHARE) -> list[tuple[float, float]]:
    """Stretches of the range of `x` that hold no training input.

    Args:
        x: `[K]` the plotted inputs.
        x_train: `[N]` training inputs.
        share: how wide a stretch must be, as a share of the range of `x`.

    Returns:
        (low, high) of each stretch, ascending.

    Raises:
        DataError: an array of a wrong shape or with wrong values.
    """
    grid, xs = as_real(x, "x", 1), as_real(x_train, "x_train", 1)
    low, high = float(grid.min()), float(grid.max())
    stops = np.concatenate(([low], np.sort(xs[(xs > low) & (xs < high)]), [high]))
    wide = np.flatnonzero(np.diff(stops) > share * (high - low))
    return [(float(stops[i]), float(stops[i + 1])) for i in wide]


def _band(
    name: str, x: FloatArray, mean_draws: ArrayLike, scale: ArrayLike, truth: FloatArray | None, level: float
) -> dict[str, np.ndarray]:
    means = as_real(mean_draws, f"the means of {name}", 2)
    if means.shape[1:] != x.shape:
        raise DataError(f"The means of {name} have shape {means.shape}; expected [S, {x.size}], as x has.")
    ends = (0.5 - level / 2, 0.5 + level / 2)
    epistemic = np.quantile(means, ends, axis=0)
    columns = {
        "x": x,
        "mean": means.mean(0),
        "predictive_low": mixture_quantile(ends[0], means, scale),
        "predictive_high": mixture_quantile(ends[1], means, scale),
        "epistemic_low": epistemic[0],
        "epistemic_high": epistemic[1],
    }
    return columns if truth is None else {**columns, "y_true": truth}


def _draw_band(ax: Axes, band: Mapping[str, np.ndarray], level: float) -> None:
    x, percent = band["x"], f"{100 * level:g} %"
    ax.fill_between(
        x,
        band["predictive_low"],
        band["predictive_high"],
        color="0.82",
        linewidth=0,
        label=f"{percent} predictive",
    )
    if (band["epistemic_high"] > band["epistemic_low"]).any():
        ax.fill_between(
            x,
            band["epistemic_low"],
            band["epistemic_high"],
            color="0.58",
            linewidth=0,
            label=f"{percent} epistemic",
        )
    ax.plot(x, band["mean"], color=color(0), label="mean prediction", zorder=4)
    if "y_true" in band:
        ax.plot(x, band["y_true"], color="black", linestyle="--", linewidth=0.9, label="true curve", zorder=4)


def _draw_gaps(ax: Axes, gaps: Sequence[tuple[float, float]]) -> None:
    for k, (low, high) in enumerate(gaps):
        label = "no training data" if k == 0 else None
        ax.axvspan(
            low, high, facecolor="none", edgecolor="0.75", hatch="////", linewidth=0, label=label, zorder=0
        )
