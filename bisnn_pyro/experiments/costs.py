"""What a predictor costs to keep and to run: bits of weights, and spikes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.inference import point_draws, posterior_draws
from bisnn_pyro.inference.inputs import Inputs, chosen_rows
from bisnn_pyro.inference.paths import bytes_per_example
from bisnn_pyro.inference.seeding import Purpose, seeded
from bisnn_pyro.models.simulation import Simulation

FLOAT_BITS = 32
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

    A synapse of a binary network (``mode``, or a member of ``committee``) takes 1 bit, any other 32: real
    weights, and ``mean`` and ``moments``, which compute with a number a synapse.  A committee of S keeps S
    networks.  Biases take 32 bits each, once for all members; a normalised neuron 64 for each member, the
    scale and the offset into which its parameters and its own statistics fold.  The weights of a convolution
    count once for all places, and its biases and normalisation once a channel.

    Not counted: fixed random read-outs (a seed makes them), the noise of a regression, a temperature, and
    packing into words.
    """
    model = fitted.model
    synapses = sum(w.numel() for w in fitted.guide.mode().values())
    others = sum(p.numel() for name, p in model.named_parameters() if not name.startswith("likelihoods."))
    result = {}
    for predictor in fitted.predictors:
        n = fitted.n_members(predictor)
        single = 1 if fitted.guide.binary and predictor in ("mode", "committee") else FLOAT_BITS
        copies = n if getattr(model, "normalise", False) else 1
        result[predictor] = n * synapses * single + copies * others * FLOAT_BITS
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
    result: dict[str, float | None] = {}
    for predictor, counts in for_some_networks(fitted, chosen, _count).items():
        found = [count for count in counts if count is not None]
        mean = float(np.mean(found)) / len(chosen) if found else None
        result[predictor] = None if mean is None else mean * fitted.n_members(predictor)
    return result


def some_points(x: Any) -> Inputs:
    """Return at most 250 of the inputs ``[N, ...]``, evenly spread."""
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).round().astype(int))
    return chosen_rows(x, chosen)


def for_some_networks(fitted: FittedRun, x: Inputs, count: Callable[[Runs], T]) -> dict[str, list[T]]:
    """Run the first few networks of each predictor, and count what they do.

    Args:
        fitted: the posterior.
        x: scaled inputs ``[N, ...]``.
        count: what to make of the runs of one network.

    Returns:
        Predictor -> one result a network; none of an analytic predictor.
    """
    seed = fitted.config.predict.seed
    blocks = fitted.encode(x)
    was_training = fitted.model.training
    fitted.model.eval()
    try:
        with torch.no_grad(), seeded(seed, Purpose.HIDDEN_SPIKES):
            return {
                predictor: [count(_runs(fitted, w, blocks)) for w in _networks(fitted, predictor, seed)]
                for predictor in fitted.predictors
            }
    finally:
        fitted.model.train(was_training)


def _networks(fitted: FittedRun, predictor: str, seed: int) -> list[dict[str, Tensor]]:
    """Return the first few networks ``[1, O, I]`` that vote; none of an analytic predictor."""
    if predictor == "committee":
        source = posterior_draws(fitted.guide, seed)
        return [source(i, 1) for i in range(min(MAX_MEMBERS, fitted.config.predict.draws))]
    if predictor in ("mode", "mean"):
        source = point_draws(fitted.guide.mode() if predictor == "mode" else fitted.guide.mean())
        return [source(0, 1)]
    return []


def _runs(fitted: FittedRun, weights: Mapping[str, Tensor], blocks: Sequence[Tensor]) -> Runs:
    some = next(iter(weights.values()))
    for block in blocks:
        need = bytes_per_example(fitted.model, block.shape[0])
        for inputs in block.split(max(1, min(_CHUNK, _MEMORY // need)), dim=1):
            inputs = inputs.to(device=some.device, dtype=some.dtype)
            yield inputs, fitted.model.simulate(weights, inputs, record=False)


def _count(runs: Runs) -> float | None:
    """Return the hidden spikes of one network on all inputs, None if its units do not spike."""
    total = 0.0
    for _, run in runs:
        if not run.spikes or any(float(s.min()) < 0 for s in run.spikes):
            return None
        total += sum(float(s.sum(dtype=torch.float64)) for s in run.spikes)
    return total
