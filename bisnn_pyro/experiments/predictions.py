"""The votes of every predictor on the test points, in ``predictions.npz``.

It holds ``y`` ``[N]`` and an array a predictor: of a classification the logarithms of its mean vote
``[N, C]`` (a float32 keeps a probability of 1e-50 as a logarithm alone), of a regression its members'
means ``[S, N]``, and ``noise_scale``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bisnn_pyro.analysis import classification_points, regression_points
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.files import atomic_path

if TYPE_CHECKING:
    from bisnn_pyro.inference import Prediction

_OTHERS = ("y", "noise_scale")


@dataclass(frozen=True)
class StoredPredictions:
    """What ``predictions.npz`` holds.

    Attributes:
        y: test targets ``[N]``.
        votes: predictor -> log-probabilities ``[N, C]``, or members' means ``[S, N]``, float32.
        noise_scale: standard deviation of a regression's noise, None of a classification.
    """

    y: np.ndarray
    votes: dict[str, np.ndarray]
    noise_scale: float | None

    def point_scores(self, predictor: str) -> dict[str, np.ndarray]:
        """Return a predictor's scores of each test point, ``[N]`` by metric (``mse`` for the RMSE)."""
        vote = self.votes[predictor].astype(np.float64)
        if self.noise_scale is None:
            return classification_points(np.exp(vote), self.y)
        return regression_points(vote, self.noise_scale, self.y)


def write_predictions(folder: RunFolder, y: np.ndarray, predictions: Mapping[str, Prediction]) -> None:
    """Write the votes on the test points."""
    arrays: dict[str, Any] = {"y": y}
    for name, prediction in predictions.items():
        if prediction.noise_scale is None:
            arrays[name] = _log_probabilities(prediction.mean)
        else:
            arrays[name] = prediction.draws.astype(np.float32)
            arrays["noise_scale"] = np.float64(prediction.noise_scale)
    with atomic_path(folder.predictions_path) as temporary:
        np.savez(temporary, **arrays)


def _log_probabilities(vote: np.ndarray) -> np.ndarray:
    """Return a vote's logarithms in float32, in which the same class is on top.

    Members that are sure of different classes leave near ties, which the rounding would decide anew.
    """
    with np.errstate(divide="ignore"):
        logs = np.log(vote).astype(np.float32)
    top = vote.argmax(-1)
    moved = np.flatnonzero(logs.argmax(-1) != top)
    logs[moved, top[moved]] = np.nextafter(logs[moved].max(-1), np.float32(np.inf))
    return logs


def read_predictions(folder: RunFolder) -> StoredPredictions:
    """Read the votes on the test points.

    Raises:
        RunFolderError: if the file is missing or broken.
    """
    path = folder.predictions_path
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        y = arrays["y"]
    except FileNotFoundError as error:
        raise RunFolderError(f"{path} is missing; `bisnn evaluate {folder.path}` writes it") from error
    except Exception as error:  # a broken zip has many
        raise RunFolderError(
            f"cannot read {path}: {error!r}; `bisnn evaluate {folder.path}` writes it anew"
        ) from error
    scale = float(arrays["noise_scale"]) if "noise_scale" in arrays else None
    return StoredPredictions(y, {k: v for k, v in arrays.items() if k not in _OTHERS}, scale)
