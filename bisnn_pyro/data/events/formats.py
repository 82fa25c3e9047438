"""The events of one recording, and the file formats that they are read from.

AEDAT 2.0 and 3.1, the 5-byte format of N-MNIST, numpy arrays, and the HDF5 tables of the Spiking Heidelberg
Digits.  Each reader refuses a damaged file with a :class:`DataError`; :class:`Reader` in
:mod:`bisnn_pyro.data.events.layouts` adds the name of the file to the message.
"""

from __future__ import annotations

import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.data import npy
from bisnn_pyro.data.limits import check_bytes, enough_memory
from bisnn_pyro.errors import DataError

Sensor = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, eq=False)
class Events:
    """Events of an address-event sensor, in the order of the file.

    Attributes:
        t: Times in microseconds, int64 ``[n]``; the zero depends on the format.
        x: Columns from the left, integers ``[n]``.
        y: Rows from the top, integers ``[n]``.
        p: Polarities, ``[n]``, 1 for ON (brighter) and 0 for OFF.
        sensor: ``(H, W)``; None if the format does not say.

    Raises:
        DataError: If the arrays differ in length, a polarity is neither 0 nor 1, or an event lies outside
            the sensor.

    Example:
        >>> import numpy as np
        >>> events = Events(np.array([0, 40, 90]), np.array([3, 0, 1]), np.array([1, 1, 0]), np.ones(3, int))
        >>> len(events), events.duration, events.extent
        (3, 90, (2, 4))
    """

    t: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray
    sensor: Sensor | None = None

    def __post_init__(self) -> None:
        for name, kinds in (("t", "iu"), ("x", "iu"), ("y", "iu"), ("p", "iub")):
            column = getattr(self, name)
            if not isinstance(column, np.ndarray) or column.dtype.kind not in kinds:
                kind = getattr(column, "dtype", type(column).__name__)
                raise DataError(f"the column {name} has type {kind}; expected an array of whole numbers")
        object.__setattr__(self, "t", self.t.astype(np.int64, copy=False))  # so that differences have a sign
        shapes = {np.shape(column) for column in (self.t, self.x, self.y, self.p)}
        if len(shapes) != 1 or len(next(iter(shapes))) != 1:
            raise DataError(f"columns t, x, y and polarity have shapes {sorted(shapes)}; expected one [n]")
        if not len(self.t):
            return
        if self.p.min() < 0 or self.p.max() > 1:
            raise DataError(f"polarities range from {self.p.min()} to {self.p.max()}; expected 0 and 1")
        height, width = self.sensor or self.extent
        if self.x.min() < 0 or self.y.min() < 0 or self.x.max() >= width or self.y.max() >= height:
            raise DataError(
                f"events lie at x from {self.x.min()} to {self.x.max()} and y from {self.y.min()} to "
                f"{self.y.max()}, outside the sensor of {width} x {height} pixels"
            )

    def __len__(self) -> int:
        return len(self.t)

    @property
    def extent(self) -> Sensor:
        """The smallest sensor ``(H, W)`` that holds all events, at least one pixel."""
        return (int(self.y.max()) + 1, int(self.x.max()) + 1) if len(self) else (1, 1)

    @property
    def duration(self) -> int:
        """Microseconds from the first event to the last; 0 without events."""
        return int(self.t.max() - self.t.min()) if len(self) else 0

    def on(self, sensor: Sensor | None) -> Events:
        """The same events on this sensor, or unchanged if it is None.

        Raises:
            DataError: If an event lies outside the sensor.
        """
        return self if sensor is None or sensor == self.sensor else replace(self, sensor=sensor)

    def between(self, start: int, end: int) -> Events:
        """The events with start <= t < end in microseconds, their times counted from ``start``."""
        inside = (self.t >= start) & (self.t < end)
        t, x, y, p = (column[inside] for column in (self.t, self.x, self.y, self.p))
        return Events(t - start, x, y, p, self.sensor)


def _check_length(path: str | os.PathLike[str], per_byte: int) -> None:
    """Compare what a file's events take, so many bytes per byte of the file, with the limit."""
    check_bytes("its events", os.stat(path).st_size * per_byte, "divide the recording")


