"""Early decisions within a run: which steps, the votes at them, and the files they go to."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from bisnn_pyro.analysis import (
    early_scores,
    early_stopping,
    plot_early_decisions,
    plot_early_stopping,
    save_columns,
    save_figure,
    scale_temperature,
)
from bisnn_pyro.data import Task, task_settings
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.temperatures import SCALED
from bisnn_pyro.inference import EarlyVotes

SCORES, STOPPING = "early_decisions", "early_stopping"
"""Names of the files, without suffix."""


def early_steps(config: Config, n_steps: int) -> tuple[int, ...]:
    """Return the numbers of elapsed steps that ``analysis.early_decisions`` asks for, of a sequence of T.

    Of a number K they are K even parts of the counted steps, rounded up; the last is T.
    """
    wanted, burn_in = config.analysis.early_decisions, config.network.burn_in
    if isinstance(wanted, list):
        return tuple(wanted)
    counted = n_steps - burn_in
    return tuple(dict.fromkeys(burn_in - (-k * counted // wanted) for k in range(1, wanted + 1)))


def step_ms(config: Config) -> float | None:
    """Return the length of a step in milliseconds: ``data.time_step`` of event recordings, None of others."""
    return {**task_settings(config.data.name), **config.data.settings}.get("time_step")


def check_early_decisions(config: Config, task: Any, n_steps: int) -> None:
    """Refuse early decisions where there is no class to decide for, or no time.

    Raises:
        ConfigError: if they are asked for in a regression or of a single step, or at steps that do not ascend
            between the burn-in and the end.
    """
    wanted, burn_in = config.analysis.early_decisions, config.network.burn_in
    if not wanted:
        return
    if task.kind != "classification":
        raise ConfigError(f"analysis.early_decisions is for classifications and the data are a {task.kind}")
    if n_steps - burn_in < 2:
        raise ConfigError(
            f"analysis.early_decisions needs several steps that count, and here {n_steps - burn_in} of "
            f"{n_steps} do; set it to 0"
        )
    steps = early_steps(config, n_steps)
    within = burn_in < steps[0] and steps[-1] <= n_steps
    if not within or any(a >= b for a, b in pairwise(steps)):
        raise ConfigError(
            f"analysis.early_decisions = {list(steps)}: expected steps that ascend, from {burn_in + 1} to "
            f"{n_steps} at most"
        )


def collectors(fitted: FittedRun, n_examples: int) -> dict[str, EarlyVotes]:
    """Return what collects each predictor's early votes; nothing unless the config asks for them."""
    if not fitted.config.analysis.early_decisions:
        return {}
    steps = early_steps(fitted.config, fitted.encoder.n_steps)
    return {
        p: EarlyVotes(fitted.model, steps, fitted.n_members(p), n_examples, members=False)
        for p in fitted.predictors
    }


def early_votes(
    collected: Mapping[str, EarlyVotes], temperatures: Mapping[str, float]
) -> dict[str, np.ndarray]:
    """Return votes ``[K, N, C]`` by predictor, those at a temperature among them.

    The temperature is the one of the whole sequence: nobody would fit one for each step.
    """
    result = {}
    for name, early in collected.items():
        result[name] = early.mean
        if name in temperatures:
            result[name + SCALED] = np.stack([scale_temperature(v, temperatures[name]) for v in early.mean])
    return result


def write_early_decisions(
    folder: RunFolder, fitted: FittedRun, task: Task, votes: Mapping[str, np.ndarray]
) -> None:
    """Write scores over elapsed time and the stopping curve, as CSV and, if there are figures, as figures."""
    if not votes:
        return
    n_steps = fitted.encoder.n_steps
    settings: dict[str, Any] = {
        "labels": task.test.y,
        "steps": early_steps(fitted.config, n_steps),
        "n_steps": n_steps,
        "step_ms": step_ms(fitted.config),
    }
    bins = fitted.config.analysis.bins
    scores = {name: early_scores(vote, n_bins=bins, **settings) for name, vote in votes.items()}
    curves = {name: early_stopping(vote, **settings) for name, vote in votes.items()}
    for name, plot in ((SCORES, plot_early_decisions(scores)), (STOPPING, plot_early_stopping(curves))):
        if fitted.config.analysis.figures:
            save_figure(plot.figure, folder.figures, name, plot.table)
        else:
            save_columns(folder.figures / f"{name}.csv", plot.table)
