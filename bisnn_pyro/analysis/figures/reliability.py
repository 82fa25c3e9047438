"""Reliability diagrams: accuracy against confidence, with what each bin rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import ReliabilityBins, Scheme, reliability_bins, top_label
from bisnn_pyro.analysis.calibration.curves import ConsistencyBand, bin_consistency
from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.style import (
    DOUBLE_WIDTH,
    SINGLE_WIDTH,
    Plot,
    color,
    grid_shape,
    long_table,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COLUMNS = 3


def plot_reliability(
    predictors: Mapping[str, tuple[ArrayLike, ArrayLike]],
    n_bins: int = 15,
    scheme: Scheme = "width",
    *,
    band: float | None = 0.95,
    seed: int = 0,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One reliability diagram a predictor, each above the counts of its bins.

    A point stands at the bin's mean confidence and accuracy, its bar is the 95 % Wilson interval; the
    dashed diagonal is perfect calibration.  Empty bins are not drawn.  Grey boxes hold the points of
    calibrated predictors, each box on its own (:func:`~bisnn_pyro.analysis.bin_consistency`): only a point
    outside of its box speaks against calibration.

    Args:
        predictors: name -> (probabilities `[N, C]`, labels `[N]`).
        n_bins: the number of bins.
        scheme: ``"width"`` or ``"mass"``.
        band: share of calibrated predictors inside of a box; None for no boxes.
        seed: of the draws behind the boxes.
        axes: two for each predictor, diagrams above counts: a row of diagrams, a row of counts, and so on;
            None for a new figure.

    Returns:
        The axes, figure, and a table with one row a bin and predictor (NaN in empty bins).

    Raises:
        DataError: no predictor, or an array of a wrong shape or with wrong values.
    """
    rows, columns = grid_shape(len(predictors), MAX_COLUMNS)
    bins = {name: reliability_bins(*pair, n_bins, scheme) for name, pair in predictors.items()}
    boxes = {
        name: None if band is None else bin_consistency(top_label(*pair)[0], n_bins, scheme, band, seed=seed)
        for name, pair in predictors.items()
    }
    floor = min(_first_edge(bins[name], np.shape(pair[0])[-1]) for name, pair in predictors.items())
    most = max(int(part.count.max()) for part in bins.values())
    width = SINGLE_WIDTH if columns == 1 else DOUBLE_WIDTH
    height = rows * (0.9 + (0.85 if columns == 1 else 1.15) * width / columns) + 0.2
    # One pair of rows, diagram and counts, for each row of predictors.
    ratios = {"height_ratios": [3, 1] * rows}
    with canvas(axes, (2 * rows, columns), (width, height), **ratios) as page:
        for k, (name, part) in enumerate(bins.items()):
            first = 2 * (k // columns) * columns + k % columns
            top, bottom = page.axes[first], page.axes[first + columns]
            _draw_diagram(top, part, boxes[name])
            _draw_counts(bottom, part, most)
            title = wrapped(name, width / columns - 0.4)
            top.set_title(f"{title}\nECE {part.ece:.3f}, n = {int(part.count.sum())}")
            for ax in (top, bottom):
                ax.set_xlim(floor - 0.02, 1.02)
            top.tick_params(labelbottom=False)
            bottom.set_xlabel("confidence (top label)")
            if k % columns == 0:
                top.set_ylabel("accuracy")
                bottom.set_ylabel("points")
        page = page.without(k for k in range(2 * rows * columns) if not page.axes[k].has_data())
        page.legend(columns=1 if columns == 1 else 3)
    return page.plot(long_table({name: _columns(bins[name], boxes[name]) for name in bins}, "predictor"))


def _first_edge(bins: ReliabilityBins, n_classes: int) -> float:
    """Where the axis begins: the top label of C classes never has a confidence below 1/C."""
    below = bins.edges[bins.edges <= 1 / n_classes]
    return float(below[-1]) if len(below) > 1 else 1 / n_classes


def _draw_diagram(ax: Axes, bins: ReliabilityBins, boxes: ConsistencyBand | None) -> None:
    if boxes is not None:
        label = f"{100 * boxes.level:g} % of calibrated predictors"
        ax.stairs(boxes.upper, bins.edges, baseline=boxes.lower, fill=True, color="0.85", label=label)
    filled = bins.count > 0
    x, y = bins.confidence[filled], bins.accuracy[filled]
    # Wilson's interval holds the share itself but for rounding, which error bars refuse.
    bars = np.maximum([y - bins.lower[filled], bins.upper[filled] - y], 0.0)
    ax.plot([0, 1], [0, 1], color="0.45", linestyle="--", linewidth=0.8, zorder=1.5)
    # No line from bin to bin: between bins of a few points it would draw a curve that is not there.
    label = f"accuracy of a bin, {100 * bins.level:g} % interval"
    ax.errorbar(x, y, yerr=bars, fmt="o", color=color(0), elinewidth=0.8, capsize=1.5, label=label, zorder=2)
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


def _columns(bins: ReliabilityBins, boxes: ConsistencyBand | None) -> dict[str, np.ndarray]:
    columns = {
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
    if boxes is None:
        return columns
    return columns | {"consistency_low": boxes.lower, "consistency_high": boxes.upper}
