"""Finished runs side by side: scores over seeds, and paired differences on the same test points."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.analysis import (
    MISSING,
    MeanInterval,
    PrintedTable,
    average_seeds,
    check_suffix,
    paired_bootstrap,
    printed_table,
)
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.comparable import FinishedRun, check_comparable, finished_runs
from bisnn_pyro.experiments.temperature_limits import limit_notes

CLASSIFICATION = ("accuracy", "nll", "brier", "ece")
REGRESSION = ("rmse", "nll", "coverage90")
COSTS = ("weight_bits", "spikes", "train_seconds")
DIGITS = {
    **dict.fromkeys((*CLASSIFICATION, *REGRESSION), 4),
    "weight_bits": 0,
    "spikes": 1,
    "train_seconds": 1,
}
LEVEL = 0.95

Line = tuple[str, str, str]
"""Experiment, method and predictor."""


@dataclass(frozen=True)
class Comparison:
    """Tables across runs.

    Attributes:
        scores: one line for each experiment, method and predictor: means and intervals over seeds.
        differences: the reference less each other line; None where there is but one.
        files: what was written.
    """

    scores: PrintedTable
    differences: PrintedTable | None
    files: tuple[Path, ...]

    def __repr__(self) -> str:
        """Both tables, the differences below the scores."""
        tables = [self.scores] if self.differences is None else [self.scores, self.differences]
        return "\n\n".join(table.plain() for table in tables)


def compare(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
    *,
    reference: str | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Put finished runs on the same test points into one table.

    Args:
        paths: run folders, or folders that hold them (``runs/<experiment>``).
        out: file for the table, .csv, .md or .tex; the differences go beside it, into
            ``<name>-differences``.
        reference: the method that the others are taken from, with its first predictor; by default that of
            the first run.
        n_resamples: bootstrap draws of the test points.
        seed: of the bootstrap.

    Raises:
        InputError: if the runs cannot be compared, there is no such method, or the suffix is unknown.
    """
    target = None if out is None else check_suffix(out)
    runs = finished_runs(paths)
    check_comparable(runs)
    metrics = CLASSIFICATION if runs[0].predictions.noise_scale is None else REGRESSION
    scores = printed_table(_rows(runs, metrics), (*metrics, *COSTS), level=LEVEL, digits=DIGITS)
    scores = replace(scores, notes=[*scores.notes, *_temperature_notes(runs)])
    differences = _differences(runs, _reference(runs, reference), metrics, n_resamples, seed)
    files = []
    if target is not None:
        files.append(scores.write(target))
        if differences is not None:
            files.append(differences.write(target.with_stem(f"{target.stem}-differences")))
    return Comparison(scores, differences, tuple(files))


