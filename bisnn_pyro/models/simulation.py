"""One run of a network: what it leaves behind, and each of its layers the cheapest way that is right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from bisnn_pyro.models.kernels import FilterState, ResetState
from bisnn_pyro.models.layers import RecurrentSynapses, Synapses
from bisnn_pyro.models.neurons import Neuron, NeuronState
from bisnn_pyro.models.products import filters_after, is_constant


class NetworkState(NamedTuple):
    """State of the whole network after a step; carried from one window to the next."""

    layers: tuple[NeuronState, ...]
    readout: FilterState | None

    def detach(self) -> NetworkState:
        """Return the same state, cut off from the graph."""
        readout = self.readout and FilterState(*(x.detach() for x in self.readout))
        return NetworkState(tuple(layer.detach() for layer in self.layers), readout)


class Simulation(NamedTuple):
    """What a run of the network leaves behind.

    Attributes:
        readouts: read-outs ``[*S, T, B, C]``, one per scored layer, the last one being the prediction's.
        state: state after the last step, or ``None`` if it was not to be carried on.
        spikes: spikes ``[*S, T, B, O]`` of each hidden layer's units, before any pooling.
        potentials: membrane potentials, likewise; empty unless they were recorded.
    """

    readouts: tuple[Tensor, ...]
    state: NetworkState | None
    spikes: tuple[Tensor, ...]
    potentials: tuple[Tensor, ...]


class LayerRun(NamedTuple):
    """A hidden layer with its weights: from inputs to currents, and from currents to spikes.

    Attributes:
        neuron: of its units.
        synapses: into and among them.
        weights: ``[*S, O, I]`` for each site of the network.
        depth: which hidden layer it is; those of layer 0 are the network's inputs.
    """

    neuron: Neuron
    synapses: Synapses
    weights: Mapping[str, Tensor]
    depth: int

    def weight(self, site: str) -> Tensor:
        """Return the layer's weights ``[*S, O, I]`` at a site."""
        return self.weights[f"layers.{self.depth}.{site}"]

    def sums(
        self, x: Tensor, state: FilterState | None, *, carry: bool, uncounted: int = 0
    ) -> tuple[Tensor, FilterState | None]:
        """Return the scaled and filtered sums, and the synapses' state unless it need not be carried on.

        They are currents but for the normalisation or the bias, see :meth:`Synapses.finished`.
        """
        layer, linear = self.synapses, self.neuron.linear
        weight = self.weight("weight") * layer.scale
        if self.depth == 0 and state is None and linear and is_constant(x):
            response, end = self.neuron.step_response(x.shape[0], x)
            sums = layer.constant_product(x[0], response, weight)
            return sums, FilterState(*(x[0] * end_of_one for end_of_one in end))
        if not carry and linear and filters_after(x, weight, layer.n_units):
            sums, _ = self.neuron.trace(layer.product(x, weight), None)
            return sums, None
        trace, end = self.neuron.trace(x, state)
        return layer.product(trace, weight, uncounted), end

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
