"""Paired differences between lines of runs: over folds, over seeds and test points, or over test points."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bisnn_pyro.analysis import (
    MARGIN,
    MISSING,
    Difference,
    PrintedTable,
    over_folds,
    over_seeds,
    over_seeds_and_points,
    paired_bootstrap,
    verdicts,
)
from bisnn_pyro.results.finished import FinishedRun

LEVEL = 0.95
"""Coverage of all intervals."""

ENDS = ("", "_low", "_high")
"""What the names of columns end with: the mean, and the ends of its interval."""
Key = tuple[str, str]
"""A line's name and a predictor."""
Scores = Mapping[str, np.ndarray]

VERDICT = (
    f"verdict: on the NLL of the first of the two; ahead or behind where the {100 * LEVEL:g} % interval "
    f"excludes 0, no different within {MARGIN:g} nats (two one-sided tests), not adjusted for "
    "the number of lines"
)


@dataclass(frozen=True)
class Paired:
    """One predictor of a line of runs.

    Attributes:
        runs: by seed, division into folds and fold.
        predictor: its name.
        points: gives scores of each seed and point ``[K, N]`` by metric (``mse`` for the RMSE).
    """

    runs: Sequence[FinishedRun]
    predictor: str
    points: Callable[[], Scores]

    @property
    def seeds(self) -> list[int]:
        """Training seeds, ascending."""
        return sorted({run.seed for run in self.runs})

    def by(self, what: str, metric: str) -> dict[Any, float]:
        """Return a score by ``"split"``, seeds averaged, or by ``"seed"``."""
        found: dict[Any, list[float]] = {}
        for run in self.runs:
            score = run.metrics["predictors"][self.predictor].get(metric)
            found.setdefault(getattr(run, what), []).append(np.nan if score is None else score)
        return {key: float(np.mean(values)) for key, values in found.items()}


def difference_table(
    lines: Mapping[Key, Paired],
    reference: Key,
    metrics: Sequence[str],
    *,
    n_resamples: int,
    seed: int,
) -> PrintedTable | None:
    """Return the reference's scores minus those of each other line, with intervals.

    Args:
        lines: every line and predictor.
        reference: the one that the others are subtracted from.
        metrics: scores to show; those without an interval are left out.
        n_resamples: bootstrap draws of the test points.
        seed: of the bootstrap.

    Returns:
        One line per other line; None if there is no other.
    """
    others = [line for line in lines if line != reference]
    if not others:
        return None
    if lines[reference].runs[0].fold is not None:
        found, note = _folds(lines, reference, metrics)
    elif _shares_seeds(lines.values()):
        found, note = _seeds(lines, reference, metrics)
    else:
        return _bootstrap(lines, reference, metrics, n_resamples, seed)
    decided = {line: verdicts({line: own["nll"]})[line] for line, own in found.items()}
    numbers: list[dict[str, Any]] = []
    for line, own in found.items():
        row: dict[str, Any] = {"difference": _name(reference, line), "n": own["nll"].n}
        row["n_points"] = _n_points(lines[reference])
        for metric, d in own.items():
            row |= _numbers(metric, d.mean, *d.interval(LEVEL))
        numbers.append(row | {"nll_p": _number(own["nll"].p_value), "verdict": decided[line]})
    shown = list(found[others[0]])
    body = [
        [
            row["difference"],
            *(interval_cell(d.mean, *d.interval(LEVEL)) for d in own.values()),
            row["verdict"],
        ]
        for row, own in zip(numbers, found.values(), strict=True)
    ]
    right = [False, *[True] * len(shown), False]
    return PrintedTable(["difference", *shown, "verdict"], body, right, [note, VERDICT], numbers)


def _folds(
    lines: Mapping[Key, Paired], reference: Key, metrics: Sequence[str]
) -> tuple[dict[Key, dict[str, Difference]], str]:
    """Pair by fold and division, seeds of one averaged: they share both training and test points."""
    first = lines[reference]
    n_folds = first.runs[0].config.n_folds or 2
    found: dict[Key, dict[str, Difference]] = {}
    for line in (key for key in lines if key != reference):
        found[line] = {}
        for metric in metrics:
            ours, theirs = first.by("split", metric), lines[line].by("split", metric)
            pairs = [(ours[split], theirs[split]) for split in ours if split in theirs]
            found[line][metric] = _difference(pairs, lambda d: over_folds(d, 1 / (n_folds - 1)))
    n = max(own["nll"].n for own in found.values())
    note = (
        f"mean difference and {100 * LEVEL:g} % corrected resampled t interval (Nadeau and Bengio 2003: "
        f"variance times 1/J + 1/{n_folds - 1}) over J = {n} test sets, paired by fold and "
        f"data.seed, training seeds averaged; {_n_points(first)} test points per repeat"
    )
    return found, note


