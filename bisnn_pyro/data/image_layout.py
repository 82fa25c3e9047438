"""The order of an image's axes: channels first, as networks take them, or last, as many libraries do."""

from __future__ import annotations

import numpy as np

from bisnn_pyro.data.checks import check_choice
from bisnn_pyro.errors import DataError

FIRST, LAST = "channels-first", "channels-last"
LAYOUTS = ("auto", FIRST, LAST)
MOST_CHANNELS = 4
"""Of a picture: grey, two polarities, red-green-blue, and with an alpha channel."""


def image_layout(name: str, shape: tuple[int, ...], layout: str = "auto") -> str:
    """Decide where the channels are.

    An axis of 1 to 4 with the larger ones beside it holds the channels.  An axis that differs from two equal
    ones behind it does so too (feature maps ``[16, 14, 14]``).  Where both ends may hold them, as in
    ``[3, 3, 4]``, nothing is guessed: three channels, or square images with four.

    Args:
        name: Name of the array in the message.
        shape: The three axes of one image.
        layout: ``"auto"``, or what the user says (``data.layout``).

    Returns:
        ``"channels-first"`` or ``"channels-last"``.

    Raises:
        DataError: If the shape does not tell.

    Example:
        >>> image_layout("x", (3, 32, 32)), image_layout("x", (32, 32, 3))
        ('channels-first', 'channels-last')
    """
    if check_choice("data.layout", layout, LAYOUTS) != "auto":
        return layout
    first, middle, last = shape
    is_first = first <= MOST_CHANNELS and first <= min(middle, last)
    is_last = last <= MOST_CHANNELS and last <= min(first, middle)
    square_last, square_first = middle == last != first, 1 < first == middle != last
    if (is_first or square_last) and not (is_last or square_first):
        return FIRST
    if is_last and not (is_first or square_last):
        return LAST
    raise DataError(
        f"{name} has images of shape {list(shape)}, which may be [C, H, W] or [H, W, C]; set data.layout = "
        f"{FIRST!r} or {LAST!r}"
    )


def channels_first(x: np.ndarray, layout: str) -> np.ndarray:
    """Return images ``[..., C, H, W]`` of those in a layout, a view."""
    return np.moveaxis(x, -1, -3) if layout == LAST else x


def arranged(
    name: str,
    x: np.ndarray,
    n_features: int,
    image_shape: tuple[int, ...] | None = None,
    layout: str = FIRST,
    n_steps: int | None = None,
) -> np.ndarray:
    """Flatten inputs as those of a trained network were.

    Args:
        name: Name of the array in the message.
        x: Features ``[N, F]`` or images ``[N, ...]``; with a number of steps, spikes ``[N, T, ...]``.
        n_features: F, or I of spikes.
        image_shape: ``(C, H, W)`` if they are images.
        layout: How the images of the training data were laid out; others may have either layout.
        n_steps: T of spikes; None for features.

    Returns:
        ``[N, F]`` or ``[N, T, I]``, channels first.

    Raises:
        DataError: If the shape is not one of the training inputs.
    """
    lead = ["N"] if n_steps is None else ["N", n_steps]
    channels, *sides = image_shape or (1,)
    orders = [(FIRST, (channels, *sides)), (LAST, (*sides, channels))] if sides else []
    orders.sort(key=lambda item: item[0] != layout)
    accepted: list[tuple[str, tuple[int, ...]]] = []
    if layout == FIRST or channels == 1:  # otherwise the order of flattened values is not known
        accepted.append((FIRST, (n_features,)))
    if channels == 1 and sides:
        accepted.append((FIRST, tuple(sides)))
    accepted += orders
    if x.ndim >= len(lead) and tuple(x.shape[1 : len(lead)]) == tuple(lead[1:]):
        for order, shape in accepted:
            if tuple(x.shape[len(lead) :]) == shape:
                if len(shape) > 2:
                    x = channels_first(x, order)
                return x if len(shape) == 1 else x.reshape(*x.shape[: len(lead)], -1)
    listed = dict.fromkeys(f"[{', '.join(map(str, [*lead, *shape]))}]" for _, shape in accepted)
    what = "features" if n_steps is None else "spikes"
    raise DataError(
        f"{name} has shape {tuple(x.shape)}; expected {what} {' or '.join(listed)}, as in the training data"
    )
