"""Conformal prediction sets: whether they hold the label as often as promised, and how large they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.marks import draw_grouped_bars
from bisnn_pyro.analysis.figures.style import DOUBLE_WIDTH, Plot, line_style, long_table
from bisnn_pyro.analysis.uncertainty.decisions import SetCoverage, set_coverage
from bisnn_pyro.analysis.validation import FloatArray, check_level
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_conformal_sets(
    sets: Mapping[str, ArrayLike],
    labels: ArrayLike,
    promised: float,
    *,
    largest: int = 4,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """Coverage of each predictor's sets with its 95 % Wilson interval, beside how many classes they hold.

    The interval is over test points with the threshold fixed.  The promise is for the mean over calibration
    sets, so that an interval that misses it by little is no proof of a broken one.

    Args:
        sets: predictor -> `[N, C]` booleans or 0/1, from :func:`~bisnn_pyro.analysis.conformal_sets`.
        labels: `[N]` in 0..C-1.
        promised: the coverage promised, marked by a line.
        largest: sets of this many classes or more share a bar.
        axes: two to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a predictor: coverage, interval, mean size and the share
        of sets of each size.

    Raises:
        DataError: no predictor, or an array of a wrong shape or with wrong values.
    """
    check_level(promised)
    if not sets or largest < 1:
        raise DataError("The figure has nothing to show; give at least one predictor, and a largest size.")
    found = {name: set_coverage(values, labels) for name, values in sets.items()}
    sizes = {name: _size_shares(values, largest) for name, values in sets.items()}
    n_points = next(iter(found.values())).n
    with canvas(axes, (1, 2), (DOUBLE_WIDTH, 1.5 + 0.2 * len(sets)), width_ratios=[1, 1.4]) as page:
        _draw_coverage(page.axes[0], found, promised)
        draw_grouped_bars(page.axes[1], [*map(str, range(largest)), f"{largest}+"], sizes)
        page.axes[1].set(xlabel="classes in a set", ylabel=f"share of sets (n = {n_points})")
        page.legend(min(len(sets), 3), panel=1)
    table = {name: _columns(found[name], sizes[name], promised) for name in sets}
    return page.plot(long_table(table, "predictor"))


def _draw_coverage(ax: Axes, found: Mapping[str, SetCoverage], promised: float) -> None:
    ax.axvline(promised, color="0.45", linestyle="--", linewidth=0.8)
    ax.text(
        promised, 1.02, f"promised {promised:g}", transform=ax.get_xaxis_transform(), ha="center", fontsize=7
    )
    for k, one in enumerate(found.values()):
        style = line_style(k) | {"linestyle": "none"}
        bars = np.maximum([[one.coverage - one.low], [one.high - one.coverage]], 0.0)
        ax.errorbar([one.coverage], [k], xerr=bars, elinewidth=0.9, capsize=2, **style)
    texts = [f"{name}\n{one.mean_size:.2f} classes" for name, one in found.items()]
    ax.set_yticks(range(len(found)), texts)
    ax.set(ylim=(len(found) - 0.5, -0.5), xlabel="coverage")
    ax.tick_params(axis="y", length=0)


def _size_shares(sets: ArrayLike, largest: int) -> FloatArray:
    size = np.minimum(np.asarray(sets).astype(np.int64).sum(-1), largest)
    return np.bincount(size, minlength=largest + 1) / len(size)


def _columns(one: SetCoverage, sizes: FloatArray, promised: float) -> dict[str, np.ndarray]:
    numbers = {"promised": promised, "coverage": one.coverage, "low": one.low, "high": one.high}
    numbers |= {"mean_size": one.mean_size, "n": one.n}
    last = len(sizes) - 1
    numbers |= {f"share_{k}" + ("_or_more" if k == last else ""): float(v) for k, v in enumerate(sizes)}
    return {name: np.array([value]) for name, value in numbers.items()}
