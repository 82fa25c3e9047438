r"""Moments of a network of sign units under its posterior: the forward pass of expectation backpropagation.

With independent weights a unit's potential is a sum of many terms, here taken as Gaussian; its mean over its
deviation, ``z``, is all that the next layer sees, as the mean :math:`2\Phi(z)-1` of its sign.  ``z`` does not
depend on a layer's scale, so potentials are in units of one weight: :math:`u = \sum_j w_j a_j + b`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Signal(NamedTuple):
    """What a layer receives for B examples, as moments of independent inputs ``a_j``.

    Attributes:
        mean: ``[B, I]``.
        square: ``[B, I]``, the part of the second moment that is the mean's own.
        variance: ``[B, I]``, the rest of it; ``None`` where it is zero.
        power: sum of the second moments over the inputs, ``[B, 1]`` or a number.
    """

    mean: Tensor
    square: Tensor
    variance: Tensor | None
    power: Tensor | float


class Potential(NamedTuple):
    """A layer's potentials: ``z`` is mean over ``deviation``, both ``[B, O]``."""

    z: Tensor
    deviation: Tensor


class LayerMoments:
    """The posterior moments of one layer's synapses, in buffers that are used again and again.

    Args:
        parameter: ``[O, I]``; natural parameters of binary synapses, means of real ones of variance 1.
            Kept, not copied, and read anew by :meth:`refresh`.
        bias: ``[O]``, the biases' means times ``scale``; their variance is 1.
        scale: the factor that turns a sum of weights into the network's current.
        binary: which of the two kinds.
    """

    def __init__(self, parameter: Tensor, bias: Tensor, *, scale: float, binary: bool) -> None:
        self.parameter, self.bias, self.scale, self.binary = parameter, bias, scale, binary
        self.mean = torch.empty_like(parameter) if binary else parameter
        self._square = torch.empty_like(parameter)
        self._has_square = False

    def refresh(self) -> None:
        """Compute the moments of the parameter as it is now."""
        self._has_square = False
        if self.binary:
            tanh(self.parameter, out=self.mean)

    @property
    def square(self) -> Tensor:
        """Squares of the means, ``[O, I]``."""
        if not self._has_square:
            torch.mul(self.mean, self.mean, out=self._square)
            self._has_square = True
        return self._square

    def potential(self, signal: Signal) -> Potential:
        r"""Return the moments of the units' potentials.

        The variance is :math:`\sum_j (E w_j^2\,E a_j^2 - (E w_j)^2 (E a_j)^2) + 1`, with :math:`E w^2 = 1`
        for binary synapses and :math:`1 + (E w)^2` for real ones; the 1 is the bias's.
        """
        centre = torch.addmm(self.bias / self.scale, signal.mean, self.mean.T)
        if self.binary:
            variance = signal.power + 1 - signal.square @ self.square.T
        else:
            variance = torch.zeros_like(centre).add_(signal.power + 1)
            if signal.variance is not None:
                variance.addmm_(signal.variance, self.square.T)
        # Rounding may leave less than the bias's variance where all synapses are certain.
        deviation = variance.clamp_min_(1).sqrt_()
        return Potential(centre.div_(deviation), deviation)


def tanh(x: Tensor, out: Tensor) -> None:
    """Write ``tanh(x)`` to ``out``; on a CPU by numpy, several times as fast as torch and as accurate."""
    numpys = x.device.type == "cpu" and x.dtype in (torch.float32, torch.float64)
    if numpys and x.is_contiguous() and out.is_contiguous():
        np.tanh(x.detach().numpy(), out=out.detach().numpy())
    else:
        torch.tanh(x, out=out)


def input_signal(x: Tensor, dropout: float | None) -> Signal:
    r"""Return the moments of inputs ``x`` ``[B, I]``.

    With ``dropout`` p the variance of a binary layer is :math:`\sum_j(1-(1-v)\tanh^2 h_{ij})\,x_j^2`
    (arXiv 1503.03562), :math:`v = 4p(1-p)` being the variance of a sign that is kept with probability p.  The
    mean stays as it is.
    """
    second = x.square()
    power = second.sum(-1, keepdim=True)
    if dropout is None:
        return Signal(x, second, None, power)
    v = 4 * dropout * (1 - dropout)
    return Signal(x, (1 - v) * second, v * second, power)


def unit_signal(z: Tensor) -> Signal:
    """Return the moments of sign units ``[B, I]`` with standardised potentials ``z``."""
    mean = torch.erf(z * math.sqrt(0.5))
    square = mean.square()
    return Signal(mean, square, 1 - square, float(z.shape[-1]))


class Pass(NamedTuple):
    """What the forward pass leaves for the backward one: each layer's input and potential."""

    signals: tuple[Signal, ...]
    potentials: tuple[Potential, ...]


def forward(layers: Sequence[LayerMoments], x: Tensor, dropout: float | None = None) -> Pass:
    """Refresh all layers and pass the moments of inputs ``x`` ``[B, I]`` through them."""
    signals, potentials = [input_signal(x, dropout)], []
    for k, layer in enumerate(layers):
        layer.refresh()
        potentials.append(layer.potential(signals[-1]))
        if k + 1 < len(layers):
            signals.append(unit_signal(potentials[-1].z))
    return Pass(tuple(signals), tuple(potentials))
