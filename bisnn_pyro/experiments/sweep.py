"""Scores of finished runs against one setting in which they differ: weight of the KL, temperature, sizes."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bisnn_pyro.analysis import Plot, plot_sweep
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.comparable import BESIDE, FinishedRun, settings_of
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
        key: the setting, for example ``"train.kl_weight"``; its values must be numbers above 0, and leave the
            test points and the bins of the calibration error as they are.
        out: folder for ``sweep-<key>.csv``, the table, ``sweep-<key>-runs.csv``, each run by itself, and a
            figure a score (none of a cross-validation).

    Returns:
        Scores by method, predictor and value, over seeds.

    Raises:
        InputError: if the runs cannot be read or compared, a run lacks the key, its value is no number above
            0, runs of a method differ in other settings too, there is but one value, or a method lacks a
            value or a seed that others have.
    """
    folder = check_out(out)
    runs = study_runs(paths)
    values = {id(run): _value(run, key) for run in runs}
    _check_alike(runs, key)
    _check_complete(runs, key, values)
    rows = sweep_rows(runs, key, values)
    table = study_table(_nameless(rows), METRICS, [f"{len(runs[0].predictions.y)} test points a run"])
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
            found.setdefault((run.config.method, predictor), []).append(row)
    order = dict.fromkeys(run.config.method for run in runs)
    return [row for method in order for line, own in found.items() if line[0] == method for row in own]


def sweep_plots(rows: Sequence[Row], key: str) -> dict[str, Plot]:
    """Return a figure a score of the methods' first predictors; folds are no seeds, and have none.

    Args:
        rows: of :func:`sweep_rows`, every method at every value and seed.
        key: the column of the values.
    """
    if "fold" in rows[0]:
        return {}
    values = sorted({row[key] for row in rows}, key=float)
    numbers = [float(value) for value in values]
    lines = main_lines(_nameless(rows))
    plots = {}
    for score, label in DRAWN.items():
        curves = {name: _by_seed(own, key, values, score) for name, own in lines.items()}
        axis = {"value_name": LABELS.get(key, key), "reference": BAYES_RULE.get(key)}
        plots[score] = plot_sweep(numbers, curves, score_name=label, **axis)  # type: ignore[arg-type]
    return plots


def _nameless(rows: Sequence[Row]) -> list[Row]:
    """Return rows without the experiments' names, which only tell the values apart."""
    return [{**row, "experiment": ""} for row in rows]


def _by_seed(rows: Sequence[Row], key: str, values: Sequence[str], score: str) -> np.ndarray:
    """Return a score by seed and value, ``[K, V]``."""
    found = {(row["seed"], row[key]): row[score] for row in rows}
    seeds = sorted({row["seed"] for row in rows})
    return np.array([[found[seed, value] for value in values] for seed in seeds])


def _value(run: FinishedRun, key: str) -> float:
    value: Any = run.config.to_dict()
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None or isinstance(value, Mapping):
        keys = [name for name, _ in settings_of(run.config)]
        near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ", nor has it that default"
        raise ConfigError(f"--key {key!r} is no setting in {run.folder.path / 'config.toml'}{hint}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigError(
            f"{key} is {value!r} in {run.folder.path}; a sweep is drawn over a logarithmic axis and needs "
            "numbers above 0"
        )
    if key in BESIDE:
        raise ConfigError(f"--key {key} tells the runs of one line apart, and is no setting to sweep")
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


def _check_complete(runs: Sequence[FinishedRun], key: str, values: Mapping[int, float]) -> None:
    """Refuse a single value, two runs at one place, and methods that lack a value or a seed of others."""
    found: dict[str, dict[tuple[float, int, int | None], FinishedRun]] = {}
    for run in runs:
        place = values[id(run)], run.config.seed, run.config.fold
        other = found.setdefault(run.config.method, {}).setdefault(place, run)
        if other is not run:
            raise ConfigError(
                f"{other.folder.path} and {run.folder.path} are one method and seed at the same {key}; leave "
                "one of them out"
            )
    if len({value for own in found.values() for value, *_ in own}) < 2:
        raise ConfigError(f"all runs have {key} = {values[id(runs[0])]:g}; a sweep takes two values or more")
    wanted = {place for own in found.values() for place in own}
    for method, own in found.items():
        for value, seed, fold in sorted(wanted - own.keys(), key=str):
            where = f"seed {seed}" if fold is None else f"seed {seed}, fold {fold},"
            raise ConfigError(
                f"{method} has no run of {where} at {key} = {value:g}, as others of the sweep have; run it, "
                "or leave that method, seed or value out"
            )
