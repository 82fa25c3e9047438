"""How one layer of a network runs, what a run returns, and statistics on the reference batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.architecture import SpikePool
from bisnn_pyro.models.dynamics import FilterState, ResetState
from bisnn_pyro.models.layers import RecurrentSynapses, Synapses, Weight, filters_after, is_constant
from bisnn_pyro.models.neurons import Neuron, NeuronState
from bisnn_pyro.models.noise import PointNoise
from bisnn_pyro.models.normalisation import Moments


class NetworkState(NamedTuple):
    """State of the whole network after a step; carried from one window to the next."""

    layers: tuple[NeuronState, ...]
    readout: FilterState | None

    def detach(self) -> NetworkState:
        """Return the same state, cut off from the graph."""
        readout = self.readout and FilterState(*(x.detach() for x in self.readout))
        return NetworkState(tuple(layer.detach() for layer in self.layers), readout)


class Simulation(NamedTuple):
    """The result of a run of the network.

    Attributes:
        readouts: read-outs ``[*S, T, B, C]``, one per scored layer, the last one being the prediction's.
        state: state after the last step, or ``None`` if it was not to be carried on.
        spikes: spikes ``[*S, T, B, O]`` of each hidden layer's units, before any pooling.
        potentials: membrane potentials of the same shape; empty unless they were recorded.
    """

    readouts: tuple[Tensor, ...]
    state: NetworkState | None
    spikes: tuple[Tensor, ...]
    potentials: tuple[Tensor, ...]


@dataclass(frozen=True)
class SimulationPlan:
    """What a run of a network must compute and keep, see :meth:`SpikingGLM.simulate`.

    Args:
        uncounted: number of first steps on which no loss will depend; under local credit the backward pass
            leaves them out.
        record: keep the membrane potentials; only reports need them.
        carry: return the state after the last step.  For a whole sequence, whose state is not needed, a
            layer may filter its sums instead of its inputs where the inputs are more.
        moments: for a normalised network in evaluation, the result of
            :meth:`SpikingGLM.reference_moments` for the same weights; without it the reference batch runs
            along with the examples.
        noise: of these inputs, for stochastic neurons (that of a reference batch follows from it); without
            it they draw from torch's global generator.
    """

    uncounted: int = 0
    record: bool = True
    carry: bool = True
    moments: Sequence[Moments] | None = None
    noise: PointNoise | None = None


class LayerRun(NamedTuple):
    """A hidden layer with its weights: from inputs to currents, and from currents to spikes.

    Attributes:
        neuron: of its units.
        synapses: into and among them.
        pool: pools its spikes, if they are pooled.
        weights: ``[*S, O, I]`` for each site of the network.
        depth: index of the hidden layer; layer 0 receives the network's inputs.
    """

    neuron: Neuron
    synapses: Synapses
    pool: SpikePool | None
    weights: Mapping[str, Weight]
    depth: int

    def weight(self, site: str) -> Weight:
        """Return the layer's weights ``[*S, O, I]`` at a site."""
        return self.weights[f"layers.{self.depth}.{site}"]

    def drawing(self, noise: PointNoise | None) -> LayerRun:
        """Return the same layer with this noise in its neurons."""
        return (
            self if noise is None else self._replace(neuron=self.neuron.drawing(partial(noise, self.depth)))
        )

    def sums(
        self, x: Tensor, state: FilterState | None, *, carry: bool, uncounted: int = 0
    ) -> tuple[Tensor, FilterState | None]:
        """Return the scaled and filtered sums, and the synapses' state if it is to be carried.

        To become currents they only lack the normalisation or the bias, see :meth:`Synapses.finished`.
        """
        layer, linear, weight = self.synapses, self.neuron.linear, self.weight("weight")
        if self.depth == 0 and state is None and linear and is_constant(x):
            response, end = self.neuron.step_response(x.shape[-3], x)
            constant = x.select(-3, 0)
            # The response is far smaller than the weights of several draws.
            sums = layer.constant_product(constant, response * layer.scale, weight)
            return sums, FilterState(*(constant * end_of_one for end_of_one in end))
        weight = weight * layer.scale
        if not carry and linear and filters_after(x, weight, layer.n_units):
            sums, _ = self.neuron.trace(layer.sums(x, weight), None)
            return sums, None
        trace, end = self.neuron.trace(x, state)
        return layer.sums(trace, weight, uncounted), end

    def fire(
        self, current: Tensor, before: NeuronState | None, *, through_time: bool, record: bool
    ) -> tuple[Tensor, Tensor | None, ResetState, FilterState | None]:
        """Return spikes, potentials if they are recorded, and the states of reset and lateral synapses."""
        state = before and before.reset
        if isinstance(self.synapses, RecurrentSynapses):
            lateral = self.weight("recurrent") * self.synapses.lateral_scale
            spikes, potentials, reset, heard = self.neuron.fire_recurrent(
                current, lateral, state, before and before.lateral, through_time=through_time
            )
            return spikes, potentials if record else None, reset, heard
        if record:
            return *self.neuron.fire(current, state), None
        spikes, reset = self.neuron.spikes(current, state)
        return spikes, None, reset, None

    def pooled(self, spikes: Tensor) -> Tensor:
        """Return what the next layer and the read-outs see of the layer's spikes."""
        return spikes if self.pool is None else self.pool(spikes)


