"""What was run: methods and their settings, the data, and the environment of the runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import PrintedTable
from bisnn_pyro.data import Task
from bisnn_pyro.errors import InputError
from bisnn_pyro.experiments.config import Config, flat_keys
from bisnn_pyro.results.finished import FREE, FinishedRun
from bisnn_pyro.results.report.blocks import (
    Block,
    Caution,
    Section,
    Table,
    Text,
    caution_if,
    numbers,
    plain_table,
    some,
)
from bisnn_pyro.results.runs import Line, Runs

NOT_SETTINGS = ("experiment", "description", "method", *FREE)
"""Keys that name a run, or that do not change its numbers."""
COMMAND = "command"


def overview(runs: Runs) -> Section:
    """Return the methods with their seeds, the settings that differ, and those that all share."""
    settings = pd.DataFrame({line.name: pd.Series(_settings(line.first.config)) for line in runs.lines})
    settings = settings.sort_index().rename_axis("setting")
    differ = settings.nunique(axis=1, dropna=False) > 1
    descriptions = dict.fromkeys(run.config.description for run in runs if run.config.description)
    blocks: list[Block] = [Text(text) for text in descriptions]
    blocks.append(Table("Methods and their runs", plain_table(map(_line, runs.lines))))
    if differ.any():
        blocks.append(Table("Settings in which they differ", plain_table(settings[differ].reset_index())))
    shared = settings[~differ].iloc[:, 0].rename("value").reset_index()
    blocks.append(Table("Settings that they share", plain_table(shared), folded=True))
    return Section("runs", "What was run", blocks, [*_repetitions(runs), *_tempered(runs)])


def data_set(runs: Runs, data_dir: str | os.PathLike[str] | None = None) -> Section:
    """Return sizes and classes: from the data if they can be read, otherwise from what the runs stored."""
    first = runs.lines[0].first
    stored = first.folder.read_json("preprocessing.json")
    try:
        task: Task | str = first.open(data_dir)[1]
    except (InputError, OSError) as error:
        task = str(error)
    parts = {"training": task.train.y, "validation": task.val.y} if isinstance(task, Task) else {}
    sizes = {**_shape(stored), **{name: len(y) for name, y in parts.items()}, "test": runs.n_points}
    if outside := max((run.metrics.get("out_of_range", {}).get("test", 0.0) for run in runs), default=0.0):
        sizes["test values out of range"] = f"{outside:.2%}"
    blocks: list[Block] = [Table(f"Data set {first.config.data.name!r}", plain_table([sizes]))]
    if runs.folds:
        text = (
            f"The test points are those of {runs.folds} folds, pooled; the training and validation points "
            "are those of the first run."
        )
        blocks.append(Text(text))
    if runs.kind == "regression":
        blocks.append(Text("Scores are in units of the target, rescaled to [0, 1] on the training set."))
    else:
        line = runs.lines[0]
        targets = [run.store.targets for run in line.of_seed(line.seeds[0])]
        parts |= {"test": np.concatenate(targets)}
        blocks.append(Table("Points of each class", _classes(stored, parts)))
    if not isinstance(task, Task):
        text = f"The data could not be read again, so this section shows only what the runs stored: {task}"
        blocks.append(Text(text))
    notes = list(dict.fromkeys(note for run in runs for note in run.metrics.get("notes", ())))
    cautions = caution_if(notes, "Notes on the data", "The data set reported this when it was read.")
    return Section("data", "Data", blocks, cautions)


def environment(runs: Runs) -> Section:
    """Return one column per environment in which runs were made, and one line per command."""
    records = {line.run_name(run): _recorded(run) for line in runs.lines for run in line.runs}
    commands: dict[str, list[str]] = {}
    groups: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for name, record in records.items():
        command = record.pop(COMMAND, None)  # the same environment, even if the commands differ
        if command is not None:
            commands.setdefault(command, []).append(name)
        groups.setdefault(tuple(_flat(record)), []).append(name)
    names = ["all runs"] if len(groups) == 1 else [f"environment {i + 1}" for i in range(len(groups))]
    columns = {name: pd.Series(dict(own), dtype=object) for name, own in zip(names, groups, strict=True)}
    order = dict.fromkeys(key for column in columns.values() for key in column.index)
    frame = pd.DataFrame(columns).reindex(list(order)).rename_axis("")
    blocks: list[Block] = [Text("The runs did not record their environment.")]
    if len(frame):
        blocks = [Table("What the runs recorded", plain_table(frame.reset_index()))]
    if commands:
        started = [{COMMAND: command, "runs": ", ".join(some(own))} for command, own in commands.items()]
        blocks.append(Table("How the runs were started", plain_table(started)))
    if len(groups) == 1:
        return Section("environment", "Environment", blocks)
    blocks += [
        Text(f"{name}: {', '.join(some(own))}") for name, own in zip(names, groups.values(), strict=True)
    ]
    differ = frame.index[frame.nunique(axis=1, dropna=False) > 1]
    text = "Only runs in the same environment are equal bit by bit; scores should still agree."
    caution = Caution("Runs were made in different environments", text, some(list(differ)))
    return Section("environment", "Environment", blocks, [caution])


def _line(line: Line) -> dict[str, object]:
    folds = {run.config.fold for run in line.runs if run.config.fold is not None}
    return {
        "experiment": line.first.config.experiment,
        "method": line.first.config.method,
        "posterior": line.first.config.guide.name,
        "training seeds": numbers(line.seeds),
        **({"folds": numbers(folds)} if folds else {}),
        "runs": len(line.runs),
        "predictors": ", ".join(line.predictors),
    }


def _settings(config: Config) -> dict[str, str]:
    tables = {name: table for name, table in config.to_dict().items() if name != "tune"}
    return {key: value.strip("'") for key, value in flat_keys(tables) if key not in NOT_SETTINGS}


def _repetitions(runs: Runs) -> list[Caution]:
    """Return cautions about intervals that are missing or too short."""
    found = []
    counts = {line.name: len(line.seeds) for line in runs.lines}
    single = [name for name, count in counts.items() if count == 1]
    if not runs.folds:
        text = (
            "There is no interval over seeds: it is unknown what another seed would have scored. Train "
            "several seeds, for example with --seeds 0-4."
        )
        found += caution_if(single, "One training seed", text)
    if len(set(counts.values())) > 1:
        items = [f"{name}: {count}" for name, count in counts.items()]
        text = "Means over few seeds are less certain than the others; their intervals show by how much."
        found += caution_if(items, "Methods have different numbers of seeds", text)
    if runs.folds:
        text = (
            "The test points of all folds are pooled; each was predicted by the network that was not trained "
            "on it. The training sets of the folds overlap, so their scores are not independent, and "
            "intervals over folds are a guide that is usually too short."
        )
        found.append(Caution(f"Cross-validation over {runs.folds} folds", text))
    return found


def _tempered(runs: Runs) -> list[Caution]:
    """Return a caution about posteriors with a weighted KL; for a point estimate it is only a penalty."""
    items = [
        f"{line.name}: weight {line.first.metrics['kl_weight']:g}"
        for line in runs.lines
        if line.first.metrics.get("kl_weight") not in (None, 1.0)
        and line.first.config.guide.name not in ("straight-through", "full-precision")
    ]
    text = (
        "The weight of the KL is not 1, so the fitted distribution is not the posterior of the model as "
        "written: with a weight below 1 it is narrower than Bayes' theorem gives."
    )
    return caution_if(sorted(items), "Tempered posteriors", text)


def _shape(stored: Mapping[str, Any]) -> dict[str, Any]:
    shape: dict[str, Any] = {"kind": stored["kind"]}
    shape["inputs" if stored.get("spiking") else "features"] = stored["n_features"]
    if stored.get("image_shape"):
        shape["as"] = " × ".join(map(str, stored["image_shape"]))
    if stored.get("spiking"):
        shape["steps"] = stored["n_steps"]
    if stored["kind"] == "classification":
        shape["classes"] = stored["n_classes"]
    return shape


def _classes(stored: Mapping[str, Any], parts: Mapping[str, Any]) -> PrintedTable:
    n_classes = stored["n_classes"]
    labels = (stored.get("labels") or {}).get("labels") or range(n_classes)
    counts = {
        name: np.bincount(np.asarray(y, dtype=np.int64), minlength=n_classes) for name, y in parts.items()
    }
    return plain_table(pd.DataFrame({"class": [str(label) for label in labels], **counts}))


def _recorded(run: FinishedRun) -> dict[str, Any]:
    if run.folder.accept_changed and not (run.folder.path / "environment.json").is_file():
        return {}
    return run.folder.read_json("environment.json")


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    found = []
    for key, value in values.items():
        nested = isinstance(value, Mapping)
        found += _flat(value, f"{key} ") if nested else [(f"{prefix}{key}", str(value))]
    return found
