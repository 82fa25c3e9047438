"""Expected log predictive densities of finished runs, on test points or by leaving training points out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bisnn_pyro.analysis import PrintedTable, compare_models, load_idata, run_inference_data
from bisnn_pyro.inference import chosen_rows
from bisnn_pyro.results.finished import FinishedRun, Paths
from bisnn_pyro.results.runs import Runs, as_runs
from bisnn_pyro.results.studies.study import Folder

TRAINING_POINTS = 1000


def compare_elpd(runs: Runs | Paths, *, trust: bool = False) -> PrintedTable:
    """Compare runs by their elpd on the test points, from the log-likelihoods that they stored.

    Nothing was conditioned on test points, so the elpd is a plain sum over them, also for point estimates;
    ``arviz.loo`` is for training points, see :func:`compare_loo`.

    Args:
        runs: the runs, or their folders; each run is a line.
        trust: whether classes of a user's own that a config names may be imported.

    Raises:
        InputError: if a run cannot be read, or the runs do not share their test points.
    """
    found = as_runs(runs, trust=trust)
    stored = {_name(run, found): load_idata(run.store.path) for run in found}
    return _noted(compare_models(stored, conditioned=False), found)


def compare_loo(
    runs: Runs | Paths,
    *,
    draws: int | None = None,
    points: int = TRAINING_POINTS,
    data_dir: Folder = None,
    trust: bool = False,
) -> PrintedTable:
    """Compare runs by PSIS-LOO on training points, which each committee scores again.

    Args:
        runs: the runs, or their folders; each run is a line.
        draws: members; the config's by default.  Importance sampling asks for hundreds.
        points: at most this many training points, evenly spread.
        data_dir: where the data are now, instead of the configs' ``data.path``.
        trust: whether classes of a user's own that a config names may be imported.

    Raises:
        InputError: if a run cannot be read, or the runs do not share their training points.
    """
    found = as_runs(runs, trust=trust)
    scored = {_name(run, found): _on_training_points(run, draws, points, data_dir) for run in found}
    return _noted(compare_models(scored, conditioned=True), found)


def _on_training_points(run: FinishedRun, draws: int | None, points: int, data_dir: Folder) -> Any:
    """Return a container whose log-likelihood is of training points."""
    fitted, task = run.open(data_dir)
    train = task.train
    index = np.unique(np.linspace(0, len(train) - 1, min(len(train), points)).round().astype(int))
    drawn = [name for name, predictor in fitted.predictors.items() if predictor.several]
    vote = fitted.predict_scaled(
        chosen_rows(train.x, index), train.y[index], predictor=[*drawn, "mode"][0], draws=draws
    )
    assert vote.log_likelihood is not None
    return run_inference_data(seed=run.seed, training=(train.y[index], vote.log_likelihood))


def _name(run: FinishedRun, runs: Runs) -> str:
    several = len({other.experiment for other in runs}) > 1
    fold = "" if run.fold is None else f"-fold{run.fold}"
    name = f"{run.method}{fold}-seed{run.seed}"
    return f"{run.experiment}/{name}" if several else name


def _noted(table: PrintedTable, runs: Runs) -> PrintedTable:
    """Add what the log-likelihoods and the posteriors are not."""
    tempered = [_name(run, runs) for run in runs if run.metrics.get("kl_weight") not in (None, 1.0)]
    notes = list(table.notes)
    if tempered:
        notes.append(f"{', '.join(tempered)}: the weight of the KL is not 1, so the posterior is tempered")
    if any(run.config.likelihood.name.endswith("steps") for run in runs):
        notes.append("log-likelihoods are means over steps, not log-probabilities of the votes in the tables")
    return replace(table, notes=notes)
