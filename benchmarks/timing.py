"""Timing two programs in alternation, so that whatever slows the machine slows both."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

Work = Callable[[], object]


@dataclass(frozen=True)
class Comparison:
    """Times of two programs, run as A B A B ...

    Attributes:
        ratio: median over the pairs of A's time divided by the B's that follows it.
        low: first quartile of those ratios.
        high: third quartile of those ratios.
        ours_s: A's median time in seconds.
        theirs_s: B's median time in seconds.
        pairs: number of pairs.
    """

    ratio: float
    low: float
    high: float
    ours_s: float
    theirs_s: float
    pairs: int


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Give torch and numba ``n`` threads within the ``with`` block."""
    import numba

    before = torch.get_num_threads(), numba.get_num_threads()
    torch.set_num_threads(n)
    numba.set_num_threads(min(n, before[1]))
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        numba.set_num_threads(before[1])


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep Python's garbage collector, whose pauses fall on either side at random, out of the times."""
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def seconds_of(work: Work) -> float:
    """Run ``work`` once and return its wall time."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def quartiles(values: list[float]) -> tuple[float, float, float]:
    """Return the first quartile, the median and the third quartile."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def alternate(
    ours: Work, theirs: Work, *, seconds: float, least: int = 5, most: int = 201, warm: int = 2
) -> Comparison:
    """Time two programs that are set up already, A B A B ..., and compare them pair by pair.

    Args:
        ours: program A.
        theirs: program B.
        seconds: time to spend, after the warm-up.
        least: fewest pairs.
        most: most pairs.
        warm: untimed calls of each before.
    """
    for _ in range(warm):
        ours()
        theirs()
    times: list[tuple[float, float]] = []
    with no_collection():
        end = time.perf_counter() + seconds
        while len(times) < least or (time.perf_counter() < end and len(times) < most):
            times.append((seconds_of(ours), seconds_of(theirs)))
    low, middle, high = quartiles([a / b for a, b in times])
    a, b = (statistics.median(column) for column in zip(*times, strict=True))
    return Comparison(middle, low, high, a, b, len(times))


def repeat(work: Work, *, seconds: float, least: int = 3, most: int = 201, warm: int = 1) -> list[float]:
    """Return the wall times of ``work``, called for about ``seconds``."""
    for _ in range(warm):
        work()
    times: list[float] = []
    with no_collection():
        end = time.perf_counter() + seconds
        while len(times) < least or (time.perf_counter() < end and len(times) < most):
            times.append(seconds_of(work))
    return times
