"""Scores of predictors: side by side, along a shift or a hyperparameter, over time, and over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.canvas import canvas, draw_interval_curve
from bisnn_pyro.analysis.figures.style import (
    DOUBLE_WIDTH,
    SINGLE_WIDTH,
    Plot,
    Table,
    color,
    fill_style,
    line_style,
    long_table,
)
from bisnn_pyro.analysis.intervals import mean_interval
from bisnn_pyro.analysis.scores.points import classification_metrics
from bisnn_pyro.analysis.validation import FloatArray, as_real
from bisnn_pyro.analysis.votes import Voting
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = Mapping[str, Mapping[str, ArrayLike]]

#: Score -> label of its axis.
SCORE_PANELS = {"accuracy": "accuracy", "nll": "NLL (nats)", "ece": "ECE"}
EARLY_PANELS = SCORE_PANELS
SIZE_NAMES = {**SCORE_PANELS, "brier": "Brier score"}
#: Column of the history -> label of its axis.
TRAINING_PANELS = {
    # The data term, not the loss: a point estimate's KL is a constant that would dwarf everything.
    "nll": "training loss without KL (nats)",
    "kl": "KL (nats)",
    "val_nll": "validation NLL (nats)",
}
COST_PANELS = {
    "spikes": "spikes",
    "synaptic_ops": "synaptic operations",
    "weight_bits": "bits of weights",
}
#: A panel of positive values goes logarithmic when they span more than this factor.
LOG_FROM = 30.0


def plot_forest(
    scores: Voting | Mapping[str, Mapping[str, ArrayLike]],
    panels: Mapping[str, str] | None = None,
    *,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One panel per score, one line per predictor: mean, 95 % Student t interval, and the seeds as dots.

    Intervals that overlap do not mean that two predictors agree: seeds are paired, and the difference has an
    interval of its own (:func:`~bisnn_pyro.analysis.paired_difference`).

    Example:
        >>> scores = {"bayes": {"nll": [0.31, 0.35]}, "mode": {"nll": [0.42]}}
        >>> plot = plot_forest(scores, {"nll": "NLL (nats)"})
        >>> plot.table["predictor"].tolist(), plot.table["n_seeds"].tolist()
        (['bayes', 'mode'], [2, 1])

    Args:
        scores: predictor -> score -> `[K]`, one value per training seed; a predictor may lack a score.  An
            object with votes (:class:`~bisnn_pyro.analysis.Voting`) is scored here.
        panels: score -> label; accuracy, NLL and ECE where None.
        axes: one for each panel; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per score and predictor.

    Raises:
        DataError: no predictor, a score that none has, or an array of a wrong shape or with NaN.
    """
    rows = _scored(scores) if isinstance(scores, Voting) else scores
    shown = SCORE_PANELS if panels is None else panels
    missing = [column for column in shown if not any(column in row for row in rows.values())]
    if not rows or not shown or missing:
        lacking = f" No predictor has {missing[0]!r}." if missing and rows else ""
        raise DataError(f"The figure has nothing to show; give at least one predictor and score.{lacking}")
    tables: dict[str, Table] = {}
    width = SINGLE_WIDTH if len(shown) == 1 else DOUBLE_WIDTH
    with canvas(axes, (1, len(shown)), (width, 0.7 + 0.24 * len(rows))) as page:
        for k, (ax, (column, label)) in enumerate(zip(page.axes, shown.items(), strict=True)):
            tables[column] = _draw_forest(ax, {n: row.get(column) for n, row in rows.items()})
            ax.set_xlabel(label)
            ax.set_yticks(range(len(rows)), list(rows) if k == 0 else [""] * len(rows))
            ax.set_ylim(len(rows) - 0.5, -0.5)  # the first predictor on top
            ax.tick_params(axis="y", length=0)
            ax.locator_params(axis="x", nbins=5)
            ax.grid(axis="y", color="0.9", linewidth=0.6)
    return page.plot(long_table(tables, "score"))


