"""Synapses: the weights of one layer and the current that they carry."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from pyro.nn import PyroModule, PyroParam, PyroSample
from torch import Tensor
from torch.distributions import constraints

from bisnn_pyro.models.normalisation import Normalisation, Reference
from bisnn_pyro.models.priors import Prior
from bisnn_pyro.models.products import matmul_over_time


class _SitePrior:
    """The prior of one of a layer's sites; an object, because Pyro renames a function that it is given."""

    def __init__(self, site: str) -> None:
        self.site = site

    def __call__(self, layer: Any) -> TorchDistribution:
        return layer.prior.distribution(layer.shapes[self.site])


class Synapses(PyroModule):
    """The weights of one layer and the current that they carry; a subclass says where they go.

    Inputs, units and outputs are flattened, whatever their arrangement.  Each sample site is a matrix
    ``[O, I]``: a row for each set of synapses, whose size is the fan-in of a unit.

    Args:
        n_inputs: inputs of the layer.
        n_units: its units.
        fan_in: columns I of the weight matrix.
        fan_out: rows O of the weight matrix.
        prior: prior over the weights, the sample site ``weight``.
        gain: scale g of the current.
        bias: learn an offset per row (a point estimate; needless with a normalisation).
        normalisation: takes the place of the bias.
    """

    weight: Tensor
    bias: Tensor | None
    normalisation: Normalisation | None

    def __init__(
        self,
        n_inputs: int,
        n_units: int,
        fan_in: int,
        fan_out: int,
        prior: Prior,
        *,
        gain: float = 1.0,
        bias: bool = False,
        normalisation: Normalisation | None = None,
    ) -> None:
        super().__init__()
        self.n_inputs, self.n_units, self.gain = n_inputs, n_units, gain
        self.fan_in, self.fan_out = fan_in, fan_out
        self.prior = prior
        self.weight = PyroSample(_SitePrior("weight"))  # type: ignore[assignment]
        self.bias = None
        if bias and normalisation is None:
            self.bias = PyroParam(torch.zeros(fan_out), constraints.real, 1)  # type: ignore[assignment]
        self.normalisation = normalisation

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Shape ``(O, I)`` of each sample site, in the order in which they are drawn."""
        return {"weight": (self.fan_out, self.fan_in)}

    @property
    def scale(self) -> float:
        """Factor ``g / sqrt(I)`` of the product."""
        return self.gain / math.sqrt(self.fan_in)

    def product(self, x: Tensor, weight: Tensor, uncounted: int = 0) -> Tensor:
        """Return sums ``[*S, T, B, n_units]`` of inputs ``[*S, T, B, n_inputs]`` or ``[T, B, n_inputs]``.

        The first ``uncounted`` steps may be left out of the gradient, if only the weights ``[*S, O, I]``
        need one: their part of it is zero.
        """
        raise NotImplementedError

    def current(self, trace: Tensor, weight: Tensor) -> Tensor:
        """Return currents ``[*S, T, B, n_units]`` for traces of the inputs.

        One product per weight draw serves all steps and examples; traces without the sample dimensions
        are shared by all draws.
        """
        return self.finished(self.product(trace, weight * self.scale))

    def constant_product(self, x: Tensor, response: Tensor, weight: Tensor) -> Tensor:
        """Return the sums ``[*S, T, B, n_units]`` of traces of an input that does not change over time.

        The filter commutes with the product, so that the product is formed once for all steps; it equals
        :meth:`product` up to rounding.

        Args:
            x: the constant input ``[B, n_inputs]``.
            response: trace ``[T]`` of a constant input of one.
            weight: ``[*S, O, I]``.
        """
        product = self.product(x.unsqueeze(0), weight)
        # As a product of matrices its gradient is one pass over time, too.
        rows = product.reshape(*product.shape[:-3], 1, -1)
        sums = torch.matmul(response.unsqueeze(-1), rows)
        return sums.reshape(*sums.shape[:-1], *product.shape[-2:])

    def finished(self, current: Tensor, reference: Reference = 0) -> Tensor:
        """Return scaled and filtered sums ``[*S, T, B, n_units]`` normalised, or with the bias."""
        if self.normalisation is not None:
            # Not called as a module: outside the Pyro model that would fetch its parameters from Pyro's
            # global store, and with them another network's of the same names.
            return self.normalisation.forward(current, reference)
        return current if self.bias is None else self.biased(current, self.bias)

    def biased(self, current: Tensor, bias: Tensor) -> Tensor:
        """Return currents ``[*S, T, B, n_units]`` with the bias ``[O]`` of each row of weights."""
        return current + bias


class DenseSynapses(Synapses):
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
        normalisation = Normalisation(fan_out) if normalise else None
        super().__init__(
            fan_in, fan_out, fan_in, fan_out, prior, gain=gain, bias=bias, normalisation=normalisation
        )

    def product(self, x: Tensor, weight: Tensor, uncounted: int = 0) -> Tensor:
        """Return ``x W^T``; what is uncounted is left out indeed."""
        return matmul_over_time(x, weight, uncounted)


class RecurrentSynapses(DenseSynapses):
    r"""Dense synapses and lateral ones: :math:`I_t = g\,(W P_t/\sqrt{I} + V P'_t/\sqrt{O}) + b`.

    :math:`P'` is the synaptic trace of the layer's own spikes, of all steps before.  The lateral weights
    ``V`` are the sample site ``recurrent``, ``[O, O]``, under the same prior.  A normalisation acts on
    the current from outside alone, before the lateral one is added.

    Args:
        fan_in: number of inputs I.
        fan_out: number of units O.
        prior: prior over all weights.
        options: as for :class:`DenseSynapses`.
    """

    recurrent: Tensor

    def __init__(self, fan_in: int, fan_out: int, prior: Prior, **options: Any) -> None:
        super().__init__(fan_in, fan_out, prior, **options)
        self.recurrent = PyroSample(_SitePrior("recurrent"))  # type: ignore[assignment]

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """Shape ``(O, I)`` of each sample site, in the order in which they are drawn."""
        return {**super().shapes, "recurrent": (self.fan_out, self.fan_out)}

    @property
    def lateral_scale(self) -> float:
        """Factor ``g / sqrt(O)`` of the lateral product."""
        return self.gain / math.sqrt(self.fan_out)


def random_readout(n_outputs: int, n_units: int, seed: int) -> Tensor:
    """Return a fixed random read-out ``[C, O]`` in {-1, +1} / sqrt(O) (arXiv 2012.08300)."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (n_outputs, n_units), generator=generator) * 2 - 1
    return signs.to(torch.get_default_dtype()) / math.sqrt(n_units)
