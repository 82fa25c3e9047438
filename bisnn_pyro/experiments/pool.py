"""Several runs at once, in processes of their own, with Ctrl-C passed on once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

from bisnn_pyro.inference.interrupt import StopRequest, listen_to

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    function: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Iterator[tuple[Item, Result]]:
    """Yield ``(item, function(item))`` for all items, in the order in which they finish.

    With one job everything runs in this process and in order.  With more, workers ignore Ctrl-C, which
    the parent passes on through a flag that :class:`StopRequest` looks at; no further item is started.

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
    flag = context.Event()
    with (
        ProcessPoolExecutor(jobs, mp_context=context, initializer=listen_to, initargs=(flag,)) as pool,
        StopRequest() as stop,
    ):
        waiting = list(items)
        running: dict[Future[Any], Item] = {}
        while running or (waiting and not stop.requested):
            while waiting and len(running) < jobs and not stop.requested:
                item = waiting.pop(0)
                running[pool.submit(function, item)] = item
            done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
            if stop.requested:
                flag.set()
            for future in done:
                yield running.pop(future), future.result()
