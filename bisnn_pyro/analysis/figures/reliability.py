"""Reliability diagrams: accuracy against confidence in bins, over seeds, and as a curve without bins.

All three take the votes of predictors: arrays, labelled datasets, or an object that has them such as
``bisnn_pyro.Runs``; see :mod:`bisnn_pyro.analysis.votes`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import N_BINS, ReliabilityBins, Scheme, bin_confidences, top_label
from bisnn_pyro.analysis.calibration.curves import (
    ConsistencyBand,
    IsotonicCurve,
    bin_consistency,
    isotonic_consistency,
    isotonic_curve,
)
from bisnn_pyro.analysis.figures.canvas import canvas, grid_shape
from bisnn_pyro.analysis.figures.style import Plot, Table, color, long_table, wrapped
from bisnn_pyro.analysis.votes import Votes, class_votes, first_votes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Bins of fewer points are only in the table of seeds: their accuracy is mostly chance.
LEAST_POINTS = 5
#: Share of the panel's height that the histogram of confidences takes.
HISTOGRAM_HEIGHT = 0.18
N_HISTOGRAM_BINS = 40


def plot_reliability(
    predictors: Votes,
    n_bins: int = N_BINS,
    scheme: Scheme = "width",
    *,
    band: float | None = 0.95,
    seed: int = 0,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One reliability diagram per predictor, each above the counts of its bins.

    A point marks the bin's mean confidence and accuracy, its bar is the 95 % Wilson interval; the dashed
    diagonal is perfect calibration.  Empty bins are not drawn.  A grey box covers the range of calibrated
    predictors, each box on its own (:func:`~bisnn_pyro.analysis.bin_consistency`): only a point outside its
    box is evidence against calibration.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> votes = rng.dirichlet([1.0, 1.0, 1.0], size=200)
        >>> labels = [rng.choice(3, p=vote) for vote in votes]
        >>> plot = plot_reliability({"calibrated": (votes, labels)}, n_bins=10)
        >>> int(plot.table["count"].sum()), plot.ax.get_ylabel()
        (200, 'accuracy')

    Args:
        predictors: name -> (probabilities `[N, C]`, labels `[N]`), or any other form of votes; of several
            training seeds the first is shown.
        n_bins: the number of bins.
        scheme: ``"width"`` or ``"mass"``.
        band: share of calibrated predictors inside a box; None for no boxes.
        seed: seed of the draws behind the boxes.
        axes: two for each predictor, diagrams above counts: a row of diagrams, a row of counts, and so on;
            None for a new figure.

    Returns:
        The axes, figure, and a table with one row per bin and predictor (NaN in empty bins).

    Raises:
        DataError: no predictor, or an array of a wrong shape or with wrong values.
    """
    votes = first_votes(predictors)
    rows, columns, width = grid_shape(len(votes))
    tops = {name: top_label(*pair) for name, pair in votes.items()}
    bins = {name: bin_confidences(*top, n_bins, scheme) for name, top in tops.items()}
    boxes = {
        name: None if band is None else bin_consistency(top[0], n_bins, scheme, band, seed=seed)
        for name, top in tops.items()
    }
    floor = min(_first_edge(bins[name], np.shape(pair[0])[-1]) for name, pair in votes.items())
    most = max(int(part.count.max()) for part in bins.values())
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
    return page.plot(long_table({name: _bin_columns(bins[name], boxes[name]) for name in bins}, "predictor"))


