"""From a stage to its runs, tables and figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bisnn_pyro.errors import BisnnError
from bisnn_pyro.experiments.batch import run_experiment
from bisnn_pyro.experiments.comparable import FinishedRun, finished_runs
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.folder import environment
from bisnn_pyro.experiments.reproduce import results, studies
from bisnn_pyro.experiments.reproduce.contrasts import run_contrasts
from bisnn_pyro.experiments.reproduce.place import Place
from bisnn_pyro.experiments.reproduce.record import Record, asked, batches, record_path, runs_of
from bisnn_pyro.experiments.reproduce.stage import Output, Settings, Stage
from bisnn_pyro.experiments.run import RunResult, finished_alike
from bisnn_pyro.experiments.study import Row

OUTPUTS: dict[str, Callable[[Sequence[FinishedRun], Place], None]] = {
    "table": results.table,
    "tables": results.tables,
    "reliability": results.reliability,
    "forest": results.forest,
    "committee-size": results.committee_size,
    "sizes": results.sizes,
    "map": results.predictive_map,
}
"""What is made of runs as they are; ``shift``, ``outside`` and ``sweep`` are studies of them."""

Report = Callable[[Config, RunResult], None]


def perform(stage: Stage, settings: Settings, out: Path, report: Report | None = None) -> Record | None:
    """Make a stage's runs, those that are finished apart, and then its tables and figures.

    Args:
        stage: the stage, whose data are there.
        settings: the user's.
        out: the reproduction's folder.
        report: called after each run.

    Returns:
        What was made; None where Ctrl-C ended a run.

    Raises:
        BisnnError: if a run or an output fails; what is finished stays, and is found the next time.
    """
    folders = []
    for batch, configs, own in batches(stage, settings, out):
        folders += [folder.path for folder in own]
        if all(finished_alike(folder, c) for folder, c in zip(own, configs, strict=True)):
            continue
        done = run_experiment(
            configs,
            runs_of(batch, out),
            resume=True,
            jobs=settings.jobs,
            report=report,
            command=settings.command,
        )
        if done.failures:
            config, error = done.failures[0]
            raise BisnnError(
                f"{batch.experiment} {config.method} with seed {config.seed}: {error}"
            ) from error
        if done.interrupted:
            return None
    place = Place(out, stage.prefix or stage.name)
    runs = finished_runs(folders)
    rows = [row for output in stage.outputs for row in _make(output, runs, place, settings)]
    contrasts = [{"question": stage.question, **row} for row in rows if row["condition"] not in stage.beside]
    files = tuple(str(file.relative_to(out)) for file in place.files)
    versions = environment(torch.get_num_threads())["packages"]
    record = Record(asked(stage, settings), files, tuple(contrasts), versions)
    record.write(record_path(stage, out))
    return record


def _make(output: Output, runs: Sequence[FinishedRun], place: Place, settings: Settings) -> list[Row]:
    if output.kind == "shift":
        return studies.shift(runs, place, output.of)
    if output.kind == "outside":
        return studies.outside(runs, place, output.of, settings.data_dir)
    if output.kind == "sweep":
        studies.sweep(runs, place, output.of)
        return []
    OUTPUTS[output.kind](runs, place)
    return run_contrasts(runs) if output.kind in ("table", "tables") else []
