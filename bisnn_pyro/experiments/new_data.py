"""A finished run on new data: scores of its predictors, and nothing of the run is changed."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.analysis import PrintedTable, check_suffix, printed_table
from bisnn_pyro.data.points import load_points
from bisnn_pyro.errors import DataError
from bisnn_pyro.experiments.evaluate import Scores, score
from bisnn_pyro.experiments.fitted import FittedRun, load_run
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.temperatures import with_scaled
from bisnn_pyro.inference.process import steady_process


def evaluate_data(
    path: str | os.PathLike[str],
    data: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
) -> PrintedTable:
    """Score every predictor of a run on the points of a file, with the run's own preprocessing.

    Predictors at a temperature take that of the run, from its own validation points.  Nothing is fitted to
    the new points, and nothing in the run folder changes.

    Args:
        path: a run folder.
        data: an ``.npz`` file with ``x`` and ``y``, raw as the run's data were: see
            ``bisnn_pyro.data.points.load_points``.
        out: file for the table, .csv, .md or .tex.

    Returns:
        A line a predictor.

    Raises:
        InputError: if the run or the file cannot be read, or the points do not suit the run: another shape,
            a label that was not in training.
    """
    target = None if out is None else check_suffix(out)
    fitted = load_run(path)
    x, y = load_points(data)
    try:
        inputs, targets = prepare_inputs(fitted, x), prepare_targets(fitted, y)
    except DataError as error:
        raise DataError(f"{data} is not for the run {path}: {error}") from error
    folder = RunFolder(Path(path))
    temperatures = folder.read_json("metrics.json").get("temperatures", {}) if folder.finished else {}
    with steady_process(fitted.config.train.threads):
        scores = evaluate_points(fitted, inputs, targets, temperatures)
    table = printed_table([{"predictor": name, **found} for name, found in scores.items()], digits=4)
    units = ["in units of the target rescaled to [0, 1] on the run's training set"]
    notes = [f"{len(y)} points of {data}", *(units if fitted.preprocessing.kind == "regression" else [])]
    table = replace(table, notes=[*table.notes, *notes])
    if target is not None:
        table.write(target)
    return table


def evaluate_points(
    fitted: FittedRun, x: Any, y: np.ndarray, temperatures: dict[str, float] | None = None
) -> dict[str, Scores]:
    """Score every predictor on scaled inputs ``[N, ...]`` and targets ``[N]``, as a ``Task`` holds them.

    Args:
        fitted: the posterior.
        x: scaled inputs.
        y: class indices, or rescaled targets.
        temperatures: of predictors; each gets a second line at its own.
    """
    blocks = fitted.encode(x)
    votes = {p: fitted.predict_scaled(blocks, predictor=p) for p in fitted.predictors}
    bins = fitted.config.analysis.bins
    return {p: score(v, y, bins) for p, v in with_scaled(votes, temperatures or {}).items()}


def prepare_inputs(fitted: FittedRun, x: np.ndarray) -> np.ndarray:
    """Turn raw inputs ``[N, ...]`` into what a ``Task`` of the run would hold.

    Raises:
        DataError: if their shape is not that of the training inputs.
    """
    if not fitted.preprocessing.spiking:
        return fitted.prepare(x.astype(np.float32) if fitted.preprocessing.scaler is None else x)
    if x.ndim > 3:  # [N, T, C, H, W] or [N, T, H, W]
        x = x.reshape(*x.shape[:2], -1)
    if x.min() < 0:
        raise DataError(f"x has values down to {x.min()}; expected spikes or spike counts, 0 or more")
    small = x.dtype.kind == "b" or (x.max() <= 255 and bool((x == np.floor(x)).all()))
    return fitted.prepare(x.astype(np.uint8 if small else np.float32))


def prepare_targets(fitted: FittedRun, y: np.ndarray) -> np.ndarray:
    """Turn labels into class indices, or numbers into rescaled ones, as in training.

    Raises:
        DataError: for a label that was not in training, or what is no number in a regression.
    """
    pre = fitted.preprocessing
    if pre.kind == "classification":
        return y if pre.labels is None else pre.labels.encode(y)
    if y.dtype.kind not in "iuf":
        raise DataError(f"y has type {y.dtype}; expected numbers, as the run is a regression")
    return y.astype(np.float32) if pre.target_scaler is None else pre.target_scaler.transform(y)
