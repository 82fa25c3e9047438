"""Reliability over training seeds: each seed's points hollow, those of all seeds pooled on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import ReliabilityBins, bin_confidences, top_label
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
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_COLUMNS = 3
#: Bins of fewer points are in the table alone: their accuracy is mostly chance.
LEAST_POINTS = 5


def plot_reliability_seeds(
    predictors: Mapping[str, Sequence[tuple[ArrayLike, ArrayLike]]],
    n_bins: int = 10,
    *,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One panel a predictor: the reliability of each training seed and of all seeds pooled.

    Pooled, every prediction counts once, so that a test point counts once a seed.  Such predictions are not
    independent, so the pooled points have no interval: how far the seeds scatter says how sure they are.
    Bins are of equal width, the same for all seeds; those of fewer than 5 points are not drawn.

    Args:
        predictors: name -> one (probabilities `[N, C]`, labels `[N]`) for each seed.
        n_bins: the number of bins.
        axes: one for each place of the grid of panels, at most three a row; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a predictor, seed (0, 1, ... and ``pooled``) and bin, NaN
        in empty bins.

    Raises:
        DataError: no predictor or seed, or an array of a wrong shape or with wrong values.
    """
    rows, columns = grid_shape(len(predictors), MAX_COLUMNS)
    bins = {name: _bins(name, seeds, n_bins) for name, seeds in predictors.items()}
    floor = min(1 / np.shape(pair[0])[-1] for seeds in predictors.values() for pair in seeds)
    width = SINGLE_WIDTH if columns == 1 else DOUBLE_WIDTH
    size = (width, rows * (0.5 + min(0.95 * width / columns, 2.5)) + 0.2)
    with canvas(axes, (rows, columns), size) as page:
        for k, (name, parts) in enumerate(bins.items()):
            ax = page.axes[k]
            _draw(ax, parts)
            errors = np.array([part.ece for seed, part in parts.items() if seed != "pooled"])
            title = wrapped(f"{name}, {len(errors)} seeds", width / columns - 0.4)
            ax.set_title(f"{title}\nECE {errors.min():.3f} to {errors.max():.3f}")
            ax.set(xlabel="confidence (top label)", xlim=(floor - 0.02, 1.02), ylim=(-0.03, 1.03))
            if k % columns == 0:
                ax.set_ylabel("accuracy")
        page = page.without(range(len(bins), rows * columns))
        page.legend(2)
    tables = {name: long_table(_by_seed(parts), "seed") for name, parts in bins.items()}
    return page.plot(long_table(tables, "predictor"))


def _bins(name: str, seeds: Sequence[tuple[ArrayLike, ArrayLike]], n_bins: int) -> dict[str, ReliabilityBins]:
    if not seeds:
        raise DataError(f"The predictor {name!r} has no seeds; give (probabilities, labels) of at least one.")
    tops = [top_label(*pair) for pair in seeds]
    pooled = [np.concatenate(parts) for parts in zip(*tops, strict=True)]
    each = {str(k): bin_confidences(*top, n_bins) for k, top in enumerate(tops)}
    return {**each, "pooled": bin_confidences(pooled[0], pooled[1], n_bins)}


def _draw(ax: Axes, parts: Mapping[str, ReliabilityBins]) -> None:
    ax.plot([0, 1], [0, 1], color="0.45", linestyle="--", linewidth=0.8)
    for seed, part in parts.items():
        filled = part.count >= LEAST_POINTS
        x, y = part.confidence[filled], part.accuracy[filled]
        if seed == "pooled":
            ax.plot(x, y, "o", color=color(0), markersize=4.5, zorder=3, label="all seeds pooled")
        else:
            label = "one seed" if seed == "0" else None
            # No line from bin to bin: between bins of a few points it would draw a curve that is not there.
            ax.plot(x, y, "o", color="0.5", fillstyle="none", markeredgewidth=0.7, label=label)


def _by_seed(parts: Mapping[str, ReliabilityBins]) -> dict[str, dict[str, np.ndarray]]:
    return {
        seed: {
            "bin": np.arange(1, len(part.count) + 1),
            "count": part.count,
            "confidence": part.confidence,
            "accuracy": part.accuracy,
        }
        for seed, part in parts.items()
    }
