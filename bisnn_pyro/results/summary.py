"""What spans the runs of one folder: ``summary/`` with one table, figures, and the InferenceData over seeds."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import (
    PrintedTable,
    early_scores,
    early_stopping,
    load_idata,
    plot_early_decisions,
    plot_early_stopping,
    plot_reliability,
    plot_training_curves,
    printed_table,
    save_columns,
    save_figure,
    save_idata,
    stack_seeds,
)
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.folder import RunFolder, find_runs
from bisnn_pyro.results.runs import FinishedRun, Line, Runs, as_frame, line_table, why_apart

CLASSIFICATION = ("accuracy", "nll", "brier", "ece", "ece_mass")
REGRESSION = ("rmse", "nll", "coverage90", "width90", "width90_gaps")
EARLY = ("accuracy", "nll", "brier", "ece")


@dataclass(frozen=True)
class Summary:
    """Tables and files across runs.

    Attributes:
        path: ``<out>/summary``.
        table: the scores of every predictor.
        over: what means and intervals are over: ``seed``, or ``fold`` in a cross-validation (scores of one
            fold are averaged over its seeds).
        intervals: whether there are several of these, and so intervals.
        differences: scores of the first method minus those of each other one, paired by seed or fold (on
            the same test points); None for a single seed or method.
        noise_tables: the same as ``table`` on noisy inputs, by the noise's standard deviation.
        figures: where the figures are.
        early: where the scores over elapsed time are; None without early decisions.
        left_out: finished runs of the folder that are not in the tables, and why.
    """

    path: Path
    table: PrintedTable
    over: str
    intervals: bool
    differences: PrintedTable | None
    noise_tables: dict[str, PrintedTable]
    figures: tuple[Path, ...]
    early: Path | None
    left_out: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """The table of scores."""
        return self.table.plain()


def summarise(out: str | os.PathLike[str], configs: Sequence[Config]) -> Summary:
    """Write ``<out>/summary``: tables, figures and InferenceData of all runs that belong with these.

    Earlier runs of other methods, seeds or folds are taken in; those that do not belong in one table with the
    runs of ``configs`` (see :func:`bisnn_pyro.results.runs.check_together`) are left out.

    Args:
        out: the folder of the runs.
        configs: of runs that are finished in it.

    Raises:
        RunFolderError: if there is no finished run, or a file is missing or broken.
    """
    out = Path(out)
    runs, left_out = _belonging(out, configs)
    path = out / "summary"
    shutil.rmtree(path, ignore_errors=True)  # only its own files, all written again here
    frame = runs.scores()
    usual = REGRESSION if runs.kind == "regression" else CLASSIFICATION
    metrics = [name for name in usual if name in frame]
    table = _table(runs, frame, metrics)
    for suffix in ("csv", "md", "tex"):
        table.write(path / f"table.{suffix}")
    differences = _differences(runs, frame, metrics)
    if differences is not None:
        differences.write(path / "differences.csv")
    noise_tables = {}
    for std in runs[0].metrics.get("noise", {}):
        noise_tables[std] = _table(runs, runs.scores(noise=std), metrics)
        noise_tables[std].write(path / f"table-noise-{std}.csv")
    figures = runs[0].config.analysis.figures
    early = _write_early(path, runs, figures)
    for name, own in _by_test_points(runs).items():
        save_idata(stack_seeds([load_idata(run.folder.store_path) for run in own]), path / f"{name}.nc")
    if figures:
        draw_figures(path, runs)
    return Summary(
        path=path,
        table=replace(table, notes=[*table.notes, *runs.temperature_notes()]),
        over=runs.over,
        intervals=len({getattr(run, runs.over) for run in runs}) > 1,
        differences=differences,
        noise_tables=noise_tables,
        figures=tuple(sorted(path.glob("*.png"))),
        early=early,
        left_out=tuple(left_out),
    )


def _belonging(out: Path, configs: Sequence[Config]) -> tuple[Runs, list[str]]:
    """Return the finished runs that belong with these, by method, fold and seed, and why others do not."""
    methods = list(dict.fromkeys(config.method for config in configs))
    wanted = {RunFolder.of(config, out).path for config in configs}

    def place(run: FinishedRun) -> tuple[Any, ...]:
        known = run.method in methods
        return methods.index(run.method) if known else len(methods), run.method, run.fold or 0, run.seed

    found = [FinishedRun.read(folder) for folder in find_runs(out)]
    together: list[FinishedRun] = []
    left_out = []
    for run in sorted(found, key=lambda run: (run.folder.path not in wanted, place(run))):
        apart = why_apart(together, run)
        if apart is None:
            together.append(run)
        else:
            left_out.append(f"{run.folder.path} ({apart.why})")
    return Runs.of(sorted(together, key=place), check=False), left_out


def _table(runs: Runs, frame: pd.DataFrame, metrics: Sequence[str]) -> PrintedTable:
    shown = frame[["experiment", "method", "predictor", "seed", "fold", *metrics]]
    return line_table(shown, metrics, runs.n_folds, digits=3)


def _differences(runs: Runs, frame: pd.DataFrame, metrics: Sequence[str]) -> PrintedTable | None:
    """Return, seed by seed or fold by fold, the first method's first predictor minus every other's."""
    by_line = {}
    for line in runs.lines:
        own = (frame[["experiment", "method", "predictor"]] == line.first.row(line.predictors[0])).all(axis=1)
        by_line[line.name] = frame[own].groupby(runs.over)[list(metrics)].mean()
    (reference, first), *others = by_line.items()
    parts = [
        (first - other).dropna(how="all").assign(difference=f"{reference} - {name}") for name, other in others
    ]
    paired = pd.concat(parts).reset_index() if parts else pd.DataFrame({runs.over: []})
    if paired[runs.over].nunique() < 2:
        return None
    return printed_table(paired[["difference", runs.over, *metrics]], metrics)


def _by_test_points(runs: Runs) -> dict[str, list[FinishedRun]]:
    """Return the runs of each line, or line and fold: folds have different test points."""
    groups: dict[str, list[FinishedRun]] = {}
    for line in runs.lines:
        for run in line.runs:
            fold = "" if run.fold is None else f"-fold{run.fold}"
            groups.setdefault(f"{line.name.replace(' ', '-')}{fold}", []).append(run)
    return groups


def _write_early(path: Path, runs: Runs, figures: bool) -> Path | None:
    """Write scores over elapsed time, means with half-widths of their 95 % intervals, and draw the means.

    Returns:
        The file; None if no run has early decisions.
    """
    rows = [row for run in runs for predictor in run.predictors for row in _early_rows(run, predictor)]
    if not rows:
        return None
    frame = as_frame(rows)
    table = line_table(frame.drop(columns="n_points"), EARLY, runs.n_folds).frame
    columns = {str(name): table[name].to_numpy() for name in table}
    if figures:
        plot = plot_early_decisions(dict(_mean_curve(line, table) for line in _with_early(runs)))
        save_figure(plot.figure, path, "early_decisions", columns)
        stopping = {_title(line.first): _stopping(line.first) for line in _with_early(runs)}
        plot = plot_early_stopping(stopping)
        save_figure(plot.figure, path, "early_stopping", plot.table)
    else:
        save_columns(path / "early_decisions.csv", columns)
    return path / "early_decisions.csv"
