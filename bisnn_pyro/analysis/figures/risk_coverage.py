"""Selective prediction as curves: the risk of the points kept, or the accuracy after rejection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas
from bisnn_pyro.analysis.figures.style import SINGLE_WIDTH, Plot, line_style, long_table
from bisnn_pyro.analysis.uncertainty.decisions import RiskCoverage, risk_coverage
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Fewer points kept than this (or than a third of all, where that is fewer) are not drawn: mostly chance.
LEAST_KEPT = 30


def plot_risk_coverage(
    predictors: Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    show: Literal["risk", "accuracy"] = "risk",
    ax: Axes | None = None,
) -> Plot:
    """Risk against coverage, or accuracy against the share rejected, one curve a predictor.

    The legend gives the area under the risk-coverage curve (AURC), lower is better.  Curves begin with 30
    points kept, or a third of them where that is fewer: what is before is mostly chance.

    Args:
        predictors: name -> (confidence `[N]`, loss `[N]`), as :func:`~bisnn_pyro.analysis.risk_coverage`
            takes them; for a classifier the loss is 1 for a wrong top label and 0 else.
        show: ``"risk"``, or ``"accuracy"``, 1 less the risk, against the share withheld.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row a predictor and number of points kept.

    Raises:
        DataError: no predictor, no such curve, or an array of a wrong shape or with wrong values.
    """
    if not predictors:
        raise DataError("The figure has nothing to show; give at least one predictor.")
    if show not in ("risk", "accuracy"):
        raise DataError(f"show is {show!r}; expected 'risk' or 'accuracy'.")
    curves = {name: risk_coverage(*pair) for name, pair in predictors.items()}
    counts = " or ".join(map(str, sorted({len(curve.risk) for curve in curves.values()})))
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.5)) as page:
        (ax,) = page.axes
        for index, (name, curve) in enumerate(curves.items()):
            first = max(min(LEAST_KEPT, len(curve.risk) // 3), 1) - 1
            risk = show == "risk"
            x, y = (curve.coverage, curve.risk) if risk else (curve.rejection, curve.accuracy)
            shown = slice(first, None) if risk else slice(None, first - 1 if first else None, -1)
            every = max(1, (len(y) - first) // 8)
            label = f"{name} (AURC {curve.aurc:.4f})"
            ax.plot(x[shown], y[shown], label=label, markevery=every, **line_style(index))
        if show == "risk":
            ax.set(xlabel="coverage (share of points kept)", ylabel=f"risk (n = {counts})", xlim=(0, 1.01))
            ax.set_ylim(bottom=0)
        else:
            ax.set(xlabel="share of points rejected", ylabel=f"accuracy (n = {counts})", xlim=(-0.01, 1))
        page.legend(1)
    return page.plot(long_table({name: _columns(curve) for name, curve in curves.items()}, "predictor"))


def _columns(curve: RiskCoverage) -> dict[str, np.ndarray]:
    aurc = np.full(len(curve.risk), curve.aurc)
    return {"coverage": curve.coverage, "risk": curve.risk, "best": curve.best, "aurc": aurc}
