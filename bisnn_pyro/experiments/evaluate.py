"""What the predictors of a fitted posterior say, and how good it is: the content of store and metrics."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.analysis import (
    ConstantPredictor,
    PrintedTable,
    check_suffix,
    classification_metrics,
    learning_warnings,
    printed_table,
    regression_metrics,
    score_rows,
)
from bisnn_pyro.data import Grid, Task, gaussian_noise, load_points
from bisnn_pyro.errors import ConfigError, DataError
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.costs import evenly_spread, spikes_per_inference, weight_bits
from bisnn_pyro.experiments.fitted import FittedRun, load_run
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.predictors import fit_sharpness, fit_temperatures
from bisnn_pyro.inference import (
    EarlyVotes,
    History,
    Prediction,
    chosen_rows,
    entropy_bits,
    kl_warnings,
    steady_process,
)

UNITS = "target rescaled to [0, 1] on the training set"
MAX_TRAINING_POINTS = 2_000
"""Training points on which the members are evaluated, for ``az.loo`` and the like.  They cost as much as
test points, and more of them would say little more: the error of a sum over N points falls as sqrt(N)."""

Scores = dict[str, float]
Votes = dict[str, Prediction]


@dataclass(frozen=True)
class TrainingPoints:
    """Some training points, evenly spread, and what the first predictor says of them.

    Attributes:
        index: their places in the training set ``[N]``.
        x: scaled inputs ``[N, ...]``.
        y: targets ``[N]``.
        votes: of the first predictor, with log-likelihoods.
    """

    index: np.ndarray
    x: Any
    y: np.ndarray
    votes: Prediction


@dataclass(frozen=True)
class Evaluation:
    """All votes of a run and their scores.

    Attributes:
        predictions: on the test points, by predictor, those at their temperatures among them.
        scores: by predictor.
        training: the first predictor on some training points.
        noisy: votes on noisy test points, by the noise's standard deviation and predictor.
        noisy_scores: their scores, likewise.
        temperatures: by predictor; empty where none were asked for.
        early: votes ``[K, N, C]`` before the end, by predictor; empty where none were asked for.
        early_steps: the K numbers of elapsed steps.
        grid: inputs that cover the feature space, if it can be drawn.
        grid_votes: by predictor, on the grid.
    """

    predictions: Votes
    scores: dict[str, Scores]
    training: TrainingPoints
    noisy: dict[str, Votes]
    noisy_scores: dict[str, dict[str, Scores]]
    temperatures: dict[str, float] = field(default_factory=dict)
    early: dict[str, np.ndarray] = field(default_factory=dict)
    early_steps: tuple[int, ...] = ()
    grid: Grid | None = None
    grid_votes: Votes = field(default_factory=dict)


def evaluate(fitted: FittedRun, task: Task) -> Evaluation:
    """Let every predictor vote on the test points, on noisy copies of them, on a grid, on training points.

    Fits a sharpness and temperatures first, where the config asks for them, and leaves them in ``fitted``.
    """
    config, test = fitted.config, task.test
    fitted.temperatures, fitted.sharpness = {}, None
    if config.analysis.get("sharpening") and fitted.guide.sharpens:
        val = fitted.encode(task.val.x)
        fitted.sharpness = fit_sharpness(lambda predictor: fitted.vote(predictor, val), task.val.y)
    if config.analysis.temperature_scaling:
        fitted.temperatures = fit_temperatures(fitted.votes(fitted.encode(task.val.x)), task.val.y)
    early = collectors(fitted, len(test))
    predictions = fitted.votes(fitted.encode(test.x), test.y, early=early)
    noisy = {
        f"{std:g}": _voted(fitted.votes(fitted.encode(gaussian_noise(test.x, std, config.predict.seed))))
        for std in config.analysis.noise
    }
    scores, grid = _scored(predictions, test.y, config), task.grid(config.analysis.resolution)
    if grid is not None and grid.gap is not None and grid.truth is not None:
        for name, vote in fitted.votes(grid.x[grid.gap]).items():  # the mean width where there are no data
            scores[name]["width90_gaps"] = score(vote, grid.truth[grid.gap])["width90"]
    return Evaluation(
        predictions,
        scores,
        on_training_points(fitted, task),
        noisy,
        {std: _scored(votes, test.y, config) for std, votes in noisy.items()},
        dict(fitted.temperatures),
        early_votes(fitted, early),
        next(iter(early.values())).steps if early else (),
        grid,
        {} if grid is None else fitted.votes(grid.x),
    )


def score(prediction: Prediction, y: np.ndarray, n_bins: int = 15) -> Scores:
    """Return the scores of one predictor: of a classification's mean vote, or of a regression."""
    if prediction.noise_scale is None:
        return classification_metrics(prediction.mean, y, n_bins)
    return regression_metrics(prediction.draws, prediction.noise_scale, y)


