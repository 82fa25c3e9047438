"""What spans the runs of one folder: ``summary/`` with tables, figures and InferenceData over seeds."""

from __future__ import annotations

import os
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
    save_figure,
    save_idata,
    stack_seeds,
)
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.figures import early_settings, predictive_plot
from bisnn_pyro.experiments.folder import RunFolder, find_runs
from bisnn_pyro.experiments.predictors import legend
from bisnn_pyro.files import atomic_folder
from bisnn_pyro.results.finished import FinishedRun, why_apart
from bisnn_pyro.results.runs import Line, Runs, as_frame, line_table
from bisnn_pyro.storage.lock import locked
from bisnn_pyro.storage.manifest import keep_others

CLASSIFICATION = ("accuracy", "nll", "brier", "ece", "ece_mass")
REGRESSION = ("rmse", "nll", "coverage90", "width90", "width90_gaps")
EARLY = ("accuracy", "nll", "brier", "ece")
TIMES = ("step", "time_ms", "time_fraction")


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
    runs of ``configs`` (see ``check_together`` in ``bisnn_pyro.results.finished``) are left out.  Files of
    other names that somebody laid into the folder stay.

    Args:
        out: the folder of the runs.
        configs: of runs that are finished in it.

    Raises:
        RunFolderError: if there is no finished run, or a file is missing or broken.
    """
    out = Path(out)
    runs, left_out = _belonging(out, configs)
    path = out / "summary"
    with locked(path, wait=True), atomic_folder(path) as fresh:
        found = _write(fresh, runs)
        keep_others(path, fresh)
    early = None if found.early is None else path / found.early.name
    figures = tuple(path / figure.name for figure in found.figures)
    return replace(found, path=path, figures=figures, early=early, left_out=tuple(left_out))


def _write(path: Path, runs: Runs) -> Summary:
    """Write all files into an empty folder."""
    frame = runs.scores()
    usual = REGRESSION if runs.kind == "regression" else CLASSIFICATION
    metrics = [name for name in usual if name in frame]
    table = _table(runs, runs.scores_and_constant(), metrics)
    for suffix in ("csv", "md", "tex"):
        table.write(path / f"table.{suffix}")
    differences = _differences(runs, frame, metrics)
    if differences is not None:
        differences.write(path / "differences.csv")
    noise_tables = {}
    for std in runs[0].metrics.get("noise", {}):
        noise_tables[std] = _table(runs, runs.scores_and_constant(noise=std), metrics)
        noise_tables[std].write(path / f"table-noise-{std}.csv")
    figures = runs[0].config.analysis.figures
    early = _write_early(path, runs, figures)
    for name, own in _by_test_points(runs).items():
        stores = [load_idata(run.folder.checked("inference_data.nc")) for run in own]
        save_idata(stack_seeds(stores), path / f"{name}.nc")
    if figures:
        _draw(path, runs)
    return Summary(
        path=path,
        table=replace(table, notes=[*table.notes, *runs.temperature_notes()]),
        over=runs.over,
        intervals=len({getattr(run, runs.over) for run in runs}) > 1,
        differences=differences,
        noise_tables=noise_tables,
        figures=tuple(sorted(path.glob("*.png"))),
        early=early,
    )


def _belonging(out: Path, configs: Sequence[Config]) -> tuple[Runs, list[str]]:
    """Return the finished runs that belong with these, by method, fold and seed, and why others do not."""
    methods = list(dict.fromkeys(config.method for config in configs))
    wanted = {RunFolder.of(config, out).path for config in configs}

    def place(run: FinishedRun) -> tuple[Any, ...]:
        known = run.method in methods
        return methods.index(run.method) if known else len(methods), run.method, run.fold or 0, run.seed

    together: list[FinishedRun] = []
    found, left_out = [], []
    for folder in find_runs(out):
        try:
            folder.checked("inference_data.nc")
            found.append(FinishedRun.read(folder))
        except RunFolderError as error:
            if folder.path in wanted:
                raise
            left_out.append(str(error))
    for run in sorted(found, key=lambda run: (run.folder.path not in wanted, place(run))):
        apart = why_apart(together, run)
        if apart is None:
            together.append(run)
        else:
            left_out.append(f"{run.folder.path} ({apart.why})")
    return Runs.of(sorted(together, key=place), check=False), left_out


def _table(runs: Runs, frame: pd.DataFrame, metrics: Sequence[str]) -> PrintedTable:
    names = ["method", "predictor", "seed", "fold", *metrics]
    shown = frame[names if frame["experiment"].nunique() == 1 else ["experiment", *names]]
    return line_table(shown, metrics, runs.n_folds, digits=3)


def _differences(runs: Runs, frame: pd.DataFrame, metrics: Sequence[str]) -> PrintedTable | None:
    """Return, seed by seed or fold by fold, the first method's first predictor minus every other's."""
    metrics = list(metrics)
    by_line = {line.name: _of_line(frame, line).groupby(runs.over)[metrics].mean() for line in runs.lines}
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
            fold += f"-split{run.split[0]}" if len({one.split[0] for one in line.runs}) > 1 else ""
            groups.setdefault(f"{line.name.replace(' ', '-')}{fold}", []).append(run)
    return groups


def _write_early(path: Path, runs: Runs, figures: bool) -> Path | None:
    """Write scores over elapsed time, means with half-widths of their 95 % intervals, and draw the means.

    Returns:
        The file; None if no run has early decisions.
    """
    rows = [row for run in runs for row in _early_rows(run)]
    if not rows:
        return None
    frame = as_frame(rows)
    one = frame["experiment"].nunique() == 1
    shown = frame.drop(columns=["n_points", "experiment"] if one else ["n_points"])
    table = line_table(shown, EARLY, runs.n_folds)
    if not figures:
        table.write(path / "early_decisions.csv")
    else:
        plot = plot_early_decisions(_mean_curves(runs, frame, table.frame))
        columns = {str(name): column.to_numpy() for name, column in table.frame.items()}
        save_figure(plot.figure, path, "early_decisions", columns)
    return path / "early_decisions.csv"


def _early_rows(run: FinishedRun) -> list[dict[str, Any]]:
    store = run.store
    rows = []
    for predictor in store.early_predictors if store.early_steps else ():
        votes, bins = store.early(predictor), run.config.analysis.bins
        columns = early_scores(votes, n_bins=bins, **early_settings(store))
        for values in zip(*columns.values(), strict=True):
            found = dict(zip(columns, values, strict=True))
            # As text, times tell the lines of a table apart.
            times = {name: f"{found.pop(name)}" for name in TIMES if name in columns}
            rows.append(run.row(predictor, **times, n_points=found.pop("n"), **found))
    return rows


def _mean_curves(runs: Runs, frame: pd.DataFrame, table: pd.DataFrame) -> dict[str, dict[str, np.ndarray]]:
    """Return the means of each line's first predictor, by its name in the legend."""
    curves = {}
    for line in runs.lines:
        own = _of_line(table, line)
        if len(own):
            # A fold has its own test points, and all folds together their sum.
            n = _of_line(frame, line).drop_duplicates("fold")["n_points"].sum()
            columns = {name: own[name].to_numpy(np.float64) for name in (*TIMES, *EARLY) if name in own}
            curves[line.label(line.predictors[0])] = {**columns, "n": np.full(len(own), n)}
    return curves


