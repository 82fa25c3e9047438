"""Expectation backpropagation: online Bayesian learning of sign networks, by moments."""

from bisnn_pyro.inference.ebp.learner import ExpectationLearner
from bisnn_pyro.inference.ebp.network import predict_moments
from bisnn_pyro.inference.ebp.updates import ExpectationUpdates

__all__ = ["ExpectationLearner", "ExpectationUpdates", "predict_moments"]