def _voted(predictions: Votes) -> Votes:
    """Keep the mean votes of a classification alone: they are all that is scored, and take little memory."""
    return {
        name: Prediction(p.mean[None], path=p.path) if p.noise_scale is None else p
        for name, p in predictions.items()
    }


def _scored(votes: Votes, y: np.ndarray, config: Config) -> dict[str, Scores]:
    return {name: score(vote, y, config.analysis.bins) for name, vote in votes.items()}


def on_training_points(fitted: FittedRun, task: Task) -> TrainingPoints:
    """Let the first predictor vote on at most :data:`MAX_TRAINING_POINTS` training points, evenly spread.

    They are the same for every method and seed.
    """
    index = evenly_spread(len(task.train), MAX_TRAINING_POINTS)
    x, y = chosen_rows(task.train.x, index), task.train.y[index]
    return TrainingPoints(index, x, y, fitted.predict_scaled(fitted.encode(x), y))


def metrics_record(
    fitted: FittedRun, task: Task, evaluation: Evaluation, history: History, train_seconds: float, best: int
) -> dict[str, Any]:
    """Return what goes to ``metrics.json``."""
    config, constant = fitted.config, ConstantPredictor.fit(task.train.y, task.n_classes or None)
    ended = history.rows[best - 1] if 0 < best <= len(history) else {}
    record: dict[str, Any] = {
        "experiment": config.experiment,
        "method": config.method,
        "seed": config.seed,
        "n_test": len(task.test),
        "epochs": len(history),
        "best_epoch": best,
        "train_seconds": train_seconds,
        **{name: ended.get(name) for name in ("kl_weight", "kl_time", "saturated", "unmoved")},
        "entropy_bits": entropy_bits(fitted.guide),
        "predictors": evaluation.scores,
        **constant.record(task.test.y, config.analysis.bins),
        "networks": {name: fitted.n_members(name) for name in fitted.predictors},
        "weight_bits": weight_bits(fitted),
        "spikes_per_inference": spikes_per_inference(fitted, task.test.x),
    }
    optional: dict[str, Any] = {
        "temperatures": evaluation.temperatures,
        "sharpness": fitted.sharpness,
        "units": UNITS if task.kind == "regression" else None,
        "noise": evaluation.noisy_scores,
        "out_of_range": {part: found.share for part, found in task.out_of_range.items() if found.share},
        "notes": list(task.notes),
        "warnings": [
            *kl_warnings(ended.get("kl_time")),
            *_not_learned(fitted, task, evaluation, history, best, constant),
        ],
        "val_nll": min((row["val_nll"] for row in history if "val_nll" in row), default=None),
    }
    return record | {name: value for name, value in optional.items() if value not in (None, {}, [])}


