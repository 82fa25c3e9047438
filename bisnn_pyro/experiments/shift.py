"""Finished runs on test points, or with synapses, that are not as they were: scores against severity."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

import numpy as np

from bisnn_pyro.analysis import Plot, plot_shift, predictive_entropy
from bisnn_pyro.errors import ConfigError, DataError
from bisnn_pyro.experiments.comparable import FinishedRun
from bisnn_pyro.experiments.evaluate import Scores, score
from bisnn_pyro.experiments.reopen import reopen
from bisnn_pyro.experiments.shifted import SHIFTS, check_severities, shifted
from bisnn_pyro.experiments.study import (
    Row,
    Study,
    all_votes,
    check_out,
    main_lines,
    row_of,
    study_runs,
    study_table,
    write_study,
)
from bisnn_pyro.inference import Prediction
from bisnn_pyro.inference.process import steady_process

CLASSIFICATION = ("accuracy", "nll", "brier", "ece", "confidence", "entropy")
DRAWN = {"accuracy": "accuracy", "rmse": "RMSE", "nll": "NLL (nats)", "ece": "ECE"}
"""Scores with a figure."""
REGRESSION = ("rmse", "nll", "coverage90", "width90")


def shift_study(
    paths: Iterable[str | os.PathLike[str]],
    kind: str,
    severities: Sequence[float] | None = None,
    *,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
) -> Study:
    """Score all predictors of finished runs at every severity of a shift.

    All runs get the same shifted test points, and those of one shape the same faulty synapses.  Nothing is
    fitted anew: predictors at a temperature keep that of the run.  At severity 0 scores are the run's own.

    * ``noise``: Gaussian noise on features in [0, 1], clipped; the severity is its standard deviation.
    * ``rotation``: images and recordings turned counter-clockwise, by degrees.
    * ``drop``: each input spike missing with this probability.
    * ``jitter``: each input spike moved in time by up to so many steps.
    * ``stuck``: this share of each layer's synapses with the sign turned, see
      :func:`~bisnn_pyro.experiments.shifted.with_stuck_synapses`.

    ``drop`` and ``jitter`` are for inputs that reach the network as spikes, ready or encoded.

    Args:
        paths: run folders, or folders that hold them.
        kind: one of :data:`~bisnn_pyro.experiments.shifted.SHIFTS`.
        severities: the kind's own where None.
        out: folder for ``shift-<kind>.csv``, the table, ``shift-<kind>-runs.csv``, each run by itself, and
            figures (none of a cross-validation) of the methods' first predictors.
        seed: of the shift; the noise of seed ``predict.seed`` is that of ``analysis.noise``.
        data_dir: where the data are now, in place of the configs' ``data.path``.

    Returns:
        Scores with ``confidence``, the mean of the top label's probability, and ``entropy``, the mean
        predictive entropy in nats; of a regression its own scores alone.

    Raises:
        InputError: if the runs cannot be read or compared, or the shift is not for their inputs.
    """
    steps = check_severities(kind, severities)
    folder = check_out(out)
    if seed < 0:
        raise ConfigError(f"--seed is {seed}; expected 0 or more")
    runs = study_runs(paths, classification=False)
    rows = [row for run in runs for row in _rows(run, kind, steps, seed, data_dir)]
    metrics = CLASSIFICATION if runs[0].predictions.noise_scale is None else REGRESSION
    severity = SHIFTS[kind].severity
    note = f"severity of {kind}: {severity}; seed {seed}, {len(runs[0].predictions.y)} test points a run"
    table = study_table(rows, metrics, [note])
    files = (
        [] if folder is None else write_study(table, rows, folder, f"shift-{kind}", _plots(rows, severity))
    )
    return Study(table, rows, tuple(files))


def shift_scores(prediction: Prediction, y: np.ndarray, n_bins: int) -> Scores:
    """Return the scores of a predictor, of a classification with its mean confidence and entropy."""
    scores = score(prediction, y, n_bins)
    if prediction.noise_scale is not None:
        return scores
    confidence = float(prediction.mean.max(-1).mean())
    return {**scores, "confidence": confidence, "entropy": float(predictive_entropy(prediction.draws).mean())}


def _rows(
    run: FinishedRun,
    kind: str,
    severities: Sequence[float],
    seed: int,
    data_dir: str | os.PathLike[str] | None,
) -> list[Row]:
    found: dict[str, list[Row]] = {}
    with steady_process(run.config.train.threads):
        fitted, task = reopen(run.folder.path, data_dir)
        for severity in severities:
            try:
                posterior, inputs = shifted(fitted, task, kind, severity, seed)
            except DataError as error:
                raise ConfigError(f"--kind {kind} is not for {run.folder.path}: {error}") from error
            for name, vote in all_votes(run, posterior, inputs).items():
                scores = shift_scores(vote, task.test.y, run.config.analysis.bins)
                row = row_of(run, name, {"severity": f"{severity:g}"}, scores)
                found.setdefault(name, []).append(row)
    return [row for rows in found.values() for row in rows]


def _plots(rows: Sequence[Row], severity: str) -> dict[str, Plot]:
    """Return a figure a score; folds are no seeds, and have none."""
    if "fold" in rows[0]:
        return {}
    steps = sorted({row["severity"] for row in rows}, key=float)
    plots = {}
    for score_name, label in DRAWN.items():
        if score_name in rows[0]:
            lines = {name: _by_seed(own, steps, score_name) for name, own in main_lines(rows).items()}
            values = [float(step) for step in steps]
            plots[score_name] = plot_shift(values, lines, severity_name=severity, score_name=label)
    return plots


def _by_seed(rows: Sequence[Row], steps: Sequence[str], score_name: str) -> np.ndarray:
    """Return a score by seed and severity, ``[K, V]``."""
    found = {(row["seed"], row["severity"]): row[score_name] for row in rows}
    seeds = dict.fromkeys(row["seed"] for row in rows)
    return np.array([[found[seed, step] for step in steps] for seed in seeds])
