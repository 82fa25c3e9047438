"""Binary arrays on disk: a file of packed, compressed spikes, and an array that reads from it on demand."""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bisnn_pyro.errors import DataError

_LEVEL = 1
"""Of compression: spikes are so sparse that higher levels save a tenth and take five times as long."""
_FOOTER = struct.Struct("<qqI8s")
"""Where header and offsets begin, the CRC-32 of both, and the mark of a file that was written to its end."""
_MARK = b"bisnn-s2"


def write_spikes(
    stream: BinaryIO, arrays: Iterable[np.ndarray | None], header: Mapping[str, Any] | None = None
) -> None:
    """Write packed arrays one after another; only one is held in memory.

    The file is the compressed arrays, the header as JSON, the offsets of the arrays (int64) and a footer
    with the positions of these two and their checksum; each array has its own checksum (zlib's).  The footer
    comes last, so a file that was not written to its end has none.

    Args:
        stream: A binary file at its beginning.
        arrays: Bits as ``numpy.packbits`` gives them; None for a recording that was left out.
        header: Plain values; they are read after the last array.
    """
    offsets = [0]
    for array in arrays:
        size = 0 if array is None else stream.write(zlib.compress(array.tobytes(), _LEVEL))
        offsets.append(offsets[-1] + size)
    text = json.dumps(dict(header or {})).encode()
    index = text + np.array(offsets, "<i8").tobytes()
    stream.write(index)
    stream.write(_FOOTER.pack(offsets[-1], offsets[-1] + len(text), zlib.crc32(index), _MARK))
    stream.flush()


class SpikeFile:
    """Reads what :func:`write_spikes` wrote; safe to share between threads and processes.

    A pickled one opens the file again.  A copy is the same object, since the file never changes.

    Args:
        stream: The file, open for reading; it is closed, and its content stays mapped.
        name: Its name in messages.
        path: Where it is; None for a temporary file, which has no name and so cannot be pickled.

    Raises:
        DataError: If the file is not complete.

    Attributes:
        header: The header.
    """

    def __init__(self, stream: BinaryIO, name: str, path: Path | None = None) -> None:
        self.name, self.path = name, path
        try:
            # The system keeps or drops the pages: the file may be larger than the memory.
            with stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            text, offsets, checksum, mark = _FOOTER.unpack(self._map[-_FOOTER.size :])
            if mark != _MARK:
                raise ValueError("it has no footer")
            if zlib.crc32(self._map[text : -_FOOTER.size]) != checksum:
                raise ValueError("its header is damaged")
            self.header: dict[str, Any] = json.loads(self._map[text:offsets])
            self._offsets = np.frombuffer(self._map[offsets : -_FOOTER.size], "<i8")
            if self._offsets[-1] != text:
                raise ValueError("its offsets do not fit")
        except (ValueError, IndexError, struct.error) as error:
            raise DataError(f"{name} is not a complete file of spikes: {error}") from error

    @classmethod
    def at(cls, path: Path) -> SpikeFile:
        """Open a file; an OSError if that fails, and a DataError if it is not complete."""
        return cls(path.open("rb"), str(path), path)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __reduce__(self) -> tuple[Any, ...]:
        if self.path is None:
            raise DataError(f"{self.name} cannot be opened by another process; set data.cache = true")
        return SpikeFile.at, (self.path,)

    def __copy__(self) -> SpikeFile:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> SpikeFile:
        return self

    def read(self, row: int, n_bits: int) -> np.ndarray:
        """Read one array.

        Args:
            row: Its number.
            n_bits: How many values it has.

        Returns:
            Zeros and ones, uint8 ``[n_bits]``.

        Raises:
            DataError: If its bytes are damaged.
        """
        start, end = self._offsets[row : row + 2]
        try:
            bits = np.frombuffer(zlib.decompress(self._map[start:end]), np.uint8)
        except zlib.error as error:
            raise DataError(f"{self.name} is damaged ({error}); delete it, and it is made again") from error
        return np.unpackbits(bits, count=n_bits)


class Recordings:
    """Spikes ``[N, T, I]`` of a :class:`SpikeFile`, read when they are indexed.

    Indexed along its first axis only, like a numpy array: a whole number gives ``[T, I]``; a slice, an
    array of whole numbers or of booleans gives ``[n, T, I]``, an array in memory.  ``numpy.asarray`` reads
    everything.  Values are 0 and 1.

    Args:
        file: The file of all recordings.
        rows: Which of them these are, int ``[N]``.
        n_steps: T.
        n_inputs: I.
    """

    dtype = np.dtype(np.uint8)
    ndim = 3

    def __init__(self, file: SpikeFile, rows: np.ndarray, n_steps: int, n_inputs: int) -> None:
        self._file, self._rows = file, np.asarray(rows, dtype=np.int64)
        self.shape = (len(self._rows), n_steps, n_inputs)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Recordings(shape={self.shape}, file={self._file.name!r})"

    @property
    def size(self) -> int:
        """N T I, the number of values."""
        return prod(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read recordings ``[n, T, I]``, uint8; ``[T, I]`` for a whole number.

        Raises:
            IndexError: If the index is out of range or not along the first axis.
            DataError: If the file is damaged.
        """
        if isinstance(index, tuple) or index is None or index is Ellipsis:
            raise IndexError("recordings are indexed along their first axis only")
        rows = self._rows[index]
        if rows.ndim > 1:
            raise IndexError(f"an index of shape {rows.shape}; expected one axis")
        spikes = np.empty((rows.size, *self.shape[1:]), np.uint8)
        n_bits = prod(self.shape[1:])
        for k, row in enumerate(rows.ravel()):
            spikes[k] = self._file.read(int(row), n_bits).reshape(self.shape[1:])
        return spikes if rows.ndim else spikes[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All recordings in memory, for sets that are small enough."""
        if copy is False:
            raise ValueError("recordings are on disk; an array of them is always a copy")
        return self[:].astype(np.uint8 if dtype is None else dtype, copy=False)

    def take(self, rows: np.ndarray) -> Recordings:
        """Some of these recordings, still on disk.

        Args:
            rows: Their numbers ``[n]`` or a mask ``[N]``.
        """
        return Recordings(self._file, self._rows[rows], *self.shape[1:])