def _seeds(
    lines: Mapping[Key, Paired], reference: Key, metrics: Sequence[str]
) -> tuple[dict[Key, dict[str, Difference]], str]:
    """Pair by seed and test point, and what is no mean over points by seed."""
    points = {line: own.points() for line, own in lines.items()}
    found: dict[Key, dict[str, Difference]] = {}
    for line in (key for key in lines if key != reference):
        found[line] = {}
        for metric in metrics:
            if metric in points[reference]:
                pair = np.stack([points[reference][metric], points[line][metric]], axis=1)
                found[line][metric] = _difference(pair, over_seeds_and_points)
            else:
                ours, theirs = lines[reference].by("seed", metric), lines[line].by("seed", metric)
                found[line][metric] = _difference([(ours[s], theirs[s]) for s in ours], over_seeds)
    note = (
        f"mean difference and {100 * LEVEL:g} % Student t interval over the same "
        f"{len(lines[reference].seeds)} training seeds and {_n_points(lines[reference])} test points, "
        "both taken as random; ece: over seeds"
    )
    return found, note


def _difference(pairs: Any, interval: Callable[[np.ndarray], Difference]) -> Difference:
    """Return the difference of pairs ``[K, 2, ...]``; without an error where a score is not finite."""
    array = np.asarray(pairs, dtype=np.float64)
    if len(array) == 0 or not np.isfinite(array).all():
        with np.errstate(invalid="ignore"):
            mean = float(array[:, 0].mean() - array[:, 1].mean()) if len(array) else np.nan
        return Difference(mean, np.nan, np.nan, len(array))
    return interval(array[:, 0] - array[:, 1])


def _shares_seeds(lines: Any) -> bool:
    """Whether all have the same seeds, two at least, of classifications."""
    seeds = [own.seeds for own in lines]
    return (
        len(seeds[0]) > 1
        and all(s == seeds[0] for s in seeds)
        and next(iter(lines)).runs[0].kind != "regression"
    )


def _bootstrap(
    lines: Mapping[Key, Paired], reference: Key, metrics: Sequence[str], n_resamples: int, seed: int
) -> PrintedTable:
    """Return the table with intervals over test points alone: regressions, and seeds that do not pair."""
    points = {line: own.points() for line, own in lines.items()}
    others = [line for line in lines if line != reference]
    body = [[_name(reference, line)] for line in others]
    numbers: list[dict[str, Any]] = [{"difference": cells[0]} for cells in body]
    shown = []
    for metric in metrics:
        stored = "mse" if metric == "rmse" else metric
        if stored not in points[reference]:
            continue  # a calibration error is not a mean over points
        shown.append(metric)
        arrays = {line: scores[stored] for line, scores in points.items()}
        found = paired_bootstrap(
            arrays, reference, root=metric == "rmse", level=LEVEL, n_resamples=n_resamples, seed=seed
        )
        for line, cells, row in zip(others, body, numbers, strict=True):
            interval = found[line]
            row["n_points"] = arrays[line].shape[1]
            row |= _numbers(metric, interval.mean, interval.low, interval.high)
            cells.append(interval_cell(interval.mean, interval.low, interval.high))
    note = (
        f"mean difference and {100 * LEVEL:g} % percentile bootstrap interval over the same "
        f"{numbers[0]['n_points']} test points ({n_resamples} resamples, seed {seed}), seeds averaged; it "
        "says nothing of other trainings"
    )
    right = [False, *[True] * len(shown)]
    return PrintedTable(["difference", *shown], body, right, [note], numbers)


def _name(reference: Key, line: Key) -> str:
    return f"{' '.join(reference)} - {' '.join(line)}"


def _n_points(line: Paired) -> int:
    """Return the number of test points of the first seed and division."""
    first = line.runs[0]
    same = [run for run in line.runs if run.seed == first.seed and run.split[0] == first.split[0]]
    return sum(len(run.store.targets) for run in same)


def _numbers(metric: str, *values: float) -> dict[str, float | None]:
    return {metric + end: _number(value) for end, value in zip(ENDS, values, strict=True)}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def interval_cell(mean: float, low: float, high: float) -> str:
    """Return ``mean [low, high]`` with four places; the mean alone where there is no interval."""
    if np.isnan(mean):
        return MISSING
    # + 0.0 turns a rounded -0.0 into 0.0
    cells = [f"{round(value, 4) + 0.0:.4f}" for value in (mean, low, high)]
    return cells[0] if np.isnan(low) else f"{cells[0]} [{cells[1]}, {cells[2]}]"
