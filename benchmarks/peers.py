"""What the three libraries' nets have in common: layers in a row, the same losses, plain SGD.

Their weights are real and their rule is SGD, since none has binary Bayesian synapses: draw, KL and the
learning rule are work that only our side does.  Each layer is called on the whole sequence, so that its
matrix product is one product; its neuron then runs as the library runs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from benchmarks.nets import LR, Net

MEMBRANE, SYNAPSE = math.exp(-1 / 10), math.exp(-1 / 6)
"""Decays per step of our own neuron."""

MakeLayer = Callable[[int, int], nn.Module]


@dataclass(frozen=True)
class Neuron:
    """A library's neuron, as a layer that turns spikes ``[T, B, I]`` into spikes ``[T, B, O]``.

    Attributes:
        layer: makes a layer for a fan-in and a fan-out.
        note: what it is, for the row.
        reset: whether it resets after a spike; without, no step depends on the last spike.
    """

    layer: MakeLayer
    note: str
    reset: bool = True


class PeerStep:
    """A training step of another library's network.

    Args:
        net: sizes.
        spikes: inputs ``[T, B, I]``.
        y: labels ``[B]``.
        make_layer: one layer.
        readouts: fixed random read-outs ``[C, O]`` of the layers.
        local: detach layers from each other and give each a loss; otherwise one loss on the last.
        reset: called before each sequence with the layers, where a library keeps state in them.
    """

    def __init__(
        self,
        net: Net,
        spikes: Tensor,
        y: Tensor,
        make_layer: MakeLayer,
        readouts: list[Tensor],
        *,
        local: bool,
        reset: Callable[[nn.Module], None] | None = None,
    ) -> None:
        torch.manual_seed(0)
        self.net, self.spikes, self.local, self.reset = net, spikes, local, reset
        self.layers = nn.ModuleList([make_layer(i, o) for i, o in net.sizes])
        self.readouts = readouts
        repeated = y.expand(net.n_steps - net.burn_in, -1)
        self.target = repeated.to(spikes.dtype) if net.n_classes == 2 else repeated.flatten()
        self.optimiser = torch.optim.SGD(self.layers.parameters(), lr=LR / net.n_train)

    def nll(self, readout: Tensor) -> Tensor:
        """Return the same loss as ours of one read-out ``[T, B, C]``."""
        counted = readout[self.net.burn_in :]
        if self.net.n_classes == 2:
            total = binary_cross_entropy_with_logits(counted.squeeze(-1), self.target, reduction="sum")
        else:
            total = cross_entropy(counted.flatten(0, 1), self.target, reduction="sum")
        return total * (self.net.n_train / self.net.batch / counted.shape[0])

    def forward(self) -> tuple[Tensor, list[Tensor]]:
        """Return the loss, and the spikes of each layer."""
        if self.reset is not None:
            self.reset(self.layers)
        x, total, fired = self.spikes, self.spikes.new_zeros(()), []
        for k, layer in enumerate(self.layers):
            spikes = layer(x)
            fired.append(spikes)
            if self.local or k == len(self.layers) - 1:
                total = total + self.nll(spikes @ self.readouts[k].T)
            x = spikes.detach() if self.local else spikes
        return total, fired

    def __call__(self) -> Tensor:
        """Take one step."""
        self.optimiser.zero_grad(set_to_none=True)
        loss, _ = self.forward()
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    @torch.no_grad()
    def rates(self) -> list[float]:
        """Return the share of steps in which each layer's units fire."""
        return [float(spikes.mean()) for spikes in self.forward()[1]]


def linear(n_inputs: int, n_outputs: int, gain: float = 1.0) -> nn.Linear:
    """Return a linear map without bias whose weights let the neurons fire."""
    layer = nn.Linear(n_inputs, n_outputs, bias=False)
    with torch.no_grad():
        layer.weight.normal_(0, gain / math.sqrt(n_inputs))
    return layer
