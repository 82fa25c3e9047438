"""What all studies share: their arguments, the rows of every run, the table over seeds, figures and files.

A study reads runs with :func:`study_runs`, opens each with :func:`opened`, collects one row per run,
predictor and condition (:meth:`~bisnn_pyro.results.finished.FinishedRun.row`), and ends with :func:`finish`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import Plot, PrintedTable, save_columns, save_figure
from bisnn_pyro.errors import ConfigError, DataError, InputError, RunFolderError
from bisnn_pyro.experiments.predictors import base_name, legend
from bisnn_pyro.inference import steady_process
from bisnn_pyro.results.finished import FinishedRun, Paths
from bisnn_pyro.results.runs import Runs, as_frame, line_table

Folder = str | os.PathLike[str] | None
Plots = Mapping[str, Plot]


@dataclass(frozen=True)
class Study:
    """What a study found.

    Attributes:
        table: one line per method, predictor and condition: means and intervals over seeds.
        frame: the numbers of each run, one row per run, predictor and condition.
        files: what was written.
    """

    table: PrintedTable
    frame: pd.DataFrame
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        """The table, and where its files are; ``frame`` has the numbers of every run."""
        if not self.files:
            return self.table.plain()
        folder = os.path.commonpath([file.parent for file in self.files])
        n = len(self.files)
        return f"{self.table.plain()}\n{n} {'file' if n == 1 else 'files'} in {folder}"

    def _repr_markdown_(self) -> str:
        """The table, which notebooks show."""
        return self.table.markdown()


def study_runs(
    runs: Runs | Paths,
    *,
    seed: int = 0,
    trust: bool = False,
    classification: bool = True,
    varying: str | None = None,
) -> Runs:
    """Return runs whose encoded test points are the same.

    Args:
        runs: the runs, or their folders.
        seed: the study's, which is checked.
        trust: whether classes of a user's own may be imported.
        classification: whether to refuse regressions.
        varying: a setting in which runs of one method may differ.

    Raises:
        InputError: if a run cannot be read, they do not belong in one table, their test points are encoded
            under other seeds, they are regressions, or the seed is negative.
    """
    if seed < 0:
        raise ConfigError(f"--seed is {seed}; expected 0 or more")
    found = runs if isinstance(runs, Runs) else Runs(runs, trust=trust, varying=varying)
    for run in found:
        if classification and run.kind == "regression":
            raise RunFolderError(f"{run.folder.path} is a regression; this study is for classification")
        if run.config.predict.seed != found[0].config.predict.seed:
            raise RunFolderError(
                f"{found[0].folder.path} and {run.folder.path} differ in predict.seed, so their test points "
                "are encoded differently; study them separately"
            )
    return found


def check_out(out: Folder) -> Path | None:
    """Return the folder for the results.

    Raises:
        InputError: if there is a file of that name.
    """
    folder = None if out is None else Path(out)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file; give a folder")
    return folder


@contextmanager
def opened(run: FinishedRun, data_dir: Folder, option: str) -> Iterator[tuple[Any, Any]]:
    """Open a run for a block of predictions, on the threads that it was run on.

    Args:
        run: the run.
        data_dir: where the data are now, instead of the config's ``data.path``.
        option: the study's option that a DataError of the block is about.

    Yields:
        The ``FittedRun`` and its ``Task``.
    """
    with steady_process(run.config.value("train.threads")):
        fitted, task = run.open(data_dir)
        try:
            yield fitted, task
        except DataError as error:
            raise ConfigError(f"{option} does not suit {run.folder.path}: {error}") from error


def finish(
    runs: Runs,
    name: str,
    rows: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
    out: Path | None,
    *,
    notes: Sequence[str] = (),
    plots: Callable[[pd.DataFrame], Plots] | None = None,
    change: Callable[[PrintedTable, pd.DataFrame], PrintedTable] | None = None,
    nameless: bool = False,
) -> Study:
    """Return the study, and write its files.

    Args:
        runs: the runs.
        name: of the files: ``<name>.csv`` is the table, ``<name>-runs.csv`` has the numbers of every run and
            ``<name>-<plot>`` are the figures.
        rows: one per run, predictor and condition.
        metrics: the scores in the table.
        out: the folder; None writes nothing.
        notes: lines below the table.
        plots: draws the figures, if there is a folder for them.
        change: what to change in the printed table.
        nameless: whether the experiments' names only tell runs apart, and not lines.
    """
    frame = as_frame(rows)
    one = nameless or frame["experiment"].nunique() == 1
    shown = frame.drop(columns="experiment") if one else frame
    table = line_table(shown, metrics, runs.n_folds, notes=notes)
    table = table if change is None else change(table, frame)
    if out is None:
        return Study(table, frame)
    files = [table.write(out / f"{name}.csv"), out / f"{name}-runs.csv"]
    numbers = frame if runs.n_folds is None else frame.assign(n_folds=runs.n_folds)
    numbers = numbers.dropna(axis="columns", how="all")
    save_columns(files[-1], {str(column): list(numbers[column]) for column in numbers})
    for what, plot in ({} if plots is None else plots(frame)).items():
        files += save_figure(plot.figure, out, f"{name}-{what}", plot.table).values()
    return Study(table, frame, tuple(files))


def main_lines(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows that a figure has room for, by the name in its legend.

    They are those of each method's first predictor, and of the same at its temperature.
    """
    several = frame["experiment"].nunique() > 1
    lines = {}
    for (experiment, method), own in frame.groupby(["experiment", "method"], sort=False):
        name = f"{experiment} {method}" if several else str(method)
        for predictor, rows in own.groupby("predictor", sort=False):
            if base_name(str(predictor)) == own["predictor"].iloc[0]:
                lines[legend(name, str(predictor))] = rows
    return lines


def score_curves(
    frame: pd.DataFrame, column: str, labels: Mapping[str, str], draw: Callable[..., Plot], **settings: Any
) -> dict[str, Plot]:
    """Return one figure per score of the methods' first predictors, against the numbers of a column.

    Args:
        frame: rows with numbers as text in this column.
        column: such as ``"severity"``.
        labels: the scores, and how an axis names them.
        draw: makes a figure of numbers ``[V]`` and the scores of each line ``[K, V]``, a row per seed.
        settings: further arguments of ``draw``.

    Returns:
        Figures by score; empty for a cross-validation, whose folds are not seeds.
    """
    if frame["fold"].notna().any():
        return {}
    values = sorted(frame[column].unique(), key=float)
    lines, plots = main_lines(frame), {}
    for score in [name for name in labels if name in frame]:
        arrays = {
            name: own.pivot(index="seed", columns=column, values=score)[values].to_numpy(np.float64)
            for name, own in lines.items()
        }
        plots[score] = draw([float(v) for v in values], arrays, score_name=labels[score], **settings)
    return plots
