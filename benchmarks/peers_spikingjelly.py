"""SpikingJelly: ``activation_based`` in multi-step mode, which its documentation recommends for speed."""

from __future__ import annotations

from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

from benchmarks.peers import MEMBRANE, SYNAPSE, Neuron, linear


class MultiStep(nn.Module):
    """A linear map of the whole sequence and a multi-step neuron."""

    def __init__(self, n_inputs: int, n_outputs: int, node: nn.Module) -> None:
        super().__init__()
        self.linear = layer.Linear(n_inputs, n_outputs, bias=False, step_mode="m")
        self.linear.weight.data.copy_(linear(n_inputs, n_outputs).weight.data)
        self.node = node

    def forward(self, x: Tensor) -> Tensor:
        """Return spikes ``[T, B, O]``."""
        return self.node(self.linear(x))


def _lif(i: int, o: int) -> nn.Module:
    node = neuron.LIFNode(
        tau=1 / (1 - MEMBRANE),
        decay_input=False,
        v_reset=None,
        surrogate_function=surrogate.Rect(),
        detach_reset=True,
        step_mode="m",
    )
    return MultiStep(i, o, node)


def _cuba(i: int, o: int) -> nn.Module:
    node = neuron.CUBALIFNode(c_decay=SYNAPSE, v_decay=MEMBRANE, v_threshold=4.0, v_reset=None)
    node.detach_reset = True
    node.step_mode = "m"
    return MultiStep(i, o, node)


NEURONS = {
    "CUBALIFNode": Neuron(_cuba, "spikingjelly CUBALIFNode, step_mode m, second order"),
    "LIFNode": Neuron(_lif, "spikingjelly LIFNode, step_mode m, first order"),
}


def reset(layers: nn.Module) -> None:
    """Set all neurons back to rest, as the library asks before each sequence."""
    functional.reset_net(layers)
