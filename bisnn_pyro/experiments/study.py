"""What studies of finished runs share: which runs go together, their votes, tables over seeds, and files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.analysis import Plot, PrintedTable, average_seeds, printed_table, save_columns, save_figure
from bisnn_pyro.errors import InputError, RunFolderError
from bisnn_pyro.experiments.comparable import FinishedRun, check_comparable, finished_runs
from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.experiments.folds import n_folds_of
from bisnn_pyro.experiments.temperatures import SCALED, with_scaled
from bisnn_pyro.inference import Prediction

Row = dict[str, Any]


@dataclass(frozen=True)
class Study:
    """What a study found.

    Attributes:
        table: a line for each method, predictor and condition: means and intervals over seeds.
        rows: the numbers of every run by itself.
        files: what was written.
    """

    table: PrintedTable
    rows: Sequence[Row]
    files: tuple[Path, ...] = ()

    def __repr__(self) -> str:
        """The table, and where its files are; ``rows`` has the numbers of every run."""
        return "\n".join([self.table.plain(), *_where(self.files)])


def _where(files: Sequence[Path]) -> list[str]:
    """Return a line on the files that were written, none if there are none."""
    if not files:
        return []
    folder = os.path.commonpath([file.parent for file in files])
    return [f"{len(files)} {'file' if len(files) == 1 else 'files'} in {folder}"]


def study_runs(paths: Iterable[str | os.PathLike[str]], *, classification: bool = True) -> list[FinishedRun]:
    """Read finished runs that have their test points in common.

    Args:
        paths: run folders, or folders that hold them.
        classification: whether to refuse regressions.

    Raises:
        RunFolderError: if a run cannot be read, they do not belong in one table, their test points are
            encoded under other seeds, or they are regressions.
    """
    runs = finished_runs(paths)
    check_comparable(runs)
    for run in runs:
        if classification and run.predictions.noise_scale is not None:
            raise RunFolderError(f"{run.folder.path} is a regression; this study is of classifications")
        if run.config.predict.seed != runs[0].config.predict.seed:
            raise RunFolderError(
                f"{runs[0].folder.path} and {run.folder.path} have another predict.seed each, and so other "
                "test points once they are encoded; study them apart"
            )
    return runs


def check_out(out: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder for the results.

    Raises:
        InputError: if it is there and no folder.
    """
    folder = None if out is None else Path(out)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise InputError(f"--out {folder} is a file; give a folder")
    return folder


def all_votes(run: FinishedRun, fitted: FittedRun, inputs: Any) -> dict[str, Prediction]:
    """Let every predictor vote on encoded inputs, those at the run's own temperatures among them."""
    votes = {p: fitted.predict_scaled(inputs, predictor=p) for p in fitted.predictors}
    return with_scaled(votes, run.metrics.get("temperatures", {}))


def row_of(run: FinishedRun, predictor: str, condition: Mapping[str, str], scores: Mapping[str, Any]) -> Row:
    """Return the row of one predictor of a run under a condition, such as a severity."""
    fold = {} if run.config.fold is None else {"fold": run.config.fold, "n_folds": n_folds_of(run.config)}
    experiment, method = run.line
    return {
        "experiment": experiment,
        "method": method,
        "predictor": predictor,
        **condition,
        "seed": run.config.seed,
        **fold,
        **scores,
    }


def study_table(rows: Sequence[Row], metrics: Sequence[str], notes: Sequence[str]) -> PrintedTable:
    """Return the table over seeds, or over folds with seeds averaged; one experiment is not named."""
    if len({row["experiment"] for row in rows}) == 1:
        rows = [{name: value for name, value in row.items() if name != "experiment"} for row in rows]
    table = printed_table(average_seeds(rows) if "fold" in rows[0] else rows, metrics, digits=4)
    return replace(table, notes=[*table.notes, *notes])


def main_lines(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Return the rows that a figure has room for, by a name for its legend.

    They are those of each method's first predictor, and of the same at its temperature.
    """
    first: dict[tuple[str, str], str] = {}
    for row in rows:
        first.setdefault((row["experiment"], row["method"]), row["predictor"])
    several = len({experiment for experiment, _ in first}) > 1
    lines: dict[str, list[Row]] = {}
    for row in rows:
        if row["predictor"].removesuffix(SCALED) == first[row["experiment"], row["method"]]:
            name = f"{row['experiment']} {row['method']}" if several else row["method"]
            short = row["predictor"].removeprefix("mode").lstrip("-")  # a mode is the method itself
            name = f"{name} {short}".rstrip()
            lines.setdefault(name, []).append(row)
    return lines


def write_study(
    table: PrintedTable, rows: Sequence[Row], folder: Path, name: str, plots: Mapping[str, Plot]
) -> list[Path]:
    """Write the table, the numbers of every run to ``<name>-runs.csv``, and figures ``<name>-<plot>``."""
    files = [table.write(folder / f"{name}.csv"), folder / f"{name}-runs.csv"]
    columns = dict.fromkeys(column for row in rows for column in row)
    save_columns(files[-1], {column: [row.get(column, np.nan) for row in rows] for column in columns})
    for what, plot in plots.items():
        files += save_figure(plot.figure, folder, f"{name}-{what}", plot.table).values()
    return files
