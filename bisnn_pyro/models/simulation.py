"""One run of a network: layer after layer, each the cheapest way that is right, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from bisnn_pyro.models.kernels import FilterState, ResetState
from bisnn_pyro.models.layers import RecurrentSynapses, Synapses
from bisnn_pyro.models.neurons import Neuron, NeuronState
from bisnn_pyro.models.normalisation import Moments
from bisnn_pyro.models.products import beside, filters_after, is_constant, matmul_over_time

if TYPE_CHECKING:
    from bisnn_pyro.models.network import SpikingGLM


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


def run_network(
    model: SpikingGLM,
    weights: Mapping[str, Tensor],
    spikes: Tensor,
    state: NetworkState | None,
    *,
    uncounted: int,
    record: bool,
    carry: bool,
    moments: Sequence[Moments] | None,
) -> Simulation:
    """Run a network for given weights; arguments and result are those of :meth:`SpikingGLM.simulate`."""
    n_reference = 0
    if model.normalise and not model.training and moments is None:
        assert model.reference is not None
        n_reference = model.reference.shape[-2]
        spikes = beside(model.reference.to(spikes), spikes)
    local = model.credit == "local"
    if not local or model.normalise:
        uncounted = 0  # later losses reach these steps, through traces or a layer's statistics
    carry = carry or state is not None
    n_random = len(model.likelihoods) - (model.readout is not None)
    x, states, fired, potentials, readouts = spikes, [], [], [], []
    for k, pool in enumerate(model.pools):
        layer = LayerRun(model.neuron, model.synapses[k], weights, k)
        before = None if state is None else state.layers[k]
        sums, synaptic = layer.sums(x, before and before.synaptic, carry=carry, uncounted=uncounted)
        current = layer.synapses.finished(sums, moments[k] if moments else n_reference)
        s, u, reset, lateral = layer.fire(current, before, through_time=not local, record=record)
        if u is not None:
            potentials.append(u)
        if carry and synaptic is not None:
            states.append(NeuronState(synaptic, reset, lateral))
        fired.append(s)
        x = s if pool is None else pool(s)
        slot = k - (len(model.pools) - n_random)
        if slot >= 0:
            readouts.append(matmul_over_time(x, model.random_readout(slot)))
        x = x.detach() if local else x
    final = None
    if model.readout is not None:
        trace, final = model.neuron.trace(x, state.readout if state is not None else None)
        readouts.append(model.readout.current(trace, weights["readout.weight"]))
    if n_reference:
        readouts, fired, potentials = (
            [x[..., n_reference:, :] for x in part] for part in (readouts, fired, potentials)
        )
    after = NetworkState(tuple(states), final) if carry else None
    return Simulation(tuple(readouts), after, tuple(fired), tuple(potentials))
