"""Convolutional synapses: one small set of weights, used at every place."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.layers import Synapses
from bisnn_pyro.models.normalisation import ChannelNormalisation
from bisnn_pyro.models.pooling import Maps
from bisnn_pyro.models.priors import Prior


class ConvSynapses(Synapses):
    r"""Convolution with a prior over its kernels: :math:`I_t = g\,(w * P_t)/\sqrt{C k^2} + b`.

    The sample site ``weight`` is a matrix ``[O, C k k]``, a row for each output channel, in the order
    channel, row, column of ``torch.nn.functional.conv2d``.  Bias and normalisation are per channel.

    Units are flattened as ``[H', W', O]``, channels last: on a CPU that makes the convolution two to four
    times as fast, and the next layer takes its inputs so.  Weight draws are convolved one after another;
    grouped convolutions and unfolded products took longer, and more memory.

    Args:
        image_shape: ``(C, H, W)`` of the inputs.
        channels: output channels O.
        kernel: side k of the square kernels.
        stride: places from one unit to the next.
        padding: rows and columns of silence around the inputs.
        prior: prior over the weights.
        gain: scale g of the current.
        bias: learn an offset per channel (a point estimate; needless with ``normalise``).
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
