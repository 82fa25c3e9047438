"""The posteriors that expectation backpropagation fits: the families of other guides, begun its way."""

from __future__ import annotations

import math
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from bisnn_pyro.distributions import SignBernoulli
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.guides.gaussian import AutoGaussian
from bisnn_pyro.inference.guides.relaxed import AutoRelaxedSign


def _spread(shape: torch.Size, like: Tensor) -> Tensor:
    """Return uniform numbers of variance ``1 / I``, ``[O, I]``."""
    noise = torch.rand(shape, dtype=like.dtype, device=like.device) - 0.5
    return noise * math.sqrt(12 / shape[-1])


def _checked(dropout: float | None) -> float | None:
    if dropout is not None and not 0.5 <= dropout <= 1:
        raise ModelError(
            f"guide dropout is the probability that an input keeps its sign, in [0.5, 1], not {dropout}"
        )
    return dropout


class AutoExpectationSign(AutoRelaxedSign):
    r"""Mean-field Bernoulli posterior of binary synapses, fitted by expectation backpropagation.

    The family is that of :class:`AutoRelaxedSign` (and so, under a gradient, is the training draw).
    Natural parameters begin at the prior's, plus uniform noise of variance ``1 / I`` that tells the units
    of a layer apart: in expectation backpropagation the start *is* the prior.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`.
        dropout: probability that an input keeps its sign, in [0.5, 1], which enters the variance of the
            first layer in training; ``None`` takes inputs as they are.
        init_scale: factor on the noise.
    """

    predictors = ("moments", "mode", "committee")

    def __init__(self, model: Any, *, dropout: float | None = None, init_scale: float = 1.0) -> None:
        super().__init__(model, init_scale=init_scale)
        self.dropout = _checked(dropout)

    def _initial(self, prior: TorchDistribution, shape: torch.Size) -> dict[str, Tensor]:
        assert isinstance(prior, SignBernoulli)
        return {"natural": prior.natural + self.init_scale * _spread(shape, prior.natural)}


class AutoExpectationNormal(AutoGaussian):
    r"""Gaussian posterior of real synapses with variance 1, fitted by expectation backpropagation.

    Only the means are learned.  They begin uniform with variance ``1 / I`` around 0.

    Args:
        model: a Pyro model whose latent sites are all ``Normal``.
        dropout: as of :class:`AutoExpectationSign`.
        init_scale: factor on the spread of the initial means.
    """

    predictors = ("moments", "mode", "committee")
    roles = ("loc",)

    def __init__(self, model: Any, *, dropout: float | None = None, init_scale: float = 1.0) -> None:
        super().__init__(model, init_scale=init_scale)
        self.dropout = _checked(dropout)

    def _initial(self, prior: TorchDistribution, shape: torch.Size) -> dict[str, Tensor]:
        return {"loc": self.init_scale * _spread(shape, prior.mean)}

    def _posterior(self, name: str) -> TorchDistribution:
        mean = self.parameter("loc", name)
        return dist.Normal(mean, torch.ones_like(mean))

    _training_distribution = _posterior


ExpectationGuide = AutoExpectationSign | AutoExpectationNormal
"""Either posterior."""