# --- the 5-byte format of N-MNIST -----------------------------------------------------------------------

_OVERFLOW_ROW = 240
_OVERFLOW = 1 << 13
"""Microseconds that each overflow event adds to all later times."""


def read_bin(path: str | os.PathLike[str]) -> Events:
    """Read a recording of N-MNIST or N-Caltech101.

    An event is x (8 bits), y (8 bits), polarity (1 bit) and time in microseconds (23 bits), big-endian.
    An entry with y = 240 is not an event: it marks an overflow of the sensor's clock.  The format is that of
    the publisher's scripts, github.com/gorchard/event-Python (Orchard et al., Frontiers in Neuroscience
    9:437).

    Args:
        path: The file.

    Returns:
        The events, with times from the start of the recording.

    Raises:
        DataError: If the file is not a whole number of events.
        OSError: If it cannot be read.
    """
    _check_length(path, 8)
    raw = np.fromfile(path, np.uint8)
    if len(raw) % 5:
        raise DataError(f"{len(raw)} bytes are not a whole number of 5-byte events; the file is cut short")
    x, y, high, middle, low = raw.reshape(-1, 5).T
    t = (high & 0x7F).astype(np.int64) << 16 | middle.astype(np.int64) << 8 | low
    overflow = y == _OVERFLOW_ROW
    if overflow.any():
        t += _OVERFLOW * np.cumsum(overflow)
        t, x, y, high = (column[~overflow] for column in (t, x, y, high))
    return Events(t, x, y, high >> 7)


# --- AEDAT: a text header that all versions share, then the version's events ------------------------------

_VERSION = re.compile(rb"#!AER-DAT(\d+\.\d+)")
_DVS128: Sensor = (128, 128)


def read_aedat(path: str | os.PathLike[str]) -> Events:
    """Read a recording in AEDAT 2.0 (of a DVS128) or 3.1.

    Args:
        path: The file.

    Returns:
        The events; times are those of the camera's clock.

    Raises:
        DataError: If the file is cut short or damaged, or of another version or camera.
        OSError: If it cannot be read.
    """
    _check_length(path, 5)
    data = Path(path).read_bytes()
    version, lines, start = parse_header(data)
    parse = {"2.0": _aedat2, "3.1": _aedat3}.get(version)
    if parse is None:
        raise DataError(f"AEDAT {version} is not supported; expected version 2.0 or 3.1")
    return parse(data, start, lines)


def parse_header(data: bytes) -> tuple[str, list[str], int]:
    """Split off the leading lines that begin with ``#``; those of version 3 end with ``#!END-HEADER``.

    Returns:
        The version as written, the lines without their ends, and the number of bytes before the first event.

    Raises:
        DataError: If the first line does not name the version.
    """
    version = _VERSION.match(data)
    if version is None:
        raise DataError("not an AEDAT 2.0 or 3.1 file: it does not begin with '#!AER-DAT' and a version")
    lines: list[str] = []
    size = 0
    while data[size : size + 1] == b"#":
        end = data.find(b"\n", size) + 1
        if not end:
            raise DataError("the header does not end; the file is cut short")
        lines.append(data[size:end].decode("latin-1").rstrip())
        size = end
        if lines[-1] == "#!END-HEADER":
            break
    return version[1].decode(), lines, size


