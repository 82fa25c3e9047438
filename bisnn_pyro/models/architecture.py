"""What the hidden layers are: descriptions, the shapes that follow from them, and their synapses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, NamedTuple, get_args

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.convolution import ConvSynapses
from bisnn_pyro.models.layers import DenseSynapses, RecurrentSynapses, Synapses
from bisnn_pyro.models.pooling import Maps, Pooling, SpikePool
from bisnn_pyro.models.priors import Prior


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
