"""How much memory there is, and refusing what would need more before any of it is allocated."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path

from bisnn_pyro.errors import ConfigError, InputError

VARIABLE = "BISNN_MAX_BYTES"
"""Environment variable with another limit, in bytes."""

_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_FALLBACK = 16 * 2**30


def max_bytes() -> int:
    """Return the bytes that one run may plan for: the machine's memory, or ``BISNN_MAX_BYTES``.

    Raises:
        ConfigError: if the variable is not a number of bytes.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return _physical()
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 1 <= limit < 1e18:
        raise ConfigError(f"{VARIABLE} = {text[:40]!r} must be a number of bytes, for example 8e9")
    return int(limit)


def _physical() -> int:
    """Return the machine's memory, or that of the container."""
    found = []
    try:
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, OSError, ValueError):  # not on every system
        found.append(_FALLBACK)
    for path in _CGROUPS:
        try:
            found.append(int(Path(path).read_text("ascii")))
        except (OSError, ValueError):  # "max", or another system
            continue
    return min(found)


def check_memory(needs: Mapping[str, float], advice: str, error: type[InputError] = ConfigError) -> None:
    """Refuse what would need more memory than there is.

    Args:
        needs: what is allocated together, in words -> bytes.
        advice: what to change.
        error: which to raise.

    Raises:
        InputError: of that class, if the sum is above :func:`max_bytes`.

    Example:
        >>> check_memory({"the votes": 8e6}, "lower predict.draws")
    """
    total, limit = sum(needs.values()), max_bytes()
    if total > limit:
        largest = max(needs, key=lambda name: needs[name])
        raise error(
            f"this needs about {in_words(total)} of memory, most of it for {largest}, and the limit is "
            f"{in_words(limit)}: {advice}, or raise {VARIABLE}"
        )


def in_words(n_bytes: float) -> str:
    """Return bytes for a message.

    Example:
        >>> in_words(3.2e9)
        '3.2 GB'
    """
    for factor, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB")):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes / 1e6:.3g} MB"


def out_of_memory(error: BaseException) -> str | None:
    """Return what to say of an error that is a lack of memory; ``None`` if it is another one."""
    if isinstance(error, BrokenExecutor):
        return "a process of --jobs was killed, most likely for lack of memory: use fewer --jobs"
    of_torch = isinstance(error, RuntimeError) and "allocate memory" in str(error)
    of_system = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if not (of_torch or of_system or isinstance(error, MemoryError)):
        return None
    return (
        f"out of memory ({str(error)[:200] or 'no details'}): use a smaller network, batch or committee, "
        "or fewer --jobs"
    )