def _not_learned(
    fitted: FittedRun,
    task: Task,
    evaluation: Evaluation,
    history: History,
    best: int,
    constant: ConstantPredictor,
) -> list[str]:
    """Return the warning of a run that learned nothing: on validation points, else on training points."""
    config, training, n_val = fitted.config, evaluation.training, len(task.val)

    def scores() -> dict[str, dict[str, float]]:
        if n_val:
            return _scored(fitted.votes(fitted.encode(task.val.x)), task.val.y, config)
        return {"": score(training.votes, training.y)}

    y = task.val.y if n_val else training.y
    return learning_warnings(
        history.rows,
        best,
        constant,
        y_train=task.train.y,
        y=y,
        scores=scores,
        where=f"the {len(y)} {'validation' if n_val else 'training'} points",
        n_updates=len(history) * -(-len(task.train) // config.train.batch_size),
        x=np.asarray(training.x[:64]),
    )


# -- early decisions ------------------------------------------------------------------------------


def early_steps(config: Config, n_steps: int) -> tuple[int, ...]:
    """Return the numbers of elapsed steps that ``analysis.early_decisions`` asks for, of a sequence of T.

    A single number K stands for K even parts of the counted steps, rounded up; the last is T.
    """
    wanted, burn_in = config.analysis.early_decisions, config.network.get("burn_in", 0)
    if isinstance(wanted, tuple):
        return tuple(wanted)
    counted = n_steps - burn_in
    return tuple(dict.fromkeys(burn_in - (-k * counted // wanted) for k in range(1, wanted + 1)))


def step_ms(config: Config) -> float | None:
    """Return the length of a step in milliseconds: ``data.time_step`` of event recordings, else None."""
    return config.data.get("time_step")


def check_early_decisions(config: Config, task: Any, n_steps: int) -> None:
    """Refuse early decisions where there is no class to decide for, or no time.

    Raises:
        ConfigError: if they are asked for in a regression or of a single step, or at steps that do not ascend
            between the burn-in and the end.
    """
    wanted, burn_in = config.analysis.early_decisions, config.network.get("burn_in", 0)
    if not wanted:
        return
    if task.kind != "classification":
        raise ConfigError(f"analysis.early_decisions is for classification, and the data are a {task.kind}")
    if n_steps - burn_in < 2:
        raise ConfigError(
            f"analysis.early_decisions needs several steps that count, and here {n_steps - burn_in} of "
            f"{n_steps} do; set it to 0"
        )
    if isinstance(wanted, int) and wanted > n_steps - burn_in:
        raise ConfigError(f"analysis.early_decisions = {wanted}, and only {n_steps - burn_in} steps count")
    steps = early_steps(config, n_steps)
    within = burn_in < steps[0] and steps[-1] <= n_steps
    if not within or any(a >= b for a, b in pairwise(steps)):
        raise ConfigError(
            f"analysis.early_decisions = {list(steps)}: expected ascending steps from {burn_in + 1} to "
            f"{n_steps}"
        )


def collectors(fitted: FittedRun, n_examples: int) -> dict[str, EarlyVotes]:
    """Return what collects the early votes of each predictor with networks; empty unless asked for."""
    if not fitted.config.analysis.early_decisions:
        return {}
    steps = early_steps(fitted.config, fitted.encoder.n_steps)
    return {
        name: EarlyVotes(fitted.model, steps, fitted.n_members(name), n_examples, members=False)
        for name, predictor in fitted.predictors.items()
        if predictor.base is predictor and predictor.networks(fitted.guide, 0) is not None
    }


def early_votes(fitted: FittedRun, collected: Mapping[str, EarlyVotes]) -> dict[str, np.ndarray]:
    """Return votes ``[K, N, C]`` by predictor, those at a temperature among them.

    The temperature is that of the whole sequence: one per step would be fitted on too little.
    """
    return {
        name: np.stack([predictor.derived(Prediction(vote[None])).mean for vote in early.mean])
        for name, predictor in fitted.predictors.items()
        if (early := collected.get(predictor.base.name)) is not None
    }


# -- new data -------------------------------------------------------------------------------------


def evaluate_data(
    path: str | os.PathLike[str],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    on_out_of_range: str | None = None,
    trust: bool = False,
) -> PrintedTable:
    """Score every predictor of a run on the points of a file, with the run's own preprocessing.

    Predictors at a temperature take that of the run, from its own validation points.  Nothing is fitted to
    the new points, and nothing in the run folder changes.

    Args:
        path: a run folder.
        data: an ``.npz`` file with ``x`` and ``y``, raw as the run's data were: see
            ``bisnn_pyro.data.load_points``.
        out: file for the table, .csv, .md or .tex.
        on_out_of_range: as for :meth:`FittedRun.predict`.
        trust: as for :func:`~bisnn_pyro.experiments.fitted.load_run`.

    Returns:
        One line per predictor.

    Raises:
        InputError: if the run or the file cannot be read, or the points do not suit the run: another shape,
            a label that was not in training.
    """
    target = None if out is None else check_suffix(out)
    fitted = load_run(path, trust=trust)
    x, y = load_points(data)
    try:
        (inputs, outside), targets = fitted.prepare(x, on_out_of_range), prepare_targets(fitted, y)
    except DataError as error:
        raise DataError(f"{data} does not suit the run {path}: {error}") from error
    with steady_process(fitted.config.train.get("threads")):
        scores = _scored(fitted.votes(fitted.encode(inputs)), targets, fitted.config)
    stored = RunFolder(Path(path)).read_json("metrics.json") if RunFolder(Path(path)).finished else {}
    constant = ConstantPredictor.rescored(stored, targets, fitted.config.analysis.bins)
    table = printed_table(score_rows({"predictors": scores, **constant}), digits=4)
    notes = [
        f"{len(y)} points of {data}",
        *([f"{outside}"] if outside.share else []),
        *([UNITS] if fitted.preprocessing.kind == "regression" else []),
    ]
    table = replace(table, notes=[*table.notes, *notes])
    if target is not None:
        table.write(target)
    return table


def prepare_targets(fitted: FittedRun, y: np.ndarray) -> np.ndarray:
    """Turn labels into class indices, or numbers into rescaled ones, as in training.

    Raises:
        DataError: for a label that was not in training, or a non-numeric target of a regression.
    """
    pre = fitted.preprocessing
    if pre.kind == "classification":
        return y if pre.labels is None else pre.labels.encode(y)
    if y.dtype.kind not in "iuf":
        raise DataError(f"y has type {y.dtype}; expected numbers, because the run is a regression")
    return y.astype(np.float32) if pre.target_scaler is None else pre.target_scaler.transform(y)
