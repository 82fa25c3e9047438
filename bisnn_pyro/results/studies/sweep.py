"""Scores of finished runs against one setting in which they differ: weight of the KL, temperature, sizes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from bisnn_pyro.analysis import plot_sweep
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.results.finished import FREE, FinishedRun, Paths, read_runs, settings_of
from bisnn_pyro.results.runs import Runs
from bisnn_pyro.results.studies.study import Folder, Plots, Study, check_out, finish, score_curves, study_runs

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


def sweep_study(runs: Runs | Paths, key: str, *, out: Folder = None, trust: bool = False) -> Study:
    """Draw the stored scores of finished runs against a setting in which they differ, and in no other.

    *Says* how scores change with the setting while all others stay; the best setting of a method may change
    with them.  A setting chosen from this table was chosen on test points: choose with ``bisnn tune``.

    Args:
        runs: the runs, or their folders.
        key: the setting, for example ``"train.kl_weight"``; its values must be numbers above 0, and leave the
            test points and the bins of the calibration error as they are.
        out: folder for ``sweep-<key>.csv``, the table, ``sweep-<key>-runs.csv``, the numbers of every run,
            and one figure per score (except of a cross-validation).
        trust: whether classes of a user's own that a config names may be imported.

    Returns:
        Scores by method, predictor and value, over seeds.

    Raises:
        InputError: if the runs cannot be read or compared, a run lacks the key, its value is not a number
            above 0, runs of a method differ in other settings too, all have one value, or a method lacks a
            value or a seed that others have.
    """
    folder = check_out(out)
    listed = list(runs) if isinstance(runs, Runs) else read_runs(runs, trust=trust)
    values = {run: _value(run, key) for run in listed}
    found = study_runs(Runs.of(listed, varying=key))
    _check_complete(found, key, values)
    notes = [f"{len(found[0].store.targets)} test points per run"]
    rows, plots = sweep_rows(listed, key, values), partial(sweep_plots, key=key)
    return finish(found, f"sweep-{key}", rows, METRICS, folder, notes=notes, plots=plots, nameless=True)


def sweep_rows(
    runs: Sequence[FinishedRun], key: str, values: Mapping[FinishedRun, float]
) -> list[dict[str, Any]]:
    """Return the stored scores of every run and predictor, ordered by method, predictor and value.

    Args:
        runs: the runs.
        key: the name of the column of values.
        values: of each run.
    """
    methods = list(dict.fromkeys(run.method for run in runs))
    found = [
        ((methods.index(run.method), place, values[run], run.seed, run.fold or 0), run, name)
        for run in runs
        for place, name in enumerate(run.predictors)
    ]
    return [
        run.row(name, **{key: f"{values[run]:g}"}, **run.metrics["predictors"][name])
        for _, run, name in sorted(found, key=lambda item: item[0])
    ]


def sweep_plots(frame: pd.DataFrame, key: str) -> Plots:
    """Return one figure per score of the methods' first predictors; empty for a cross-validation.

    Args:
        frame: of :func:`sweep_rows`, every method at every value and seed.
        key: the column of values.
    """
    axis = {"value_name": LABELS.get(key, key), "reference": BAYES_RULE.get(key)}
    return score_curves(frame.assign(experiment=""), key, DRAWN, plot_sweep, **axis)


def _value(run: FinishedRun, key: str) -> float:
    value = run.config.value(key)
    if value is None or isinstance(value, Mapping):
        keys = [name for name, _ in settings_of(run.config)]
        near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"--key {key!r} is not a setting in {run.folder.config_path}{hint}")
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise ConfigError(
            f"{key} is {value!r} in {run.folder.path}; a sweep is drawn over a logarithmic axis and needs "
            "numbers above 0"
        )
    if key in FREE:
        raise ConfigError(f"--key {key} tells the runs of one line apart and is not a setting to sweep")
    return float(value)


def _check_complete(runs: Runs, key: str, values: Mapping[FinishedRun, float]) -> None:
    """Refuse a single value, and methods that lack a value or a seed of others."""
    if len(set(values.values())) < 2:
        raise ConfigError(f"all runs have {key} = {values[runs[0]]:g}; a sweep takes two values or more")
    found: dict[str, set[tuple[float, int, int | None]]] = {}
    for run in runs:
        found.setdefault(run.method, set()).add((values[run], run.seed, run.fold))
    wanted = set().union(*found.values())
    for method, own in found.items():
        for value, seed, fold in sorted(wanted - own, key=str):
            where = f"seed {seed}" if fold is None else f"seed {seed}, fold {fold},"
            raise ConfigError(
                f"{method} has no run of {where} at {key} = {value:g}, as others of the sweep have; run it, "
                "or leave that method, seed or value out"
            )
