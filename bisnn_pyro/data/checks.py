"""Checks of arguments and arrays that a user gives; every failure is a :class:`DataError`."""

from __future__ import annotations

import difflib
import math
import numbers
import sys
from collections.abc import Iterable
from typing import Any

import numpy as np

from bisnn_pyro.errors import DataError

_LARGEST = 2**63 - 1


def check_count(name: str, value: Any, minimum: int = 1) -> int:
    """Return ``value`` as an int, or raise.

    Args:
        name: Its name in the message.
        value: A whole number (a bool is not one) that 64 bits hold.
        minimum: The smallest value allowed.

    Returns:
        The value as a Python int.

    Raises:
        DataError: If it is not a whole number, is below ``minimum``, or is too large.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or int(value) < minimum:
        raise DataError(f"{name} is {_shown(value)}; expected a whole number of at least {minimum}")
    if int(value) > _LARGEST:
        raise DataError(f"{name} is {_shown(value)}; expected a whole number of at most 2^63 - 1")
    return int(value)


def _shown(value: Any) -> str:
    """A value as Python shows it, which for a number with thousands of digits it does not."""
    try:
        return repr(value)
    except ValueError:
        return "a number with thousands of digits"


def check_number(name: str, value: Any, low: float, high: float = math.inf) -> float:
    """Return ``value`` as a float in ``[low, high]``, or raise.

    Args:
        name: Its name in the message.
        value: A real number.
        low: The smallest value allowed.
        high: The largest value allowed.

    Returns:
        The value as a Python float.

    Raises:
        DataError: If it is not a finite real number in the range.
    """
    good = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not good or abs(value) > sys.float_info.max or not math.isfinite(value) or not low <= value <= high:
        bound = f"of at least {low:g}" if math.isinf(high) else f"in [{low:g}, {high:g}]"
        raise DataError(f"{name} is {_shown(value)}; expected a number {bound}")
    return float(value)


def check_flag(name: str, value: Any) -> bool:
    """Return ``value`` if it is True or False, or raise a :class:`DataError` that calls it ``name``."""
    if not isinstance(value, bool):
        raise DataError(f"{name} is {value!r}; expected true or false")
    return value


def check_choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return ``value`` if it is one of ``choices``, or raise with the nearest one.

    Args:
        name: Its name in the message.
        value: The name given by the user.
        choices: The names that exist.

    Returns:
        The value.

    Raises:
        DataError: If it is not one of them; the message names the nearest and lists all of them.
    """
    known = list(choices)
    if isinstance(value, str) and value in known:
        return value
    near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise DataError(f"{name} is {value!r}; {hint}expected one of {', '.join(map(repr, known))}")


def check_finite(name: str, array: np.ndarray) -> None:
    """Refuse NaN and infinity.

    Args:
        name: Its name in the message.
        array: Any numeric array.

    Raises:
        DataError: With the number of bad values and the index of the first one.
    """
    if array.dtype.kind != "f":
        return
    finite = np.isfinite(array)
    if not finite.all():
        n_bad = int(array.size - finite.sum())
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise DataError(
            f"{name} of shape {array.shape} holds {n_bad} NaN or infinite value(s), the first at index "
            f"{first}; expected finite numbers"
        )
