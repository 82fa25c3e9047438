"""How much memory data may take; sizes are compared with these limits before anything is allocated.

One number states all of them, :data:`MAX_BYTES`.  A user with a larger machine sets the environment variable
``BISNN_MAX_BYTES``.  The headers of files are not trusted: they may claim any size.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

from bisnn_pyro import memory
from bisnn_pyro.errors import DataError

MAX_BYTES = 4 * 2**30
"""Bytes that the arrays of a data set, or the events of a recording, may take in memory."""

BYTES_VARIABLE = memory.VARIABLE
"""Environment variable: another number of bytes in place of :data:`MAX_BYTES`, and for a whole run."""

_EXAMPLE_SHARE = 4
"""One example over time, float32, may take a quarter of the bytes: the network needs several copies."""
_STEP_SHARE = 1024
"""One time step may have so many times fewer inputs than there are bytes: 4 million, or 1448 x 1448 pixels
with two polarities, beyond any event camera.  A layer has a weight for each of them and each of its units."""


def max_bytes() -> int:
    """Return the limit: :data:`MAX_BYTES` or the machine's memory, the smaller; or what the variable says.

    Raises:
        ConfigError: If the variable is not a number of bytes.

    Example:
        >>> max_bytes() <= 4 * 2**30
        True
    """
    limit = memory.max_bytes()
    return limit if os.environ.get(BYTES_VARIABLE, "").strip() else min(MAX_BYTES, limit)


def check_bytes(what: str, n_bytes: int, advice: str = "make the data smaller", share: int = 1) -> None:
    """Refuse what would take more memory than allowed.

    Args:
        what: What takes it, the subject of the message.
        n_bytes: How many bytes.
        advice: What to do apart from raising the limit.
        share: The part of the limit that it may take, one over this.

    Raises:
        DataError: With the size, the limit and what to do.
    """
    limit = max_bytes() // share
    if n_bytes > limit:
        raise DataError(
            f"{what} would take {gigabytes(n_bytes)}, and the limit is {gigabytes(limit)}: {advice}; or, "
            f"with enough memory, set the environment variable {BYTES_VARIABLE} = {n_bytes * share}"
        )


def check_example(n_steps: int, n_inputs: int, advice: str = "use fewer steps or inputs") -> None:
    """Refuse examples ``[T, I]`` that are too large for any network here.

    Args:
        n_steps: T.
        n_inputs: I.
        advice: What to do apart from raising the limit.

    Raises:
        DataError: With the size, the limit and what to do.
    """
    check_bytes(f"a step of {n_inputs} inputs", n_inputs, advice, _STEP_SHARE)
    check_bytes(
        f"an example of {n_steps} steps x {n_inputs} inputs", 4 * n_steps * n_inputs, advice, _EXAMPLE_SHARE
    )


def array_bytes(shape: tuple[int, ...], itemsize: int) -> int:
    """Return the bytes of an array as it is used, four or more per value, exact for any shape."""
    return prod(shape) * max(itemsize, 4)


@contextmanager
def enough_memory(what: str) -> Iterator[None]:
    """Turn a MemoryError into a :class:`DataError` that calls the data ``what``."""
    try:
        yield
    except MemoryError as error:
        raise DataError(
            f"{what} does not fit into memory: use fewer examples, or a larger machine"
        ) from error


def gigabytes(n_bytes: int) -> str:
    """Return a size in words, exact to three digits.

    Example:
        >>> gigabytes(4 * 2**30), gigabytes(1500)
        ('4.29 GB', '1.5 kB')
    """
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n_bytes >= size:
            # Whole numbers of any length: a float would overflow.
            return f"{n_bytes // 10**9} GB" if n_bytes >= 10**15 else f"{n_bytes / size:.3g} {unit}"
    return f"{n_bytes} bytes"
