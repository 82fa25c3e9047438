"""Likelihoods: from read-outs over time to observed sites, and back to probabilities."""

from bisnn_pyro.models.likelihoods.base import Classification, Likelihood, Regression, Window
from bisnn_pyro.models.likelihoods.classes import (
    BernoulliRate,
    BernoulliSteps,
    CategoricalRate,
    CategoricalSteps,
)
from bisnn_pyro.models.likelihoods.gaussian import Gaussian
from bisnn_pyro.models.likelihoods.probit import CategoricalProbit
from bisnn_pyro.models.likelihoods.spike_train import SpikeTrainBernoulli, SpikeTrainDistribution

__all__ = [
    "BernoulliRate",
    "BernoulliSteps",
    "CategoricalProbit",
    "CategoricalRate",
    "CategoricalSteps",
    "Classification",
    "Gaussian",
    "Likelihood",
    "Regression",
    "SpikeTrainBernoulli",
    "SpikeTrainDistribution",
    "Window",
]
