r"""The file of an exported network: a header that says everything, and packed bits.

======================  ============  ==================================================================
bytes                   type          meaning
======================  ============  ==================================================================
0 to 7                  8 bytes       the text ``BISNNBIT``
8 to 11                 uint32        version of the format: 1
12 to 15                uint32        H, the length of the header
16 to 47                32 bytes      SHA-256 of all bytes that follow, header and payload
48 to 47 + H            UTF-8         the header: JSON, one object
48 + H to the end       bytes         the payload: the arrays, in sequence, without gaps
======================  ============  ==================================================================

All numbers are little-endian.  The header's ``arrays`` list the payload in its order, each as ``name``,
``dtype`` and ``shape``:

``bit``
    Signs: synapse j of the array, in C order (row by row), is bit j mod 8 of byte j // 8, the
    least significant bit first; 1 is +1 and 0 is -1.  An array of n signs takes ceil(n / 8) bytes, the unused
    bits of the last one being 0.
``float32``
    IEEE 754 single precision, in C order, 4 bytes each.

See :mod:`bisnn_pyro.exports.network` for the rest of the header.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.errors import DataError
from bisnn_pyro.files import atomic_path

MAGIC, VERSION = b"BISNNBIT", 1
_FIXED = struct.Struct("<8sII32s")


def write_file(
    path: str | os.PathLike[str],
    header: Mapping[str, Any],
    signs: Mapping[str, np.ndarray],
    constants: Mapping[str, np.ndarray],
) -> Path:
    """Write an exported network, whole or not at all.

    Args:
        path: where to; an older file there is replaced.
        header: everything but ``arrays``; must be JSON.
        signs: name -> array of +1 and -1.
        constants: name -> array, stored as float32.
    """
    parts = {name: ("bit", np.asarray(values)) for name, values in signs.items()}
    parts |= {name: ("float32", np.asarray(values)) for name, values in constants.items()}
    arrays = [{"name": name, "dtype": kind, "shape": list(v.shape)} for name, (kind, v) in parts.items()]
    text = json.dumps({**header, "arrays": arrays}, ensure_ascii=False, allow_nan=False).encode()
    payload = b"".join(
        _packed(values) if kind == "bit" else _floats(values) for kind, values in parts.values()
    )
    body = text + payload
    fixed = _FIXED.pack(MAGIC, VERSION, len(text), hashlib.sha256(body).digest())
    with atomic_path(path) as temporary:
        temporary.write_bytes(fixed + body)
    return Path(path)


def read_file(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read an exported network.

    Returns:
        The header, and the arrays by name: signs as int8 in {-1, +1}, constants as float32.

    Raises:
        DataError: if the file is missing, has another format, is cut short or damaged, or has a version that
            this release does not read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read the exported network {path}: {error.strerror}") from error
    if len(data) < _FIXED.size or data[: len(MAGIC)] != MAGIC:
        raise DataError(f"{path} is not an exported network: it does not begin with {MAGIC.decode()}")
    _, version, length, digest = _FIXED.unpack_from(data)
    if version != VERSION:
        raise DataError(f"{path} has version {version} of the format; this release reads version {VERSION}")
    body = memoryview(data)[_FIXED.size :]
    if hashlib.sha256(body).digest() != digest:
        raise DataError(f"{path} is cut short or damaged: its checksum does not match; export it again")
    try:
        header = json.loads(bytes(body[:length]))
        return header, _arrays(header["arrays"], body[length:])
    except (ValueError, KeyError, TypeError) as error:  # written by something else
        raise DataError(f"{path} is not as the format says: {error!r}; export it again") from error


def _arrays(listed: list[dict[str, Any]], payload: memoryview) -> dict[str, np.ndarray]:
    found, at = {}, 0
    for entry in listed:
        kind, shape = entry["dtype"], tuple(entry["shape"])
        if kind not in ("bit", "float32"):
            raise ValueError(f"the array {entry['name']} has the type {kind!r}")
        n = math.prod(shape)
        end = at + (-(-n // 8) if kind == "bit" else 4 * n)
        if end > len(payload):
            raise ValueError(f"the payload ends within the array {entry['name']}")
        part = payload[at:end]
        values = _unpacked(part, n) if kind == "bit" else np.frombuffer(part, "<f4").astype(np.float32)
        found[entry["name"]], at = values.reshape(shape), end
    if at != len(payload):
        raise ValueError(f"{len(payload) - at} bytes follow the last array")
    return found


def _packed(signs: np.ndarray) -> bytes:
    if not bool((np.abs(signs) == 1).all()):
        raise DataError("only weights of +1 and -1 can be packed into bits")
    return np.packbits(signs.ravel() > 0, bitorder="little").tobytes()


def _unpacked(part: memoryview, n: int) -> np.ndarray:
    bits = np.unpackbits(np.frombuffer(part, np.uint8), count=n, bitorder="little")
    return (2 * bits.astype(np.int8) - 1).astype(np.int8)


def _floats(values: np.ndarray) -> bytes:
    return np.ascontiguousarray(values, dtype="<f4").tobytes()
