"""The product of inputs and weights over a whole sequence, and on which side of it to filter."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _CountedProduct(torch.autograd.Function):
    """A product whose weight gradient leaves out first steps that no loss depends on."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, uncounted: int) -> Tensor:
        ctx.save_for_backward(x)
        ctx.uncounted, ctx.shape = uncounted, weight.shape
        return matmul_over_time(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        (x,) = ctx.saved_tensors
        rows, drive = (_rows(z[..., ctx.uncounted :, :, :]) for z in (x, grad))
        return None, torch.matmul(rows.mT, drive).mT.sum_to_size(ctx.shape), None


def matmul_over_time(x: Tensor, weight: Tensor, uncounted: int = 0) -> Tensor:
    """Return ``x W^T``, with ``x`` ``[*S, T, B, I]`` or ``[T, B, I]`` and ``weight`` ``[*S, O, I]``.

    With ``uncounted > 0`` only the weights get a gradient, and the first steps count for nothing in it.
    """
    if uncounted and not x.requires_grad:
        return _CountedProduct.apply(x, weight, uncounted)
    out = torch.matmul(_rows(x), weight.mT)
    return out.reshape(*out.shape[:-2], x.shape[-3], x.shape[-2], out.shape[-1])


def _rows(x: Tensor) -> Tensor:
    return x.reshape(*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1])


def is_constant(x: Tensor) -> bool:
    """Whether an input ``[T, B, I]`` is one step seen T times (an expanded view, as encoders give it)."""
    return x.shape[0] > 1 and x.stride(0) == 0


def filters_after(x: Tensor, weight: Tensor, n_units: int | None = None) -> bool:
    """Whether filtering the sums ``[*S, T, B, n_units]`` costs fewer passes than filtering the inputs.

    Filtered inputs serve the weights' gradient as they are; filtered sums need the adjoint filter, a second
    pass, and so do inputs that want a gradient themselves.
    """
    n_draws = max(math.prod(weight.shape[:-2]), math.prod(x.shape[:-3]))
    learning = torch.is_grad_enabled()
    inputs = x.numel() * (2 if learning and x.requires_grad else 1)
    sums = n_draws * x.shape[-3] * x.shape[-2] * (n_units or weight.shape[-2])
    return inputs > sums * (2 if learning and weight.requires_grad else 1)


def beside(x: Tensor, y: Tensor) -> Tensor:
    """Return inputs ``[T, B, I]`` and ``[T, B', I]`` as one batch; constant if both are."""
    if is_constant(x) and is_constant(y):
        return torch.cat((x[:1], y[:1]), dim=-2).expand(x.shape[0], -1, -1)
    return torch.cat((x, y), dim=-2)
