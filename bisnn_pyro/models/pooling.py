"""Spike pooling: one output for each window of places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor
from torch.nn.functional import avg_pool2d, max_pool2d

from bisnn_pyro.errors import ModelError

Maps = tuple[int, int, int]
"""Shape ``(C, H, W)`` of images or of a layer's maps."""

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
