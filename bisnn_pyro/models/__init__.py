"""Models: time kernels, neurons, synapses, priors, likelihoods, and the spiking GLM made of them."""

from bisnn_pyro.models.kernels import TimeConstants, use_backend
from bisnn_pyro.models.layers import DenseSynapses, Normalisation
from bisnn_pyro.models.likelihoods import (
    BernoulliRate,
    BernoulliSteps,
    CategoricalRate,
    CategoricalSteps,
    Gaussian,
    Likelihood,
    SpikeTrainBernoulli,
    Window,
)
from bisnn_pyro.models.network import NetworkState, Simulation, SpikingGLM
from bisnn_pyro.models.neurons import EscapeNeuron, Neuron, NeuronState, ThresholdNeuron
from bisnn_pyro.models.priors import BinaryPrior, NormalPrior, Prior
from bisnn_pyro.models.surrogate import (
    SURROGATES,
    Arctan,
    Boxcar,
    FastSigmoid,
    Sigmoid,
    Surrogate,
    Triangle,
)

__all__ = [
    "SURROGATES",
    "Arctan",
    "BernoulliRate",
    "BernoulliSteps",
    "BinaryPrior",
    "Boxcar",
    "CategoricalRate",
    "CategoricalSteps",
    "DenseSynapses",
    "EscapeNeuron",
    "FastSigmoid",
    "Gaussian",
    "Likelihood",
    "NetworkState",
    "Neuron",
    "NeuronState",
    "NormalPrior",
    "Normalisation",
    "Prior",
    "Sigmoid",
    "Simulation",
    "SpikeTrainBernoulli",
    "SpikingGLM",
    "Surrogate",
    "ThresholdNeuron",
    "TimeConstants",
    "Triangle",
    "Window",
    "use_backend",
]