def _rows(runs: Sequence[FinishedRun], metrics: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row a run and predictor; in a cross-validation a row a line and fold, seeds averaged."""
    rows = []
    for run in runs:
        record = run.metrics
        experiment, method = run.line
        for name, scores in record["predictors"].items():
            row = {
                "experiment": experiment,
                "method": method,
                "predictor": name,
                "seed": run.config.seed,
                **{metric: scores[metric] for metric in metrics},
                "weight_bits": record.get("weight_bits", {}).get(name),
                "spikes": record.get("spikes_per_inference", {}).get(name),
                "train_seconds": record["train_seconds"],
            }
            rows.append(row | _fold(run))
    return rows if runs[0].config.fold is None else average_seeds(rows)


def _temperature_notes(runs: Sequence[FinishedRun]) -> list[str]:
    several = len({run.config.experiment for run in runs}) > 1
    names = (" ".join(run.line if several else run.line[1:]) for run in runs)
    return limit_notes(zip(names, (run.metrics.get("temperatures", {}) for run in runs), strict=True))


def _fold(run: FinishedRun) -> dict[str, int]:
    if run.config.fold is None:
        return {}
    from bisnn_pyro.experiments.folds import n_folds_of  # brings torch

    return {"fold": run.config.fold, "n_folds": n_folds_of(run.config)}


def _reference(runs: Sequence[FinishedRun], method: str | None) -> Line:
    for run in runs:
        if method in (None, run.config.method):
            return (*run.line, next(iter(run.metrics["predictors"])))
    methods = ", ".join(dict.fromkeys(run.config.method for run in runs))
    raise ConfigError(f"--reference {method!r} is no method of these runs; they have {methods}")


def _differences(
    runs: Sequence[FinishedRun], reference: Line, metrics: Sequence[str], n_resamples: int, seed: int
) -> PrintedTable | None:
    points = _point_scores(runs)
    others = [line for line in points if line != reference]
    if not others:
        return None
    paired = {}
    for metric in metrics:
        own = "mse" if metric == "rmse" else metric
        if own not in points[reference]:
            continue  # a calibration error is no mean over points
        arrays = {line: scores[own] for line, scores in points.items()}
        root = metric == "rmse"
        paired[metric] = paired_bootstrap(
            arrays, reference, root=root, level=LEVEL, n_resamples=n_resamples, seed=seed
        )
    several = len({experiment for experiment, *_ in points}) > 1
    names = {line: " ".join(line if several else line[1:]) for line in points}
    lines = {
        f"{names[reference]} - {names[line]}": {metric: found[line] for metric, found in paired.items()}
        for line in others
    }
    n_points = next(iter(points[reference].values())).shape[1]
    note = (
        f"mean difference and {100 * LEVEL:g} % percentile bootstrap interval over the same {n_points} test "
        f"points ({n_resamples} resamples, seed {seed}), seeds averaged"
    )
    return _printed(lines, n_points, note)


def _point_scores(runs: Sequence[FinishedRun]) -> dict[Line, dict[str, np.ndarray]]:
    """Return each line's scores of each seed and point, ``[K, N]`` by metric, folds one after the other."""
    found: dict[Line, dict[int, dict[int, dict[str, np.ndarray]]]] = {}
    for run in runs:
        for predictor in run.metrics["predictors"]:
            seeds = found.setdefault((*run.line, predictor), {})
            scores = run.predictions.point_scores(predictor)
            seeds.setdefault(run.config.seed, {})[run.config.fold or 0] = scores
    return {line: _stacked(list(seeds.values())) for line, seeds in found.items()}


def _stacked(seeds: Sequence[Mapping[int, Mapping[str, np.ndarray]]]) -> dict[str, np.ndarray]:
    metrics = next(iter(seeds[0].values()))
    return {
        metric: np.stack([np.concatenate([folds[k][metric] for k in sorted(folds)]) for folds in seeds])
        for metric in metrics
    }


def _printed(lines: Mapping[str, Mapping[str, MeanInterval]], n_points: int, note: str) -> PrintedTable:
    metrics = list(next(iter(lines.values())))
    body = [[name, *(_cell(interval) for interval in scores.values())] for name, scores in lines.items()]
    numbers = [{"difference": name, "n_points": n_points, **_flat(s)} for name, s in lines.items()]
    return PrintedTable(["difference", *metrics], body, [False, *[True] * len(metrics)], [note], numbers)


def _cell(interval: MeanInterval) -> str:
    if np.isnan(interval.mean):
        return MISSING
    # + 0.0 turns a rounded -0.0 into 0.0
    mean, low, high = (f"{round(v, 4) + 0.0:.4f}" for v in (interval.mean, interval.low, interval.high))
    return mean if np.isnan(interval.low) else f"{mean} [{low}, {high}]"


def _flat(scores: Mapping[str, MeanInterval]) -> dict[str, float | None]:
    flat: dict[str, float | None] = {}
    for metric, interval in scores.items():
        for name, value in (("", interval.mean), ("_low", interval.low), ("_high", interval.high)):
            flat[metric + name] = None if np.isnan(value) else value
    return flat
