"""Calibration curves without bins: isotonic regression, with the band of calibrated predictors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import top_label
from bisnn_pyro.analysis.calibration.curves import (
    ConsistencyBand,
    IsotonicCurve,
    isotonic_consistency,
    isotonic_curve,
)
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
from bisnn_pyro.analysis.validation import FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COLUMNS = 3
#: Share of the panel's height that the histogram of confidences takes.
HISTOGRAM_HEIGHT = 0.18
N_HISTOGRAM_BINS = 40


def plot_calibration_curve(
    predictors: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    band: float | None = 0.95,
    seed: int = 0,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One isotonic calibration curve of the top label a predictor (a CORP diagram).

    The curve is that of pool-adjacent-violators; the grey band holds those of calibrated predictors, at
    each confidence on its own.  Bars along the bottom are a histogram of the confidences, whose height
    has no scale.

    Args:
        predictors: name -> (probabilities `[N, C]`, labels `[N]`).
        band: share of calibrated predictors inside; None for no band.
        seed: of the draws behind the band.
        axes: one for each place of the grid of panels, at most three a row; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a predictor and distinct confidence: ``calibrated``,
        ``count``, and the band, interpolated between the confidences at which it was found.

    Raises:
        DataError: no predictor, or an array of a wrong shape or with wrong values.
    """
    rows, columns = grid_shape(len(predictors), MAX_COLUMNS)
    tops = {name: top_label(*pair) for name, pair in predictors.items()}
    curves = {name: isotonic_curve(*top) for name, top in tops.items()}
    bands = {
        name: None if band is None else isotonic_consistency(top[0], band, seed=seed)
        for name, top in tops.items()
    }
    floor = min(1 / np.shape(pair[0])[-1] for pair in predictors.values())
    width = SINGLE_WIDTH if columns == 1 else DOUBLE_WIDTH
    size = (width, rows * (0.5 + min(0.95 * width / columns, 2.5)) + 0.2)
    with canvas(axes, (rows, columns), size) as page:
        for k, (name, curve) in enumerate(curves.items()):
            ax = page.axes[k]
            _draw(ax, curve, bands[name], floor)
            title = wrapped(name, width / columns - 0.4)
            ax.set_title(f"{title}\nn = {int(curve.count.sum())}")
            ax.set_xlabel("confidence (top label)")
            if k % columns == 0:
                ax.set_ylabel("accuracy")
        page = page.without(range(len(curves), rows * columns))
        page.legend(1 if columns == 1 else 3)
    return page.plot(long_table({n: _columns(curves[n], bands[n]) for n in curves}, "predictor"))


def _draw(ax: Axes, curve: IsotonicCurve, band: ConsistencyBand | None, floor: float) -> None:
    edges = np.linspace(floor, 1.0, N_HISTOGRAM_BINS + 1)
    counts, _ = np.histogram(np.clip(curve.confidence, floor, 1.0), edges, weights=curve.count)
    if band is not None:
        label = f"{100 * band.level:g} % of calibrated predictors"
        ax.fill_between(band.confidence, band.lower, band.upper, color="0.85", linewidth=0, label=label)
    ax.plot([0, 1], [0, 1], color="0.45", linestyle="--", linewidth=0.8)
    ax.plot(
        curve.confidence, curve.calibrated, color=color(0), linestyle="-", label="isotonic calibration curve"
    )
    heights = HISTOGRAM_HEIGHT * counts / counts.max()
    # In shares of the panel's height, so that zooming leaves them at the bottom.
    ax.stairs(
        heights,
        edges,
        fill=True,
        facecolor="0.6",
        transform=ax.get_xaxis_transform(),
        label="confidences",
        zorder=0.5,
    )
    margin = 0.02 * (1 - floor)
    ax.set(xlim=(floor - margin, 1 + margin), ylim=(-0.03, 1.03))


def _columns(curve: IsotonicCurve, band: ConsistencyBand | None) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {
        "confidence": curve.confidence,
        "calibrated": curve.calibrated,
        "count": curve.count,
    }
    if band is None:
        return columns

    def at(ends: FloatArray) -> FloatArray:
        return np.interp(curve.confidence, band.confidence, ends)

    return columns | {"band_low": at(band.lower), "band_high": at(band.upper)}
