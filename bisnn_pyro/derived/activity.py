"""What each layer of a network does in an inference, counted while it runs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

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
from bisnn_pyro.experiments.costs import Runs
from bisnn_pyro.models import (
    ConvSynapses,
    EscapeNeuron,
    RecurrentSynapses,
    SignNetwork,
    SignNeuron,
    SingleStepNeuron,
    SpikingGLM,
    Synapses,
    ThresholdNeuron,
    is_constant,
)

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
