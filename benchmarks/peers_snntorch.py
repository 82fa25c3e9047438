"""snnTorch: neurons called step by step in a Python loop, and its two layers that take whole sequences.

The documentation's own loop calls linear map and neuron at every step; here the linear map runs once for
all steps, which is faster.  For speed it recommends ``LeakyParallel`` (an ``nn.RNN``; no reset).
"""

from __future__ import annotations

import snntorch as snn
import torch
from torch import Tensor, nn

from benchmarks.peers import MEMBRANE, SYNAPSE, Neuron, linear


class Stepwise(nn.Module):
    """A linear map of the whole sequence, then the neuron in a loop, its state passed by hand."""

    def __init__(self, n_inputs: int, n_outputs: int, neuron: nn.Module, state: str) -> None:
        super().__init__()
        self.linear, self.neuron, self.init = linear(n_inputs, n_outputs), neuron, state

    def forward(self, x: Tensor) -> Tensor:
        """Return spikes ``[T, B, O]``."""
        start = getattr(self.neuron, self.init)()
        state = start if isinstance(start, tuple) else (start,)
        out = []
        for current in self.linear(x).unbind(0):
            spikes, *state = self.neuron(current, *state)
            out.append(spikes)
        return torch.stack(out)


class Sequence(nn.Module):
    """A linear map and a neuron that both take the whole sequence."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.linear = linear(n_inputs, n_outputs)
        self.neuron = snn.StateLeaky(beta=MEMBRANE, channels=n_outputs, output=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return spikes ``[T, B, O]``."""
        return self.neuron(self.linear(x))[0]


def _synaptic(i: int, o: int) -> nn.Module:
    neuron = snn.Synaptic(alpha=SYNAPSE, beta=MEMBRANE, threshold=4.0, reset_mechanism="subtract")
    return Stepwise(i, o, neuron, "init_synaptic")


def _leaky(i: int, o: int) -> nn.Module:
    return Stepwise(i, o, snn.Leaky(beta=MEMBRANE, reset_mechanism="subtract"), "init_leaky")


def _parallel(i: int, o: int) -> nn.Module:
    return snn.LeakyParallel(i, o, beta=MEMBRANE, bias=False)


NEURONS = {
    "Synaptic": Neuron(_synaptic, "snntorch.Synaptic, second order"),
    "Leaky": Neuron(_leaky, "snntorch.Leaky, first order"),
    "LeakyParallel": Neuron(_parallel, "snntorch.LeakyParallel, first order, no reset", reset=False),
    "StateLeaky": Neuron(Sequence, "snntorch.StateLeaky, first order, no reset", reset=False),
}


def reset(layers: nn.Module) -> None:
    """Do nothing: state is passed by hand."""
