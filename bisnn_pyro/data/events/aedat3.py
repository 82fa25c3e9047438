"""AEDAT 3.1: packets of typed events, little-endian, as cAER writes them and DVS128 Gesture comes."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from bisnn_pyro.data.events.record import Events, Sensor
from bisnn_pyro.errors import DataError

PACKET = struct.Struct("<hhiiiiii")
"""Type, source, size of an event, offset of its time, time overflow, capacity, number and valid number."""
POLARITY = 1
RECORD = 8
_SENSORS: dict[str, Sensor] = {"DVS128": (128, 128)}


def parse(data: bytes, start: int, lines: Sequence[str] = ()) -> Events:
    """Read the polarity events; packets of other types are left out.

    A packet is a header of 28 bytes and its events.  An event's first word is a mark of validity (bit 0),
    polarity (bit 1, 1 for ON), y (bits 2 to 16) and x (bits 17 to 31), its second the low 31 bits of the
    time in microseconds, whose high bits stand in the packet's header.  Invalid events are left out where
    the header counts any.  See docs.inivation.com, file formats, AEDAT 3.1, and the README of DVS128 Gesture.

    Args:
        data: The whole file.
        start: Bytes of the header.
        lines: The header, which names the camera.

    Returns:
        The events; times are those of the camera's clock.

    Raises:
        DataError: If a packet is cut short or its header makes no sense.
    """
    words: list[np.ndarray] = []
    times: list[np.ndarray] = []
    at = start
    while at < len(data):
        kind, number, valid, overflow, end = _packet(data, at)
        if kind == POLARITY:
            pairs = np.frombuffer(data, "<u4", 2 * number, at + PACKET.size).reshape(-1, 2)
            if valid < number:
                pairs = pairs[pairs[:, 0] & 1 == 1]
            words.append(pairs[:, 0])
            times.append(pairs[:, 1].astype(np.int64) + (overflow << 31))
        at = end
    word = np.concatenate([np.zeros(0, np.uint32), *words])
    t = np.concatenate([np.zeros(0, np.int64), *times])
    x, y = (word >> 17).astype(np.int32), (word >> 2 & 0x7FFF).astype(np.int32)
    return Events(t, x, y, (word >> 1 & 1).astype(np.uint8), _sensor(lines))


def _packet(data: bytes, at: int) -> tuple[int, int, int, int, int]:
    """Type, number, valid number and time overflow of the packet at a byte, and the byte after it."""
    if at + PACKET.size > len(data):
        raise DataError(f"the packet at byte {at} has no whole header; the file is cut short")
    kind, _, size, _, overflow, _, number, valid = PACKET.unpack_from(data, at)
    if size < 1 or number < 0 or overflow < 0 or (kind == POLARITY and size != RECORD):
        raise DataError(
            f"the packet at byte {at} claims {number} events of {size} bytes (type {kind}); "
            "the file is damaged"
        )
    end = at + PACKET.size + size * number
    if end > len(data):
        raise DataError(f"the packet at byte {at} ends at byte {end} of {len(data)}; the file is cut short")
    return kind, number, valid, overflow, end


def _sensor(lines: Sequence[str]) -> Sensor | None:
    """The sensor of the camera that the lines ``#Source 1: DVS128`` name; None for an unknown one."""
    for line in lines:
        if line.startswith("#Source"):
            return _SENSORS.get(line.partition(":")[2].strip())
    return None
