"""A file of binary arrays, packed to bits and compressed one by one, so that any of them is read alone."""

from __future__ import annotations

import json
import mmap
import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bisnn_pyro.errors import DataError

LEVEL = 1
"""Of compression: spikes are so sparse that higher ones gain a tenth and take five times as long."""
_FOOTER = struct.Struct("<qqI8s")
"""Where header and offsets begin, the CRC-32 of both, and the mark of a file that was written to its end."""
_MARK = b"bisnn-s2"


def write_spikes(
    stream: BinaryIO, arrays: Iterable[np.ndarray | None], header: Mapping[str, Any] | None = None
) -> None:
    """Write packed arrays one after another; only one is held in memory.

    The file is the compressed arrays, the header as JSON, the offsets of the arrays (int64) and a footer
    that says where these two are, with their checksum; each array has its own (zlib's).  The footer comes
    last: a file that was not written to its end has none.

    Args:
        stream: A binary file at its beginning.
        arrays: Bits as ``numpy.packbits`` gives them; None for a recording that was left out.
        header: Plain values; it is asked for its items after the last array.
    """
    offsets = [0]
    for array in arrays:
        size = 0 if array is None else stream.write(zlib.compress(array.tobytes(), LEVEL))
        offsets.append(offsets[-1] + size)
    text = json.dumps(dict(header or {})).encode()
    index = text + np.array(offsets, "<i8").tobytes()
    stream.write(index)
    stream.write(_FOOTER.pack(offsets[-1], offsets[-1] + len(text), zlib.crc32(index), _MARK))
    stream.flush()


class SpikeFile:
    """Reads what :func:`write_spikes` wrote; safe to share between threads and processes.

    A pickled one opens the file anew; a copy is the file itself, which never changes.

    Args:
        stream: The file, open for reading; it is closed, and its content stays mapped.
        name: What a message calls it.
        path: Where it is; None for a temporary file, which has no name and so cannot be pickled.

    Raises:
        DataError: If the file is not whole.

    Attributes:
        header: The header.
    """

    def __init__(self, stream: BinaryIO, name: str, path: Path | None = None) -> None:
        self.name, self.path = name, path
        try:
            # Pages are the system's to keep or drop: the file may be larger than the memory.
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
            raise DataError(f"{name} is no whole file of spikes: {error}") from error

    @classmethod
    def at(cls, path: Path) -> SpikeFile:
        """Open a file; an OSError if that cannot be done, and a DataError if it is not whole."""
        return cls(path.open("rb"), str(path), path)

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def __reduce__(self) -> tuple[Any, ...]:
        if self.path is None:
            raise DataError(f"{self.name} has no name to be opened by elsewhere; set data.cache = true")
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
            raise DataError(f"{self.name} is damaged ({error}); delete it, and it is made anew") from error
        return np.unpackbits(bits, count=n_bits)
