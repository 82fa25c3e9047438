"""The events of one recording."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bisnn_pyro.errors import DataError

Sensor = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, eq=False)
class Events:
    """Events of an address-event sensor, in the order of the file.

    Attributes:
        t: Times in microseconds, int64 ``[n]``; what zero is depends on the format.
        x: Columns from the left, integers ``[n]``.
        y: Rows from the top, integers ``[n]``.
        p: Polarities, ``[n]``, 1 for ON (brighter) and 0 for OFF.
        sensor: ``(H, W)``; None where the format does not say.

    Raises:
        DataError: If the arrays are of unequal length, a polarity is neither 0 nor 1, or an event lies
            outside the sensor.
    """

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    sensor: Sensor | None = None

    def __post_init__(self) -> None:
        shapes = {np.shape(column) for column in (self.t, self.x, self.y, self.p)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise DataError(
                f"the columns t, x, y and polarity have shapes {sorted(shapes)}; expected one [n]"
            )
        if not len(self.t):
            return
        if self.p.min() < 0 or self.p.max() > 1:
            raise DataError(f"polarities range from {self.p.min()} to {self.p.max()}; expected 0 and 1")
        height, width = self.sensor or self.extent
        outside = (self.x.min() < 0, self.y.min() < 0, self.x.max() >= width, self.y.max() >= height)
        if any(outside):
            raise DataError(
                f"events lie at x from {self.x.min()} to {self.x.max()} and y from {self.y.min()} to "
                f"{self.y.max()}, outside the sensor of {width} x {height} pixels"
            )

    def __len__(self) -> int:
        return len(self.t)

    @property
    def extent(self) -> Sensor:
        """The smallest sensor ``(H, W)`` that holds all events; at least one pixel."""
        return (int(self.y.max()) + 1, int(self.x.max()) + 1) if len(self) else (1, 1)

    @property
    def duration(self) -> int:
        """Microseconds from the first event to the last; 0 without events."""
        return int(self.t.max() - self.t.min()) if len(self) else 0

    def on(self, sensor: Sensor | None) -> Events:
        """The same events on this sensor, or on their own where it is None; a misfit is a DataError."""
        return self if sensor is None or sensor == self.sensor else replace(self, sensor=sensor)

    def between(self, start: int, end: int) -> Events:
        """The events with start <= t < end, counted from ``start``; both in microseconds."""
        inside = (self.t >= start) & (self.t < end)
        t, x, y, p = (column[inside] for column in (self.t, self.x, self.y, self.p))
        return Events(t - start, x, y, p, self.sensor)
