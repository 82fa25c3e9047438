"""Several runs at once, in processes of their own, with Ctrl-C passed on once."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

from bisnn_pyro.inference.interrupt import StopRequest

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[tuple[Item, Result]]:
    """Yield ``(item, function(item))`` for all items, in the order in which they finish.

    With one job everything runs in this process and in order.  With more, each process computes on one
    thread (``OMP_NUM_THREADS`` is left to the caller of the function), Ctrl-C is passed on to all of
    them, and no further item is started.

    Args:
        function: a function at module level.
        items: what to call it with; must be picklable for more than one job.
        jobs: number of processes.
    """
    if jobs <= 1 or len(items) <= 1:
        for item in items:
            yield item, function(item)
        return
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(jobs, mp_context=context, initializer=_own_process_group) as pool,
        StopRequest() as stop,
    ):
        waiting = list(items)
        running: dict[Future[Any], Item] = {}
        passed_on = False
        while waiting or running:
            while waiting and len(running) < jobs and not stop.requested:
                item = waiting.pop(0)
                running[pool.submit(function, item)] = item
            if stop.requested and not passed_on:
                _interrupt_children()
                passed_on = True
            if not running:
                return
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()


def _own_process_group() -> None:
    """Keep the terminal's Ctrl-C from reaching a worker a second time."""
    os.setpgrp()


def _interrupt_children() -> None:
    for child in multiprocessing.active_children():
        if child.pid is not None:
            os.kill(child.pid, signal.SIGINT)
