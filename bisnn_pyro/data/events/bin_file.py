"""The binary files of N-MNIST and N-Caltech101: 5 bytes an event."""

from __future__ import annotations

import os

import numpy as np

from bisnn_pyro.data.events.record import Events
from bisnn_pyro.errors import DataError

RECORD = 5
OVERFLOW_ROW = 240
OVERFLOW = 1 << 13
"""Microseconds that each overflow event adds to all times from it on."""


def read_bin(path: str | os.PathLike[str]) -> Events:
    """Read one recording.

    An event is x (8 bits), y (8 bits), polarity (1 bit) and time in microseconds (23 bits), big-endian.
    An event with y = 240 is none: it says that the sensor's clock overflowed.  The format is that of the
    publisher's scripts, github.com/gorchard/event-Python (Orchard et al., Frontiers in Neuroscience 9:437).

    Args:
        path: The file.

    Returns:
        The events, with times from the start of the recording.

    Raises:
        DataError: If the file is no whole number of events.
        OSError: If it cannot be read.
    """
    raw = np.fromfile(path, np.uint8)
    if len(raw) % RECORD:
        raise DataError(
            f"{len(raw)} bytes are no whole number of {RECORD}-byte events; the file is cut short"
        )
    x, y, high, middle, low = raw.reshape(-1, RECORD).T
    t = (high & 0x7F).astype(np.int64) << 16 | middle.astype(np.int64) << 8 | low
    overflow = y == OVERFLOW_ROW
    if overflow.any():
        t += OVERFLOW * np.cumsum(overflow)
        t, x, y, high = (column[~overflow] for column in (t, x, y, high))
    return Events(t, x, y, high >> 7)
