"""Normalisation of currents that stays right when weights are drawn anew."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from pyro.nn import PyroModule, PyroParam
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import constraints


class Moments(NamedTuple):
    """Mean and variance ``[*S, 1, 1, O]`` of currents, for each neuron (or channel) and weight draw."""

    mean: Tensor
    variance: Tensor

    @classmethod
    def merged(cls, parts: Sequence[Moments], sizes: Sequence[int]) -> Moments:
        """Return the moments of several sets of these sizes together."""
        shares = [n / sum(sizes) for n in sizes]
        mean = sum((p.mean * w for p, w in zip(parts, shares, strict=True)), torch.zeros(()))
        spread = [p.variance + (p.mean - mean).square() for p in parts]
        return cls(mean, sum((v * w for v, w in zip(spread, shares, strict=True)), torch.zeros(())))


Reference = int | Moments
"""What normalises currents: the number of leading examples to take moments of (0: all), or moments."""


class Normalisation(PyroModule):
    r"""Per-neuron normalisation of a current with a learned gain and offset.

    :math:`I' = \gamma (I - m) / \sqrt{v + \epsilon} + \beta`, mean ``m`` and variance ``v`` taken over
    time and examples, separately for each neuron *and each weight draw*.

    Running averages would not belong to any one network, because the weights are drawn anew at each step.
    So nothing is averaged over draws.  In training the statistics are those of the drawn network on its
    own mini-batch; in evaluation those of the drawn network on a fixed reference batch of training
    inputs, which the network runs together with the examples (virtual batch normalisation, Salimans et al.
    2016).  A prediction therefore depends on its own input and on the draw, never on other examples.

    Args:
        n_units: number of neurons O.
        eps: added to the variance.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, n_units: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.gain = PyroParam(torch.ones(n_units), constraints.real, 1)  # type: ignore[assignment]
        self.offset = PyroParam(torch.zeros(n_units), constraints.real, 1)  # type: ignore[assignment]

    def forward(self, current: Tensor, reference: Reference) -> Tensor:
        """Normalise ``[*S, T, B, O]`` by the statistics that ``reference`` selects."""
        if reference == 0:
            return _Normalised.apply(current, self.gain, self.offset, self.eps)
        if isinstance(reference, int):
            reference = self.moments(current[..., :reference, :])
        mean, variance = reference
        return (current - mean) * (torch.rsqrt(variance + self.eps) * self.gain) + self.offset

    def moments(self, current: Tensor) -> Moments:
        """Return the moments of ``[*S, T, B, O]`` over time and examples."""
        variance, mean = torch.var_mean(current, dim=(-3, -2), keepdim=True, correction=0)
        return Moments(mean, variance)


class ChannelNormalisation(Normalisation):
    """Normalisation of maps, with one mean and variance per channel over time, examples and positions.

    Maps are large, so this takes as few passes over memory as possible: statistics by plain sums, and its
    own backward pass.

    Args:
        n_units: number of channels C.
        eps: added to the variance.
    """

    def forward(self, current: Tensor, reference: Reference) -> Tensor:
        """Normalise maps ``[*S, T, B, H W C]``, flattened with the channels last."""
        rows = self._places(current)
        if reference == 0:
            return _Normalised.apply(rows, self.gain, self.offset, self.eps).reshape(current.shape)
        if isinstance(reference, int):
            reference = self.moments(current[..., :reference, :])
        mean, variance = reference
        scale = torch.rsqrt(variance + self.eps) * self.gain
        return torch.addcmul(self.offset - mean * scale, rows, scale).reshape(current.shape)

    def moments(self, current: Tensor) -> Moments:
        """Return the moments of maps ``[*S, T, B, H W C]`` over time, examples and places."""
        rows = self._places(current)
        mean = rows.mean(dim=(-3, -2), keepdim=True)
        return Moments(mean, (rows - mean).square().mean(dim=(-3, -2), keepdim=True))

    def _places(self, current: Tensor) -> Tensor:
        """Return every place of every example as a row of channels, ``[*S, T, B H W, C]``."""
        return current.reshape(*current.shape[:-2], -1, self.gain.shape[-1])


class _Normalised(torch.autograd.Function):
    """Normalisation of ``[*S, T, M, C]`` over T and M, with an affine map."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: Tensor, offset: Tensor, eps: float) -> Tensor:
        unit = x - x.mean(dim=(-3, -2), keepdim=True)
        scale = torch.rsqrt(unit.square().mean(dim=(-3, -2), keepdim=True) + eps)
        unit *= scale
        ctx.save_for_backward(unit, scale, gain)
        return torch.addcmul(offset, unit, gain)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        unit, scale, gain = ctx.saved_tensors
        n = grad.shape[-3] * grad.shape[-2]
        total, along = (z.sum(dim=(-3, -2), keepdim=True) for z in (grad, grad * unit))
        scale = scale * gain
        passed = torch.addcmul(scale * total / -n, grad, scale).addcmul_(unit, scale * along / -n)
        return passed, along.reshape(-1, gain.shape[0]).sum(0), total.reshape(-1, gain.shape[0]).sum(0), None
