"""Reusable test suites: subclass one to check a part of your own against the package's contracts."""

from bisnn_pyro.testing.encoders import EncoderContract
from bisnn_pyro.testing.estimators import EstimatorContract
from bisnn_pyro.testing.guides import GuideContract
from bisnn_pyro.testing.likelihoods import LikelihoodContract
from bisnn_pyro.testing.neurons import NeuronContract

__all__ = ["EncoderContract", "EstimatorContract", "GuideContract", "LikelihoodContract", "NeuronContract"]
