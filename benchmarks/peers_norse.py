"""Norse: ``LIF`` layers that take whole sequences, and ``Lift`` for its cells that take one step."""

from __future__ import annotations

import norse.torch as norse
import torch
from torch import Tensor, nn

from benchmarks.peers import Neuron, linear

DT = 1e-3


class Lifted(nn.Module):
    """A linear map of the whole sequence and a neuron lifted over time."""

    def __init__(self, n_inputs: int, n_outputs: int, neuron: nn.Module, gain: float) -> None:
        super().__init__()
        self.linear, self.neuron = linear(n_inputs, n_outputs, gain), neuron

    def forward(self, x: Tensor) -> Tensor:
        """Return spikes ``[T, B, O]``."""
        return self.neuron(self.linear(x))[0]


def _inverse(tau: float) -> Tensor:
    return torch.as_tensor(1 / (tau * DT))


def _lif(i: int, o: int) -> nn.Module:
    p = norse.LIFParameters(tau_syn_inv=_inverse(6.0), tau_mem_inv=_inverse(10.0))
    return Lifted(i, o, norse.LIF(p, dt=DT), 3.0)


def _box(i: int, o: int) -> nn.Module:
    p = norse.LIFBoxParameters(tau_mem_inv=_inverse(10.0))
    return Lifted(i, o, norse.Lift(norse.LIFBoxCell(p, dt=DT)), 10.0)


NEURONS = {
    "LIF": Neuron(_lif, "norse.torch.LIF over time, second order"),
    "LIFBoxCell": Neuron(_box, "norse.torch.Lift(LIFBoxCell), first order"),
}


def reset(layers: nn.Module) -> None:
    """Do nothing: a sequence starts at rest."""
