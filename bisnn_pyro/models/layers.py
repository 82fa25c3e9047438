"""Dense synapses: the weights of one layer and the current that they carry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from pyro.nn import PyroModule, PyroParam, PyroSample
from torch import Tensor
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

    def current(self, trace: Tensor, weight: Tensor, n_reference: int = 0) -> Tensor:
        """Return currents ``[*S, T, B, O]`` for traces ``[*S, T, B, I]`` and weights ``[*S, O, I]``.

        One matrix product per weight draw serves all steps and examples; traces without the sample
        dimensions are shared by all draws.
        """
        scale = self.gain / math.sqrt(self.fan_in)
        current = matmul_over_time(trace, weight * scale)
        if self.normalisation is not None:
            # Not called as a module: outside the Pyro model that would fetch its parameters from Pyro's
            # global store, and with them another network's of the same names.
            return self.normalisation.forward(current, n_reference)
        return current if self.bias is None else current + self.bias


def matmul_over_time(x: Tensor, weight: Tensor) -> Tensor:
    """Return ``x W^T``, with ``x`` ``[*S, T, B, I]`` or ``[T, B, I]`` and ``weight`` ``[*S, O, I]``."""
    rows = x.reshape(*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1])
    out = torch.matmul(rows, weight.mT)
    return out.reshape(*out.shape[:-2], x.shape[-3], x.shape[-2], out.shape[-1])


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
