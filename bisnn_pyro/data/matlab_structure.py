"""The structure of a MATLAB file of version 5 to 7, checked before scipy reads it.

A compressed file of any size may unpack to a thousand times as much, and scipy trusts the types and lengths
that a file names: a wrong one can end the process.  The format: "MAT-File Format", The MathWorks, version 5.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Protocol

from bisnn_pyro.data.limits import check_bytes, max_bytes
from bisnn_pyro.errors import DataError

_HEADER = 128
_PART = 1 << 20
_VERSION_5 = (b"\x00\x01", b"\x01\x00")
"""In either order of bytes; scipy refuses 7.3 by name."""
_MATRIX, _COMPRESSED = 14, 15
_FLAGS, _SIZES, _NAMES, _VALUES = (6,), (5,), (1, 2, 16), (1, 2, 3, 4, 5, 6, 7, 9, 12, 13)
"""Types of the parts of a variable: unsigned 32 bits, signed 32 bits, text, and numbers of any kind."""
_CLASSES = range(5, 16)
"""Of a variable: sparse, double, single and the integers; cells, structures and text are never read."""


def check_structure(file: Path) -> None:
    """Follow the parts of every variable of a file.

    Args:
        file: The file; one of version 4, which has no such parts, is left to scipy.

    Raises:
        DataError: If a part is of an impossible type or length, or the file unpacks to more than the limit.
    """
    with file.open("rb") as stream:
        header = stream.read(_HEADER)
        if len(header) < _HEADER or 0 in header[:4] or header[124:126] not in _VERSION_5:
            return
        order = "<" if header[126:128] == b"IM" else ">"
        total = 0
        while len(head := stream.read(8)) == 8:
            kind, size = struct.unpack(f"{order}II", head)
            start = stream.tell()
            if kind == _COMPRESSED:
                unpacked = _Unpacked(stream, size)
                _check_element(unpacked, order)
                unpacked.skip(max_bytes() - total - unpacked.at + 1)
                total += unpacked.at
                check_bytes("what it holds", total)
            elif kind == _MATRIX:
                _check_variable(_Plain(stream), size, order)
            else:
                raise DataError(f"a variable is of the type {kind}; expected {_MATRIX}, a matrix")
            stream.seek(start + size)


class _Bytes(Protocol):
    """Bytes that are read one part after another."""

    def read(self, n: int) -> bytes:
        """Read so many bytes, or as many as are left."""

    def skip(self, n: int) -> None:
        """Go on by so many bytes, or to the end."""


class _Plain:
    """Bytes of the file itself."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def read(self, n: int) -> bytes:
        return self._stream.read(n)

    def skip(self, n: int) -> None:
        self._stream.seek(n, os.SEEK_CUR)


class _Unpacked:
    """Bytes of a compressed variable, unpacked a part at a time."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self._left = stream, size
        self._unpack, self._held = zlib.decompressobj(), b""
        self.at = 0

    def read(self, n: int) -> bytes:
        found = b""
        while len(found) < n and (part := self._next(n - len(found))):
            found += part
        return found

    def skip(self, n: int) -> None:
        while n > 0 and (part := self._next(min(n, _PART))):
            n -= len(part)

    def _next(self, n: int) -> bytes:
        while not self._unpack.eof:
            packed = self._held or self._stream.read(min(self._left, _PART))
            self._left -= 0 if self._held else len(packed)
            if not packed:
                break
            try:
                part = self._unpack.decompress(packed, n)
            except zlib.error as error:
                raise DataError(f"a variable cannot be unpacked: {error}") from error
            self._held = self._unpack.unconsumed_tail
            if part:
                self.at += len(part)
                return part
        return b""


def _check_element(data: _Bytes, order: str) -> None:
    head = data.read(8)
    if len(head) < 8:
        raise DataError("a variable is cut short")
    kind, size = struct.unpack(f"{order}II", head)
    if kind != _MATRIX:
        raise DataError(f"a variable is of the type {kind}; expected {_MATRIX}, a matrix")
    _check_variable(data, size, order)


def _check_variable(data: _Bytes, size: int, order: str) -> None:
    """Follow the parts of a variable: its flags, sizes and name, then its values."""
    flags, size = _part(data, size, order, _FLAGS, keep=True)
    if len(flags) != 8:
        raise DataError(f"the flags of a variable have {len(flags)} bytes; expected 8")
    if struct.unpack(f"{order}I", flags[:4])[0] & 0xFF not in _CLASSES:
        return
    sizes, size = _part(data, size, order, _SIZES, keep=True)
    if not 8 <= len(sizes) <= 4 * 32 or len(sizes) % 4:
        raise DataError(f"the sizes of a variable have {len(sizes)} bytes; expected 4 for each axis")
    _, size = _part(data, size, order, _NAMES)
    while size > 0:
        _, size = _part(data, size, order, _VALUES)


def _part(
    data: _Bytes, size: int, order: str, kinds: tuple[int, ...], keep: bool = False
) -> tuple[bytes, int]:
    """Read or pass over the next part; return it and the bytes that are left of the variable."""
    head = data.read(8)
    if len(head) < 8 or size < 8:
        raise DataError("a variable is cut short")
    kind, length = struct.unpack(f"{order}II", head)
    small = kind >> 16  # up to four bytes lie in the head itself
    if small:
        kind, length, padded = kind & 0xFFFF, small, 0
    else:
        padded = -(-length // 8) * 8
    if kind not in kinds or small > 4 or padded > size - 8 + 7 or (keep and length > 4 * 32):
        raise DataError(f"a variable has a part of type {kind} and {length} bytes; the file is damaged")
    if small:
        return head[4 : 4 + length], size - 8
    if not keep:
        data.skip(padded)
        return b"", size - 8 - padded
    found = data.read(padded)
    if len(found) < length:
        raise DataError("a variable is cut short")
    return found[:length], size - 8 - padded
