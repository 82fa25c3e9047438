"""Priors over a layer's synapses."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from bisnn_pyro.distributions import SignBernoulli
from bisnn_pyro.errors import ModelError


class Prior(nn.Module, ABC):
    """A distribution over a weight matrix, made for the shape that a layer asks for."""

    binary: bool
    """Whether draws are in {-1, +1}."""

    @abstractmethod
    def distribution(self, shape: Sequence[int]) -> dist.TorchDistribution:
        """Return the prior of a weight array of this shape, all dimensions as the event."""


class BinaryPrior(Prior):
    r"""Independent :class:`SignBernoulli` synapses with P(w = +1) = p.

    Args:
        p: probability of +1, strictly between 0 and 1; 0.5 is the fair prior.

    Example:
        >>> prior = BinaryPrior(0.9).distribution((2, 3))
        >>> prior.sample().abs()
        tensor([[1., 1., 1.],
                [1., 1., 1.]])
    """

    binary = True
    natural: Tensor

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 < p < 1:
            raise ModelError(f"prior p must lie strictly between 0 and 1, not {p}")
        self.register_buffer("natural", torch.tensor(0.5 * math.log(p / (1 - p))))

    def distribution(self, shape: Sequence[int]) -> dist.TorchDistribution:
        """Return the prior of a weight array of this shape."""
        return SignBernoulli(self.natural).expand(torch.Size(shape)).to_event(len(shape))


class NormalPrior(Prior):
    """Independent ``Normal(0, scale)`` synapses, for full precision and Gaussian guides.

    Args:
        scale: standard deviation; 1 gives weights of the size of binary ones.
    """

    binary = False
    scale: Tensor

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        if not (math.isfinite(scale) and scale > 0):
            raise ModelError(f"prior scale must be a positive number, not {scale}")
        self.register_buffer("scale", torch.tensor(float(scale)))

    def distribution(self, shape: Sequence[int]) -> dist.TorchDistribution:
        """Return the prior of a weight array of this shape."""
        return dist.Normal(torch.zeros_like(self.scale), self.scale).expand(shape).to_event(len(shape))
