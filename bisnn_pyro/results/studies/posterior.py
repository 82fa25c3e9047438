"""What the posterior of a finished run looks like: its synapses layer by layer, and the spikes it draws."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.analysis import (
    UNDECIDED,
    LayerPosterior,
    PrintedTable,
    printed_table,
    spike_check_data,
    summarise_posterior,
    train_statistics,
)
from bisnn_pyro.errors import DataError, ModelError
from bisnn_pyro.experiments.costs import evenly_spread
from bisnn_pyro.experiments.fitted import FittedRun, load_run
from bisnn_pyro.inference import Purpose, chosen_rows, seeded
from bisnn_pyro.models import SignNetwork, SimulationPlan, SpikeTrainBernoulli, Window
from bisnn_pyro.results.finished import Paths, read_runs

DIGITS = {"n_synapses": 0, "kl_per_synapse": 4, "entropy_per_synapse": 4}
MEMBERS, POINTS = 20, 100
"""Members and test points whose spikes are checked; all of them are in memory at once."""


def layer_posteriors(
    fitted: FittedRun, *, threshold: float = UNDECIDED, edges: Any = None
) -> dict[str, LayerPosterior]:
    """Return the distribution of natural parameters, undecided share and KL of each matrix of synapses.

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
    p = fitted.config.prior.get("p", 0.5)
    natural = {name: value.cpu().numpy() for name, value in fitted.guide.natural_parameters().items()}
    return summarise_posterior(natural, prior=0.5 * math.log(p / (1 - p)), threshold=threshold, edges=edges)


def posterior_table(paths: Paths, *, threshold: float = UNDECIDED, trust: bool = False) -> PrintedTable:
    """Return one line per method and layer, over the training seeds of these runs.

    Raises:
        InputError: if a run cannot be read or has no posterior over signs.
    """
    rows = []
    for run in read_runs(paths, trust=trust):
        fitted = load_run(run.folder.path, trust=trust)
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
    was_training = fitted.model.training
    fitted.model.eval()
    try:
        with torch.no_grad(), seeded(fitted.config.predict.seed, Purpose.HIDDEN_SPIKES):
            for weights in _networks(fitted, members):
                like = next(iter(weights.values()))
                run = fitted.model.simulate(weights, inputs.to(like), plan=SimulationPlan(record=False))
                for k, spikes in enumerate(run.spikes):
                    statistics = train_statistics(spikes[0].cpu().numpy(), window)
                    hidden.setdefault(f"layers.{k}", []).append(statistics)
                trains += _drawn(fitted, run.readouts[-1])
    finally:
        fitted.model.train(was_training)
    return spike_check_data(
        seed=fitted.config.seed,
        hidden=hidden,
        replicated=np.stack(trains) if trains else None,
        observed=_observed(fitted, targets, inputs.shape[0]) if trains else None,
        window=window,
        attrs={"experiment": fitted.config.experiment, "method": fitted.config.method, "window": window},
    )


def _networks(fitted: FittedRun, members: int) -> Iterator[dict[str, Tensor]]:
    """Yield the networks ``[1, O, I]`` of the first members, or the one network of a point estimate."""
    sampled = [predictor for predictor in fitted.predictors.values() if predictor.several]
    predictor = sampled[0] if sampled else fitted.predictors["mode"]
    source = predictor.networks(fitted.guide, fitted.config.predict.seed)
    assert source is not None
    for k in range(min(members, predictor.n_members(fitted.config.predict.draws))):
        yield source(k, 1)


def _drawn(fitted: FittedRun, readout: Tensor) -> list[np.ndarray]:
    """Return the trains ``[T', B, O]`` that one member draws; none under another likelihood."""
    likelihood = fitted.model.likelihood
    if not isinstance(likelihood, SpikeTrainBernoulli):
        return []
    window = Window(burn_in=fitted.model.burn_in)
    site: Any = likelihood.distribution(fitted.model.counted(readout, window), None, window)
    return [site.sample()[0].transpose(0, 1).cpu().numpy()]


def _observed(fitted: FittedRun, y: Tensor, n_steps: int) -> np.ndarray:
    window = Window(burn_in=fitted.model.burn_in)
    target = fitted.model.likelihood.target(y, n_steps - window.burn_in, window)
    return target.transpose(0, 1).cpu().numpy()
