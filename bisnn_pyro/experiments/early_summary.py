"""Early decisions across runs: scores over time averaged over seeds or folds, and methods side by side."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.analysis import (
    EARLY_PANELS,
    Plot,
    plot_early_decisions,
    plot_early_stopping,
    printed_table,
    save_columns,
    save_figure,
)
from bisnn_pyro.experiments.early import SCORES, STOPPING
from bisnn_pyro.experiments.folder import RunFolder

METRICS = ("accuracy", "nll", "brier", "ece")
N_POINTS = "n_points"


def read_early_scores(folder: RunFolder) -> list[tuple[str, dict[str, Any]]]:
    """Return predictor and columns of each row of a run's ``early_decisions.csv``; none without the file.

    Steps and times are text, as a table's names of lines are.
    """
    found = []
    for row in _rows(folder.figures / f"{SCORES}.csv"):
        scores = {name: float(row.pop(name)) for name in METRICS}
        found.append((row.pop("predictor"), {N_POINTS: int(row.pop("n")), **row, **scores}))
    return found


def write_early_summary(out: Path, rows: Sequence[Mapping[str, Any]], *, figures: bool) -> Path | None:
    """Write ``early_decisions.csv``: means with half-widths of their 95 % intervals over seeds or folds.

    Args:
        out: the folder of the summary.
        rows: a row a method, predictor, number of steps and seed, or fold with its seeds averaged.
        figures: also draw the means of each method's first predictor.

    Returns:
        The file; None where no run has early decisions.
    """
    if not rows:
        return None
    table = printed_table(rows, METRICS).numbers
    columns = {name: [line[name] for line in table] for name in table[0]}
    if figures:
        plot = plot_early_decisions(_mean_curves(table, _points(rows)))
        save_figure(plot.figure, out, SCORES, columns)
    else:
        save_columns(out / f"{SCORES}.csv", columns)
    return out / f"{SCORES}.csv"


def _points(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return by method the number of test points: of a fold's own, and so of all folds their sum."""
    first: dict[str, dict[Any, int]] = {}
    for row in rows:
        first.setdefault(row["method"], {}).setdefault(row.get("fold"), round(row[N_POINTS]))
    return {method: sum(parts.values()) for method, parts in first.items()}


def _mean_curves(table: Sequence[Mapping[str, Any]], points: Mapping[str, int]) -> dict[str, Any]:
    curves: dict[str, Any] = {}
    for method, n in points.items():
        own = [line for line in table if line["method"] == method]
        own = [line for line in own if line["predictor"] == own[0]["predictor"]]
        times = [name for name in ("step", "time_ms") if name in own[0]]
        columns = {name: np.array([float(line[name]) for line in own]) for name in (*times, *EARLY_PANELS)}
        curves[_title(method, own[0]["predictor"])] = {**columns, "n": np.full(len(own), n)}
    return curves


def stopping_plot(folders: Mapping[str, RunFolder]) -> Plot | None:
    """Return the stopping curves of several methods, each by its first predictor; None without the files.

    Thresholds are each run's own, so that there is nothing to average.

    Args:
        folders: method -> its finished run.
    """
    tables = {method: _rows(folder.figures / f"{STOPPING}.csv") for method, folder in folders.items()}
    if not all(tables.values()):
        return None
    return plot_early_stopping(dict(_first_curve(method, rows) for method, rows in tables.items()))


def _first_curve(method: str, rows: Sequence[dict[str, str]]) -> tuple[str, dict[str, np.ndarray]]:
    """Read the columns of the first predictor back, rather than predict once more."""
    predictor = rows[0]["predictor"]
    own = [row for row in rows if row["predictor"] == predictor]
    columns = {name: np.array([float(row[name]) for row in own]) for name in own[0] if name != "predictor"}
    return _title(method, predictor), columns


def _title(method: str, predictor: str) -> str:
    return method if predictor == "mode" else f"{method} ({predictor})"


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
