"""What the hidden layers are: descriptions, the shapes that follow from them, pooling, and their synapses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.layers import ConvSynapses, DenseSynapses, Maps, RecurrentSynapses, Synapses
from bisnn_pyro.models.priors import Prior

Pooling = Literal["max", "mean"]


@dataclass(frozen=True)
class SpikePool:
    """Pools maps of spikes over windows that do not overlap; rows and columns left over are dropped.

    ``max`` is a spike where any unit of the window fires: outputs stay spikes.  In the backward pass the
    gradient goes to one unit of the window: the first that fires, in the order of rows and columns, or the
    first of all where none does.  ``mean`` is the share of the window that fires, and each of its units
    gets an equal part of the gradient.

    Args:
        maps: ``(C, H, W)``, the shape of the maps.
        window: side of the square windows, in places.
        kind: ``max`` or ``mean``.

    Raises:
        ModelError: if the maps are smaller than one window.
    """

    maps: Maps
    window: int
    kind: Pooling = "max"

    def __post_init__(self) -> None:
        _, height, width = self.maps
        if self.window > min(height, width):
            raise ModelError(
                f"pool = {self.window} does not fit into maps of {height} x {width}: make it smaller"
            )

    @property
    def pooled(self) -> Maps:
        """Shape ``(C, H', W')`` of the pooled maps."""
        channels, height, width = self.maps
        return channels, height // self.window, width // self.window

    def __call__(self, spikes: Tensor) -> Tensor:
        """Pool ``[*S, T, B, H W C]`` to ``[*S, T, B, H' W' C]``, flattened with the channels last."""
        channels, height, width = self.maps
        images = spikes.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
        pool = max_pool2d if self.kind == "max" else avg_pool2d
        return pool(images, self.window).permute(0, 2, 3, 1).reshape(*spikes.shape[:-1], -1)


@dataclass(frozen=True)
class Dense:
    """A layer whose units see all inputs; as a plain number, one without lateral synapses.

    Args:
        units: number of units O.
        recurrent: lateral synapses from every unit to every unit, the sample site ``recurrent``.
    """

    units: int
    recurrent: bool = False

    def __post_init__(self) -> None:
        _check_counts(self)


@dataclass(frozen=True)
class Conv:
    """A convolutional layer, with spike pooling if ``pool > 1``.

    Args:
        channels: output channels.
        kernel: side of the square kernels.
        stride: places from one unit to the next.
        padding: rows and columns of silence around the inputs.
        pool: side of the pooling windows.
        pooling: ``max`` (a spike where any unit of the window fires) or ``mean`` (their share), see
            :class:`SpikePool`.
    """

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0
    pool: int = 1
    pooling: Pooling = "max"

    def __post_init__(self) -> None:
        _check_counts(self)
        if self.pooling not in get_args(Pooling):
            raise ModelError(f"pooling must be 'max' or 'mean', not {self.pooling!r}")


Layer = Dense | Conv
Hidden = Sequence[int | Layer]
"""Hidden layers, first to last; a plain number is a dense layer of so many units."""


class BuiltLayer(NamedTuple):
    """A layer's synapses, and how its spikes are pooled, if they are."""

    synapses: Synapses
    pool: SpikePool | None = None

    @property
    def n_outputs(self) -> int:
        """Outputs of the layer, flattened: its units, or what is left of them after pooling."""
        return self.synapses.n_units if self.pool is None else math.prod(self.pool.pooled)


def build_layers(
    n_inputs: int, hidden: Hidden, image_shape: Sequence[int] | None, prior: Prior, **options: Any
) -> list[BuiltLayer]:
    """Make the synapses of all hidden layers.

    Args:
        n_inputs: input channels I.
        hidden: the layers.
        image_shape: ``(C, H, W)`` of the inputs, if they are flattened images.
        prior: over all synapses.
        options: ``gain``, ``bias`` and ``normalise`` of all synapses.

    Raises:
        ModelError: if a size is not positive, or a convolution finds no image that it fits into; the message
            names the layer.
    """
    if n_inputs < 1 or not hidden:
        raise ModelError(f"a network needs inputs and hidden layers, not {n_inputs} and {list(hidden)}")
    built: list[BuiltLayer] = []
    image: Maps | None = None
    for k, layer in enumerate(hidden):
        try:
            layer = layer if isinstance(layer, Layer) else Dense(layer)
            if isinstance(layer, Conv):
                if k == 0:
                    image = _input_image(n_inputs, image_shape)
                one, image = _convolution(image, layer, prior, channels_last=k > 0, **options)
            else:
                kind = RecurrentSynapses if layer.recurrent else DenseSynapses
                one, image = BuiltLayer(kind(n_inputs, layer.units, prior, **options)), None
        except ModelError as error:
            raise ModelError(f"hidden layer {k}: {error}") from error
        built.append(one)
        n_inputs = one.n_outputs
    return built


def _convolution(image: Maps | None, layer: Conv, prior: Prior, **options: Any) -> tuple[BuiltLayer, Maps]:
    if image is None:
        raise ModelError("a convolution cannot follow a dense layer, whose units have no places")
    synapses = ConvSynapses(
        image, layer.channels, layer.kernel, prior, stride=layer.stride, padding=layer.padding, **options
    )
    if layer.pool == 1:
        return BuiltLayer(synapses), synapses.maps
    pool = SpikePool(synapses.maps, layer.pool, layer.pooling)
    return BuiltLayer(synapses, pool), pool.pooled


def _input_image(n_inputs: int, image_shape: Sequence[int] | None) -> Maps:
    if image_shape is None:
        raise ModelError(
            "a convolution needs inputs that are images: give image_shape = (C, H, W), or use dense layers"
        )
    shape = tuple(int(n) for n in image_shape)
    if len(shape) != 3 or min(shape) < 1 or math.prod(shape) != n_inputs:
        raise ModelError(
            f"a convolution needs an input for each value of an image (C, H, W) = {shape}, but there are "
            f"{n_inputs} inputs: use an encoder with one input a pixel, or dense layers"
        )
    return shape


def _check_counts(layer: Layer) -> None:
    for field in fields(layer):
        value, least = getattr(layer, field.name), 0 if field.name == "padding" else 1
        if field.type == "int" and (not isinstance(value, Integral) or value < least):
            raise ModelError(f"{field.name} must be a whole number, at least {least}, not {value!r}")