def _aedat2(data: bytes, start: int, lines: Sequence[str]) -> Events:
    """AEDAT 2.0 of a DVS128: pairs of a 32-bit address and a 32-bit time, big-endian, as jAER writes them.

    The address is polarity (bit 0), x (bits 1 to 7), y (bits 8 to 14) and a mark of external events
    (bit 15), which are left out; see docs.inivation.com, file formats, AEDAT 1.0 and 2.0.  x and y are
    those of the address; jAER counts x from the other side and puts y = 0 at the bottom.

    Polarity: bit 0 *clear* is ON.  jAER, which wrote these files, reads it so (the extractors of
    ``ch.unizh.ini.jaer.chip.retina`` take ``1 - address & 1``, and 1 for ON), as do its MATLAB scripts
    (``1 - 2 * bit``) and libcaer's driver of the camera.  Readers that take the bit as it is, such as
    tonic's, call these events OFF: between the two conventions the channels of ``polarity = "keep"`` change
    places, and ``"on-only"`` keeps the other half.

    Times are a 32-bit clock in microseconds that wraps after 71 minutes: each step from one event to the
    next is taken as the shortest one, forwards or back.
    """
    camera = next((line for line in lines if line.startswith("# AEChip:")), "DVS128")
    if "DVS128" not in camera:
        name = camera.removeprefix("# AEChip:").strip()
        raise DataError(f"the camera is {name}, whose addresses are not supported; expected a DVS128")
    size = len(data) - start
    if size % 8:
        raise DataError(
            f"the {size} bytes after the header are not a whole number of 8-byte events; "
            "the file is cut short"
        )
    address, clock = np.frombuffer(data, ">u4", offset=start).reshape(-1, 2).T
    if len(address) and address.max() > 0xFFFF:
        raise DataError(
            f"an address is {int(address.max()):#x}, beyond the 16 bits of a DVS128, the only camera whose "
            "AEDAT 2.0 files are supported"
        )
    t = _unwrapped(clock)
    address = address.astype(np.int32)
    real = address & 0x8000 == 0
    if not real.all():
        t, address = t[real], address[real]
    return Events(t, address >> 1 & 0x7F, address >> 8 & 0x7F, 1 - (address & 1), _DVS128)


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


_PACKET = struct.Struct("<hhiiiiii")
"""Type, source, size of an event, offset of its time, time overflow, capacity, number and valid number."""
_POLARITY = 1


def _aedat3(data: bytes, start: int, lines: Sequence[str]) -> Events:
    """AEDAT 3.1: packets of typed events, little-endian, as cAER writes them and DVS128 Gesture is published.

    A packet is a header of 28 bytes and its events.  An event's first word is a mark of validity (bit 0),
    polarity (bit 1, 1 for ON), y (bits 2 to 16) and x (bits 17 to 31), its second the low 31 bits of the
    time in microseconds, whose high bits are in the packet's header.  Packets of other types are left out,
    and so are invalid events if the header counts any.  See docs.inivation.com, file formats, AEDAT 3.1, and
    the README of DVS128 Gesture.
    """
    form = next((line.partition(":")[2].strip() for line in lines if line.startswith("#Format")), "RAW")
    if form.upper() != "RAW":
        raise DataError(
            f"its #Format is {form}, which is not supported; expected RAW (write it uncompressed)"
        )
    words: list[np.ndarray] = [np.zeros(0, np.uint32)]
    times: list[np.ndarray] = [np.zeros(0, np.int64)]
    at = start
    while at < len(data):
        kind, number, valid, overflow, end = _packet(data, at)
        if kind == _POLARITY:
            pairs = np.frombuffer(data, "<u4", 2 * number, at + _PACKET.size).reshape(-1, 2)
            if valid < number:
                pairs = pairs[pairs[:, 0] & 1 == 1]
            words.append(pairs[:, 0])
            times.append(pairs[:, 1].astype(np.int64) + (overflow << 31))
        at = end
    word, t = np.concatenate(words), np.concatenate(times)
    x, y = (word >> 17).astype(np.int32), (word >> 2 & 0x7FFF).astype(np.int32)
    source = next((line for line in lines if line.startswith("#Source")), "")
    sensor = _DVS128 if source.partition(":")[2].strip() == "DVS128" else None
    return Events(t, x, y, (word >> 1 & 1).astype(np.uint8), sensor)


def _packet(data: bytes, at: int) -> tuple[int, int, int, int, int]:
    """Type, number, valid number and time overflow of the packet at a byte, and the byte after it."""
    if at + _PACKET.size > len(data):
        raise DataError(f"the packet at byte {at} has an incomplete header; the file is cut short")
    kind, _, size, _, overflow, _, number, valid = _PACKET.unpack_from(data, at)
    if size < 1 or number < 0 or overflow < 0 or (kind == _POLARITY and size != 8):
        raise DataError(
            f"the packet at byte {at} claims {number} events of {size} bytes (type {kind}); "
            "the file is damaged"
        )
    end = at + _PACKET.size + size * number
    if end > len(data):
        raise DataError(f"the packet at byte {at} ends at byte {end} of {len(data)}; the file is cut short")
    return kind, number, valid, overflow, end