def plot_shift(
    severity: ArrayLike,
    scores: Mapping[str, ArrayLike],
    *,
    severity_name: str = "severity of the shift",
    score_name: str = "accuracy",
    ax: Axes | None = None,
) -> Plot:
    """A score against the severity of a shift, one curve per method, with 95 % intervals over training seeds.

    Args:
        severity: `[V]` ascending, 0 for no shift.
        scores: method -> `[K, V]`, one row per training seed; an infinite mean is a sign on top.
        severity_name: label of the axis, with the unit.
        score_name: what the score is.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per method and severity.

    Raises:
        DataError: no method, or an array of a wrong shape or with wrong values.
    """
    curves = _seed_curves(_ascending(severity, "severity"), scores)
    return _plot_curves(curves, "method", severity_name, score_name, ax)


def plot_sweep(
    values: ArrayLike,
    scores: Mapping[str, ArrayLike],
    *,
    value_name: str = "weight of the KL",
    score_name: str = "NLL (nats)",
    reference: float | None = 1.0,
    ax: Axes | None = None,
) -> Plot:
    """A score against a positive hyperparameter on a logarithmic axis, with 95 % intervals over seeds.

    Args:
        values: `[V]` ascending, above 0: temperatures, or weights of the KL.
        scores: predictor -> `[K, V]`, one row per training seed; an infinite mean is a sign on top.
        value_name: label of the axis.
        score_name: what the score is.
        reference: a value to mark by a line, 1 being Bayes' rule as it stands; None for no line.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per predictor and value.

    Raises:
        DataError: no predictor, or an array of a wrong shape or with wrong values.
    """
    array = _ascending(values, "values")
    if array[0] <= 0:
        raise DataError(f"values begin with {array[0]:g}; a logarithmic axis needs numbers above 0.")
    curves = _seed_curves(array, scores)
    return _plot_curves(curves, "predictor", value_name, score_name, ax, log=True, reference=reference)


def plot_committee_size(
    curves: Curves, scores: Sequence[str] = ("nll", "ece"), *, axes: Sequence[Axes] | None = None
) -> Plot:
    """One panel per score: its mean over random committees of k members, with the range of 95 % of them.

    Args:
        curves: method -> columns of :func:`~bisnn_pyro.analysis.committee_size_scores`.
        scores: which of them: ``accuracy``, ``nll``, ``brier``, ``ece``.
        axes: one for each score; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per method and size.

    Raises:
        DataError: no method or score, or columns that are missing.
    """
    from matplotlib.ticker import NullLocator

    if not scores:
        raise DataError("The figure has nothing to show; give at least one score.")
    _check_columns(curves, ("size", *(f"{s}{end}" for s in scores for end in ("", "_low", "_high"))))
    width = SINGLE_WIDTH if len(scores) == 1 else DOUBLE_WIDTH
    sizes = sorted({int(size) for columns in curves.values() for size in np.asarray(columns["size"])})
    with canvas(axes, (1, len(scores)), (width, 2.4)) as page:
        for ax, score in zip(page.axes, scores, strict=True):
            ax.set_xscale("log")
            for index, (name, columns) in enumerate(curves.items()):
                keys = ("size", score, f"{score}_low", f"{score}_high")
                parts = (np.asarray(columns[key], dtype=np.float64) for key in keys)
                draw_interval_curve(ax, index, len(curves), name, *parts)
            ax.set_xticks(sizes, [str(size) for size in sizes])
            ax.xaxis.set_minor_locator(NullLocator())
            ax.set(xlabel="members of the committee", ylabel=SIZE_NAMES.get(score, score))
        page.legend(min(len(curves), 3 if len(scores) > 1 else 2))
    return page.plot(long_table(curves, "method"))


def plot_early_decisions(scores: Curves, *, axes: Sequence[Axes] | None = None) -> Plot:
    """Accuracy, NLL and calibration error against elapsed time, one line per predictor.

    Infinite scores (a probability of 0 for the right class) are left out of the figure but kept in the table.

    Args:
        scores: predictor -> columns of :func:`~bisnn_pyro.analysis.early_scores`.
        axes: three to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per predictor and number of steps.

    Raises:
        DataError: no predictor, or one without the columns.
    """
    horizontal, unit = _time(scores, "", (*EARLY_PANELS, "n"))
    with canvas(axes, (1, len(EARLY_PANELS)), (DOUBLE_WIDTH, 2.4)) as page:
        for ax, (column, name) in zip(page.axes, EARLY_PANELS.items(), strict=True):
            _draw_over_time(ax, scores, horizontal, column)
            ax.set(xlabel=f"elapsed time ({unit})", ylabel=name)
            ax.set_xlim(left=0)
        page.axes[0].set_ylabel(f"accuracy (n = {_points(scores)})")
        page.axes[2].set_ylim(bottom=0)
        page.legend(min(len(scores), 3))
    return page.plot(long_table(scores, "predictor"))


