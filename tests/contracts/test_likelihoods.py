"""Every built-in likelihood honours the contract."""

import torch

from bisnn_pyro.models import (
    BernoulliRate,
    BernoulliSteps,
    CategoricalProbit,
    CategoricalRate,
    CategoricalSteps,
    Gaussian,
    SpikeTrainBernoulli,
)
from bisnn_pyro.testing import LikelihoodContract


class TestCategoricalRate(LikelihoodContract):
    def make(self):
        return CategoricalRate(3)


class TestCategoricalProbit(LikelihoodContract):
    def make(self):
        return CategoricalProbit(3)


class TestBernoulliRate(LikelihoodContract):
    def make(self):
        return BernoulliRate()


class TestCategoricalSteps(LikelihoodContract):
    additive = True

    def make(self):
        return CategoricalSteps(3)


class TestBernoulliSteps(LikelihoodContract):
    additive = True

    def make(self):
        return BernoulliSteps()


class TestGaussian(LikelihoodContract):
    def make(self):
        return Gaussian(0.4)


class TestSpikeTrainOfLabels(LikelihoodContract):
    additive = True

    def make(self):
        return SpikeTrainBernoulli(3, period=3)


class TestSpikeTrainOfTrains(LikelihoodContract):
    additive = True

    def make(self):
        return SpikeTrainBernoulli(2, delta=0.5)

    def targets(self):
        generator = torch.Generator().manual_seed(0)
        return (torch.rand(4, 11, 2, generator=generator) < 0.3).float()
