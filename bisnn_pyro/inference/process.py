"""The process that a run works in: its threads and memory, and Ctrl-C as a request to stop."""

from __future__ import annotations

import ctypes
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Protocol

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGEST_HEAP_BLOCK = 32 * 2**20  # glibc's maximum
_KEPT = 256 * 2**20


@contextmanager
def steady_process(n_threads: int | None = None) -> Iterator[None]:
    """Run a block on ``n_threads`` threads, with denormals flushed and freed memory kept for reuse.

    A training step allocates the same few buffers of some megabytes again and again.  By default glibc
    returns such blocks to the kernel each time and maps them again, with thousands of page faults per step;
    here it keeps up to 256 MB.  Threads and denormals are restored afterwards, but this setting cannot be:
    it stays for the life of the process.  Other C libraries are left alone.

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


class Flag(Protocol):
    """What another process sets to request a stop."""

    def is_set(self) -> bool:
        """Return whether it was set."""


_other_process: Flag | None = None


def listen_to(flag: Flag) -> None:
    """Accept stop requests only from ``flag``, in a worker process whose parent handles Ctrl-C."""
    global _other_process
    _other_process = flag
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back for the length of a block; processes that are started in it never get one."""
    if not hasattr(signal, "pthread_sigmask"):  # not on every system
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class StopRequest:
    """Within the ``with`` block the first Ctrl-C sets :attr:`requested`; a second one interrupts at once.

    Outside the main thread, where signals cannot be caught, only another process can request a stop.
    """

    def __init__(self) -> None:
        self._signalled = False
        self._previous: Any = None

    @property
    def requested(self) -> bool:
        """Whether a stop was requested."""
        return self._signalled or (_other_process is not None and _other_process.is_set())

    def __enter__(self) -> StopRequest:
        if _other_process is None and threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._signalled:
            raise KeyboardInterrupt
        self._signalled = True
