"""Finished runs that may withhold an answer, or give several: selective prediction and conformal sets."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from bisnn_pyro.analysis import (
    RiskCoverage,
    conformal_sets,
    conformal_threshold,
    plot_risk_coverage,
    selective_accuracy,
    set_coverage,
    top_label,
)
from bisnn_pyro.errors import ConfigError, DataError
from bisnn_pyro.experiments.comparable import FinishedRun
from bisnn_pyro.experiments.reopen import reopen
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
from bisnn_pyro.inference.process import steady_process

KEPT = (1.0, 0.9, 0.8, 0.5)
"""Shares of the test points that are kept."""
METHODS = ("lac", "aps")
SELECTIVE = (*(f"accuracy@{share:g}" for share in KEPT), "aurc", "excess_aurc")
CONFORMAL = tuple(f"{method}_{what}" for method in METHODS for what in ("coverage", "size"))

Losses = tuple[np.ndarray, np.ndarray]
"""Confidence and loss of each test point ``[N]``."""


def selective_study(
    paths: Iterable[str | os.PathLike[str]],
    *,
    level: float = 0.9,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    data_dir: str | os.PathLike[str] | None = None,
) -> Study:
    """Score what each predictor's confidence is good for on the test points.

    Selective prediction keeps the points of the highest top-label probability: accuracy of those kept, and
    the area under the risk-coverage curve (AURC), and its excess over a perfect order.  Conformal sets are
    calibrated on the run's validation points; without any there are none.

    *Assumes* for the coverage that validation and test points are exchangeable for the predictor.  Where
    validation points also stopped the training, chose settings or fitted a temperature they are not quite:
    sets come out too small, by little as long as so few choices are made on so many points.  One notices a
    coverage below the level by more than its noise, about sqrt(level (1 - level) / n) for n points on
    either side.

    Args:
        paths: run folders, or folders that hold them.
        level: coverage that the sets promise, in (0, 1).
        out: folder for ``selective.csv``, the table, ``selective-runs.csv``, each run by itself, and the
            risk-coverage curves of each method's first run.
        seed: of the random shares of adaptive sets (``aps``).
        data_dir: where the data are now, in place of the configs' ``data.path``.

    Raises:
        InputError: if the runs cannot be read or compared, or validation points are too few for the level.
    """
    folder = check_out(out)
    if not 0 < level < 1 or seed < 0:
        raise ConfigError(f"--level {level:g} --seed {seed}: expected a level in (0, 1), a seed of 0 or more")
    runs = study_runs(paths)
    found = [pair for run in runs for pair in _rows(run, level, seed, data_dir)]
    rows = [row for row, _ in found]
    conformal = all(CONFORMAL[0] in row for row in rows)
    sets = f"conformal sets promise {level:g}, calibrated on validation points; size in classes"
    notes = [f"accuracy@c: of the most confident share c of {len(runs[0].predictions.y)} test points"]
    notes.append(sets if conformal else "no validation points, so no conformal sets")
    table = study_table(rows, (*SELECTIVE, *(CONFORMAL if conformal else ())), notes)
    files = []
    if folder is not None:
        losses = {id(row): pair for row, pair in found}
        lines = {name: losses[id(own[0])] for name, own in main_lines(rows).items()}
        files = write_study(table, rows, folder, "selective", {"risk": plot_risk_coverage(lines)})
    return Study(table, rows, tuple(files))


def selective_scores(curve: RiskCoverage) -> dict[str, float]:
    """Return accuracies at the shares kept, rounded up to whole points, and areas."""
    n = len(curve.risk)
    kept = {f"accuracy@{share:g}": float(curve.accuracy[math.ceil(share * n) - 1]) for share in KEPT}
    return {**kept, "aurc": curve.aurc, "excess_aurc": curve.excess_aurc}


def conformal_scores(
    val: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray], level: float, seed: int
) -> dict[str, float]:
    """Return coverage and mean size of both kinds of sets on test points.

    Args:
        val: probabilities ``[n, C]`` and labels ``[n]`` of the calibration points.
        test: of the test points.
        level: the coverage promised.
        seed: of the random shares of ``aps``.

    Raises:
        DataError: if there are too few calibration points for the level.
    """
    scores: dict[str, float] = {}
    for method in METHODS:
        threshold = conformal_threshold(*val, level, method, seed=seed)  # type: ignore[arg-type]
        sets = conformal_sets(test[0], threshold, method, seed=seed)  # type: ignore[arg-type]
        found = set_coverage(sets, test[1])
        scores |= {f"{method}_coverage": found.coverage, f"{method}_size": found.mean_size}
        scores |= {f"{method}_low": found.low, f"{method}_high": found.high, f"{method}_empty": found.empty}
    return scores


def _rows(
    run: FinishedRun, level: float, seed: int, data_dir: str | os.PathLike[str] | None
) -> list[tuple[Row, Losses]]:
    """Return each predictor's row, and its confidences and losses."""
    with steady_process(run.config.train.threads):
        fitted, task = reopen(run.folder.path, data_dir)
        test = all_votes(run, fitted, fitted.encode(task.test.x))
        val = all_votes(run, fitted, fitted.encode(task.val.x)) if len(task.val) else {}
    rows = []
    for name, vote in test.items():
        scores: dict[str, Any] = selective_scores(selective_accuracy(vote.mean, task.test.y))
        if name in val:
            pairs = (val[name].mean, task.val.y), (vote.mean, task.test.y)
            try:
                scores |= conformal_scores(*pairs, level, seed)
            except DataError as error:
                raise ConfigError(f"--level {level:g} is not for {run.folder.path}: {error}") from error
        top, correct = top_label(vote.mean, task.test.y)
        rows.append((row_of(run, name, {}, scores), (top, 1.0 - correct)))
    return rows
