"""What a predictor costs to keep and to run: bits of weights, spikes, and what each layer does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.analysis import (
    COUNTING_READOUT,
    FILTERED_READOUT,
    LATERAL,
    SINGLE_STEP,
    SPIKE_RESPONSE,
    WORD,
    LayerActivity,
    UnitUpdate,
    conv_fan_out,
)
from bisnn_pyro.errors import ModelError
from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.experiments.predictors import FLOAT_BITS
from bisnn_pyro.inference import Inputs, bytes_per_example, chosen_rows
from bisnn_pyro.models import (
    ConvSynapses,
    EscapeNeuron,
    RecurrentSynapses,
    SignNetwork,
    SignNeuron,
    Simulation,
    SimulationPlan,
    SingleStepNeuron,
    SpikingGLM,
    Synapses,
    ThresholdNeuron,
    is_constant,
)

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


UPDATES: dict[type[Any], UnitUpdate] = {
    ThresholdNeuron: SPIKE_RESPONSE,
    EscapeNeuron: SPIKE_RESPONSE,
    SingleStepNeuron: SINGLE_STEP,
    SignNeuron: SINGLE_STEP,
}


def check_countable(model: SpikingGLM) -> None:
    """Refuse networks whose operations are not known.

    Raises:
        ModelError: if the network or its neuron is one of the user's own.
    """
    if type(model) not in (SpikingGLM, SignNetwork) or type(model.neuron) not in UPDATES:
        own = model if type(model) not in (SpikingGLM, SignNetwork) else model.neuron
        raise ModelError(
            f"the operations of {type(own).__name__} are not known: the cost of an inference is that of the "
            f"package's own networks and neurons ({', '.join(kind.__name__ for kind in UPDATES)})"
        )


def layer_activity(model: SpikingGLM, runs: Runs, n_points: int, n_steps: int) -> list[LayerActivity]:
    """Return what one network was seen to do in each layer, the read-out last, in a mean inference.

    Args:
        model: for which :func:`check_countable` passes.
        runs: the network's runs on ``n_points`` examples.
        n_points: all of them together.
        n_steps: T.
    """
    layers = _silent(model, n_steps)
    fan_out = [_fan_out(synapses) for synapses in model.synapses]
    for inputs, run in runs:
        x, signs = inputs, isinstance(model.neuron, SignNeuron)
        for k, synapses in enumerate(model.synapses):
            layers[k] = _fed(layers[k], x, fan_out[k], n_points, signs and k > 0)
            spikes = run.spikes[k].squeeze(0)
            fired = 0.0 if signs else _sum(spikes) / n_points
            heard = synapses.n_units if isinstance(synapses, RecurrentSynapses) else 0
            events = layers[k].events + heard * fired
            layers[k] = replace(layers[k], spikes=layers[k].spikes + fired, events=events)
            x = _sent(spikes, model.pools[k])
        every = torch.full(x.shape[-1:], layers[-1].units)
        layers[-1] = _fed(layers[-1], x, every, n_points, signs)
    return layers


def _silent(model: SpikingGLM, n_steps: int) -> list[LayerActivity]:
    """Return the layers before anything was seen of them."""
    update = UPDATES[type(model.neuron)]
    layers = []
    for synapses in model.synapses:
        lateral = synapses.n_units**2 if isinstance(synapses, RecurrentSynapses) else 0
        layers.append(
            LayerActivity(
                connections=int(_fan_out(synapses).sum()),
                units=synapses.n_units,
                update=update + LATERAL if lateral else update,
                updates=synapses.n_units * n_steps,
                lateral=lateral,
            )
        )
    n_outputs, trained, last = model.likelihood.n_outputs, model.readout is not None, model.pools[-1]
    n_inputs = model.synapses[-1].n_units if last is None else math.prod(last.pooled)
    filtered = FILTERED_READOUT if trained and update is SPIKE_RESPONSE else COUNTING_READOUT
    total = n_outputs * n_steps
    return [*layers, LayerActivity(n_inputs * n_outputs, n_outputs, filtered, total, signs=not trained)]


def _fed(layer: LayerActivity, x: Tensor, fan_out: Tensor, n_points: int, signs: bool) -> LayerActivity:
    """Return a layer that some examples' inputs ``[T, B, I]`` have come into as well."""
    whole = bool(((x >= 0) & (x == x.round())).all())
    if signs or not whole or is_constant(x):
        n_steps = 1 if is_constant(x) else x.shape[0]
        products = layer.connections * n_steps * x.shape[1] / n_points
        return replace(layer, products=layer.products + products, input_bits=1 if signs else WORD)
    reached = float(x.sum(dim=(0, 1), dtype=torch.float64) @ fan_out.to(torch.float64))
    return replace(layer, events=layer.events + reached / n_points)


def _sent(spikes: Tensor, pool: Any) -> Tensor:
    """Return what the next layer gets, as counts of spikes: a mean of a window is each of its spikes."""
    if pool is None:
        return spikes
    return (pool(spikes) * (pool.window**2 if pool.kind == "mean" else 1)).round()


def _fan_out(synapses: Synapses) -> Tensor:
    """Return how many units each input reaches, ``[I]``."""
    if not isinstance(synapses, ConvSynapses):
        return torch.full((synapses.n_inputs,), synapses.n_units)
    shape = synapses.image_shape
    reached = conv_fan_out(
        shape, synapses.fan_out, synapses.kernel, synapses.stride, synapses.padding
    ).ravel()
    repeated = np.repeat if synapses.channels_last else np.tile
    return torch.as_tensor(repeated(reached, shape[0]))


def _sum(x: Tensor) -> float:
    return float(x.sum(dtype=torch.float64))
