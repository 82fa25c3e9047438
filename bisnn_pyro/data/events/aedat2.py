"""AEDAT 2.0: pairs of a 32-bit address and a 32-bit time, big-endian, as jAER writes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bisnn_pyro.data.events.record import Events
from bisnn_pyro.errors import DataError

RECORD = 8
SIDE = 128
_EXTERNAL = 0x8000
_CHIP = "# AEChip:"


def parse(data: bytes, start: int, lines: Sequence[str] = ()) -> Events:
    """Read the events of a DVS128.

    The address is polarity (bit 0), x (bits 1 to 7), y (bits 8 to 14) and a mark of external events
    (bit 15), which are left out; see docs.inivation.com, file formats, AEDAT 1.0 and 2.0.  x and y are
    those of the address; jAER counts x from the other side and puts y = 0 at the bottom.

    Polarity: bit 0 *clear* is ON.  So read it jAER, which wrote these files (the extractors of
    ``ch.unizh.ini.jaer.chip.retina`` take ``1 - address & 1``, and 1 for ON), its MATLAB scripts
    (``1 - 2 * bit``) and libcaer's driver of the camera.  Readers that take the bit as it stands, tonic's
    among them, call these events OFF: between the two conventions the channels of ``polarity = "keep"``
    change places, and ``"on-only"`` keeps the other half.

    Times are a clock of 32 bits in microseconds that wraps after 71 minutes: each step from one event to the
    next is taken as the shortest one, forwards or back.

    Args:
        data: The whole file.
        start: Bytes of the header.
        lines: The header, which may name the camera.

    Returns:
        The events; times are those of the camera's clock at the first event, counted on from there.

    Raises:
        DataError: If the file is no whole number of events, or of another camera.
    """
    _check_camera(lines)
    if (len(data) - start) % RECORD:
        raise DataError(
            f"{len(data) - start} bytes after the header are no whole number of {RECORD}-byte events; "
            "the file is cut short"
        )
    address, clock = np.frombuffer(data, ">u4", offset=start).reshape(-1, 2).T
    if len(address) and address.max() > 0xFFFF:
        raise DataError(
            f"an address is {int(address.max()):#x}, beyond the 16 bits of a DVS128; only that camera's "
            "AEDAT 2.0 files are read here"
        )
    t = _unwrapped(clock)
    address = address.astype(np.int32)
    real = address & _EXTERNAL == 0
    if not real.all():
        t, address = t[real], address[real]
    return Events(t, address >> 1 & 0x7F, address >> 8 & 0x7F, 1 - (address & 1), (SIDE, SIDE))


def _check_camera(lines: Sequence[str]) -> None:
    for line in lines:
        if line.startswith(_CHIP) and "DVS128" not in line:
            raise DataError(
                f"the camera is {line.removeprefix(_CHIP).strip()}, whose addresses are not read here; "
                "expected a DVS128"
            )


def _unwrapped(clock: np.ndarray) -> np.ndarray:
    """Microseconds int64 ``[n]``, without the wraps of the 32-bit clock."""
    ticks = clock.astype(np.uint32)
    t = np.zeros(len(ticks), np.int64)
    if len(ticks):
        t[0] = ticks[0]
        # Differences modulo 2^32, as signed numbers.
        np.cumsum(np.diff(ticks).view(np.int32), dtype=np.int64, out=t[1:])
        t[1:] += t[0]
    return t
