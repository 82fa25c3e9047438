"""Reliability diagrams: accuracy against confidence, with what each bin rests on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration import ReliabilityBins, Scheme, reliability_bins
from bisnn_pyro.analysis.figures.style import (
    DOUBLE_WIDTH,
    SINGLE_WIDTH,
    Plot,
    grid_shape,
    long_table,
    new_figure,
    paper_style,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COLUMNS = 3


def plot_reliability(
    predictors: Mapping[str, tuple[ArrayLike, ArrayLike]], n_bins: int = 15, scheme: Scheme = "width"
) -> Plot:
    """One reliability diagram a predictor, each above the counts of its bins.

    A point stands at the bin's mean confidence and accuracy, its bar is the 95 % Wilson interval; the
    dashed diagonal is perfect calibration.  Empty bins are not drawn.

    Args:
        predictors: name -> (probabilities `[N, C]`, labels `[N]`).
        n_bins: the number of bins.
        scheme: ``"width"`` or ``"mass"``.

    Returns:
        The figure, and a table with one row a bin and predictor (NaN in empty bins).

    Raises:
        DataError: no predictor, or an array of a wrong shape or with wrong values.
    """
    rows, columns = grid_shape(len(predictors), MAX_COLUMNS)
    bins = {name: reliability_bins(*pair, n_bins, scheme) for name, pair in predictors.items()}
    floor = min(_first_edge(bins[name], np.shape(pair[0])[-1]) for name, pair in predictors.items())
    most = max(int(part.count.max()) for part in bins.values())
    with paper_style():
        width = SINGLE_WIDTH if columns == 1 else DOUBLE_WIDTH
        figure = new_figure(width, rows * (0.9 + (0.85 if columns == 1 else 1.15) * width / columns))
        # One pair of rows, diagram and counts, for each row of predictors.
        axes = figure.subplots(2 * rows, columns, squeeze=False, height_ratios=[3, 1] * rows)
        for k, (name, part) in enumerate(bins.items()):
            row, column = 2 * (k // columns), k % columns
            top, bottom = axes[row, column], axes[row + 1, column]
            _draw_diagram(top, part)
            _draw_counts(bottom, part, most)
            top.set_title(f"{name}\nECE {part.ece:.3f}, n = {int(part.count.sum())}")
            for ax in (top, bottom):
                ax.set_xlim(floor - 0.02, 1.02)
            top.tick_params(labelbottom=False)
            bottom.set_xlabel("confidence (top label)")
            if column == 0:
                top.set_ylabel("accuracy")
                bottom.set_ylabel("points")
        for k in range(len(bins), rows * columns):
            for ax in (axes[2 * (k // columns), k % columns], axes[2 * (k // columns) + 1, k % columns]):
                ax.remove()
    return Plot(figure, long_table({name: _columns(part) for name, part in bins.items()}, "predictor"))


def _first_edge(bins: ReliabilityBins, n_classes: int) -> float:
    """Where the axis begins: the top label of C classes never has a confidence below 1/C."""
    below = bins.edges[bins.edges <= 1 / n_classes]
    return float(below[-1]) if len(below) > 1 else 1 / n_classes


def _draw_diagram(ax: Axes, bins: ReliabilityBins) -> None:
    filled = bins.count > 0
    x, y = bins.confidence[filled], bins.accuracy[filled]
    # Wilson's interval holds the share itself but for rounding, which error bars refuse.
    bars = np.maximum([y - bins.lower[filled], bins.upper[filled] - y], 0.0)
    ax.plot([0, 1], [0, 1], color="0.45", linestyle="--", linewidth=0.8, zorder=1)
    # No line from bin to bin: between bins of a few points it would draw a curve that is not there.
    ax.errorbar(x, y, yerr=bars, fmt="o", color="#00224e", elinewidth=0.8, capsize=1.5, zorder=2)
    ax.set_ylim(-0.03, 1.03)


def _draw_counts(ax: Axes, bins: ReliabilityBins, most: int) -> None:
    filled = bins.count > 0
    low, high = bins.edges[:-1][filled], bins.edges[1:][filled]
    ax.bar(low, bins.count[filled], high - low, align="edge", color="0.75", edgecolor="0.2", linewidth=0.5)
    ax.set_yscale("log")  # bins hold from 1 to nearly all points
    powers = 10 ** np.arange(int(np.log10(max(most, 1))) + 1)
    ax.set_yticks(powers, [f"{power}" for power in powers])
    ax.minorticks_off()
    ax.set_ylim(0.5, 2.0 * max(most, 5))


def _columns(bins: ReliabilityBins) -> dict[str, np.ndarray]:
    return {
        "bin": np.arange(1, len(bins.count) + 1),
        "edge_low": bins.edges[:-1],
        "edge_high": bins.edges[1:],
        "count": bins.count,
        "confidence": bins.confidence,
        "accuracy": bins.accuracy,
        "wilson_low": bins.lower,
        "wilson_high": bins.upper,
        "ece": np.full(len(bins.count), bins.ece),
    }
