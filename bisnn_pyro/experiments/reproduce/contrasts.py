"""Where the committee is better than a straight-through net at its temperature: paired differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bisnn_pyro.analysis import Plot, PrintedTable, plot_forest, printed_table
from bisnn_pyro.experiments.comparable import FinishedRun
from bisnn_pyro.experiments.study import Row, row_of
from bisnn_pyro.experiments.temperatures import SCALED

METRICS = ("accuracy", "nll", "brier", "ece", "auroc")
METHOD, BASELINE = "bayes", "straight-through"
AS_IT_IS, AT_TEMPERATURE = "as it is", "at its temperature"
PANELS = {"accuracy": "accuracy", "nll": "NLL (nats)", "ece": "ECE", "auroc": "AUROC"}
NOTES = [
    f"{METHOD}'s committee less {BASELINE} at its temperature, paired by training seed (by fold in a "
    "cross-validation); auroc: by entropy, from inputs outside",
    "in favour of the committee: accuracy and auroc above 0, nll, brier and ece below 0",
]


def run_contrasts(runs: Sequence[FinishedRun]) -> list[Row]:
    """Return the differences on the test points of each experiment."""
    rows = [row_of(r, name, {}, s) for r in runs for name, s in r.metrics["predictors"].items()]
    return contrasts(rows, lambda row: row["experiment"])


def contrasts(rows: Iterable[Row], condition: Callable[[Row], str]) -> list[Row]:
    """Return the committee's scores less those of straight-through at its temperature, a row a seed.

    Args:
        rows: of :func:`~bisnn_pyro.experiments.study.row_of`, a predictor each.
        condition: what a row is said to be of.

    Returns:
        Twice as many rows as conditions and seeds: with the committee as it is, and at its temperature.
    """
    groups: dict[tuple[str, Any], dict[str, list[Row]]] = {}
    for row in rows:
        key = condition(row), row.get("fold", row["seed"])
        groups.setdefault(key, {}).setdefault(row["method"], []).append(row)
    found = []
    for (name, repetition), methods in groups.items():
        if METHOD in methods and BASELINE in methods:
            baseline = _scaled(methods[BASELINE])
            pairs = {AS_IT_IS: methods[METHOD][0], AT_TEMPERATURE: _scaled(methods[METHOD])}
            for committee, row in pairs.items():
                where = {"condition": name, "committee": committee, "seed": repetition}
                found.append(where | _less(row, baseline))
    return found


def contrast_table(rows: Sequence[Row]) -> PrintedTable:
    """Return the table of all conditions, over seeds."""
    table = printed_table(_whole(rows), METRICS, digits=4)
    return replace(table, notes=[*table.notes, *NOTES])


def contrast_plot(rows: Sequence[Row], committee: str) -> Plot | None:
    """Draw the differences of the scores of each condition; None where there are none.

    Args:
        rows: of :func:`contrasts`.
        committee: which of the two committees.
    """
    lines: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        if row["committee"] == committee:
            for score in PANELS:
                if math.isfinite(row.get(score, math.nan)):
                    lines.setdefault(row["condition"], {}).setdefault(score, []).append(row[score])
    if not lines:
        return None
    there = {score for line in lines.values() for score in line}
    plot = plot_forest(lines, {score: f"Δ {label}" for score, label in PANELS.items() if score in there})
    for ax in plot.axes:
        ax.axvline(0, color="0.6", linewidth=0.8, zorder=1)
    return plot


def _scaled(rows: Sequence[Row]) -> Row:
    """Return the row of a method's first predictor at its temperature; of itself where it has none."""
    return next((row for row in rows if row["predictor"] == rows[0]["predictor"] + SCALED), rows[0])


def _less(row: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, float]:
    return {metric: row[metric] - other[metric] for metric in METRICS if metric in row}


def _whole(rows: Sequence[Row]) -> list[Row]:
    """Return rows that all have all columns; infinite scores cancel to nothing."""
    return [{m: row.get(m, math.nan) for m in METRICS} | row for row in rows]