def plot_early_stopping(curves: Curves, *, ax: Axes | None = None) -> Plot:
    """Accuracy against the mean time at which a predictor stops, one point per confidence threshold.

    Args:
        curves: predictor -> columns of :func:`~bisnn_pyro.analysis.early_stopping`.
        ax: to draw into; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per predictor and threshold.

    Raises:
        DataError: no predictor, or one without the columns.
    """
    horizontal, unit = _time(curves, "mean_", ("accuracy", "n"))
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.6)) as page:
        ax = page.axes[0]
        _draw_over_time(ax, curves, horizontal, "accuracy")
        ax.set(xlabel=f"mean time at the decision ({unit})", ylabel=f"accuracy (n = {_points(curves)})")
        ax.set_xlim(left=0)
        page.legend(min(len(curves), 2))
    return page.plot(long_table(curves, "predictor"))


def plot_training_curves(
    histories: Curves, panels: Mapping[str, str] | None = None, *, axes: Sequence[Axes] | None = None
) -> Plot:
    """One panel per quantity of the training history, one line per method.

    Columns that no method has, or that hold nothing finite, get no panel; missing (NaN) epochs are bridged,
    so that a validation every few epochs still shows as a line.

    Args:
        histories: method -> history, column -> `[E]`; ``epoch`` labels the rows (0, 1, ... without).
        panels: column -> label of the vertical axis; loss without KL, KL and validation NLL where None.
        axes: one for each panel shown; None for a new figure.

    Returns:
        The axes, figure, and a long table of all number columns (NaN where a method lacks one).

    Raises:
        DataError: no history, columns of unequal length, or nothing to plot.
    """
    from matplotlib.ticker import MaxNLocator

    tables = {name: _number_columns(name, history) for name, history in histories.items()}
    asked = TRAINING_PANELS if panels is None else panels
    shown = {
        c: v for c, v in asked.items() if any(np.isfinite(t.get(c, np.nan)).any() for t in tables.values())
    }
    if not shown:
        raise DataError("The histories hold none of the columns to plot: " + ", ".join(asked))
    width = SINGLE_WIDTH if len(shown) == 1 else DOUBLE_WIDTH
    with canvas(axes, (1, len(shown)), (width, 2.4)) as page:
        for ax, (column, label) in zip(page.axes, shown.items(), strict=True):
            _draw_training(ax, column, tables)
            ax.set_xlabel("epoch")
            ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
            ax.set_ylabel(label)
        if len(tables) > 1:
            page.legend(min(len(tables), 4 if len(shown) > 1 else 2), page.fullest())
    return page.plot(long_table(tables, "method"))


def plot_cost_bars(
    costs: Mapping[str, Mapping[str, float | None]],
    panels: Mapping[str, str] | None = None,
    *,
    axes: Sequence[Axes] | None = None,
) -> Plot:
    """One panel per quantity, one bar per predictor with its value at the end; a dash where there is none.

    On a logarithmic axis, which is labelled as such, the length of a bar means nothing: read where it ends.

    Args:
        costs: predictor -> quantity -> cost of one inference; None or NaN where there is no value.
        panels: quantity -> label; spikes, synaptic operations and bits of weights where None.
        axes: one for each panel; None for a new figure.

    Returns:
        The axes, figure, and a table with one row per predictor, NaN where there is no value.

    Raises:
        DataError: no predictor or panel, or a value that is negative or infinite.
    """
    shown = COST_PANELS if panels is None else panels
    if not costs or not shown:
        raise DataError("The figure has nothing to show; give at least one predictor and one quantity.")
    table = {c: np.array([_cost(name, c, row.get(c)) for name, row in costs.items()]) for c in shown}
    size = (DOUBLE_WIDTH, 0.6 + 0.22 * len(costs))
    with canvas(axes, (1, len(shown)), size) as page:
        for k, (ax, (column, label)) in enumerate(zip(page.axes, shown.items(), strict=True)):
            _draw_costs(ax, table[column], label)
            ax.set_yticks(range(len(costs)), list(costs) if k == 0 else [""] * len(costs))
    names = {name: {c: table[c][[i]] for c in shown} for i, name in enumerate(costs)}
    return page.plot(long_table(names, "predictor"))


