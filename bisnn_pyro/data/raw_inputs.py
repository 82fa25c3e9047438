"""Raw inputs of any container and type: one rule for the files that train and for what is predicted."""

from __future__ import annotations

from typing import Any

import numpy as np

from bisnn_pyro.data.checks import check_finite
from bisnn_pyro.data.limits import array_bytes, check_bytes
from bisnn_pyro.errors import DataError

_NUMBERS = "biuf"
"""Kinds of numpy types that inputs may have: booleans, whole numbers, floats."""
_COUNTS = np.iinfo(np.uint8).max


def as_array(name: str, x: Any) -> np.ndarray:
    """Return inputs as an array of real numbers; an array is returned as it is.

    Data frames with columns of numbers, torch tensors on any device and sparse matrices become arrays; a
    masked array must not hide any value.

    Args:
        name: Name of the inputs in a message.
        x: Numbers ``[N, ...]``.

    Raises:
        DataError: If they are not real numbers, are ragged, or have no axis or nothing but the first.

    Example:
        >>> as_array("x", [[1, 2], [3, 4]]).shape
        (2, 2)
    """
    if isinstance(x, np.ma.MaskedArray):
        if np.ma.is_masked(x):
            raise DataError(f"{name} has masked values; fill them (x.filled(...)) or drop their examples")
        x = x.data
    if hasattr(x, "toarray"):  # a sparse matrix
        check_bytes(name, array_bytes(tuple(x.shape), x.dtype.itemsize))
    try:
        array = x if isinstance(x, np.ndarray) else _converted(x)
    except Exception as error:  # whatever another library's objects raise
        raise DataError(f"{name} is not an array of numbers ({type(x).__name__}): {error}") from error
    check_numbers(name, array)
    return array


def _converted(x: Any) -> np.ndarray:
    if hasattr(x, "detach"):  # a torch tensor, without an import of torch
        x = x.detach().cpu()
        x = x if str(x.layout) == "torch.strided" else x.to_dense()
        return np.asarray(x.float() if str(x.dtype) == "torch.bfloat16" else x)  # a type that numpy lacks
    if hasattr(x, "toarray"):
        return np.asarray(x.toarray())
    columns = getattr(x, "dtypes", None)  # of a data frame
    if columns is not None and all(getattr(kind, "kind", "O") in _NUMBERS for kind in columns):
        x = x.to_numpy(dtype=np.result_type(*(getattr(c, "numpy_dtype", c) for c in columns)))
    return np.asarray(x)


def check_numbers(name: str, x: Any) -> None:
    """Refuse what cannot be inputs by type and shape alone; of an array or its header.

    Raises:
        DataError: If the type is not of real numbers, there is only one axis, or an empty one.
    """
    if x.dtype.kind not in _NUMBERS:
        raise DataError(f"{name} has type {x.dtype} and shape {x.shape}; expected real numbers")
    if x.ndim < 2 or x.size == 0:
        raise DataError(
            f"{name} has shape {x.shape}; expected features [N, F], images [N, H, W] or [N, C, H, W], "
            "or spikes [N, T, I], with no empty axis"
        )


def as_spikes(name: str, x: np.ndarray) -> np.ndarray:
    """Return ready spikes or spike counts as uint8 if the values allow it, else as float32.

    Args:
        name: Name of the inputs in a message.
        x: Spikes, any shape.

    Raises:
        DataError: If a value is negative or not finite.
    """
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind == "b":
        return x.astype(np.uint8)
    check_finite(name, x)
    low, high = x.min(), x.max()
    if low < 0:
        raise DataError(f"{name} has values down to {low}; expected spikes or spike counts, 0 or more")
    if high <= _COUNTS and bool((x == np.floor(x)).all()):
        return x.astype(np.uint8)
    with np.errstate(over="ignore"):
        spikes = x.astype(np.float32, copy=False)
    check_finite(f"{name} as float32", spikes)
    return spikes
