"""From events to binary spikes on a grid of time steps and pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from bisnn_pyro.data.checks import check_choice, check_count, check_number
from bisnn_pyro.data.events.record import Events, Sensor
from bisnn_pyro.errors import DataError

POLARITIES = ("keep", "merge", "on-only")
ZEROS = ("clock", "first-event")


@dataclass(frozen=True)
class Binning:
    """How recordings become spikes; an input spikes in a step if any event falls there.

    Attributes:
        time_step: Length of a step in milliseconds, a whole number of microseconds.
        n_steps: T; later events are cut off, and a shorter recording ends in silence.
        start: Where step 0 begins, in milliseconds after ``zero``.
        crop: ``(top, left, height, width)`` of the pixels kept; None for all.
        downsample: Side of the square of pixels, counted after the crop, that become one input.
        polarity: ``"keep"``: OFF and ON are channels 0 and 1; ``"merge"``: one channel for both;
            ``"on-only"``: one channel, OFF events dropped.
        zero: What time is counted from: ``"clock"``, the file's own zero, or ``"first-event"``.

    Raises:
        DataError: If a setting is out of range.
    """

    time_step: float
    n_steps: int
    start: float = 0.0
    crop: Sequence[int] | None = None
    downsample: int = 1
    polarity: str = "keep"
    zero: str = "clock"

    def __post_init__(self) -> None:
        step = check_number("data.time_step", self.time_step, 0.001) * 1000
        if abs(step - round(step)) > 1e-6:
            raise DataError(
                f"data.time_step is {self.time_step!r} milliseconds; expected a whole number of microseconds"
            )
        check_count("data.n_steps", self.n_steps)
        check_number("data.start", self.start, 0.0)
        check_count("data.downsample", self.downsample)
        check_choice("data.polarity", self.polarity, POLARITIES)
        check_choice("data.zero", self.zero, ZEROS)
        if self.crop is not None:
            _check_crop(self.crop)

    def image_shape(self, sensor: Sensor) -> tuple[int, int, int]:
        """``(P, H, W)`` of the inputs that a sensor ``(H, W)`` becomes.

        Raises:
            DataError: If the crop does not lie on the sensor.
        """
        _, _, height, width = self._window(sensor)
        side = self.downsample
        return (2 if self.polarity == "keep" else 1, -(-height // side), -(-width // side))

    def packed(self, events: Events, sensor: Sensor) -> np.ndarray:
        """Bin one recording.

        Args:
            events: The events.
            sensor: ``(H, W)``, which they lie on.

        Returns:
            The spikes ``[T, P, H, W]``, flattened and packed to bits by ``numpy.packbits``.
        """
        top, left, height, width = self._window(sensor)
        channels, rows, columns = self.image_shape(sensor)
        zero = int(events.t.min()) if self.zero == "first-event" else 0
        step = (events.t - (zero + round(self.start * 1000))) // round(self.time_step * 1000)
        y, x = events.y.astype(np.int64) - top, events.x.astype(np.int64) - left
        inside = (step >= 0) & (step < self.n_steps)
        if self.crop is not None:
            inside &= (y >= 0) & (y < height) & (x >= 0) & (x < width)
        if self.polarity == "on-only":
            inside &= events.p > 0
        if self.downsample > 1:
            y, x = y // self.downsample, x // self.downsample
        channel = step * 2 + events.p if channels == 2 else step
        flat = (channel * rows + y) * columns + x
        dense = np.zeros(self.n_steps * channels * rows * columns, np.uint8)
        dense[flat[inside]] = 1
        return np.packbits(dense)

    def spikes(self, events: Events, sensor: Sensor) -> np.ndarray:
        """Bin one recording to spikes ``[T, I]``, uint8, with I = P H W."""
        size = prod(self.image_shape(sensor))
        return np.unpackbits(self.packed(events, sensor), count=self.n_steps * size).reshape(-1, size)

    def _window(self, sensor: Sensor) -> tuple[int, int, int, int]:
        if self.crop is None:
            return 0, 0, *sensor
        top, left, height, width = self.crop
        if top + height > sensor[0] or left + width > sensor[1]:
            raise DataError(
                f"data.crop is {list(self.crop)} (top, left, height, width), beyond the sensor of height "
                f"{sensor[0]} and width {sensor[1]}"
            )
        return top, left, height, width


def _check_crop(crop: Sequence[int]) -> None:
    if isinstance(crop, str) or not isinstance(crop, Sequence) or len(crop) != 4:
        raise DataError(f"data.crop is {crop!r}; expected [top, left, height, width]")
    for value, minimum in zip(crop, (0, 0, 1, 1), strict=True):
        check_count("a number of data.crop", value, minimum)
