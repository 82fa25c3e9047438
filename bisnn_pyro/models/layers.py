"""Synapses: the weights of one layer, its products over a whole sequence, and the current they carry."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from pyro.nn import PyroModule, PyroParam, PyroSample
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributions import constraints
from torch.nn.functional import conv2d

from bisnn_pyro.distributions import Perturbed, random_signs
from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.normalisation import ChannelNormalisation, Normalisation, Reference
from bisnn_pyro.models.priors import Prior

Weight = Tensor | Perturbed
"""Weights ``[*S, O, I]``: a network's, or a mean with noise that differs from example to example."""

Maps = tuple[int, int, int]
"""Shape ``(C, H, W)`` of images or of a layer's maps."""


class _SitePrior:
    """The prior of one sample site in a layer; an object, because Pyro would rename a function."""

    def __init__(self, site: str) -> None:
        self.site = site

    def __call__(self, layer: Any) -> TorchDistribution:
        return layer.prior.at(self.site).distribution(layer.shapes[self.site])


class Synapses(PyroModule):
    """The weights of one layer and the current that they carry; a subclass defines their arrangement.

    Inputs, units and outputs are flattened, whatever their arrangement.  Each sample site is a matrix
    ``[O, I]`` with one row per set of synapses; I is the fan-in of a unit.

    Args:
        n_inputs: inputs of the layer.
        n_units: its units.
        fan_in: columns I of the weight matrix.
        fan_out: rows O of the weight matrix.
        prior: prior over the weights, the sample site ``weight``.
        gain: scale g of the current.
        bias: learn an offset per row (a point estimate; not used with a normalisation).
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

        If only the weights ``[*S, O, I]`` need a gradient, the first ``uncounted`` steps may be left out of
        it: their contribution is zero.
        """
        raise NotImplementedError

    def sums(self, x: Tensor, weight: Weight, uncounted: int = 0) -> Tensor:
        """Return :meth:`product`, for perturbed weights with noise of every example's own (Flipout)."""
        if isinstance(weight, Tensor):
            return self.product(x, weight, uncounted)
        into, out = self.example_signs(x)
        # A drawn network's normalisation removes the mean of its noise over the batch.
        varying = x if self.normalisation is None else x - x.mean((-3, -2), keepdim=True)
        return self.product(x, weight.mean) + out * self.product(varying * into, weight.noise)

    def example_signs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return random signs ``[B, n_inputs]`` and ``[B, n_units]`` for each example of ``x``."""
        return random_signs(x, x.shape[-2], self.n_inputs), random_signs(x, x.shape[-2], self.n_units)

    def current(self, trace: Tensor, weight: Weight) -> Tensor:
        """Return currents ``[*S, T, B, n_units]`` for traces of the inputs.

        One product per weight draw serves all steps and examples; traces without the sample dimensions
        are shared by all draws.
        """
        return self.finished(self.sums(trace, weight * self.scale))

    def constant_product(self, x: Tensor, response: Tensor, weight: Weight) -> Tensor:
        """Return the sums ``[*S, T, B, n_units]`` of traces of an input that does not change over time.

        The filter commutes with the product, so that the product is formed once for all steps; it equals
        :meth:`product` up to rounding.

        Args:
            x: the constant input ``[*S, B, n_inputs]`` or ``[B, n_inputs]``.
            response: trace ``[T]`` of a constant input of one.
            weight: ``[*S, O, I]``.
        """
        product = self.sums(x.unsqueeze(-3), weight)
        # As a product of matrices its gradient is one pass over time, too.
        rows = product.reshape(*product.shape[:-3], 1, -1)
        sums = torch.matmul(response.unsqueeze(-1), rows)
        return sums.reshape(*sums.shape[:-1], *product.shape[-2:])

    def finished(self, current: Tensor, reference: Reference = 0) -> Tensor:
        """Return scaled and filtered sums ``[*S, T, B, n_units]`` normalised, or with the bias."""
        if self.normalisation is not None:
            # Not called as a module: outside the Pyro model that would take its parameters from Pyro's
            # global store, which may hold another network's under the same names.
            return self.normalisation.forward(current, reference)
        return current if self.bias is None else self.biased(current, self.bias)

    def biased(self, current: Tensor, bias: Tensor) -> Tensor:
        """Return currents ``[*S, T, B, n_units]`` with the bias ``[O]`` of each row of weights."""
        return current + bias


class DenseSynapses(Synapses):
    r"""A weight matrix with a prior: :math:`I_t = g\,W P_t/\sqrt{I} + b`.

    With unit-gain traces and weights of size one the current is of order ``gain`` whatever the fan-in,
    so that a good share of the potentials lies within the surrogate's width.

    Args:
        fan_in: number of inputs I.
        fan_out: number of units O.
        prior: prior over the weights, the sample site ``weight``.
        gain: scale g of the current.
        bias: learn an offset per unit (a point estimate; not used with ``normalise``).
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
        """Return ``x W^T``; uncounted steps are left out of the weights' gradient."""
        return matmul_over_time(x, weight, uncounted)


