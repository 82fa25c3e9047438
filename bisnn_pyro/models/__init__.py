"""Models: time kernels, neurons, synapses, priors, likelihoods, and the spiking GLM made of them."""

from bisnn_pyro.models.architecture import Conv, Dense
from bisnn_pyro.models.convolution import ConvSynapses
from bisnn_pyro.models.kernels import TimeConstants, use_backend
from bisnn_pyro.models.layers import DenseSynapses, RecurrentSynapses, Synapses
from bisnn_pyro.models.likelihoods import (
    BernoulliRate,
    BernoulliSteps,
    CategoricalProbit,
    CategoricalRate,
    CategoricalSteps,
    Gaussian,
    Likelihood,
    SpikeTrainBernoulli,
    Window,
)
from bisnn_pyro.models.network import SpikingGLM
from bisnn_pyro.models.neurons import EscapeNeuron, Neuron, NeuronState, ThresholdNeuron
from bisnn_pyro.models.normalisation import ChannelNormalisation, Normalisation
from bisnn_pyro.models.pooling import SpikePool
from bisnn_pyro.models.priors import BinaryPrior, NormalPrior, Prior
from bisnn_pyro.models.sign_network import SignNetwork, SignNeuron
from bisnn_pyro.models.simulation import NetworkState, Simulation
from bisnn_pyro.models.single_step import SingleStepNeuron
from bisnn_pyro.models.surrogate import (
    SURROGATES,
    Arctan,
    Boxcar,
    FastSigmoid,
    Sigmoid,
    SingleStep,
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
    "CategoricalProbit",
    "CategoricalRate",
    "CategoricalSteps",
    "ChannelNormalisation",
    "Conv",
    "ConvSynapses",
    "Dense",
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
    "RecurrentSynapses",
    "Sigmoid",
    "SignNetwork",
    "SignNeuron",
    "Simulation",
    "SingleStep",
    "SingleStepNeuron",
    "SpikePool",
    "SpikeTrainBernoulli",
    "SpikingGLM",
    "Surrogate",
    "Synapses",
    "ThresholdNeuron",
    "TimeConstants",
    "Triangle",
    "Window",
    "use_backend",
]
