"""The idx format of MNIST and its kin: a big-endian header, then the values in C order."""

from __future__ import annotations

import gzip
import os
import zlib
from math import prod
from pathlib import Path
from typing import IO, cast

import numpy as np

from bisnn_pyro.errors import DataError

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | os.PathLike[str], ndim: int) -> np.ndarray:
    """Read a file of unsigned bytes, compressed with gzip or not (its content says which).

    The format (LeCun, Cortes and Burges, "The MNIST database"): two zero bytes, a byte for the type
    (0x08 is an unsigned byte), a byte for the number of axes, a four-byte size an axis, the values.

    Args:
        path: The file; it is only read.
        ndim: The number of axes it must have: 3 for images ``[N, H, W]``, 1 for labels ``[N]``.

    Returns:
        The values, uint8, read-only.

    Raises:
        DataError: If the file cannot be read, is cut short or is no such file.
    """
    file = Path(path)
    content = _content(file)
    sizes = _sizes(file, content, ndim)
    start, n_values = 4 + 4 * ndim, prod(sizes)
    if len(content) - start != n_values:
        raise DataError(
            f"{file} holds {len(content) - start} values; its header says {list(sizes)}, that is {n_values}: "
            "the file is damaged, fetch it anew"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def _content(file: Path) -> bytes:
    try:
        with file.open("rb") as raw:
            compressed = raw.read(2) == _GZIP_MAGIC
            raw.seek(0)
            stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if compressed else raw
            return stream.read()
    except EOFError as error:
        raise DataError(f"{file} is cut short; fetch it anew") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{file} is a damaged gzip file ({error}); fetch it anew") from error
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error


def _sizes(file: Path, content: bytes, ndim: int) -> tuple[int, ...]:
    header = content[: 4 + 4 * ndim]
    if len(header) < 4 or header[:2] != b"\0\0" or not header[3]:
        begins = f"it begins with the bytes {header[:4].hex(' ')}" if header else "it is empty"
        raise DataError(f"{file} is not an idx file: {begins}; expected 00 00 08 {ndim:02x}")
    if header[2] != _UNSIGNED_BYTE:
        raise DataError(f"{file} holds values of type 0x{header[2]:02x}; expected 0x08, unsigned bytes")
    if header[3] != ndim:
        wanted = "labels [N]" if ndim == 1 else "images [N, H, W]"
        raise DataError(f"{file} holds an array of {header[3]} axes; expected {ndim}, {wanted}")
    if len(header) < 4 + 4 * ndim:
        raise DataError(f"{file} is cut short within its header; fetch it anew")
    return tuple(int(n) for n in np.frombuffer(header, ">u4", offset=4))
