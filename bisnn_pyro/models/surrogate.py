"""Surrogate gradients: replacements for the derivative of a threshold unit's step.

Each but :class:`SingleStep` is a bump of area one around the threshold, so that they can be exchanged at the
same learning rate; ``width`` is its half-width (boxcar, triangle) or its scale (the smooth ones), in units
of the membrane potential.  A unit further than ``width`` from its threshold gets little or no gradient.
:class:`SingleStep` is neither a bump nor symmetric.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.kernels import kernels_for


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

    @property
    def gate_width(self) -> float | None:
        """Half-width w of a surrogate that is ``1/(2w)`` on ``(-w, w]`` and 0 elsewhere, else ``None``."""
        return None

    @abstractmethod
    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du`` at potentials ``u`` (threshold at 0), same shape."""

    def remember(self, u: Tensor) -> Tensor:
        """Return what :meth:`backward` needs of the potentials; the potentials themselves by default."""
        return u

    def backward(self, grad: Tensor, remembered: Tensor) -> Tensor:
        """Return ``grad * ds/du``: the gradient in the potential, given the one in the spikes."""
        return grad * self.derivative(remembered)

    def share_within(self, u: Tensor) -> float:
        """Return the share of potentials within ``width`` of the threshold."""
        return float((u.abs() <= self.width).double().mean())


@dataclass(frozen=True)
class Boxcar(Surrogate):
    """``1/(2 width)`` for ``-width < u <= width``: BiSNN's own, with ``width = 0.5`` (arXiv 2012.08300).

    Args:
        width: half-width of the bump, in units of the potential, > 0.
    """

    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du``."""
        inside = (u > -self.width).logical_and_(u <= self.width)
        return inside.to(u.dtype) * (0.5 / self.width)

    @property
    def gate_width(self) -> float | None:
        """The half-width: a scan need not store the potentials."""
        return self.width

    def remember(self, u: Tensor) -> Tensor:
        """Return whether each potential is within the width, in one byte: a quarter of the memory."""
        return kernels_for(u).inside(u, self.width)

    def backward(self, grad: Tensor, remembered: Tensor) -> Tensor:
        """Return ``grad * ds/du``, in one pass over memory."""
        return kernels_for(grad).gate(grad, remembered, 0.5 / self.width)


@dataclass(frozen=True)
class Sigmoid(Surrogate):
    """Derivative of the logistic function, ``sigma'(u / width) / width``.

    Args:
        width: scale of the bump, in units of the potential, > 0.
    """

    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du``."""
        p = torch.sigmoid(u / self.width)
        return p * (1 - p) / self.width


@dataclass(frozen=True)
class FastSigmoid(Surrogate):
    """``1 / (2 width (1 + |u| / width)^2)`` (SuperSpike, Zenke and Ganguli 2018, up to its area).

    Args:
        width: scale of the bump, in units of the potential, > 0.
    """

    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du``."""
        return 0.5 / self.width / (1 + u.abs() / self.width).square()


@dataclass(frozen=True)
class Triangle(Surrogate):
    """``max(0, 1 - |u| / width) / width`` (Bellec et al. 2018, up to its area).

    Args:
        width: half-width of the bump, in units of the potential, > 0.
    """

    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du``."""
        return (1 - u.abs() / self.width).clamp_min(0) / self.width


@dataclass(frozen=True)
class Arctan(Surrogate):
    """``1 / (pi width (1 + (u / width)^2))`` (Fang et al. 2021, up to its area).

    Args:
        width: scale of the bump, in units of the potential, > 0.
    """

    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du``."""
        return 1 / (math.pi * self.width) / (1 + (u / self.width).square())


@dataclass(frozen=True)
class SingleStep(Surrogate):
    r"""The single-step network's surrogate (S2NN, arXiv 2201.10879v1), reduced from a multi-step one.

    .. math:: \frac{ds}{du} = \alpha\,\sigma(\alpha u)(1-\sigma(\alpha u)) \; (u<0), \qquad
        \frac{\alpha/4}{u+1} \; (u\ge 0)

    with ``u`` relative to the threshold.  It is asymmetric and not a bump: the right branch falls as ``1/u``,
    whose integral diverges, so units far above their threshold keep a gradient, and a learning rate found
    with a bump of area one need not suit it.

    The paper's right branch is :math:`\beta/(u+1)`; here :math:`\beta=\alpha/4`, its own choice for
    :math:`\alpha=4`, at which the branches meet.  Any other value would let rounding at the threshold
    decide the gradient.

    Args:
        width: half-width of what :meth:`share_within` counts; the gradient does not depend on it.
        alpha: steepness below the threshold, > 0.

    Raises:
        ModelError: if ``alpha`` is not a positive number.
    """

    alpha: float = 4.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.alpha) and self.alpha > 0):
            raise ModelError(f"surrogate alpha must be a positive number, not {self.alpha}")

    def derivative(self, u: Tensor) -> Tensor:
        """Return ``ds/du``."""
        p = torch.sigmoid(self.alpha * u)
        above = (0.25 * self.alpha) / (u.clamp_min(0) + 1)
        return torch.where(u < 0, self.alpha * p * (1 - p), above)
