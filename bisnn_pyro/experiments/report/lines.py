"""The runs of a report by line: an experiment and method, its seeds, and the folds of each seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bisnn_pyro.analysis import group, load_idata
from bisnn_pyro.experiments.comparable import FinishedRun
from bisnn_pyro.experiments.temperatures import SCALED

Pair = tuple[np.ndarray, np.ndarray]
"""Predictions of test points, and their targets."""


@dataclass(frozen=True)
class Line:
    """The runs of one experiment and method.

    Attributes:
        name: for legends and messages: the method, after its experiment where there are several.
        runs: by seed and fold.
    """

    name: str
    runs: tuple[FinishedRun, ...]

    @property
    def first(self) -> FinishedRun:
        """The run that stands for settings."""
        return self.runs[0]

    @property
    def seeds(self) -> list[int]:
        """Training seeds, ascending."""
        return sorted({run.config.seed for run in self.runs})

    @property
    def predictors(self) -> list[str]:
        """All predictors; the first is the method's own."""
        return list(self.first.metrics["predictors"])

    @property
    def main(self) -> list[str]:
        """The first predictor, and the same at its temperature."""
        first = self.predictors[0]
        return [name for name in self.predictors if name.removesuffix(SCALED) == first]

    def of_seed(self, seed: int) -> list[FinishedRun]:
        """Return the run of a seed, or its folds."""
        return [run for run in self.runs if run.config.seed == seed]

    def votes(self, predictor: str, seed: int) -> Pair:
        """Return class probabilities ``[N, C]`` and labels ``[N]`` of a seed, folds one after the other."""
        stored = [run.predictions for run in self.of_seed(seed)]
        votes = [np.exp(one.votes[predictor].astype(np.float64)) for one in stored]
        return np.concatenate(votes), np.concatenate([one.y for one in stored])

    def members(self, seed: int) -> Pair:
        """Return the first predictor's draws ``[S, N, C]`` and labels ``[N]`` of a seed.

        Folds stand one after the other: a member of theirs is one network of each fold.
        """
        parts = [
            group(load_idata(run.folder.idata_path), "posterior_predictive") for run in self.of_seed(seed)
        ]
        draws = [part["y_prob"].transpose("chain", "draw", "point", "class").values[0] for part in parts]
        return np.concatenate(draws, axis=1), np.concatenate([r.predictions.y for r in self.of_seed(seed)])

    @cached_property
    def has_committee(self) -> bool:
        """Whether the first predictor has several members."""
        stored = group(load_idata(self.first.folder.idata_path), "posterior_predictive")
        return stored.sizes["draw"] > 1

    def run_name(self, run: FinishedRun) -> str:
        """Return how messages name one of its runs."""
        fold = "" if run.config.fold is None else f" fold {run.config.fold}"
        return f"{self.name}{fold} seed {run.config.seed}"

    def label(self, predictor: str) -> str:
        """Return the name of one of its predictors for a legend; a mode is the method itself."""
        short = predictor.removeprefix("mode").lstrip("-")
        return f"{self.name} {short}".rstrip()


@dataclass(frozen=True)
class Material:
    """What the sections read.

    Attributes:
        runs: all of them, as given.
        lines: the same by experiment and method.
        data_dir: where the data are now, in place of the configs' ``data.path``.
    """

    runs: Sequence[FinishedRun]
    lines: Sequence[Line]
    data_dir: Any = None

    @property
    def regression(self) -> bool:
        """Whether the runs are regressions."""
        return self.runs[0].predictions.noise_scale is not None

    @property
    def folds(self) -> int:
        """Number of folds; 0 where the data have a fixed test set."""
        return 0 if self.runs[0].config.fold is None else len({run.config.fold for run in self.runs})

    @property
    def bins(self) -> int:
        """Bins of the calibration error, the same for all runs."""
        return self.runs[0].config.analysis.bins

    @property
    def n_points(self) -> int:
        """Test points, over all folds."""
        return sum(len(run.predictions.y) for run in self.lines[0].of_seed(self.lines[0].seeds[0]))

    def named_runs(self) -> dict[str, FinishedRun]:
        """Return all runs by the name that messages give them."""
        return {line.run_name(run): run for line in self.lines for run in line.runs}

    def each_seed(self) -> Iterator[tuple[Line, int]]:
        """Yield every line with each of its seeds."""
        for line in self.lines:
            for seed in line.seeds:
                yield line, seed


def gather(runs: Sequence[FinishedRun], data_dir: Any = None) -> Material:
    """Sort comparable runs into lines, in the order of their first appearance."""
    groups: dict[tuple[str, str], list[FinishedRun]] = {}
    for run in runs:
        groups.setdefault(run.line, []).append(run)
    several = len({experiment for experiment, _ in groups}) > 1
    lines = [
        Line(" ".join(key) if several else key[1], tuple(sorted(own, key=_place)))
        for key, own in groups.items()
    ]
    return Material(runs, lines, data_dir)


def numbers(values: Iterable[int]) -> str:
    """Return whole numbers as text, stretches with a dash: 0-4, 7."""
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)


def _place(run: FinishedRun) -> tuple[int, int]:
    return run.config.seed, run.config.fold or 0
