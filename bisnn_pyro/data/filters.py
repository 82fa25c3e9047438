"""A fixed bank of spatial filters: an image's edges in four directions, beside the image itself.

For networks that are dense and binary: a synapse that can but add or subtract a pixel makes a poor edge
detector.  Cheng, Soudry, Mao and Lan (arXiv 1503.03562) filter images before expectation backpropagation;
the bank here is this package's own, not theirs.
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor
from torch.nn import functional

from bisnn_pyro.errors import DataError

POOL = 2


def filter_images(x: Tensor, image_shape: tuple[int, ...]) -> Tensor:
    """Append edge maps to flattened images.

    A map is the absolute Sobel derivative along 0, 90, 45 or 135 degrees (weights 1, 2, 1 over 4, so that
    pixels in [0, 1] give edges in [0, 1]; borders are continued by their own pixels), averaged over blocks
    of 2 x 2 pixels.  An odd last row or column has no block.

    Args:
        x: Images in [0, 1], ``[B, C H W]``, floating point.
        image_shape: ``(C, H, W)``, H and W at least 2.

    Returns:
        ``[B, C H W + 4 C (H // 2) (W // 2)]``, in [0, 1]: the image, then its maps.

    Raises:
        DataError: If the images are not of that shape, or too small.
    """
    if len(image_shape) != 3 or min(image_shape[1:]) < POOL or x.shape[1:] != (prod(image_shape),):
        raise DataError(
            f"images have shape {tuple(x.shape)}; expected [B, C H W] with (C, H, W) = {image_shape}, "
            f"H and W at least {POOL}"
        )
    channels, height, width = image_shape
    padded = functional.pad(x.reshape(-1, channels, height, width), (1, 1, 1, 1), mode="replicate")

    def neighbour(down: int, right: int) -> Tensor:
        return padded[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width]

    # Differences of opposite neighbours; elementwise, so that an example has the same bits in any batch.
    across, along = neighbour(0, 1) - neighbour(0, -1), neighbour(1, 0) - neighbour(-1, 0)
    rising, falling = neighbour(-1, 1) - neighbour(1, -1), neighbour(1, 1) - neighbour(-1, -1)
    edges = torch.cat(
        (
            2 * across + rising + falling,
            2 * along - rising + falling,
            2 * rising + across - along,
            2 * falling + across + along,
        ),
        dim=1,
    )
    maps = functional.avg_pool2d(edges.abs_().div_(4), POOL)
    return torch.cat((x, maps.flatten(1)), dim=1)
