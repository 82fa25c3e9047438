"""Ctrl-C as a request to stop at the next good moment."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Protocol


class Flag(Protocol):
    """What another process sets to ask for a stop."""

    def is_set(self) -> bool:
        """Return whether it was set."""


_other_process: Flag | None = None


def listen_to(flag: Flag) -> None:
    """Take requests to stop from ``flag`` alone, in a worker process whose parent handles Ctrl-C."""
    global _other_process
    _other_process = flag
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class StopRequest:
    """Within the ``with`` block the first Ctrl-C sets :attr:`requested`; a second one interrupts at once.

    Outside the main thread, where signals cannot be caught, it never asks to stop.
    """

    def __init__(self) -> None:
        self._signalled = False
        self._previous: Any = None

    @property
    def requested(self) -> bool:
        """Whether somebody asked to stop."""
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
