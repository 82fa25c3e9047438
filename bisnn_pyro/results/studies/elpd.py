"""Expected log predictive densities of finished runs, on test points or by leaving training points out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bisnn_pyro.analysis import (
    PredictedPoints,
    PrintedTable,
    compare_models,
    load_idata,
    run_inference_data,
)
from bisnn_pyro.experiments.costs import evenly_spread
from bisnn_pyro.experiments.predictors import base_name
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
    """Compare runs by PSIS-LOO on training points.

    Args:
        runs: the runs, or their folders; each run is a line.
        draws: members, which then score the points again; importance sampling asks for hundreds.  By default
            the log-likelihoods that the runs stored are used.
        points: at most this many training points, evenly spread, if they are scored again.
        data_dir: where the data are now, instead of the configs' ``data.path``.
        trust: whether classes of a user's own that a config names may be imported.

    Raises:
        InputError: if a run cannot be read, or the runs do not share their training points.
    """
    found = as_runs(runs, trust=trust)
    again = draws is not None or any(_analytic(run) for run in found)
    scored = {
        _name(run, found): _scored(run, draws, points, data_dir) if again else load_idata(run.store.path)
        for run in found
    }
    return _noted(compare_models(scored, conditioned=True), found)


def _analytic(run: FinishedRun) -> bool:
    """Whether the first predictor draws no networks although others do."""
    return len(run.store.members()) == 1 < len({base_name(name) for name in run.predictors})


def _scored(run: FinishedRun, draws: int | None, points: int, data_dir: Folder) -> Any:
    """Return a container of training points, scored by the sampled networks."""
    fitted, task = run.open(data_dir)
    index = evenly_spread(len(task.train), points)
    x, y = chosen_rows(task.train.x, index), task.train.y[index]
    sampled = [name for name, predictor in fitted.predictors.items() if predictor.several]
    vote = fitted.predict_scaled(x, y, predictor=[*sampled, "mode"][0], draws=draws)
    assert vote.log_likelihood is not None
    votes = {"probabilities" if vote.noise_scale is None else "means": vote.draws}
    said = PredictedPoints(y, vote.log_likelihood, noise_scale=vote.noise_scale, index=index, **votes)
    return run_inference_data(seed=run.seed, train=said)


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