class RecurrentSynapses(DenseSynapses):
    r"""Dense synapses and lateral ones: :math:`I_t = g\,(W P_t/\sqrt{I} + V P'_t/\sqrt{O}) + b`.

    :math:`P'` is the synaptic trace of the layer's own spikes at all earlier steps.  The lateral weights
    ``V`` are the sample site ``recurrent``, ``[O, O]``, under the same prior.  A normalisation acts only
    on the feed-forward current, before the lateral current is added.

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


class ConvSynapses(Synapses):
    r"""Convolution with a prior over its kernels: :math:`I_t = g\,(w * P_t)/\sqrt{C k^2} + b`.

    The sample site ``weight`` is a matrix ``[O, C k k]``, with one row per output channel, in the order
    channel, row, column of ``torch.nn.functional.conv2d``.  Bias and normalisation are per channel.

    Units are flattened as ``[H', W', O]``, channels last: on a CPU that makes the convolution two to four
    times as fast, and the next layer expects its inputs in this order.  Weight draws are convolved one after
    another; grouped convolutions and unfolded products were slower and took more memory.

    Args:
        image_shape: ``(C, H, W)`` of the inputs.
        channels: output channels O.
        kernel: side k of the square kernels.
        stride: places from one unit to the next.
        padding: rows and columns of silence around the inputs.
        prior: prior over the weights.
        gain: scale g of the current.
        bias: learn an offset per channel (a point estimate; not used with ``normalise``).
        normalise: learn a per-channel :class:`ChannelNormalisation` in place of the bias.
        channels_last: inputs are flattened as ``[H, W, C]``; by default as ``[C, H, W]``, like images.
    """

    def __init__(
        self,
        image_shape: Maps,
        channels: int,
        kernel: int,
        prior: Prior,
        *,
        stride: int = 1,
        padding: int = 0,
        gain: float = 1.0,
        bias: bool = False,
        normalise: bool = False,
        channels_last: bool = False,
    ) -> None:
        maps = maps_of(image_shape, channels, kernel, stride, padding)
        normalisation = ChannelNormalisation(channels) if normalise else None
        super().__init__(
            math.prod(image_shape),
            math.prod(maps),
            image_shape[0] * kernel**2,
            channels,
            prior,
            gain=gain,
            bias=bias,
            normalisation=normalisation,
        )
        self.image_shape, self.maps, self.channels_last = image_shape, maps, channels_last
        self.kernel, self.stride, self.padding = kernel, stride, padding

    def product(self, x: Tensor, weight: Tensor, uncounted: int = 0) -> Tensor:
        """Return the convolved maps; uncounted steps stay in the gradient, which is zero there."""
        draws = torch.broadcast_shapes(x.shape[:-3], weight.shape[:-2])
        kernels = weight.expand(*draws, *weight.shape[-2:]).reshape(-1, *weight.shape[-2:])
        if x.dim() == 3:  # shared by all draws
            images = [self._images(x)] * len(kernels)
        else:
            images = [self._images(one) for one in x.reshape(-1, *x.shape[-3:])]
        maps = [self._convolved(one, w) for one, w in zip(images, kernels, strict=True)]
        out = maps[0] if len(maps) == 1 else torch.stack(maps)
        return out.reshape(*draws, *x.shape[-3:-1], self.n_units)

    def _images(self, x: Tensor) -> Tensor:
        """Return inputs ``[T, B, n_inputs]`` as images ``[T B, C, H, W]``, channels last in memory."""
        channels, height, width = self.image_shape
        if self.channels_last:
            return x.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
        return x.reshape(-1, channels, height, width).contiguous(memory_format=torch.channels_last)

    def _convolved(self, images: Tensor, weight: Tensor) -> Tensor:
        """Return maps ``[T B, H', W', O]`` for one draw ``[O, C k k]``."""
        kernels = weight.reshape(-1, self.image_shape[0], self.kernel, self.kernel)
        kernels = kernels.contiguous(memory_format=torch.channels_last)
        return conv2d(images, kernels, stride=self.stride, padding=self.padding).permute(0, 2, 3, 1)

    def example_signs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return random signs of each example's channels: the positions of a map share their weights."""
        channels, places = self.image_shape[0], math.prod(self.image_shape[1:])
        into, out = (random_signs(x, x.shape[-2], n) for n in (channels, self.fan_out))
        into = into.repeat(1, places) if self.channels_last else into.repeat_interleave(places, 1)
        return into, out.repeat(1, self.n_units // self.fan_out)

    def biased(self, current: Tensor, bias: Tensor) -> Tensor:
        """Return currents ``[*S, T, B, H' W' O]`` with the bias of each channel."""
        return (current.unflatten(-1, (-1, self.fan_out)) + bias).flatten(-2)


def maps_of(image_shape: Maps, channels: int, kernel: int, stride: int, padding: int) -> Maps:
    """Return the shape ``(O, H', W')`` of a convolution's maps.

    Raises:
        ModelError: if the kernel does not fit into the image.
    """
    _, height, width = image_shape
    if kernel > min(height, width) + 2 * padding:
        raise ModelError(
            f"a kernel of {kernel} x {kernel} does not fit into images of {height} x {width} with "
            f"padding {padding}: make the kernel smaller, or the padding larger"
        )
    below, right = ((side + 2 * padding - kernel) // stride for side in (height, width))
    return channels, below + 1, right + 1


def per_draw(weight: Weight) -> Weight:
    """Return drawn weights as ``[*S, O, I]``.

    Under a particle plate a site has the shape ``[S, 1, O, I]``, with a dimension of size one for the data
    plate; weights do not depend on the example, and the kernels expect draws in front of the matrix.
    """
    if isinstance(weight, Perturbed):
        return Perturbed(*(w if w.dim() == 2 else w.squeeze(-3) for w in (weight.mean, weight.noise)))
    return weight if weight.dim() == 2 else weight.squeeze(-3)


def random_readout(n_outputs: int, n_units: int, seed: int) -> Tensor:
    """Return a fixed random read-out ``[C, O]`` in {-1, +1} / sqrt(O) (arXiv 2012.08300)."""
    generator = torch.Generator().manual_seed(seed)
    signs = torch.randint(0, 2, (n_outputs, n_units), generator=generator) * 2 - 1
    return signs.to(torch.get_default_dtype()) / math.sqrt(n_units)


class _Product(torch.autograd.Function):
    """``x W^T``, with the weights' gradient in the weights' own memory layout.

    Autograd's would be transposed, and cost another pass over the weights of every draw.  First steps that
    no loss depends on may be left out of it.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, uncounted: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.uncounted = uncounted
        out = torch.matmul(_rows(x), weight.mT)
        return out.reshape(*out.shape[:-2], x.shape[-3], x.shape[-2], out.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = (
                torch.matmul(_rows(grad), weight).reshape(*grad.shape[:-1], x.shape[-1]).sum_to_size(x.shape)
            )
        if ctx.needs_input_grad[1]:
            rows, drive = (_rows(z[..., ctx.uncounted :, :, :]) for z in (x, grad))
            of_weight = torch.matmul(drive.mT, rows).sum_to_size(weight.shape)
        return of_x, of_weight, None


def matmul_over_time(x: Tensor, weight: Tensor, uncounted: int = 0) -> Tensor:
    """Return ``x W^T``, with ``x`` ``[*S, T, B, I]`` or ``[T, B, I]`` and ``weight`` ``[*S, O, I]``.

    Where the inputs want no gradient, the first ``uncounted`` steps do not contribute to the weights'.
    """
    return _Product.apply(x, weight, 0 if x.requires_grad else uncounted)


def _rows(x: Tensor) -> Tensor:
    return x.reshape(*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1])


def is_constant(x: Tensor) -> bool:
    """Return whether an input ``[*S, T, B, I]`` is one step repeated T times (an expanded view)."""
    return x.shape[-3] > 1 and x.stride(-3) == 0


def split_examples(x: Tensor, n: int, copies: int = 1) -> Tensor:
    """Return a batch ``[T, B, I]`` in n equal parts, ``[copies n, T, B / n, I]``, constant if it was."""
    kept = x[:1] if is_constant(x) else x
    parts = kept.unflatten(1, (n, -1)).movedim(1, 0).repeat(copies, 1, 1, 1)
    return parts.expand(-1, x.shape[0], -1, -1)


def filters_after(x: Tensor, weight: Weight, n_units: int | None = None) -> bool:
    """Whether filtering the sums ``[*S, T, B, n_units]`` costs fewer passes than filtering the inputs.

    Filtered inputs serve the weights' gradient as they are; filtered sums need the adjoint filter, a second
    pass, and so do inputs that want a gradient themselves.
    """
    n_draws = max(math.prod(weight.shape[:-2]), math.prod(x.shape[:-3]))
    learning = torch.is_grad_enabled()
    inputs = x.numel() * (2 if learning and x.requires_grad else 1)
    sums = n_draws * x.shape[-3] * x.shape[-2] * (n_units or weight.shape[-2])
    return inputs > sums * (2 if learning and weight.requires_grad else 1)


def joined(x: Tensor, y: Tensor) -> Tensor:
    """Return inputs ``[T, B, I]`` and ``[T, B', I]`` as one batch, which is constant if both are."""
    if is_constant(x) and is_constant(y):
        return torch.cat((x[:1], y[:1]), dim=-2).expand(x.shape[0], -1, -1)
    return torch.cat((x, y), dim=-2)