def _scored(votes: Voting) -> dict[str, Table]:
    """Return label -> score -> `[K]`."""
    found = classification_metrics(votes)
    return {k: {s: np.array([one[s] for one in seeds]) for s in seeds[0]} for k, seeds in found.items()}


def _draw_forest(ax: Axes, values: Mapping[str, ArrayLike | None]) -> Table:
    rows = []
    for k, (name, given) in enumerate(values.items()):
        if given is None:
            continue
        seeds = as_real(given, f"the scores of {name}", 1, finite=False)
        interval = mean_interval(seeds)
        rows.append((name, interval.mean, interval.low, interval.high, interval.n))
        finite = seeds[np.isfinite(seeds)]
        ax.plot(finite, np.full(len(finite), k + 0.25), "o", color="0.5", fillstyle="none", markersize=2.5)
        if not np.isfinite(interval.mean):
            place: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "ha": "right", "va": "center"}
            ax.text(0.98, k, "infinite", fontsize=7, **place)
            continue
        bar = None if np.isnan(interval.half_width) else interval.half_width
        style: dict[str, Any] = {"color": color(0), "capsize": 2, "markersize": 4, "zorder": 3}
        ax.errorbar([interval.mean], [k], xerr=bar, fmt="D", **style)
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    table = dict(zip(("predictor", "mean", "low", "high", "n_seeds"), columns, strict=True))
    return {**table, "predictor": table["predictor"].astype(object)}


def _ascending(values: ArrayLike, name: str) -> FloatArray:
    array = as_real(values, name, 1)
    if (np.diff(array) <= 0).any():
        raise DataError(f"{name} (shape {array.shape}) must ascend, each value once.")
    return array


def _seed_curves(x: FloatArray, scores: Mapping[str, ArrayLike]) -> dict[str, Table]:
    if not scores:
        raise DataError("The figure has nothing to show; give at least one row of scores.")
    curves: dict[str, Table] = {}
    for name, values in scores.items():
        array = as_real(values, f"the scores of {name}", 2, finite=False)
        if array.shape[1] != len(x):
            raise DataError(f"The scores of {name} have shape {array.shape}; expected [K, {len(x)}].")
        intervals = [mean_interval(column) for column in array.T]
        parts = {end: np.array([getattr(i, end) for i in intervals]) for end in ("mean", "low", "high")}
        curves[name] = {"x": x, **parts, "n_seeds": np.full(len(x), len(array))}
    return curves


def _plot_curves(
    curves: Mapping[str, Table],
    key: str,
    x_name: str,
    score_name: str,
    ax: Axes | None,
    *,
    log: bool = False,
    reference: float | None = None,
) -> Plot:
    with canvas(ax, (1, 1), (SINGLE_WIDTH, 2.5)) as page:
        (ax,) = page.axes
        if log:
            ax.set_xscale("log")
        if reference is not None:
            ax.axvline(reference, color="0.6", linestyle="-", linewidth=0.8, zorder=1)
        for index, (name, curve) in enumerate(curves.items()):
            parts = (curve[end] for end in ("x", "mean", "low", "high"))
            draw_interval_curve(ax, index, len(curves), name, *parts)
        seeds = sorted({int(curve["n_seeds"][0]) for curve in curves.values()})
        noun = "seed" if seeds == [1] else "seeds"
        ax.set(xlabel=x_name, ylabel=f"{score_name}, {' or '.join(map(str, seeds))} {noun}")
        page.legend(2)
    return page.plot(long_table(curves, key))


def _check_columns(curves: Curves, needed: Sequence[str]) -> None:
    if not curves:
        raise DataError("The figure has nothing to show; give at least one predictor.")
    for name, columns in curves.items():
        missing = [column for column in needed if column not in columns]
        if missing:
            raise DataError(f"{name!r} lacks the column {missing[0]!r}.")


