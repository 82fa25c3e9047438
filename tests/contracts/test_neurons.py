"""Every built-in neuron honours the contract."""

import pytest

from bisnn_pyro.models import (
    Arctan,
    Boxcar,
    EscapeNeuron,
    FastSigmoid,
    Sigmoid,
    SingleStep,
    SingleStepNeuron,
    ThresholdNeuron,
    Triangle,
)
from bisnn_pyro.testing import NeuronContract

NEURONS = {
    "threshold": ThresholdNeuron(),
    "threshold-sigmoid": ThresholdNeuron(surrogate=Sigmoid(0.3), reset=0.4),
    "threshold-fast-sigmoid": ThresholdNeuron(2, 1, 20, surrogate=FastSigmoid(1.0)),
    "threshold-triangle": ThresholdNeuron(surrogate=Triangle(1.0), reset=0.0),
    "threshold-arctan": ThresholdNeuron(0.2, 30, 0.1, 3.0, Arctan(0.5)),
    "escape": EscapeNeuron(),
    "escape-wide": EscapeNeuron(5, 5, 5, reset=0.5, delta=1.0),
    "single-step": SingleStepNeuron(),
    "single-step-elsewhere": SingleStepNeuron(0.2, SingleStep(alpha=2.0)),
    "single-step-triangle": SingleStepNeuron(0.0, Triangle(1.0)),
    "single-step-boxcar": SingleStepNeuron(0.0, Boxcar(0.5)),
}


class TestNeurons(NeuronContract):
    @pytest.fixture(autouse=True, params=NEURONS.values(), ids=list(NEURONS))
    def neuron(self, request):
        self.made = request.param
        self.stochastic = self.made.stochastic

    def make(self):
        return self.made
