"""Surrogate gradients: what stands for the derivative of a threshold unit's step.

Each is a bump of area one around the threshold, so that they can be exchanged at the same learning
rate; ``width`` is its half-width (boxcar, triangle) or its scale (the smooth ones), in units of the
membrane potential.  A unit further than ``width`` from its threshold gets little or no gradient.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.kernels.backend import kernels_for


@dataclass(frozen=True)
class Surrogate(ABC):
    """Derivative of the spike with respect to the potential, ``ds/du``.

    Args:
        width: half-width or scale of the bump, > 0.
    """

    width: float = 0.5

    def __post_init__(self) -> None:
        if not (math.isfinite(self.width) and self.width > 0):
            raise ModelError(f"surrogate width must be a positive number, not {self.width}")

    @abstractmethod
    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du`` at potentials ``u`` (threshold at 0), same shape."""

    def backward(self, grad: Tensor, u: Tensor) -> Tensor:
        """Return ``grad * ds/du``: the gradient in the potential, given the one in the spikes."""
        return grad * self.derivative(u)

    def share_within(self, u: Tensor) -> float:
        """Return the share of potentials within ``width`` of the threshold."""
        return float((u.abs() <= self.width).double().mean())


@dataclass(frozen=True)
class Boxcar(Surrogate):
    """``1/(2 width)`` for ``-width < u <= width``: BiSNN's own, with ``width = 0.5`` (arXiv 2012.08300)."""

    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du``."""
        inside = (u > -self.width).logical_and_(u <= self.width)
        return inside.to(u.dtype) * (0.5 / self.width)

    def backward(self, grad: Tensor, u: Tensor) -> Tensor:
        """Return ``grad * ds/du``, in one pass over memory."""
        return kernels_for(u).gate(grad, u, self.width)


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """Derivative of the logistic function, ``sigma'(u / width) / width``."""

    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du``."""
        p = torch.sigmoid(u / self.width)
        return p * (1 - p) / self.width


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """``1 / (2 width (1 + |u| / width)^2)`` (SuperSpike, Zenke and Ganguli 2018, up to its area)."""

    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du``."""
        return 0.5 / self.width / (1 + u.abs() / self.width).square()


@dataclass(frozen=True)
class Triangle(Surrogate):
    """``max(0, 1 - |u| / width) / width`` (Bellec et al. 2018, up to its area)."""

    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du``."""
        return (1 - u.abs() / self.width).clamp_min(0) / self.width


@dataclass(frozen=True)
class Arctan(Surrogate):
    """``1 / (pi width (1 + (u / width)^2))`` (Fang et al. 2021, up to its area)."""

    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du``."""
        return 1 / (math.pi * self.width) / (1 + (u / self.width).square())


SURROGATES: dict[str, type[Surrogate]] = {
    "boxcar": Boxcar,
    "sigmoid": Sigmoid,
    "fast-sigmoid": FastSigmoid,
    "triangle": Triangle,
    "arctan": Arctan,
}