def _time(curves: Curves, prefix: str, others: Sequence[str]) -> tuple[str, str]:
    """Return the column of times, milliseconds where all have them, and its unit; check the columns."""
    _check_columns(curves, (f"{prefix}step", *others))
    if all(f"{prefix}time_ms" in columns for columns in curves.values()):
        return f"{prefix}time_ms", "ms"
    return f"{prefix}step", "steps"


def _points(curves: Curves) -> str:
    """Return the number of points behind the curves; of a committee and its mode it is the same."""
    counts = {int(n) for columns in curves.values() for n in np.unique(np.asarray(columns["n"]))}
    return " or ".join(map(str, sorted(counts)))


def _draw_over_time(ax: Axes, curves: Curves, horizontal: str, column: str) -> None:
    for index, (name, columns) in enumerate(curves.items()):
        x, y = (np.asarray(columns[key], dtype=np.float64) for key in (horizontal, column))
        shown = np.isfinite(y)
        # A few markers tell the lines apart; on every step they would hide them.
        every = max(1, int(shown.sum()) // 12)
        ax.plot(x[shown], y[shown], label=name, markevery=every, **line_style(index))


def _draw_training(ax: Axes, column: str, tables: Mapping[str, Table]) -> None:
    seen = []
    for index, (name, table) in enumerate(tables.items()):
        values = table.get(column, np.full(len(table["epoch"]), np.nan))
        finite = np.isfinite(values)
        if not finite.any():
            continue
        x, y = table["epoch"][finite], values[finite]
        # A few markers tell the lines apart; on every epoch they would hide them.
        ax.plot(x, y, label=name, markevery=max(1, len(x) // 8), **line_style(index))
        seen.append(y)
    every = np.concatenate(seen)
    if every.min() > 0 and every.max() / every.min() > LOG_FROM:
        ax.set_yscale("log")


def _number_columns(name: str, history: Mapping[str, ArrayLike]) -> Table:
    columns = {key: np.asarray(values) for key, values in history.items()}
    numeric = {key: value.astype(np.float64) for key, value in columns.items() if value.dtype.kind in "biuf"}
    shapes = {key: value.shape for key, value in numeric.items()}
    if len(set(shapes.values())) != 1 or len(next(iter(shapes.values()))) != 1:
        raise DataError(f"The history of {name} has columns of shapes {shapes}; expected [E], equally long.")
    length = len(next(iter(numeric.values())))
    return {"epoch": numeric.get("epoch", np.arange(length, dtype=np.float64)), **numeric}


def _cost(name: str, column: str, value: float | None) -> float:
    number = np.nan if value is None else float(value)
    if number < 0 or np.isinf(number):
        raise DataError(f"{column} of {name} is {value!r}; expected a finite number of at least 0.")
    return number


def _draw_costs(ax: Axes, values: np.ndarray, label: str) -> None:
    there = np.flatnonzero(np.isfinite(values))
    positive = values[there][values[there] > 0]
    log = bool(positive.size) and len(positive) == len(there) and np.ptp(np.log(positive)) > np.log(LOG_FROM)
    ax.barh(there, values[there], 0.65, **fill_style(4) | {"hatch": ""})
    top = float(positive.max()) if positive.size else 1.0
    low = 0.5 * float(positive.min()) if log else 0.0
    # Room for the numbers at the ends of the bars.
    ax.set_xlim(low, top * (top / low) ** 0.55 if log else 1.5 * top)
    if log:
        ax.set_xscale("log")
    for k, value in enumerate(values):
        text = _short(value) if np.isfinite(value) else "–"
        place = (value if np.isfinite(value) else low, k)
        ax.annotate(text, place, (3, 0), textcoords="offset points", va="center", fontsize=7)
    ax.set_xlabel(f"{label} (log scale)" if log else label)
    ax.set_ylim(len(values) - 0.4, -0.6)  # the first predictor on top
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right"]].set_visible(False)


def _short(value: float) -> str:
    """Three digits, with k, M or G for thousands."""
    for factor, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= factor:
            return f"{value / factor:.3g}{unit}"
    return f"{value:.3g}"
