"""Temperature scaling within a run: fitted on validation points, applied to every prediction after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bisnn_pyro.analysis import fit_temperature, scale_temperature
from bisnn_pyro.data import Task
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.inference import Prediction

SCALED = "-scaled"
"""What the name of a predictor gains with its temperature."""


def check_temperature_scaling(config: Config, task: Any) -> None:
    """Refuse temperature scaling where there are no class probabilities, or no points to fit it on.

    Raises:
        ConfigError: if it is asked for in a regression, or without validation examples.
    """
    if config.analysis.temperature_scaling and task.kind != "classification":
        raise ConfigError(
            f"analysis.temperature_scaling is for classifications and the data are a {task.kind}; "
            "set it to false"
        )
    if config.analysis.temperature_scaling and not len(task.val):
        raise ConfigError(
            "analysis.temperature_scaling needs validation examples and the data keep none: set data.n_val"
        )


def fit_temperatures(fitted: FittedRun, task: Task) -> dict[str, float]:
    """Return each predictor's temperature on the validation points, none unless the config asks for them.

    The validation points also stop the training and pick the best epoch, where the config says so; see
    :func:`bisnn_pyro.analysis.fit_temperature` for what that does.
    """
    if not fitted.config.analysis.temperature_scaling:
        return {}
    inputs = fitted.encode(task.val.x)
    votes = {p: fitted.predict_scaled(inputs, predictor=p).mean for p in fitted.predictors}
    return {p: fit_temperature(vote, task.val.y) for p, vote in votes.items()}


def with_scaled(
    predictions: Mapping[str, Prediction], temperatures: Mapping[str, float]
) -> dict[str, Prediction]:
    """Return the predictions and, after each that has a temperature, its mean vote at it as one member."""
    result: dict[str, Prediction] = {}
    for name, prediction in predictions.items():
        result[name] = prediction
        if name in temperatures:
            vote = scale_temperature(prediction.mean, temperatures[name])
            result[name + SCALED] = Prediction(vote[None], path=prediction.path)
    return result
