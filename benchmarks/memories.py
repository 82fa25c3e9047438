"""Rows of peak memory: what must not grow with the size of a committee, or with time."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import Any

from benchmarks.child import measure
from benchmarks.measurement import Benchmark, Measurement, Settings
from benchmarks.nets import WindowedStep


def _compare(
    name: str, more: dict[str, Any], less: dict[str, Any], what: str, settings: Settings
) -> Measurement:
    """Compare the peak memory of two processes; each argument is a call of ``measure``."""
    pairs = [(measure(**more), measure(**less)) for _ in range(settings.memory_pairs)]
    ratios = [a["peak_mb"] / b["peak_mb"] for a, b in pairs]
    sides = list(zip(*pairs, strict=True))
    peaks = [statistics.median(run["peak_mb"] for run in side) for side in sides]
    above = [statistics.median(run["peak_mb"] - run["base_mb"] for run in side) for side in sides]
    about = (
        f"peak resident memory of {what}: {peaks[0]:.0f} and {peaks[1]:.0f} MB, of which {above[0]:.1f} and "
        f"{above[1]:.1f} MB above the process before; the median, least and largest of {len(pairs)} pairs of "
        "processes"
    )
    return Measurement(name, statistics.median(ratios), min(ratios), max(ratios), None, None, about)


def committee(name: str, settings: Settings) -> Measurement:
    """Compare two predictions that differ in the number of members alone."""
    many, few = settings.memory_draws
    shared = {"task": "committee", "net": settings.nets["two-moons"], "points": settings.memory_points}
    what = f"predict, S={many} over S={few}, {settings.memory_points} points"
    return _compare(name, {**shared, "draws": many}, {**shared, "draws": few}, what, settings)


def windows(name: str, settings: Settings) -> Measurement:
    """Compare training in windows on sequences that differ in their length alone."""
    long, short = settings.memory_steps
    net = settings.nets["two-moons"]
    more, less = ({"task": "windows", "net": replace(net, n_steps=n), "warm": 1} for n in (long, short))
    what = f"a batch in windows of {WindowedStep.WINDOW} steps under local credit, T={long} over T={short}"
    return _compare(name, more, less, what, settings)


def whole(name: str, settings: Settings) -> Measurement:
    """Compare training on whole sequences likewise: this one grows."""
    long, short = settings.memory_steps
    net = settings.nets["two-moons"]
    more, less = ({"task": "step", "net": replace(net, n_steps=n), "warm": 1} for n in (long, short))
    what = f"a step on the whole sequence, T={long} over T={short}"
    return _compare(name, more, less, what, settings)


def benchmarks() -> list[Benchmark]:
    """Return the rows of memory."""
    return [
        Benchmark("memory/committee-1000-over-20", committee),
        Benchmark("memory/windows-T800-over-T100", windows),
        Benchmark("memory/whole-T800-over-T100", whole, quick=False),
    ]
