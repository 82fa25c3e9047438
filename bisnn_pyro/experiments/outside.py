"""Whether finished runs tell their test points from inputs of another kind: detection of what is outside."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bisnn_pyro.analysis import (
    MeanInterval,
    Plot,
    PrintedTable,
    detection_scores,
    mutual_information,
    plot_roc,
    predictive_entropy,
    vote_variance,
)
from bisnn_pyro.errors import ConfigError, DataError
from bisnn_pyro.experiments.comparable import FinishedRun
from bisnn_pyro.experiments.outside_inputs import Outside, outside
from bisnn_pyro.experiments.reopen import moved, reopen
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

METRICS = ("auroc", "aupr_out", "aupr_in", "fpr95")
DRAWN = ("entropy", "information")
"""Scores with a curve."""
Pair = tuple[np.ndarray, np.ndarray]
"""A score inside ``[N]`` and outside ``[M]``."""


def outside_study(
    paths: Iterable[str | os.PathLike[str]],
    against: str,
    *,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    n_resamples: int = 1000,
    data_dir: str | os.PathLike[str] | None = None,
) -> Study:
    """Score how well each predictor's uncertainty tells the test points from inputs from outside.

    The scores, all higher for what looks further outside: ``probability`` (of the top label, negative) and
    ``entropy`` of the vote; of a committee also ``information`` (mutual information of prediction and
    weights) and ``variance`` (of the members' votes for the top label).

    *Says* how well these two sets are told apart, which is easy for noise and hard for what is near; and
    nothing of other inputs.  Points from outside are as many as there are: AUPR depends on it.

    Args:
        paths: run folders, or folders that hold them.
        against: what the outside is, see
            :func:`~bisnn_pyro.experiments.outside_inputs.outside`.
        out: folder for ``outside-<name>.csv``, the table, ``outside-<name>-runs.csv``, with the bootstrap
            interval of every run, and the ROC curves of each method's first run.
        seed: of inputs that are made up, and of the bootstrap.
        n_resamples: bootstrap draws of the points of both sides.
        data_dir: where the runs' data are now, in place of the configs' ``data.path``.

    Returns:
        AUROC, AUPR of either side and FPR95 (outside positive), over seeds; in ``rows`` each run's own, with
        ``_low`` and ``_high``, the 95 % bootstrap interval over points.

    Raises:
        InputError: if the runs cannot be read or compared, there is no such outside, or its inputs are not
            for these networks.
    """
    folder = check_out(out)
    if seed < 0 or n_resamples < 1:
        raise ConfigError("--seed must be 0 or more and --n-boot at least 1")
    runs = study_runs(paths)
    other = outside(against, moved(runs[0].config, data_dir), seed)
    rows: list[Row] = []
    scored: list[Pair] = []
    for run in runs:
        for (predictor, score), pair in _scored(run, other, data_dir).items():
            found = detection_scores(*pair, n_resamples=n_resamples, seed=seed)
            rows.append(row_of(run, predictor, {"score": score}, _flat(found)))
            scored.append(pair)
    n_inside, n_outside = map(len, scored[0])
    note = f"{n_inside} test points inside, {n_outside} outside: {other.name}; seed {seed}"
    table = _with_bootstrap(study_table(rows, METRICS, [note]), rows)
    files = []
    if folder is not None:
        files = write_study(table, rows, folder, f"outside-{other.name}", {"roc": _plot(rows, scored)})
    return Study(table, rows, tuple(files))


def uncertainties(prediction: Prediction) -> dict[str, np.ndarray]:
    """Return each score ``[N]`` of a prediction, higher for what looks further outside.

    ``probability`` is that of all classes but the top one: 1 less the top one would round to ties at 0 where
    a network is sure.
    """
    draws = prediction.draws
    others = prediction.mean.copy()
    np.put_along_axis(others, others.argmax(-1)[:, None], 0.0, axis=-1)
    scores = {"probability": others.sum(-1), "entropy": predictive_entropy(draws)}
    if len(draws) > 1:
        scores |= {"information": mutual_information(draws), "variance": vote_variance(draws)}
    return scores


def _scored(
    run: FinishedRun, other: Outside, data_dir: str | os.PathLike[str] | None
) -> dict[tuple[str, str], Pair]:
    """Return both sides by predictor and score."""
    with steady_process(run.config.train.threads):
        fitted, task = reopen(run.folder.path, data_dir)
        try:
            points = other.points(task)
        except DataError as error:
            raise ConfigError(f"--against {other.name} is not for {run.folder.path}: {error}") from error
        inside, outer = (
            {name: uncertainties(vote) for name, vote in all_votes(run, fitted, fitted.encode(x)).items()}
            for x in (task.test.x, points)
        )
    return {
        (predictor, score): (inside[predictor][score], outer[predictor][score])
        for predictor, scores in inside.items()
        for score in scores
    }


def _plot(rows: Sequence[Row], scored: Sequence[Pair]) -> Plot:
    """Return the ROC curves of each method's first predictors in its first run."""
    pairs = {id(row): pair for row, pair in zip(rows, scored, strict=True)}
    first: dict[str, Pair] = {}
    for name, own in main_lines(rows).items():
        for row in own:
            if row["score"] in DRAWN:
                first.setdefault(f"{name}: {row['score']}", pairs[id(row)])
    return plot_roc(first)


def _with_bootstrap(table: PrintedTable, rows: Sequence[Row]) -> PrintedTable:
    """Show the bootstrap intervals where each line is one run, which leaves no interval over seeds."""
    if len(rows) != len(table.body):
        return table
    ends = ("", "_low", "_high")
    cells = [[_cell(*(row[name + end] for end in ends)) for name in METRICS] for row in rows]
    body = [[*line[: -len(METRICS)], *own] for line, own in zip(table.body, cells, strict=True)]
    note = "[95 % percentile bootstrap interval over points]: of this network, not over seeds"
    return replace(table, body=body, notes=[note, *table.notes])


def _cell(value: float, low: float, high: float) -> str:
    return f"{value:.4f} [{low:.4f}, {high:.4f}]"


def _flat(found: Mapping[str, MeanInterval]) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, interval in found.items():
        values |= {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return values
