"""Uncertainty: what it is made of, which inputs it detects, and what acting on it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.calibration.bins import top_label
from bisnn_pyro.analysis.figures.canvas import canvas, draw_grouped_bars, draw_histogram
from bisnn_pyro.analysis.figures.style import DOUBLE_WIDTH, SINGLE_WIDTH, Plot, Table, line_style, long_table
from bisnn_pyro.analysis.uncertainty.decisions import RiskCoverage, SetCoverage, risk_coverage, set_coverage
from bisnn_pyro.analysis.uncertainty.detection import auroc, roc_curve
from bisnn_pyro.analysis.uncertainty.entropy import expected_entropy, mutual_information
from bisnn_pyro.analysis.validation import FloatArray, as_probabilities, as_real, check_level
from bisnn_pyro.analysis.votes import HasMembers, Voting, first_votes, member_votes
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Column -> label of its axis.
ENTROPIES = {
    "expected_entropy": "expected entropy (nats)",
    "mutual_information": "mutual information (nats)",
}
#: Fewer points kept than this (or than a third of all, where that is fewer) are not drawn: mostly chance.
LEAST_KEPT = 30


def plot_entropy_split(
    draws: ArrayLike | HasMembers,
    labels: ArrayLike | None = None,
    *,
    n_bins: int = 25,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """Histograms of expected entropy and mutual information, for right and for wrong predictions.

    Their sum is the entropy of the committee's vote.  Each histogram is in shares of its group, as the wrong
    predictions are few; the legend gives their numbers.  A panel's axis ends at its largest value.

    Args:
        draws: `[S, N, C]` probabilities, one row per member; or an object with members' votes
            (:class:`~bisnn_pyro.analysis.HasMembers`) of one committee, whose first training seed is shown.
        labels: `[N]` in 0..C-1; not with an object, which has its own.
        n_bins: bins of each panel.
        axes: two to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per panel and bin: edges and the share of both groups, NaN
        for a group without points.

    Raises:
        DataError: an array of a wrong shape or with wrong values, several committees, or no bins.
    """
    votes, truth = _committee(draws, labels)
    if n_bins < 1:
        raise DataError(f"n_bins is {n_bins}; expected at least 1.")
    _, correct = top_label(votes.mean(0), truth)
    parts = {"expected_entropy": expected_entropy(votes), "mutual_information": mutual_information(votes)}
    tables: dict[str, Table] = {}
    with canvas(axes, (1, 2), (DOUBLE_WIDTH, 2.3)) as page:
        for ax, (column, label) in zip(page.axes, ENTROPIES.items(), strict=True):
            values = parts[column]
            edges = np.linspace(0.0, float(values.max()) or 1.0, n_bins + 1)
            tables[column] = {"edge_low": edges[:-1], "edge_high": edges[1:]}
            for index, (name, group) in enumerate({"right": correct, "wrong": ~correct}.items()):
                share = np.full(n_bins, np.nan)
                if group.any():
                    text = f"{name} predictions (n = {int(group.sum())})"
                    share = draw_histogram(ax, index, values[group], edges, text)
                tables[column][f"share_{name}"] = share
            ax.set(xlabel=label, xlim=(0, edges[-1]))
        page.axes[0].set_ylabel("share of predictions")
        page.legend(2)
    return page.plot(long_table(tables, "quantity"))


def plot_score_histogram(
    groups: Mapping[str, ArrayLike],
    score_name: str = "predictive entropy (nats)",
    *,
    n_bins: int = 30,
    ax: Axes | None = None,
) -> Plot:
    """Distribution of a score in each group of inputs, as shares of the group, drawn over one another.

    Args:
        groups: name -> scores `[N]`; two or three groups can be told apart well, such as a test set and
            out-of-distribution inputs, or right and wrong predictions.
        score_name: label of the axis, with the unit.
        n_bins: bins between the least and the greatest score of all.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per bin: its edges and the share of each group.

    Raises:
        DataError: no group, an array of a wrong shape or with wrong values, or no bins.
    """
    values = {name: as_real(scores, f"the scores of {name}", 1) for name, scores in groups.items()}
    if not values or n_bins < 1:
        raise DataError("The figure has nothing to show; give at least one group of scores, and one bin.")
    low = min(scores.min() for scores in values.values())
    high = max(scores.max() for scores in values.values())
    edges = np.linspace(low, high if high > low else low + 1.0, n_bins + 1)
    table = {"edge_low": edges[:-1], "edge_high": edges[1:]}
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.3)) as page:
        (ax,) = page.axes
        for index, (name, scores) in enumerate(values.items()):
            table[name] = draw_histogram(ax, index, scores, edges, f"{name} (n = {len(scores)})")
        ax.set(xlabel=score_name, ylabel="share of inputs", xlim=(edges[0], edges[-1]))
        page.legend(min(len(values), 2))
    return page.plot(table)


def plot_roc(scores: Mapping[str, tuple[ArrayLike, ArrayLike]], *, ax: Axes | None = None) -> Plot:
    """ROC curves of out-of-distribution detection, one curve per score.

    Example:
        >>> plot = plot_roc({"entropy": ([0.1, 0.2, 0.6], [0.5, 0.9])})
        >>> round(float(plot.table["auroc"][0]), 3)
        0.833

    Args:
        scores: name -> (scores of in-distribution inputs `[N]`, of out-of-distribution inputs `[M]`), higher
            for inputs that look less like the data.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per score and threshold.

    Raises:
        DataError: no score, or an array of a wrong shape or with wrong values.
    """
    if not scores:
        raise DataError("The figure has nothing to show; give at least one score.")
    tables: dict[str, Table] = {}
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.9 + 0.15 * len(scores))) as page:
        (ax,) = page.axes
        ax.plot([0, 1], [0, 1], color="0.45", linestyle=":", linewidth=0.8, zorder=1)
        for index, (name, pair) in enumerate(scores.items()):
            curve, area = roc_curve(*pair), auroc(*pair)
            label = f"{name} (AUROC {area:.3f})"
            # Marks evenly along the curve, not by threshold, of which most may lie in a corner.
            ax.plot(curve.fpr, curve.tpr, label=label, markevery=0.12, **line_style(index))
            columns = {"threshold": curve.threshold, "fpr": curve.fpr, "tpr": curve.tpr}
            tables[name] = {**columns, "auroc": np.full(len(curve.fpr), area)}
        n_in, n_out = (_numbers(np.size(pair[side]) for pair in scores.values()) for side in (0, 1))
        ax.set_xlabel(f"share of in-distribution inputs flagged (n = {n_in})")
        ax.set_ylabel(f"share of out-of-distribution inputs flagged (n = {n_out})")
        ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        page.legend(1)
    return page.plot(long_table(tables, "score"))


def plot_risk_coverage(
    predictors: Voting | Mapping[str, tuple[ArrayLike, ArrayLike]],
    *,
    show: Literal["risk", "accuracy"] = "risk",
    ax: Axes | None = None,
) -> Plot:
    """Risk against coverage, or accuracy against the share rejected, one curve per predictor.

    The legend gives the area under the risk-coverage curve (AURC), lower is better.  Curves begin with 30
    points kept, or a third of them where that is fewer: earlier values are mostly chance.

    Args:
        predictors: name -> (confidence `[N]`, loss `[N]`), as :func:`~bisnn_pyro.analysis.risk_coverage`
            takes them; for a classifier the loss is 1 for a wrong top label and 0 otherwise.  An object with
            votes (:class:`~bisnn_pyro.analysis.Voting`) is kept by the top label's probability; of several
            training seeds the first is shown.
        show: ``"risk"``, or ``"accuracy"``, 1 minus the risk, against the share withheld.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per predictor and number of points kept.

    Raises:
        DataError: no predictor, no such curve, or an array of a wrong shape or with wrong values.
    """
    pairs = _confidences(predictors) if isinstance(predictors, Voting) else predictors
    if not pairs:
        raise DataError("The figure has nothing to show; give at least one predictor.")
    if show not in ("risk", "accuracy"):
        raise DataError(f"show is {show!r}; expected 'risk' or 'accuracy'.")
    risk = show == "risk"
    curves = {name: risk_coverage(*pair) for name, pair in pairs.items()}
    counts = _numbers(len(curve.risk) for curve in curves.values())
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.5)) as page:
        (ax,) = page.axes
        for index, (name, curve) in enumerate(curves.items()):
            first = max(min(LEAST_KEPT, len(curve.risk) // 3), 1) - 1
            x, y = (curve.coverage, curve.risk) if risk else (curve.rejection, curve.accuracy)
            shown = slice(first, None) if risk else slice(None, first - 1 if first else None, -1)
            every = max(1, (len(y) - first) // 8)
            label = f"{name} (AURC {curve.aurc:.4f})"
            ax.plot(x[shown], y[shown], label=label, markevery=every, **line_style(index))
        if risk:
            ax.set(xlabel="coverage (share of points kept)", ylabel=f"risk (n = {counts})", xlim=(0, 1.01))
            ax.set_ylim(bottom=0)
        else:
            ax.set(xlabel="share of points rejected", ylabel=f"accuracy (n = {counts})", xlim=(-0.01, 1))
        page.legend(1)
    return page.plot(long_table({name: _risk_columns(curve) for name, curve in curves.items()}, "predictor"))


def plot_conformal_sets(
    sets: Mapping[str, ArrayLike],
    labels: ArrayLike,
    promised: float,
    *,
    largest: int = 4,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """Coverage of each predictor's sets with its 95 % Wilson interval, and how many classes they hold.

    The interval is over test points with the threshold fixed.  The promise is for the mean over calibration
    sets, so an interval that misses it by a little does not prove it broken.

    Args:
        sets: predictor -> `[N, C]` booleans or 0/1, from :func:`~bisnn_pyro.analysis.conformal_sets`.
        labels: `[N]` in 0..C-1.
        promised: the coverage promised, marked by a line.
        largest: sets of this many classes or more share a bar.
        axes: two to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per predictor: coverage, interval, mean size and the share
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
    table = {name: _set_columns(found[name], sizes[name], promised) for name in sets}
    return page.plot(long_table(table, "predictor"))


