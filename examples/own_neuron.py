"""A neuron of your own: subclass, check it with the contract suite, use it in a network."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bisnn_pyro.inference import AutoStraightThrough, MeanFieldELBO
from bisnn_pyro.models import (
    CategoricalRate,
    FilterState,
    Neuron,
    ResetState,
    SpikingGLM,
    Surrogate,
    TimeConstants,
    Triangle,
    alpha_filter,
    threshold_scan,
)
from bisnn_pyro.testing import NeuronContract

WIDE = Triangle(width=1.0)


@dataclass(frozen=True)
class AdaptiveNeuron(Neuron):
    """A threshold neuron with a slow, strong after-hyperpolarisation.

    Args:
        tau_adaptation: time constant of the after-hyperpolarisation, in steps.
        strength: its weight in the potential.
        surrogate: stands for ``ds/du``.
    """

    tau_adaptation: float = 20.0
    strength: float = 0.2
    surrogate: Surrogate = WIDE

    @property
    def constants(self) -> TimeConstants:
        return TimeConstants(refractory=self.tau_adaptation)

    def trace(self, spikes: Tensor, state: FilterState | None) -> tuple[Tensor, FilterState]:
        return alpha_filter(spikes, self.constants, state)

    def fire(self, current: Tensor, state: ResetState | None) -> tuple[Tensor, Tensor, ResetState]:
        decay = self.constants.decays[2]
        return threshold_scan(current, decay, self.surrogate, reset=self.strength, state=state)


class TestAdaptiveNeuron(NeuronContract):
    """What ``pytest examples/own_neuron.py`` runs."""

    def make(self) -> Neuron:
        return AdaptiveNeuron()


if __name__ == "__main__":
    torch.manual_seed(0)
    model = SpikingGLM(6, [16, 16], CategoricalRate(3), neuron=AdaptiveNeuron(), gain=3.0)
    guide = AutoStraightThrough(model)
    spikes, y = (torch.rand(30, 8, 6) < 0.4).float(), torch.randint(0, 3, (8,))
    energy = MeanFieldELBO().free_energy(model, guide, spikes, y)
    energy.loss.backward()
    print(f"nll of 8 examples: {float(energy.nll.detach()):.3f}")
    print("firing rates and shares within the surrogate's width:", model.activity(guide.mode(), spikes))
