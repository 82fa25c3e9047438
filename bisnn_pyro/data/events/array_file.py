"""Recordings as numpy arrays: ``.npy`` and ``.npz`` files."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bisnn_pyro.data.events.record import Events
from bisnn_pyro.errors import DataError

_NAMES = {
    "t": ("t", "ts", "time", "times", "timestamp", "timestamps"),
    "x": ("x",),
    "y": ("y",),
    "p": ("p", "pol", "polarity", "polarities"),
}
_WANTED = "expected the columns t (microseconds), x, y and p (polarity)"
_LIMIT = 2**62
"""Beyond any clock, and small enough for the difference of two times."""


def read_array(path: str | os.PathLike[str]) -> Events:
    """Read a recording; pickled objects are never loaded.

    A ``.npy`` file holds ``[n, 4]`` numbers, the columns t, x, y, p (as tonic stores POKER-DVS), or a
    structured array with the fields t, x, y and p in any order.  A ``.npz`` file holds one such array, or an
    array a column.  Times are in microseconds; polarities are 0 and 1, or -1 and 1.  All are whole numbers,
    of whatever type.

    Args:
        path: The file.

    Returns:
        The events, with times as written.

    Raises:
        DataError: If the file is damaged or holds something else.
        OSError: If it cannot be read.
    """
    try:
        # Our own handle: numpy leaves the file open when it is not what it seems.
        with Path(path).open("rb") as stream:
            return _npz(stream) if zipfile.is_zipfile(stream) else _columns(_loaded(stream))
    except (DataError, OSError):
        raise
    except Exception as error:  # a damaged file fails in zipfile, zlib, tokenize and more, each its own way
        raise DataError(f"it cannot be read: {error}") from error


def _loaded(stream: BinaryIO) -> Any:
    stream.seek(0)
    return np.load(stream, allow_pickle=False)


def _npz(stream: BinaryIO) -> Events:
    with _loaded(stream) as archive:
        arrays = {name: archive[name] for name in archive.files}
    if len(arrays) == 1:
        return _columns(next(iter(arrays.values())))
    return _named(arrays)


def _columns(array: np.ndarray) -> Events:
    if array.dtype.names:
        return _named({name: array[name] for name in array.dtype.names})
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "biuf":
        raise DataError(f"the array has shape {array.shape} and type {array.dtype}; {_WANTED}, [n, 4]")
    return _events(*array.T)


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
    return Events(t, x, y, np.where(p == -1, 0, p))


def _whole(name: str, column: np.ndarray) -> np.ndarray:
    """The same numbers as int64; what would be cut off or wrap around is refused."""
    if column.dtype.kind not in "biuf" or (column.dtype.kind == "f" and not np.isfinite(column).all()):
        raise DataError(f"the column {name} has type {column.dtype}; expected finite numbers")
    if column.dtype.kind == "f" and (column != np.rint(column)).any():
        example = column[column != np.rint(column)].flat[0]
        raise DataError(
            f"the column {name} holds {example}; expected whole numbers: times are in microseconds, x and y "
            "in pixels, polarities 0 and 1"
        )
    if column.size and column.dtype.kind != "b" and (column.max() >= _LIMIT or column.min() <= -_LIMIT):
        raise DataError(
            f"the column {name} ranges from {column.min()} to {column.max()}; expected microseconds"
        )
    return column.astype(np.int64)