def _committee(draws: ArrayLike | HasMembers, labels: ArrayLike | None) -> tuple[FloatArray, ArrayLike]:
    """Return the members' probabilities `[S, N, C]` and the labels `[N]` of one committee."""
    if not isinstance(draws, HasMembers):
        return as_probabilities(draws, "draws", 3), [] if labels is None else labels
    found = member_votes(draws)
    if len(found) > 1 or labels is not None:
        raise DataError(f"The figure is of one committee with its own labels; these are {', '.join(found)}.")
    (seeds,) = found.values()
    return seeds[0]


def _confidences(votes: Voting) -> dict[str, tuple[ArrayLike, ArrayLike]]:
    found: dict[str, tuple[ArrayLike, ArrayLike]] = {}
    for name, pair in first_votes(votes).items():
        top, correct = top_label(*pair)
        found[name] = (top, ~correct)
    return found


def _numbers(counts: Iterable[int]) -> str:
    return " or ".join(map(str, sorted(set(counts))))


def _risk_columns(curve: RiskCoverage) -> Table:
    aurc = np.full(len(curve.risk), curve.aurc)
    return {"coverage": curve.coverage, "risk": curve.risk, "best": curve.best, "aurc": aurc}


def _draw_coverage(ax: Axes, found: Mapping[str, SetCoverage], promised: float) -> None:
    ax.axvline(promised, color="0.45", linestyle="--", linewidth=0.8)
    place: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "ha": "center"}
    ax.text(promised, 1.02, f"promised {promised:g}", fontsize=7, **place)
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


def _set_columns(one: SetCoverage, sizes: FloatArray, promised: float) -> Table:
    numbers = {"promised": promised, "coverage": one.coverage, "low": one.low, "high": one.high}
    numbers |= {"mean_size": one.mean_size, "n": one.n}
    last = len(sizes) - 1
    numbers |= {f"share_{k}" + ("_or_more" if k == last else ""): float(v) for k, v in enumerate(sizes)}
    return {name: np.array([value]) for name, value in numbers.items()}
