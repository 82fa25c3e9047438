"""Finished runs that may withhold an answer, or give several: selective prediction and conformal sets."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import (
    RiskCoverage,
    conformal_sets,
    conformal_threshold,
    plot_risk_coverage,
    selective_accuracy,
    set_coverage,
    top_label,
)
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.results.finished import Paths
from bisnn_pyro.results.runs import Runs
from bisnn_pyro.results.studies.study import (
    Folder,
    Plots,
    Study,
    check_out,
    finish,
    main_lines,
    opened,
    study_runs,
)

KEPT = (1.0, 0.9, 0.8, 0.5)
"""Shares of the test points that are kept."""
METHODS = ("lac", "aps")
SELECTIVE = (*(f"accuracy@{share:g}" for share in KEPT), "aurc", "excess_aurc")
CONFORMAL = tuple(f"{method}_{what}" for method in METHODS for what in ("coverage", "size"))


def selective_study(
    runs: Runs | Paths,
    *,
    level: float = 0.9,
    out: Folder = None,
    seed: int = 0,
    data_dir: Folder = None,
    trust: bool = False,
) -> Study:
    """Score how useful each predictor's confidence is on the test points.

    Selective prediction keeps the points of the highest top-label probability: accuracy of those kept, the
    area under the risk-coverage curve (AURC), and its excess over a perfect order.  Conformal sets are
    calibrated on the run's validation points, and left out without any.

    *Assumes* for the coverage that validation and test points are exchangeable for the predictor.  Where
    validation points also stopped the training, chose settings or fitted a temperature they are not quite:
    sets come out too small, by little as long as so few choices are made on so many points.  One notices a
    coverage below the level by more than its noise, about sqrt(level (1 - level) / n) for n points on
    either side.

    Args:
        runs: the runs, or their folders.
        level: coverage that the sets promise, in (0, 1).
        out: folder for ``selective.csv``, the table, ``selective-runs.csv``, the numbers of every run, and
            the risk-coverage curves of each method's first run.
        seed: of the random shares of adaptive sets (``aps``).
        data_dir: where the data are now, instead of the configs' ``data.path``.
        trust: whether classes of a user's own that a config names may be imported.

    Raises:
        InputError: if the runs cannot be read or compared, or validation points are too few for the level.
    """
    folder = check_out(out)
    if not 0 < level < 1:
        raise ConfigError(f"--level {level:g}: expected a level in (0, 1)")
    found = study_runs(runs, seed=seed, trust=trust)
    rows, losses = [], []
    for run in found:
        with opened(run, data_dir, f"--level {level:g}") as (fitted, task):
            y, test = task.test.y, fitted.votes(fitted.encode(task.test.x))
            val = fitted.votes(fitted.encode(task.val.x)) if len(task.val) else {}
            for name, vote in test.items():
                scores: dict[str, Any] = selective_scores(selective_accuracy(vote.mean, y))
                if name in val:
                    scores |= conformal_scores((val[name].mean, task.val.y), (vote.mean, y), level, seed)
                rows.append(run.row(name, **scores))
                confidence, correct = top_label(vote.mean, y)
                losses.append((confidence, 1.0 - correct))
    conformal = all(CONFORMAL[0] in row for row in rows)
    sets = f"conformal sets promise {level:g}, calibrated on validation points; size in classes"
    notes = [f"accuracy@c: of the most confident share c of {len(found[0].store.targets)} test points"]
    notes.append(sets if conformal else "no validation points, so no conformal sets")

    def curves(frame: pd.DataFrame) -> Plots:
        return {"risk": plot_risk_coverage({n: losses[own.index[0]] for n, own in main_lines(frame).items()})}

    metrics = (*SELECTIVE, *(CONFORMAL if conformal else ()))
    return finish(found, "selective", rows, metrics, folder, notes=notes, plots=curves)


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
        threshold = conformal_threshold(*val, level, method, seed=seed)  # type: ignore[call-overload]
        sets = conformal_sets(test[0], threshold, method, seed=seed)  # type: ignore[arg-type]
        found = set_coverage(sets, test[1])
        scores |= {f"{method}_coverage": found.coverage, f"{method}_size": found.mean_size}
        scores |= {f"{method}_low": found.low, f"{method}_high": found.high, f"{method}_empty": found.empty}
    return scores