def _of_line(frame: pd.DataFrame, line: Line) -> pd.DataFrame:
    """Return the rows of a line's first predictor."""
    wanted = line.first.row(line.predictors[0])
    for name in ("experiment", "method", "predictor"):
        frame = frame[frame[name] == wanted[name]] if name in frame else frame
    return frame


def _draw(path: Path, runs: Runs) -> None:
    """Draw the figures that put methods side by side, one seed each.

    In a cross-validation the reliability is that of all folds' test points together; what belongs to one
    network (its training, its map, when it stops early) is that of the first fold, and its title says so.
    """
    fold = runs[0].fold
    alike = [line for line in runs.lines if any(run.fold == fold for run in line.runs)]
    first = {line.name if fold is None else f"{line.name}, fold {fold}": line for line in alike}
    stores = {name: next(run.store for run in line.runs if run.fold == fold) for name, line in first.items()}
    plots = {"training": plot_training_curves({name: store.history for name, store in stores.items()})}
    if runs.kind == "classification":
        pooled = {}
        for line in alike:
            n = len(line.of_seed(line.seeds[0]))
            name = line.label(line.predictors[0]) + (f", {n} folds" if n > 1 else "")
            pooled[name] = line.votes(line.predictors[0], line.seeds[0])
        plots["reliability"] = plot_reliability(pooled, runs.bins)
    if all(store.early_steps for store in stores.values()):
        curves = {
            legend(name, p): early_stopping(store.early(p), **early_settings(store))
            for name, store in stores.items()
            for p in store.early_predictors[:1]
        }
        plots["early_stopping"] = plot_early_stopping(curves)
    predictive = predictive_plot(stores)
    plots |= {} if predictive is None else {"predictive": predictive}
    for name, plot in plots.items():
        save_figure(plot.figure, path, name, plot.table)