def plot_reliability_seeds(
    predictors: Votes, n_bins: int = N_BINS, *, axes: Sequence[Axes] | None = None
) -> Plot:
    """One panel per predictor: the reliability of each training seed and of all seeds pooled.

    Pooled, every prediction counts once, so that a test point counts once per seed.  Such predictions are not
    independent, so the pooled points have no interval: the scatter of the seeds shows how certain they are.
    Bins are of equal width, the same for all seeds; those of fewer than 5 points are not drawn.

    Args:
        predictors: name -> one (probabilities `[N, C]`, labels `[N]`) for each seed, or any other form of
            votes.
        n_bins: the number of bins.
        axes: one for each place of the grid of panels, at most three in a row; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per predictor, seed (0, 1, ... and ``pooled``) and bin, NaN
        in empty bins.

    Raises:
        DataError: no predictor or seed, or an array of a wrong shape or with wrong values.
    """
    votes = class_votes(predictors)
    rows, columns, width = grid_shape(len(votes))
    bins = {name: _seed_bins(seeds, n_bins) for name, seeds in votes.items()}
    floor = min(1 / np.shape(pair[0])[-1] for seeds in votes.values() for pair in seeds)
    size = (width, rows * (0.5 + min(0.95 * width / columns, 2.5)) + 0.2)
    with canvas(axes, (rows, columns), size) as page:
        for k, (name, parts) in enumerate(bins.items()):
            ax = page.axes[k]
            _draw_seeds(ax, parts)
            errors = np.array([part.ece for seed, part in parts.items() if seed != "pooled"])
            title = wrapped(f"{name}, {len(errors)} seeds", width / columns - 0.4)
            ax.set_title(f"{title}\nECE {errors.min():.3f} to {errors.max():.3f}")
            ax.set(xlabel="confidence (top label)", xlim=(floor - 0.02, 1.02), ylim=(-0.03, 1.03))
            if k % columns == 0:
                ax.set_ylabel("accuracy")
        page = page.without(range(len(bins), rows * columns))
        page.legend(2)
    shown = ("bin", "count", "confidence", "accuracy")
    tables = {}
    for name, parts in bins.items():
        seeds = {seed: _bin_columns(part) for seed, part in parts.items()}
        tables[name] = long_table({s: {c: own[c] for c in shown} for s, own in seeds.items()}, "seed")
    return page.plot(long_table(tables, "predictor"))


