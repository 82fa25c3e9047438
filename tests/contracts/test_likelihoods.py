"""Every built-in likelihood honours the contract."""

import pytest
import torch

from bisnn_pyro.models import (
    BernoulliRate,
    BernoulliSteps,
    CategoricalProbit,
    CategoricalRate,
    CategoricalSteps,
    Gaussian,
    NoisyDirichlet,
    SpikeTrainBernoulli,
)
from bisnn_pyro.testing import LikelihoodContract

LIKELIHOODS = {
    "categorical-rate": lambda: CategoricalRate(3),
    "categorical-probit": lambda: CategoricalProbit(3),
    "bernoulli-rate": BernoulliRate,
    "categorical-steps": lambda: CategoricalSteps(3),
    "bernoulli-steps": BernoulliSteps,
    "noisy-dirichlet": lambda: NoisyDirichlet(3),
    "gaussian": lambda: Gaussian(0.4),
    "spike-train-labels": lambda: SpikeTrainBernoulli(3, period=3),
    "spike-train-trains": lambda: SpikeTrainBernoulli(2, delta=0.5),
}


class TestLikelihoods(LikelihoodContract):
    @pytest.fixture(autouse=True, params=LIKELIHOODS)
    def likelihood(self, request):
        self.name = request.param
        self.additive = "steps" in self.name or "spike-train" in self.name

    def make(self):
        return LIKELIHOODS[self.name]()

    def targets(self):
        if self.name != "spike-train-trains":
            return super().targets()
        generator = torch.Generator().manual_seed(0)
        return (torch.rand(4, 11, 2, generator=generator) < 0.3).float()
