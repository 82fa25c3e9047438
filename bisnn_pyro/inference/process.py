"""Settings of the process that a run works under, put back afterwards as far as that is possible."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_HEAP_BLOCK = 32 * 2**20  # the most that glibc takes
_KEPT = 256 * 2**20


@contextmanager
def steady_process(n_threads: int | None = None) -> Iterator[None]:
    """Run a block on ``n_threads`` threads, with denormals flushed and freed memory kept for reuse.

    A training step allocates the same few buffers of some megabytes again and again.  glibc hands such
    blocks back to the kernel each time and maps them anew, thousands of page faults a step; here it is
    told to keep up to 256 MB.  That last setting cannot be put back: it stays with the process.  On other
    C libraries it is left out.

    Args:
        n_threads: for torch and the packed path; ``None`` leaves the number as it is.
    """
    threads, flushed = torch.get_num_threads(), _flushes_denormals()
    if n_threads is not None:
        torch.set_num_threads(n_threads)
    torch.set_flush_denormal(True)
    _keep_freed_memory()
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        torch.set_num_threads(threads)


def _flushes_denormals() -> bool:
    smallest = torch.tensor([torch.finfo(torch.float32).tiny])
    return float(smallest / 2) == 0.0


def _keep_freed_memory() -> None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_HEAP_BLOCK)
    mallopt(_M_TRIM_THRESHOLD, _KEPT)