def plot_calibration_curve(
    predictors: Votes,
    *,
    band: float | None = 0.95,
    seed: int = 0,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One isotonic calibration curve of the top label per predictor (a CORP diagram).

    The curve is that of pool-adjacent-violators; the grey band covers the curves of calibrated predictors, at
    each confidence on its own.  Bars along the bottom are a histogram of the confidences, whose height has no
    scale.

    Args:
        predictors: name -> (probabilities `[N, C]`, labels `[N]`), or any other form of votes; of several
            training seeds the first is shown.
        band: share of calibrated predictors inside; None for no band.
        seed: seed of the draws behind the band.
        axes: one for each place of the grid of panels, at most three in a row; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per predictor and distinct confidence: ``calibrated``,
        ``count``, and the band, interpolated between the confidences at which it was found.

    Raises:
        DataError: no predictor, or an array of a wrong shape or with wrong values.
    """
    votes = first_votes(predictors)
    rows, columns, width = grid_shape(len(votes))
    tops = {name: top_label(*pair) for name, pair in votes.items()}
    curves = {name: isotonic_curve(*top) for name, top in tops.items()}
    bands = {
        name: None if band is None else isotonic_consistency(top[0], band, seed=seed)
        for name, top in tops.items()
    }
    floor = min(1 / np.shape(pair[0])[-1] for pair in votes.values())
    size = (width, rows * (0.5 + min(0.95 * width / columns, 2.5)) + 0.2)
    with canvas(axes, (rows, columns), size) as page:
        for k, (name, curve) in enumerate(curves.items()):
            ax = page.axes[k]
            _draw_curve(ax, curve, bands[name], floor)
            title = wrapped(name, width / columns - 0.4)
            ax.set_title(f"{title}\nn = {int(curve.count.sum())}")
            ax.set_xlabel("confidence (top label)")
            if k % columns == 0:
                ax.set_ylabel("accuracy")
        page = page.without(range(len(curves), rows * columns))
        page.legend(1 if columns == 1 else 3)
    return page.plot(long_table({n: _curve_columns(curves[n], bands[n]) for n in curves}, "predictor"))


def _first_edge(bins: ReliabilityBins, n_classes: int) -> float:
    """Where the axis begins: the top label of C classes never has a confidence below 1/C."""
    below = bins.edges[bins.edges <= 1 / n_classes]
    return float(below[-1]) if len(below) > 1 else 1 / n_classes


def _draw_diagram(ax: Axes, bins: ReliabilityBins, boxes: ConsistencyBand | None) -> None:
    if boxes is not None:
        label = f"{100 * boxes.level:g} % range if calibrated"
        ax.stairs(boxes.upper, bins.edges, baseline=boxes.lower, fill=True, color="0.85", label=label)
    filled = bins.count > 0
    x, y = bins.confidence[filled], bins.accuracy[filled]
    # Wilson's interval holds the share itself but for rounding, which error bars refuse.
    bars = np.maximum([y - bins.lower[filled], bins.upper[filled] - y], 0.0)
    ax.plot([0, 1], [0, 1], color="0.45", linestyle="--", linewidth=0.8, zorder=1.5)
    # No line from bin to bin: between bins of a few points it would draw a curve that is not there.
    label = f"accuracy in a bin, {100 * bins.level:g} % interval"
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


def _bin_columns(bins: ReliabilityBins, boxes: ConsistencyBand | None = None) -> Table:
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
    return (
        columns
        if boxes is None
        else columns | {"consistency_low": boxes.lower, "consistency_high": boxes.upper}
    )


def _seed_bins(seeds: Sequence[tuple[ArrayLike, ArrayLike]], n_bins: int) -> dict[str, ReliabilityBins]:
    tops = [top_label(*pair) for pair in seeds]
    confidence, correct = (np.concatenate(parts) for parts in zip(*tops, strict=True))
    each = {str(k): bin_confidences(*top, n_bins) for k, top in enumerate(tops)}
    return {**each, "pooled": bin_confidences(confidence, correct, n_bins)}


def _draw_seeds(ax: Axes, parts: Mapping[str, ReliabilityBins]) -> None:
    ax.plot([0, 1], [0, 1], color="0.45", linestyle="--", linewidth=0.8)
    for seed, part in parts.items():
        filled = part.count >= LEAST_POINTS
        x, y = part.confidence[filled], part.accuracy[filled]
        # No line from bin to bin: between bins of a few points it would draw a curve that is not there.
        if seed == "pooled":
            ax.plot(x, y, "o", color=color(0), markersize=4.5, zorder=3, label="all seeds pooled")
        else:
            label = "one seed" if seed == "0" else None
            ax.plot(x, y, "o", color="0.5", fillstyle="none", markeredgewidth=0.7, label=label)


def _draw_curve(ax: Axes, curve: IsotonicCurve, band: ConsistencyBand | None, floor: float) -> None:
    edges = np.linspace(floor, 1.0, N_HISTOGRAM_BINS + 1)
    counts, _ = np.histogram(np.clip(curve.confidence, floor, 1.0), edges, weights=curve.count)
    if band is not None:
        label = f"{100 * band.level:g} % range if calibrated"
        ax.fill_between(band.confidence, band.lower, band.upper, color="0.85", linewidth=0, label=label)
    ax.plot([0, 1], [0, 1], color="0.45", linestyle="--", linewidth=0.8)
    style: dict[str, Any] = {"color": color(0), "linestyle": "-", "label": "isotonic calibration curve"}
    ax.plot(curve.confidence, curve.calibrated, **style)
    heights = HISTOGRAM_HEIGHT * counts / counts.max()
    # In shares of the panel's height, so that zooming leaves them at the bottom.
    bars: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "label": "confidences", "zorder": 0.5}
    ax.stairs(heights, edges, fill=True, facecolor="0.6", **bars)
    margin = 0.02 * (1 - floor)
    ax.set(xlim=(floor - margin, 1 + margin), ylim=(-0.03, 1.03))


def _curve_columns(curve: IsotonicCurve, band: ConsistencyBand | None) -> Table:
    columns: Table = {
        "confidence": curve.confidence,
        "calibrated": curve.calibrated,
        "count": curve.count,
    }
    if band is not None:
        for end, values in (("band_low", band.lower), ("band_high", band.upper)):
            columns[end] = np.interp(curve.confidence, band.confidence, values)
    return columns