# --- numpy arrays -----------------------------------------------------------------------------------------

_NAMES = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "x": ("x",),
    "y": ("y",),
    "p": ("p", "pol", "polarity", "polarities"),
}
_WANTED = "expected the columns t (microseconds), x, y and p (polarity)"
_ASCENDING = 0.9
"""Share of steps from one event to the next at which times do not fall; a column of pixels has about half."""
_LIMIT = 2**62
"""Beyond any clock, and small enough for the difference of two times."""


def read_array(path: str | os.PathLike[str]) -> Events:
    """Read a recording from a ``.npy`` or ``.npz`` file; pickled objects are never loaded.

    A ``.npy`` file holds ``[n, 4]`` numbers, the columns t, x, y, p (as tonic stores POKER-DVS), or a
    structured array with the fields t, x, y and p in any order.  A ``.npz`` file holds one such array, or
    one array per column.  Times are in microseconds; polarities are 0 and 1, or -1 and 1.  All are whole
    numbers of any type.

    Args:
        path: The file.

    Returns:
        The events, with times as written.

    Raises:
        DataError: If the file is damaged or holds something else.
        OSError: If it cannot be read.
    """
    with Path(path).open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            stream.seek(0)
            return _columns(npy.read_npy(stream, os.fstat(stream.fileno()).st_size, "it"))
        arrays = npy.read_npz(stream, lambda names: names)
    return _columns(next(iter(arrays.values()))) if len(arrays) == 1 else _named(arrays)


def _columns(array: np.ndarray) -> Events:
    if array.dtype.names:
        return _named({name: array[name] for name in array.dtype.names})
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "biuf":
        raise DataError(f"the array has shape {array.shape} and type {array.dtype}; {_WANTED}, [n, 4]")
    _check_order(array)
    return _events(*array.T)


def _check_order(array: np.ndarray) -> None:
    """Refuse columns without names if the times, which ascend, are not in the first."""
    if len(array) < 2:
        return
    ascends = (array[1:] >= array[:-1]).mean(axis=0) > _ASCENDING
    spread = [column.max() > column.min() + 1 for column in array.T.astype(np.float64)]  # beyond polarities
    others = [k for k in range(1, 4) if ascends[k] and spread[k]]
    if not ascends[0] and others:
        raise DataError(
            f"column {others[0]} of the array ascends like times, and column 0 does not; {_WANTED} in this "
            "order, or a structured array with these names"
        )


def _named(arrays: Mapping[str, np.ndarray]) -> Events:
    found = {}
    for column, names in _NAMES.items():
        match = [name for name in arrays if name.lower() in names]
        if len(match) != 1:
            raise DataError(f"it holds {', '.join(sorted(arrays)) or 'nothing'}; {_WANTED}, one of each")
        found[column] = arrays[match[0]]
    return _events(**found)


def _events(t: np.ndarray, x: np.ndarray, y: np.ndarray, p: np.ndarray) -> Events:
    t, x, y, p = (_whole(name, column) for name, column in (("t", t), ("x", x), ("y", y), ("p", p)))
    if -1 in p and 0 in p:
        raise DataError("polarities are both -1 and 0; expected 0 and 1, or -1 and 1")
    return Events(t, x, y, np.where(p == -1, 0, p))


def _whole(name: str, column: np.ndarray) -> np.ndarray:
    """The same numbers as int64; values that would be truncated or wrap around are refused."""
    floating = column.dtype.kind == "f"
    if column.dtype.kind not in "biuf" or (floating and not np.isfinite(column).all()):
        raise DataError(f"the column {name} has type {column.dtype}; expected finite numbers")
    if floating and (column != np.rint(column)).any():
        example = column[column != np.rint(column)].flat[0]
        raise DataError(
            f"the column {name} holds {example}; expected whole numbers: times in microseconds, x and y in "
            "pixels, polarities 0 and 1"
        )
    if column.size and column.dtype.kind != "b" and (column.max() >= _LIMIT or column.min() <= -_LIMIT):
        raise DataError(
            f"the column {name} ranges from {column.min()} to {column.max()}; expected microseconds"
        )
    return column.astype(np.int64)


