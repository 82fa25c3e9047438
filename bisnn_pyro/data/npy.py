"""Arrays in numpy's files, ``.npy`` and ``.npz``: the header is read and checked before the array.

``numpy.load`` allocates what a header claims, and its messages about damaged files advise to unpickle them.
"""

from __future__ import annotations

import io
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import BinaryIO, cast

import numpy as np

from bisnn_pyro.data.limits import array_bytes, check_bytes, enough_memory
from bisnn_pyro.errors import DataError

_MAGIC = b"\x93NUMPY"
_SUFFIX = ".npy"
_LONGEST_AXIS = 2**62
_LONGEST_HEADER = 1 << 16
"""Bytes; numpy itself refuses headers of more than 10,000."""


@dataclass(frozen=True)
class Header:
    """What a file says of an array that is not read yet.

    Attributes:
        shape: Its shape.
        dtype: Its type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of values."""
        return prod(self.shape)


def read_npy(stream: BinaryIO, n_bytes: int, name: str = "the array") -> np.ndarray:
    """Read one array; pickled objects are never loaded.

    Args:
        stream: A binary file at its beginning.
        n_bytes: How long it is.
        name: Its name in messages.

    Raises:
        DataError: If it is damaged, cut short, too large, or of Python objects.
    """
    header, start = _header(stream, name)
    _check_length(name, header, n_bytes - start)
    check_bytes(name, array_bytes(header.shape, header.dtype.itemsize))
    stream.seek(0)
    return _array(stream, name)


def read_npz(
    stream: BinaryIO,
    choose: Callable[[Sequence[str]], Sequence[str]],
    check: Callable[[Mapping[str, Header]], None] = lambda headers: None,
) -> dict[str, np.ndarray]:
    """Read some arrays of an archive; pickled objects are never loaded.

    Args:
        stream: The archive, open for reading.
        choose: Given the names of all arrays, returns those to read.
        check: Given their headers, raises if they do not fit together; nothing is read yet.

    Raises:
        DataError: If the archive or an array is damaged, or they are too large together.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            found = {entry.removesuffix(_SUFFIX): entry for entry in archive.namelist()}
            names = list(choose([*found]))
            headers = {name: _member(archive, found[name], name) for name in names}
            check(headers)
            total = sum(array_bytes(h.shape, h.dtype.itemsize) for h in headers.values())
            check_bytes(f"the {'arrays' if len(names) > 1 else 'array'} {', '.join(names)}", total)
            arrays = {}
            for name in names:
                with archive.open(found[name]) as member:
                    arrays[name] = _array(cast(BinaryIO, member), f"array {name}")
            return arrays
    except (DataError, OSError):
        raise
    except Exception as error:  # a damaged archive fails in zipfile, zlib, lzma, struct and others
        raise DataError(f"the archive is damaged: {error}") from error


def _member(archive: zipfile.ZipFile, entry: str, name: str) -> Header:
    if not entry.endswith(_SUFFIX):
        raise DataError(f"{name} is not an array saved by numpy")
    with archive.open(entry) as member:
        header, start = _header(cast(BinaryIO, member), f"array {name}")
    _check_length(f"array {name}", header, archive.getinfo(entry).file_size - start)
    return header


def _header(stream: BinaryIO, name: str) -> tuple[Header, int]:
    """Read what an array claims to be, and where its values begin."""
    magic = stream.read(len(_MAGIC) + 2)
    if magic[: len(_MAGIC)] != _MAGIC or len(magic) < len(_MAGIC) + 2:
        raise DataError(f"{name} is not in numpy's format: it does not begin with its mark; save it anew")
    version = (magic[-2], magic[-1])
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise DataError(f"{name} is in version {version[0]}.{version[1]} of numpy's format; expected 1 to 3")
    width = 2 if version == (1, 0) else 4
    size = stream.read(width)
    length = int.from_bytes(size, "little")
    # Version 3 differs from 2 in the encoding of field names alone; numpy reads both by one function.
    read = np.lib.format.read_array_header_1_0 if width == 2 else np.lib.format.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python 2, and of escapes in a damaged text
            shape, _, dtype = read(io.BytesIO(size + stream.read(min(length, _LONGEST_HEADER))))
    except Exception as error:  # ast, tokenize, struct, numpy and the interpreter's own limits
        raise DataError(f"the header of {name} is damaged; the file must be saved anew") from error
    if any(not 0 <= n < _LONGEST_AXIS for n in shape):
        raise DataError(f"the header of {name} claims an impossible shape; the file is damaged")
    if dtype.hasobject:
        raise DataError(
            f"{name} holds Python objects (dtype=object, often rows of unequal length), which are not "
            "loaded because unpickling can run code; save it as a plain numeric or string array"
        )
    return Header(tuple(int(n) for n in shape), dtype), len(magic) + width + length


def _check_length(name: str, header: Header, n_bytes: int) -> None:
    """Compare the size that a header claims with the bytes that there are."""
    claimed = header.size * header.dtype.itemsize
    if n_bytes < claimed:
        raise DataError(
            f"{name} has shape {header.shape} and type {header.dtype}, that is {claimed} bytes, but there "
            f"are {max(n_bytes, 0)}: it is cut short or damaged"
        )


def _array(stream: BinaryIO, name: str) -> np.ndarray:
    try:
        with enough_memory(name), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            array = cast(np.ndarray, np.lib.format.read_array(stream, allow_pickle=False))
    except (DataError, OSError):
        raise
    except Exception as error:  # zlib, zipfile (a wrong checksum), numpy
        raise DataError(f"{name} is damaged: {error}") from error
    if array.dtype.kind == "U" and not _is_text(array):
        raise DataError(f"{name} holds characters that do not exist; the file is damaged")
    return array


def _is_text(array: np.ndarray) -> bool:
    """Whether all characters are valid; Python fails on others when it shows, sorts or writes them."""
    points = np.frombuffer(array.tobytes(), np.dtype(np.uint32).newbyteorder(array.dtype.byteorder))
    return not ((points > sys.maxunicode) | ((points >= 0xD800) & (points <= 0xDFFF))).any()
