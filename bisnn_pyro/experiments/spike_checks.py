"""Spikes of a run's committee on test points, for posterior predictive checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.analysis import spike_check_data, train_statistics
from bisnn_pyro.errors import DataError
from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.inference import point_draws, posterior_draws
from bisnn_pyro.inference.inputs import chosen_rows
from bisnn_pyro.inference.seeding import Purpose, seeded
from bisnn_pyro.models import SignNetwork, SpikeTrainBernoulli, Window

MEMBERS, POINTS = 20, 100
"""Members and test points that are looked at; all their spikes are in memory at once."""


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
    also run free and draw trains of the counted steps, to hold against the trains that the labels stand for:
    whether data drawn from the model look like the data in rate, intervals and Fano factor, none of which the
    likelihood was fitted to as such.

    Args:
        fitted: the posterior.
        x: scaled test inputs ``[N, ...]``.
        y: class indices ``[N]``.
        members: at most so many members of the committee; a point estimate has one.
        points: at most so many points, evenly spread.
        window: steps of the Fano factor's windows.

    Returns:
        What :func:`bisnn_pyro.analysis.spike_check_data` makes of them.

    Raises:
        DataError: if the units do not spike, or half the steps are fewer than the window.
    """
    if isinstance(fitted.model, SignNetwork):
        raise DataError("a network of sign units has no spikes to check")
    index = np.unique(np.linspace(0, len(x) - 1, min(len(x), points)).round().astype(int))
    inputs = torch.cat(list(fitted.encode(chosen_rows(x, index))), dim=1)
    targets = torch.as_tensor(y[index])
    hidden: dict[str, list[dict[str, np.ndarray]]] = {}
    trains: list[np.ndarray] = []
    was_training = fitted.model.training
    fitted.model.eval()
    try:
        with torch.no_grad(), seeded(fitted.config.predict.seed, Purpose.HIDDEN_SPIKES):
            for weights in _networks(fitted, members):
                run = fitted.model.simulate(weights, inputs.to(next(iter(weights.values()))), record=False)
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
    if "committee" not in fitted.predictors:
        yield point_draws(fitted.guide.mode())(0, 1)
        return
    source = posterior_draws(fitted.guide, fitted.config.predict.seed)
    for k in range(min(members, fitted.n_members("committee"))):
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