READERS: dict[str, Callable[[Path], Events]] = {
    ".aedat": read_aedat,
    ".bin": read_bin,
    ".npy": read_array,
    ".npz": read_array,
}
"""Suffix -> reader, of the formats with one recording per file."""


# --- HDF5 tables of the Spiking Heidelberg Digits ---------------------------------------------------------

HDF5_SUFFIXES = (".h5", ".hdf5")
SHD_SENSOR: Sensor = (1, 700)
"""One row of 700 units."""
_MICROSECONDS = 1e6
_ARRAYS = ("spikes/times", "spikes/units", "labels")


class SpikeTable:
    """The rows of one file: ``spikes/times`` in seconds, ``spikes/units`` 0 to 699, ``labels``.

    Cramer, Stradmann, Schemmel and Zenke, IEEE TNNLS 33 (2022); zenkelab.org/datasets.

    Args:
        path: The file, ``shd_train.h5`` or ``shd_test.h5``.

    Raises:
        DataError: If the file is damaged or holds something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = _open_hdf5(path)
        with _hdf5_errors():
            missing = [name for name in _ARRAYS if name not in self._file]
            if missing:
                raise DataError(f"it has no array {' and no '.join(missing)}; expected {', '.join(_ARRAYS)}")
            sizes = {name: _rows(name, self._file[name]) for name in _ARRAYS}
        if len(set(sizes.values())) != 1:
            raise DataError(
                f"its arrays have {sizes} rows; expected one label and two spike arrays per recording"
            )

    def labels(self) -> np.ndarray:
        """The published class numbers ``[N]``."""
        with _hdf5_errors():
            return np.asarray(self._file["labels"][:])

    def __getitem__(self, row: int) -> Events:
        """Read one recording; times count from its start, and every polarity is 1.

        Raises:
            DataError: If a time is not finite, or the row is damaged.
            OSError: If it cannot be read.
        """
        with _hdf5_errors():
            times, units = (np.asarray(self._file[name][row]) for name in _ARRAYS[:2])
        # Stored as float16 seconds: converted to float64 before they are multiplied.
        seconds = times.astype(np.float64)
        if not np.isfinite(seconds).all() or (np.abs(seconds) >= _LIMIT / _MICROSECONDS).any():
            raise DataError("spikes/times holds NaN, infinity or a time beyond any clock; expected seconds")
        t = np.rint(seconds * _MICROSECONDS).astype(np.int64)
        x = _whole("spikes/units", units)
        return Events(t, x, np.zeros_like(x), np.ones(len(x), np.uint8), SHD_SENSOR)


def _rows(name: str, array: Any) -> int:
    """The number of rows of one array, which is of a kind that the format has."""
    import h5py

    numbers = "iu" if name == "labels" else "iuf"
    if not isinstance(array, h5py.Dataset) or len(array.shape or ()) != 1:
        raise DataError(f"{name} is not an array with one axis")
    row = array.dtype if name == "labels" else h5py.check_vlen_dtype(array.dtype)
    if row is None or row.kind not in numbers:
        what = "whole numbers" if name == "labels" else "rows of numbers, of any length"
        raise DataError(f"{name} has type {array.dtype}; expected {what}")
    check_bytes(name, len(array) * 16)
    return len(array)


@contextmanager
def _hdf5_errors() -> Iterator[None]:
    """Name the file's damage, which h5py reports by many kinds of errors."""
    try:
        with enough_memory("it"):
            yield
    except DataError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise DataError(f"the HDF5 file is damaged: {error}") from error
    except Exception as error:
        raise DataError(f"the HDF5 file is damaged: {error}") from error


def _open_hdf5(path: str | os.PathLike[str]) -> Any:
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        if error.errno is not None:  # from the system: the file itself may be whole
            raise
        raise DataError(f"the HDF5 file is not complete: {error}") from error
