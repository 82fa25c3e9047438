"""Every built-in neuron honours the contract."""

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


class TestThreshold(NeuronContract):
    def make(self):
        return ThresholdNeuron()


class TestThresholdSigmoid(NeuronContract):
    def make(self):
        return ThresholdNeuron(surrogate=Sigmoid(0.3), reset=0.4)


class TestThresholdFastSigmoid(NeuronContract):
    def make(self):
        return ThresholdNeuron(2, 1, 20, surrogate=FastSigmoid(1.0))


class TestThresholdTriangle(NeuronContract):
    def make(self):
        return ThresholdNeuron(surrogate=Triangle(1.0), reset=0.0)


class TestThresholdArctan(NeuronContract):
    def make(self):
        return ThresholdNeuron(0.2, 30, 0.1, 3.0, Arctan(0.5))


class TestEscape(NeuronContract):
    stochastic = True

    def make(self):
        return EscapeNeuron()


class TestEscapeWide(NeuronContract):
    stochastic = True

    def make(self):
        return EscapeNeuron(5, 5, 5, reset=0.5, delta=1.0)


class TestSingleStep(NeuronContract):
    def make(self):
        return SingleStepNeuron()


class TestSingleStepElsewhere(NeuronContract):
    def make(self):
        return SingleStepNeuron(0.2, SingleStep(alpha=2.0))


class TestSingleStepTriangle(NeuronContract):
    def make(self):
        return SingleStepNeuron(0.0, Triangle(1.0))


class TestSingleStepBoxcar(NeuronContract):
    def make(self):
        return SingleStepNeuron(0.0, Boxcar(0.5))