def compact(spikes: Tensor) -> Tensor:
    """Return the same reference batch ``[T, R, I]``, a constant current in the memory of one step."""
    if spikes.shape[0] > 1 and torch.equal(spikes[1:], spikes[:1].expand_as(spikes[1:])):
        return spikes[:1].expand_as(spikes)
    return spikes


def check_reference(reference: Tensor | None, n_steps: int) -> None:
    """Refuse to predict without a reference batch of the same number of steps.

    Raises:
        ModelError: if there is no reference batch, or it has another number of steps.
    """
    if reference is None:
        raise ModelError(
            "normalise = true needs a reference batch to predict: call model.set_reference(spikes) "
            "with encoded training inputs [T, R, I]"
        )
    if reference.shape[0] != n_steps:
        raise ModelError(f"the reference batch has {reference.shape[0]} steps, the input {n_steps}")


def moments_of(
    layers: Sequence[LayerRun], reference: Tensor, n_examples: int, noise: PointNoise | None = None
) -> list[Moments]:
    """Return the moments of each hidden layer's currents on the reference batch.

    The statistics of a layer are taken over the whole batch, so all parts of the batch go through one layer
    before any goes through the next; in between their spikes are kept in one byte each.

    Args:
        layers: all hidden layers of a normalised network, with their weights.
        reference: inputs ``[T, R, I]``.
        n_examples: number of examples in a part; bounds the memory of the currents.
        noise: of the reference batch in stochastic neurons.
    """
    some = next(iter(layers[0].weights.values()))
    assert isinstance(some, Tensor)  # networks in evaluation have no noise of each example
    parts = list(reference.to(some).split(n_examples, dim=-2))
    sizes = [part.shape[-2] for part in parts]
    found: list[Moments] = []
    for k, layer in enumerate(layers):
        assert layer.synapses.normalisation is not None
        of_parts = []
        for part in parts:
            sums = layer.sums(part.to(some.dtype), None, carry=False)[0]
            of_parts.append(layer.synapses.normalisation.moments(sums))
        found.append(Moments.merged(of_parts, sizes))
        if k + 1 == len(layers):
            break
        for i, part in enumerate(parts):
            if len(parts) > 1:  # those of a single part are still here
                sums = layer.sums(part.to(some.dtype), None, carry=False)[0]
            current = layer.synapses.finished(sums, found[k])
            of_part = noise and noise.part(slice(i * n_examples, (i + 1) * n_examples))
            spikes, *_ = layer.drawing(of_part).fire(current, None, through_time=False, record=False)
            parts[i] = _small(layer.pooled(spikes))
    return found


def _small(spikes: Tensor) -> Tensor:
    """Return zeros and ones as bytes, and other values as they are."""
    small = spikes.to(torch.uint8)
    return small if torch.equal(small.to(spikes.dtype), spikes) else spikes
