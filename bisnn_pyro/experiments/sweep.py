"""Scores of finished runs against one setting in which they differ: weight of the KL, temperature, sizes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bisnn_pyro.analysis import plot_sweep
from bisnn_pyro.analysis.figures.style import Plot
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.comparable import FinishedRun, settings_of
from bisnn_pyro.experiments.study import (
    Row,
    Study,
    check_out,
    main_lines,
    row_of,
    study_runs,
    study_table,
    write_study,
)

METRICS = ("accuracy", "nll", "brier", "ece")
DRAWN = {"accuracy": "accuracy", "nll": "NLL (nats)", "ece": "ECE"}
"""Scores with a figure, and their labels."""
LABELS = {
    "train.kl_weight": "weight of the KL",
    "guide.temperature": "temperature of the relaxation",
    "data.n_train": "training examples",
}
"""What the axis says where it is more than the key."""
BAYES_RULE = {"train.kl_weight": 1.0}
"""A value to mark: where the posterior is neither cold nor warm."""


def sweep_study(
    paths: Iterable[str | os.PathLike[str]], key: str, *, out: str | os.PathLike[str] | None = None
) -> Study:
    """Draw the stored scores of finished runs against a setting in which they differ, and in no other.

    *Says* how scores go with the setting while all others stay; the best setting of a method may change with
    them.  A setting chosen from this table was chosen on test points: choose with ``bisnn tune``.

    Args:
        paths: run folders, or folders that hold them; an experiment (a name of its own) for each value.
        key: the setting, for example ``"train.kl_weight"``; its values must be numbers above 0.
        out: folder for ``sweep-<key>.csv``, the table, ``sweep-<key>-runs.csv``, each run by itself, and a
            figure a score (none of a cross-validation).

    Returns:
        Scores by method, predictor and value, over seeds.

    Raises:
        InputError: if the runs cannot be read or compared, a run lacks the key, its value is no number above
            0, runs of a method differ in other settings too, or a method lacks a value that others have.
    """
    folder = check_out(out)
    runs = study_runs(paths)
    _check_alike(runs, key)
    values = {id(run): _value(run, key) for run in runs}
    rows = sweep_rows(runs, key, values)
    table = study_table(rows, METRICS, [f"{len(runs[0].predictions.y)} test points a run"])
    files = [] if folder is None else write_study(table, rows, folder, f"sweep-{key}", sweep_plots(rows, key))
    return Study(table, rows, tuple(files))


def sweep_rows(runs: Sequence[FinishedRun], key: str, values: Mapping[int, float]) -> list[Row]:
    """Return the stored scores of every run and predictor, ordered by method, predictor and value.

    Args:
        runs: the runs.
        key: what the column of the values is called.
        values: of each run, by its ``id``.
    """
    found: dict[tuple[str, str], list[Row]] = {}
    for run in sorted(runs, key=lambda run: (values[id(run)], run.config.seed, run.config.fold or 0)):
        for predictor, scores in run.metrics["predictors"].items():
            row = row_of(run, predictor, {key: f"{values[id(run)]:g}"}, scores)
            found.setdefault((run.config.method, predictor), []).append({**row, "experiment": key})
    order = dict.fromkeys(run.config.method for run in runs)
    return [row for method in order for line, own in found.items() if line[0] == method for row in own]


def sweep_plots(rows: Sequence[Row], key: str) -> dict[str, Plot]:
    """Return a figure a score of the methods' first predictors; folds are no seeds, and have none.

    Raises:
        ConfigError: if a method lacks a value or a seed that others have.
    """
    if "fold" in rows[0]:
        return {}
    values = sorted({row[key] for row in rows}, key=float)
    numbers = [float(value) for value in values]
    plots = {}
    for score, label in DRAWN.items():
        curves = {name: _by_seed(name, own, key, values, score) for name, own in main_lines(rows).items()}
        axis = {"value_name": LABELS.get(key, key), "reference": BAYES_RULE.get(key)}
        plots[score] = plot_sweep(numbers, curves, score_name=label, **axis)  # type: ignore[arg-type]
    return plots


def _by_seed(name: str, rows: Sequence[Row], key: str, values: Sequence[str], score: str) -> np.ndarray:
    """Return a score by seed and value, ``[K, V]``."""
    found = {(row["seed"], row[key]): row[score] for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    lacking = [(seed, value) for seed in seeds for value in values if (seed, value) not in found]
    if lacking:
        seed, value = lacking[0]
        raise ConfigError(
            f"{name} has no run of seed {seed} at {key} = {value}, as others of the sweep have; run it, or "
            "leave that method, seed or value out"
        )
    return np.array([[found[seed, value] for value in values] for seed in seeds])


def _value(run: FinishedRun, key: str) -> float:
    value: Any = run.config.to_dict()
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        found = "is not set" if value is None else f"is {value!r}"
        raise ConfigError(
            f"{key} {found} in {run.folder.path}; a sweep is drawn over a logarithmic axis and needs numbers "
            "above 0"
        )
    return float(value)


def _check_alike(runs: Sequence[FinishedRun], key: str) -> None:
    """Refuse runs of a method that differ in more than the setting."""
    first: dict[str, FinishedRun] = {}
    for run in runs:
        other = first.setdefault(run.config.method, run)
        differing = {name for name, _ in settings_of(other.config) ^ settings_of(run.config)}
        beside = sorted(differing - {key, "experiment"})
        if beside:
            raise ConfigError(
                f"{other.folder.path} and {run.folder.path} differ in {', '.join(beside)} beside {key}; a "
                "sweep changes one setting, so leave one of them out"
            )
