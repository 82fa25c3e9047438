"""What a predictor costs to keep and to run: bits of weights, and spikes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.experiments.predictors import FLOAT_BITS
from bisnn_pyro.inference import Inputs, bytes_per_example, chosen_rows
from bisnn_pyro.models import Simulation, SimulationPlan, SpikingGLM

MAX_POINTS = 250
MAX_MEMBERS = 4
_CHUNK = 50
"""Examples simulated at once,"""
_MEMORY = 192 * 2**20
"""and fewer where they would take more bytes than this."""

T = TypeVar("T")

Runs = Iterator[tuple[Tensor, Simulation]]
"""Encoded inputs ``[T, B, I]``, some examples after the other, and one network's run on each."""


def weight_bits(fitted: FittedRun) -> dict[str, int]:
    """Return the bits that store the weights of each predictor.

    A synapse of a binary network takes 1 bit, one that is computed with as a number 32; a committee of S
    keeps S networks.  Biases take 32 bits each, once for all members of a component; a normalised
    neuron 64 for each member, the scale and the offset into which its parameters and its own statistics
    fold.  The weights of a convolution count once for all places, its biases and normalisation once per
    channel.

    Not counted: fixed random read-outs (a seed makes them), the noise of a regression, a temperature, and
    packing into words.
    """
    model, guide = fitted.model, fitted.guide
    synapses = sum(w.numel() for w in guide.mode().values())
    others = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("likelihoods."))
    result = {}
    for name, predictor in fitted.predictors.items():
        n = fitted.n_members(name)
        copies = n if getattr(model, "normalise", False) else len(fitted.components)
        result[name] = n * synapses * predictor.bits_per_synapse(guide) + copies * others * FLOAT_BITS
    return result


def spikes_per_inference(fitted: FittedRun, x: np.ndarray) -> dict[str, float | None]:
    """Return the hidden spikes that one test point costs each predictor, on average.

    They are summed over all hidden layers and all T steps, burn-in included, and over the S members of a
    committee; those of a pooling layer are its units' own, before pooling.  Inputs and read-outs do not
    count, nor do the spikes of a reference batch.

    The mean is over at most 250 test points, evenly spread, and the first 4 members, encoded and drawn by
    ``predict.seed``: an estimate, whose error is that of so few, small where points fire alike.

    Args:
        fitted: the posterior.
        x: scaled test inputs ``[N, ...]``.

    Returns:
        Predictor -> spikes; None where nothing spikes: analytic predictors, and units whose outputs are
        not 0 and 1.
    """
    chosen = some_points(x)
    counts = for_some_networks(fitted, chosen, _count)
    result: dict[str, float | None] = {}
    for name, predictor in fitted.predictors.items():
        found = [count for count in counts[predictor.base.name] if count is not None]
        mean = float(np.mean(found)) / len(chosen) if found else None
        result[name] = None if mean is None else mean * fitted.n_members(name)
    return result


def evenly_spread(n: int, most: int) -> np.ndarray:
    """Return at most so many places out of n, the first and the last among them.

    Example:
        >>> evenly_spread(100, 4).tolist()
        [0, 33, 66, 99]
    """
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def some_points(x: Any) -> Inputs:
    """Return at most 250 of the inputs ``[N, ...]``, evenly spread."""
    return chosen_rows(x, evenly_spread(len(x), MAX_POINTS))


def for_some_networks(fitted: FittedRun, x: Inputs, count: Callable[[Runs], T]) -> dict[str, list[T]]:
    """Run the first few networks of each predictor, and count what they do.

    Args:
        fitted: the posterior.
        x: scaled inputs ``[N, ...]``.
        count: what to make of the runs of one network.

    Returns:
        Predictor -> one result per network, empty for analytic predictors.  One at a temperature has the
        networks of its base, and is left out.
    """
    blocks = fitted.encode(x)
    with fitted.simulating():
        return {
            name: [
                count(_runs(fitted, model, w, blocks, member))
                for model, w, member in fitted.networks(name, MAX_MEMBERS)
            ]
            for name, predictor in fitted.predictors.items()
            if predictor.base is predictor
        }


def _runs(
    fitted: FittedRun, model: SpikingGLM, weights: Mapping[str, Tensor], blocks: Sequence[Tensor], member: int
) -> Runs:
    some = next(iter(weights.values()))
    for block in blocks:
        need = bytes_per_example(model, block.shape[0])
        for inputs in block.split(max(1, min(_CHUNK, _MEMORY // need)), dim=1):
            noise = model.point_noise(inputs, fitted.config.predict.seed, member)
            inputs = inputs.to(device=some.device, dtype=some.dtype)
            yield inputs, model.simulate(weights, inputs, plan=SimulationPlan(record=False, noise=noise))


def _count(runs: Runs) -> float | None:
    """Return the hidden spikes of one network on all inputs, None if its units do not spike."""
    total = 0.0
    for _, run in runs:
        if not run.spikes or any(float(s.min()) < 0 for s in run.spikes):
            return None
        total += sum(float(s.sum(dtype=torch.float64)) for s in run.spikes)
    return total
