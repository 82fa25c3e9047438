"""Expected log predictive densities of finished runs, side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.analysis import PrintedTable, compare_models, load_idata, run_inference_data
from bisnn_pyro.experiments.comparable import FinishedRun, check_comparable, finished_runs
from bisnn_pyro.experiments.reopen import reopen
from bisnn_pyro.inference.inputs import chosen_rows

TRAINING_POINTS = 1000


def compare_elpd(paths: Iterable[str | os.PathLike[str]]) -> PrintedTable:
    """Compare runs by their elpd on the test points, from the log-likelihoods that they stored.

    Nothing was conditioned on test points, so that the elpd is their plain sum, for point estimates as well;
    ``arviz.loo`` is for training points, see :func:`compare_loo`.

    Args:
        paths: run folders, or folders that hold them; each run is a line.

    Raises:
        InputError: if a run cannot be read, or the runs do not share their test points.
    """
    runs = finished_runs(paths)
    check_comparable(runs)
    stored = {_name(run, runs): load_idata(run.folder.idata_path) for run in runs}
    return _noted(compare_models(stored, conditioned=False), runs)


def compare_loo(
    paths: Iterable[str | os.PathLike[str]],
    *,
    draws: int | None = None,
    points: int = TRAINING_POINTS,
    data_dir: str | os.PathLike[str] | None = None,
) -> PrintedTable:
    """Compare runs by PSIS-LOO on training points, which each committee scores anew.

    Args:
        paths: run folders, or folders that hold them; each run is a line.
        draws: members; the config's by default.  Importance sampling asks for hundreds.
        points: at most so many training points, evenly spread.
        data_dir: where the data are now, in place of the configs' ``data.path``.

    Raises:
        InputError: if a run cannot be read, or the runs do not share their training points.
    """
    runs = finished_runs(paths)
    check_comparable(runs)
    scored = {_name(run, runs): _on_training_points(run, draws, points, data_dir) for run in runs}
    return _noted(compare_models(scored, conditioned=True), runs)


def _on_training_points(
    run: FinishedRun, draws: int | None, points: int, data_dir: str | os.PathLike[str] | None
) -> Any:
    """Return a container whose log-likelihood is of training points."""
    fitted, task = reopen(Path(run.folder.path), data_dir)
    train = task.train
    index = np.unique(np.linspace(0, len(train) - 1, min(len(train), points)).round().astype(int))
    y = train.y[index]
    vote = "committee" if "committee" in fitted.predictors else "mode"
    found = fitted.predict_scaled(chosen_rows(train.x, index), y, predictor=vote, draws=draws)
    assert found.log_likelihood is not None
    regression = found.noise_scale is not None
    return run_inference_data(
        seed=run.config.seed,
        observed=y,
        log_likelihood=found.log_likelihood,
        probabilities=None if regression else found.draws,
        mean_draws=found.draws if regression else None,
        attrs={"points": "training points"},
    )


def _name(run: FinishedRun, runs: list[FinishedRun]) -> str:
    several = len({other.config.experiment for other in runs}) > 1
    fold = "" if run.config.fold is None else f"-fold{run.config.fold}"
    name = f"{run.config.method}{fold}-seed{run.config.seed}"
    return f"{run.config.experiment}/{name}" if several else name


def _noted(table: PrintedTable, runs: list[FinishedRun]) -> PrintedTable:
    """Add what the log-likelihoods and the posteriors are not."""
    tempered = [_name(r, runs) for r in runs if r.metrics.get("kl_weight") not in (None, 1.0)]
    notes = list(table.notes)
    if tempered:
        notes.append(
            f"{', '.join(tempered)}: the weight on the KL is not 1, and so the posterior is tempered"
        )
    if any(run.config.likelihood.name.endswith("steps") for run in runs):
        notes.append("log-likelihoods are means over steps, no log-probabilities of the votes in the tables")
    return replace(table, notes=notes)
