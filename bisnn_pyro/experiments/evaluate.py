"""From a fitted posterior to what a paper needs: metrics and InferenceData."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bisnn_pyro.analysis import classification_metrics, regression_metrics, run_inference_data, save_idata
from bisnn_pyro.data import Task, curve_grid, gaussian_noise
from bisnn_pyro.experiments.costs import spikes_per_inference, weight_bits
from bisnn_pyro.experiments.early import collectors, early_votes
from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.temperatures import SCALED, fit_temperatures, with_scaled
from bisnn_pyro.inference import History, Prediction

MAX_STORED_SYNAPSES = 100_000
"""Posterior summaries of larger networks stay in posterior.safetensors alone."""

Scores = dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """Predictions on the test set and their scores.

    Attributes:
        predictions: by predictor, those at their temperatures among them.
        scores: by predictor.
        shifted: scores on noisy inputs, by the noise's standard deviation and predictor.
        temperatures: by predictor; empty where none were asked for.
        early: votes ``[K, N, C]`` before the end, by predictor; empty where none were asked for.
    """

    predictions: dict[str, Prediction]
    scores: dict[str, Scores]
    shifted: dict[str, dict[str, Scores]]
    temperatures: dict[str, float] = field(default_factory=dict)
    early: dict[str, np.ndarray] = field(default_factory=dict)


def evaluate(fitted: FittedRun, task: Task) -> Evaluation:
    """Let every predictor vote on the test points, and on noisy copies of them."""
    test = task.test
    temperatures = fit_temperatures(fitted, task)
    inputs, early = fitted.encode(test.x), collectors(fitted, len(test))
    predictions = with_scaled(
        {
            p: fitted.predict_scaled(inputs, test.y, predictor=p, early=early.get(p))
            for p in fitted.predictors
        },
        temperatures,
    )
    scores = {p: score(v, test.y, fitted.config.analysis.bins) for p, v in predictions.items()}
    shifted = {}
    for std in fitted.config.analysis.noise:
        noisy = fitted.encode(gaussian_noise(test.x, std, fitted.config.predict.seed))
        votes = with_scaled(
            {p: fitted.predict_scaled(noisy, predictor=p) for p in fitted.predictors}, temperatures
        )
        shifted[f"{std:g}"] = {p: score(v, test.y, fitted.config.analysis.bins) for p, v in votes.items()}
    if fitted.config.data.name == "curve":
        for predictor in fitted.predictors:
            scores[predictor]["width90_gaps"] = width_in_gaps(fitted, task, predictor)
    return Evaluation(predictions, scores, shifted, temperatures, early_votes(early, temperatures))


def width_in_gaps(fitted: FittedRun, task: Task, predictor: str) -> float:
    """Return the mean width of the 90 % predictive interval where the curve has no training data."""
    grid = curve_grid(task, n_points=200)
    gaps = fitted.predict_scaled(grid.x[grid.gap], predictor=predictor)
    return score(gaps, grid.truth[grid.gap])["width90"]


def score(prediction: Prediction, y: np.ndarray, n_bins: int = 15) -> Scores:
    """Return the scores of one predictor: of a classification's mean vote, or of a regression."""
    if prediction.noise_scale is None:
        return classification_metrics(prediction.mean, y, n_bins)
    return regression_metrics(prediction.draws, prediction.noise_scale, y)


def metrics_record(
    fitted: FittedRun, task: Task, evaluation: Evaluation, history: History, train_seconds: float, best: int
) -> dict[str, Any]:
    """Return what goes to ``metrics.json``."""
    config = fitted.config
    record: dict[str, Any] = {
        "experiment": config.experiment,
        "method": config.method,
        "seed": config.seed,
        "n_test": len(task.test),
        "epochs": len(history),
        "best_epoch": best,
        "train_seconds": train_seconds,
        "kl_weight": history.rows[best - 1].get("kl_weight") if 0 < best <= len(history) else None,
        "predictors": evaluation.scores,
        "weight_bits": _by_predictor(weight_bits(fitted), evaluation),
        "spikes_per_inference": _by_predictor(spikes_per_inference(fitted, task.test.x), evaluation),
    }
    if evaluation.temperatures:
        record["temperatures"] = evaluation.temperatures
    if task.kind == "regression":
        record["units"] = "target rescaled to [0, 1] on the training set"
    if evaluation.shifted:
        record["noise"] = evaluation.shifted
    if task.notes:
        record["notes"] = list(task.notes)
    validated = [row for row in history if "val_nll" in row]
    if validated:
        record["val_nll"] = min(row["val_nll"] for row in validated)
    return record


def _by_predictor(costs: Mapping[str, float | None], evaluation: Evaluation) -> dict[str, float | None]:
    """Give a predictor at its temperature the costs of the predictor itself."""
    return {name: costs[name.removesuffix(SCALED)] for name in evaluation.predictions}


def write_inference_data(
    folder: RunFolder, fitted: FittedRun, task: Task, evaluation: Evaluation, history: History
) -> None:
    """Write ``inference_data.nc``: posterior summaries, predictions, log-likelihoods, training."""
    first = evaluation.predictions[fitted.predictors[0]]
    regression = first.noise_scale is not None
    config = fitted.config
    assert first.log_likelihood is not None
    idata = run_inference_data(
        seed=config.seed,
        observed=task.test.y,
        log_likelihood=first.log_likelihood,
        probabilities=None if regression else first.draws,
        mean_draws=first.draws if regression else None,
        summaries=_summaries(fitted),
        history={name: history.column(name) for name in history.columns},
        class_names=None if regression else list(task.classes),
        attrs={
            "experiment": config.experiment,
            "method": config.method,
            "kl_weight": config.train.kl_weight,
            "points": "test points, on which nothing was conditioned: az.loo and az.waic do not apply",
            "log_likelihood": "of the observed site; its mean over steps for per-step likelihoods. "
            "The tables' NLL is of the probabilities in posterior_predictive",
            **_units(task, first),
        },
    )
    save_idata(idata, folder.idata_path)


def _units(task: Task, prediction: Prediction) -> dict[str, Any]:
    """Return what a reader of a regression needs to go back to the original units."""
    if prediction.noise_scale is None:
        return {}
    scaler = task.target_scaler
    span = {} if scaler is None else {"target_low": float(scaler.low), "target_high": float(scaler.high)}
    return {"noise_scale": prediction.noise_scale, "units": "target rescaled to [0, 1] on train", **span}


def _summaries(fitted: FittedRun) -> dict[str, np.ndarray]:
    mean = fitted.guide.mean()
    if sum(w.numel() for w in mean.values()) > MAX_STORED_SYNAPSES:
        return {}
    result = {f"{name}_mean": w.numpy() for name, w in mean.items()}
    if not fitted.guide.point:
        result |= {f"{n}_natural_parameter": v.numpy() for n, v in fitted.guide.natural_parameters().items()}
    return result
