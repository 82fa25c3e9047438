"""Dense synapses: the weights of one layer and the current that they carry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from pyro.nn import PyroModule, PyroParam, PyroSample
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import constraints

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.priors import Prior


class Normalisation(PyroModule):
    r"""Per-neuron normalisation of a current with a learned gain and offset.

    :math:`I' = \gamma (I - m) / \sqrt{v + \epsilon} + \beta`, mean ``m`` and variance ``v`` taken over
    time and examples, separately for each neuron *and each weight draw*.

    Running averages would belong to no network in particular: the weights are drawn anew at each step.
    So nothing is averaged over draws.  In training the statistics are those of the drawn network on its
    own mini-batch; in evaluation those of the drawn network on a fixed reference batch of training
    inputs, which the network runs beside the examples (virtual batch normalisation, Salimans et al.
    2016).  A prediction therefore depends on its own input and on the draw, never on its neighbours.

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

    def forward(self, current: Tensor, n_reference: int) -> Tensor:
        """Normalise ``[*S, T, B, O]`` by the statistics of its first ``n_reference`` examples (0: all)."""
        source = current[..., :n_reference, :] if n_reference else current
        variance, mean = torch.var_mean(source, dim=(-3, -2), keepdim=True, correction=0)
        return (current - mean) * (torch.rsqrt(variance + self.eps) * self.gain) + self.offset


class _WeightPrior:
    """The prior of a layer's weights; an object, because Pyro renames a function that it is given."""

    def __call__(self, layer: Any) -> TorchDistribution:
        return layer.prior.distribution((layer.fan_out, layer.fan_in))


class DenseSynapses(PyroModule):
    r"""A weight matrix with a prior: :math:`I_t = g\,W P_t/\sqrt{I} + b`.

    With unit-gain traces and weights of size one the current is of order ``gain`` whatever the fan-in,
    so that a good share of the units stands within the surrogate's width.

    Args:
        fan_in: number of inputs I.
        fan_out: number of units O.
        prior: prior over the weights, the sample site ``weight``.
        gain: scale g of the current.
        bias: learn an offset per unit (a point estimate; needless with ``normalise``).
        normalise: learn a per-neuron :class:`Normalisation` in place of the bias.
    """

    weight: Tensor
    bias: Tensor | None
    normalisation: Normalisation | None

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        prior: Prior,
        *,
        gain: float = 1.0,
        bias: bool = False,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        self.fan_in, self.fan_out, self.gain = fan_in, fan_out, gain
        self.prior = prior
        self.weight = PyroSample(_WeightPrior())  # type: ignore[assignment]
        self.bias = None
        if bias and not normalise:
            self.bias = PyroParam(torch.zeros(fan_out), constraints.real, 1)  # type: ignore[assignment]
        self.normalisation = Normalisation(fan_out) if normalise else None

    def current(self, trace: Tensor, weight: Tensor, n_reference: int = 0, *, uncounted: int = 0) -> Tensor:
        """Return currents ``[*S, T, B, O]`` for traces ``[*S, T, B, I]`` and weights ``[*S, O, I]``.

        One matrix product per weight draw serves all steps and examples; traces without the sample
        dimensions are shared by all draws.  The first ``uncounted`` steps are left out of the weights'
        gradient: their part of it must be zero.
        """
        return self.finished(matmul_over_time(trace, weight * self.scale, uncounted), n_reference)

    def constant_current(self, x: Tensor, response: Tensor, weight: Tensor, n_reference: int = 0) -> Tensor:
        """Return currents ``[*S, T, B, O]`` for an input ``[B, I]`` that does not change over time.

        The filter commutes with the product, so that the product is formed once for all steps; it equals
        :meth:`current` up to rounding.

        Args:
            x: the constant input.
            response: trace ``[T]`` of a constant input of one.
            weight: ``[*S, O, I]``.
            n_reference: as in :meth:`current`.
        """
        product = torch.matmul(x, (weight * self.scale).mT)
        # As a product of matrices its gradient is one pass over time, too.
        rows = product.reshape(*product.shape[:-2], 1, -1)
        current = torch.matmul(response.unsqueeze(-1), rows)
        return self.finished(current.reshape(*current.shape[:-1], *product.shape[-2:]), n_reference)

    @property
    def scale(self) -> float:
        """Factor ``g / sqrt(I)`` of the product."""
        return self.gain / math.sqrt(self.fan_in)

    def finished(self, current: Tensor, n_reference: int = 0) -> Tensor:
        """Return filtered sums ``[*S, T, B, O]`` normalised, or with the bias."""
        if self.normalisation is not None:
            # Not called as a module: outside the Pyro model that would fetch its parameters from Pyro's
            # global store, and with them another network's of the same names.
            return self.normalisation.forward(current, n_reference)
        return current if self.bias is None else current + self.bias


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


def filters_after(x: Tensor, weight: Tensor) -> bool:
    """Whether filtering the sums ``[*S, T, B, O]`` costs fewer passes than filtering the inputs.

    Filtered inputs serve the weights' gradient as they are; filtered sums need the adjoint filter, a second
    pass, and so do inputs that want a gradient themselves.
    """
    n_draws = max(math.prod(weight.shape[:-2]), math.prod(x.shape[:-3]))
    learning = torch.is_grad_enabled()
    inputs = x.numel() * (2 if learning and x.requires_grad else 1)
    sums = n_draws * x.shape[-3] * x.shape[-2] * weight.shape[-2]
    return inputs > sums * (2 if learning and weight.requires_grad else 1)


def beside(x: Tensor, y: Tensor) -> Tensor:
    """Return inputs ``[T, B, I]`` and ``[T, B', I]`` as one batch; constant if both are."""
    if is_constant(x) and is_constant(y):
        return torch.cat((x[:1], y[:1]), dim=-2).expand(x.shape[0], -1, -1)
    return torch.cat((x, y), dim=-2)


def random_readout(n_outputs: int, n_units: int, seed: int) -> Tensor:
    """Return a fixed random read-out ``[C, O]`` in {-1, +1} / sqrt(O) (arXiv 2012.08300)."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (n_outputs, n_units), generator=generator) * 2 - 1
    return signs.to(torch.get_default_dtype()) / math.sqrt(n_units)


def check_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return layer sizes as a tuple of positive ints.

    Raises:
        ModelError: if there are none, or one is not positive.
    """
    sizes = tuple(int(n) for n in sizes)
    if not sizes or any(n < 1 for n in sizes):
        raise ModelError(f"hidden sizes must be one or more positive integers, not {list(sizes)}")
    return sizes
