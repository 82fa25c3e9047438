"""The posterior of finished runs: synapses by layer, spikes that it draws, and predictive densities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.analysis import (
    UNDECIDED,
    LayerPosterior,
    PredictedPoints,
    PrintedTable,
    compare_models,
    load_idata,
    printed_table,
    run_inference_data,
    spike_check_data,
    summarise_posterior,
    train_statistics,
)
from bisnn_pyro.errors import DataError, ModelError
from bisnn_pyro.experiments.costs import evenly_spread
from bisnn_pyro.experiments.fitted import FittedRun, load_run
from bisnn_pyro.experiments.predictors import base_name
from bisnn_pyro.inference import chosen_rows
from bisnn_pyro.models import SignNetwork, SimulationPlan, SpikeTrainBernoulli, SpikingGLM, Window
from bisnn_pyro.results.finished import FinishedRun, Paths, read_runs
from bisnn_pyro.results.runs import Runs, as_runs
from bisnn_pyro.results.studies.study import Folder

DIGITS = {"n_synapses": 0, "kl_per_synapse": 4, "entropy_per_synapse": 4}
MEMBERS, POINTS = 20, 100
"""Members and test points whose spikes are checked; all of them are in memory at once."""
TRAINING_POINTS = 1000


def layer_posteriors(
    fitted: FittedRun, *, threshold: float = UNDECIDED, edges: Any = None
) -> dict[str, LayerPosterior]:
    """Return the distribution of natural parameters, undecided share and KL of each matrix of synapses.

    Those of a mixture are of its marginals, each synapse by itself.  Their KL is at most that of the mixture,
    which is at most the mean of its components' (the column ``kl`` of their histories).

    Args:
        fitted: the posterior, of binary synapses.
        threshold: below which ``|tanh(lambda)|`` counts as undecided.
        edges: of the histogram; see :func:`bisnn_pyro.analysis.summarise_posterior`.

    Raises:
        ModelError: if the synapses are real, or the posterior is a point.
    """
    if not fitted.guide.binary or fitted.guide.point:
        what = "a point estimate" if fitted.guide.point else "one of real synapses"
        raise ModelError(
            f"the posterior of {fitted.config.method!r} is {what}, so its synapses have no distribution over "
            "two signs; bayes and ebp have such posteriors"
        )
    natural = {name: value.cpu().numpy() for name, value in fitted.natural_parameters().items()}
    if not any(np.isfinite(value).any() for value in natural.values()):
        raise ModelError(
            f"the posterior of {fitted.config.method!r} is not one over signs: all of them are certain"
        )
    prior = {name: p.base_dist.natural.cpu().numpy() for name, p in fitted.model.priors().items()}
    return summarise_posterior(natural, prior=prior, threshold=threshold, edges=edges)


def posterior_table(paths: Paths, *, threshold: float = UNDECIDED, trust: bool = False) -> PrintedTable:
    """Return one line per method and layer, over the training seeds of these runs.

    Raises:
        InputError: if a run cannot be read or has no posterior over signs.
    """
    rows = []
    for run in read_runs(paths, trust=trust):
        fitted = load_run(run.folder, trust=trust)
        for name, found in layer_posteriors(fitted, threshold=threshold).items():
            rows.append({"method": run.method, "layer": name, "seed": run.seed, **found.row()})
    return printed_table(rows, digits=DIGITS)


def spike_checks(
    fitted: FittedRun,
    x: Any,
    y: np.ndarray,
    *,
    members: int = MEMBERS,
    points: int = POINTS,
    window: int = 10,
) -> Any:
    """Return spike statistics of committee members, and of the data where they are spike trains.

    Hidden spikes are those of all steps.  Under the likelihood ``spike-train`` each member's output neurons
    also run freely and draw trains of the counted steps, to compare with the trains that the labels stand
    for: whether data drawn from the model resemble the data in rate, intervals and Fano factor, none of which
    the likelihood was fitted to as such.

    Args:
        fitted: the posterior.
        x: scaled test inputs ``[N, ...]``.
        y: class indices ``[N]``.
        members: at most this many members of the committee; a point estimate has one.
        points: at most this many points, evenly spread.
        window: steps of the Fano factor's windows.

    Returns:
        What :func:`bisnn_pyro.analysis.spike_check_data` makes of them.

    Raises:
        DataError: if the units do not spike, or half the steps are fewer than the window.
    """
    if isinstance(fitted.model, SignNetwork):
        raise DataError("a network of sign units has no spikes to check")
    index = evenly_spread(len(x), points)
    inputs = torch.cat(list(fitted.encode(chosen_rows(x, index))), dim=1)
    targets = torch.as_tensor(y[index])
    hidden: dict[str, list[dict[str, np.ndarray]]] = {}
    trains: list[np.ndarray] = []
    sampled = [name for name, predictor in fitted.predictors.items() if predictor.several]
    with fitted.simulating():
        for model, weights, member in fitted.networks([*sampled, "mode"][0], members):
            like = next(iter(weights.values()))
            noise = model.point_noise(inputs, fitted.config.predict.seed, member)
            run = model.simulate(weights, inputs.to(like), plan=SimulationPlan(record=False, noise=noise))
            for k, spikes in enumerate(run.spikes):
                statistics = train_statistics(spikes[0].cpu().numpy(), window)
                hidden.setdefault(f"layers.{k}", []).append(statistics)
            trains += _drawn(model, run.readouts[-1])
    return spike_check_data(
        seed=fitted.config.seed,
        hidden=hidden,
        replicated=np.stack(trains) if trains else None,
        observed=_observed(fitted, targets, inputs.shape[0]) if trains else None,
        window=window,
        attrs={"experiment": fitted.config.experiment, "method": fitted.config.method, "window": window},
    )


def _drawn(model: SpikingGLM, readout: Tensor) -> list[np.ndarray]:
    """Return the trains ``[T', B, O]`` that one member draws; none under another likelihood."""
    likelihood = model.likelihood
    if not isinstance(likelihood, SpikeTrainBernoulli):
        return []
    window = Window(burn_in=model.burn_in)
    site: Any = likelihood.distribution(model.counted(readout, window), None, window)
    return [site.sample()[0].transpose(0, 1).cpu().numpy()]


def _observed(fitted: FittedRun, y: Tensor, n_steps: int) -> np.ndarray:
    window = Window(burn_in=fitted.model.burn_in)
    target = fitted.model.likelihood.target(y, n_steps - window.burn_in, window)
    return target.transpose(0, 1).cpu().numpy()


# -- predictive densities ---------------------------------------------------------------------------


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
