"""The data: sizes, classes, and what the source had to say."""

from __future__ import annotations

from typing import Any

import numpy as np

from bisnn_pyro.data import Task
from bisnn_pyro.errors import InputError
from bisnn_pyro.experiments.reopen import reopen
from bisnn_pyro.experiments.report.blocks import Block, Caution, Section, Table, Text, plain_table, some
from bisnn_pyro.experiments.report.lines import Material


def data_set(material: Material) -> Section:
    """Return sizes and classes: from the data where they can be read, else from what the runs stored."""
    first = material.lines[0].first
    preprocessing = first.folder.read_json("preprocessing.json")
    task = _task(material)
    sizes = _shape(preprocessing)
    if isinstance(task, Task):
        sizes |= {"training": len(task.train), "validation": len(task.val)}
    sizes |= {"test": material.n_points}
    blocks: list[Block] = [Table(f"Data set {first.config.data.name!r}", plain_table([sizes]))]
    if material.folds:
        blocks.append(
            Text(
                f"Test points are those of {material.folds} folds, pooled; training and validation points "
                "are those of the first run."
            )
        )
    if not material.regression:
        blocks.append(Table("Points of each class", _classes(material, preprocessing, task)))
    else:
        blocks.append(Text("Scores are in units of the target, rescaled to [0, 1] on the training set."))
    if not isinstance(task, Task):
        blocks.append(
            Text(f"Only what the runs stored is shown, as the data could not be read again: {task}")
        )
    notes = dict.fromkeys(note for run in material.runs for note in run.metrics.get("notes", ()))
    caution = Caution("Notes on the data", "What the source said when it was read.", some(list(notes)))
    return Section("data", "Data", blocks, [caution] if notes else [])


def _task(material: Material) -> Task | str:
    """Return the first run's data, or why they cannot be read."""
    try:
        return reopen(material.lines[0].first.folder.path, material.data_dir)[1]
    except (InputError, OSError) as error:
        return str(error)


def _shape(preprocessing: dict[str, Any]) -> dict[str, Any]:
    shape = preprocessing.get("image_shape")
    spiking = preprocessing.get("spiking")
    kind: dict[str, Any] = {"kind": preprocessing["kind"]}
    kind["inputs" if spiking else "features"] = preprocessing["n_features"]
    if shape:
        kind["as"] = " × ".join(map(str, shape))
    if spiking:
        kind["steps"] = preprocessing["n_steps"]
    if preprocessing["kind"] == "classification":
        kind["classes"] = preprocessing["n_classes"]
    return kind


def _classes(material: Material, preprocessing: dict[str, Any], task: Task | str) -> Any:
    n_classes = preprocessing["n_classes"]
    labels = (preprocessing.get("labels") or {}).get("labels") or range(n_classes)
    line = material.lines[0]
    y = np.concatenate([run.predictions.y for run in line.of_seed(line.seeds[0])])
    rows: list[dict[str, Any]] = [{"class": str(label)} for label in labels]
    parts = {"training": task.train.y, "validation": task.val.y} if isinstance(task, Task) else {}
    for name, targets in {**parts, "test": y}.items():
        counts = np.bincount(np.asarray(targets, dtype=np.int64), minlength=n_classes)
        for row, count in zip(rows, counts, strict=True):
            row[name] = int(count)
    return plain_table(rows)
