"""Rows of a committee's prediction: time against the floor and the loop, time a member, and memory."""

from __future__ import annotations

import statistics

import torch

from benchmarks.child import measure
from benchmarks.floor import CommitteeFloor
from benchmarks.loop import LoopCommittee
from benchmarks.nets import Net, our_committee
from benchmarks.rows import Benchmark, Row, Settings
from benchmarks.timing import alternate, quartiles, repeat

TYPES = {"floor": torch.float32, "floor-bfloat16": torch.bfloat16}


def _about(net: Net, draws: int, settings: Settings) -> str:
    sizes = net.setting.rsplit(",", 1)[0]
    return f"{sizes}, {draws} members on {settings.points} points"


def floor(name: str, settings: Settings) -> Row:
    """Compare our committee with its matrix products; our own sums need none, they count bits."""
    _, kind, which = name.split("/")
    net = settings.nets[which]
    with our_committee(net, settings.points, settings.draws) as ours:
        path = ours().path
        theirs = CommitteeFloor(net, ours.blocks, settings.draws, TYPES[kind])
        c = alternate(ours, theirs, seconds=settings.seconds, warm=1)
    dtype = str(TYPES[kind]).removeprefix("torch.")
    what = f"our {path} path, draws and votes included, against {dtype} products"
    return Row.of(name, c, f"{_about(net, settings.draws, settings)}; {what}")


def loop(name: str, settings: Settings) -> Row:
    """Compare our committee with the hand-written loop."""
    net = settings.nets[name.rsplit("/", 1)[1]]
    with our_committee(net, settings.points, settings.draws) as ours:
        readout = ours.model.random_readout(-1)
        theirs = LoopCommittee(net, ours.source, ours.blocks, settings.draws, readout)
        c = alternate(ours, theirs, seconds=settings.seconds, least=3, warm=1)
    return Row.of(
        name, c, f"{_about(net, settings.draws, settings)}; step-by-step torch loop, one member at a time"
    )


def member_seconds(name: str, settings: Settings) -> Row:
    """Measure our time a member; there is nothing to compare it with here."""
    net, draws = settings.nets[name.rsplit("/", 1)[1]], settings.member_draws
    with our_committee(net, settings.points, draws) as ours:
        path = ours().path
        times = [t / draws for t in repeat(ours, seconds=settings.seconds / 2, least=5)]
    low, middle, high = quartiles(times)
    about = (
        f"{_about(net, draws, settings)}, {path} path; seconds a member, quartiles {low:.4g} to {high:.4g}"
    )
    return Row(name, None, None, None, middle, None, about)


def memory(name: str, settings: Settings) -> Row:
    """Compare the peak memory of two processes that differ in the size of the committee alone."""
    many, few = settings.memory_draws
    net = settings.nets["two-moons"]
    pairs = [
        tuple(measure("committee", net, draws=s, points=settings.memory_points) for s in (many, few))
        for _ in range(settings.memory_pairs)
    ]
    ratios = [a["peak_mb"] / b["peak_mb"] for a, b in pairs]
    peaks = [statistics.median(run["peak_mb"] for run in side) for side in zip(*pairs, strict=True)]
    above = [
        statistics.median(run["peak_mb"] - run["base_mb"] for run in side)
        for side in zip(*pairs, strict=True)
    ]
    about = (
        f"peak resident memory of predict, S={many} over S={few}, {settings.memory_points} points: "
        f"{peaks[0]:.0f} and {peaks[1]:.0f} MB, of which {above[0]:.1f} and {above[1]:.1f} MB above the "
        f"process before predict; the median, least and largest of {len(pairs)} pairs of processes"
    )
    return Row(name, statistics.median(ratios), min(ratios), max(ratios), None, None, about)


def benchmarks() -> list[Benchmark]:
    """Return the rows of a committee."""
    return [
        Benchmark("committee/floor/two-moons", floor),
        Benchmark("committee/floor-bfloat16/two-moons", floor),
        Benchmark("committee/loop/two-moons", loop),
        Benchmark("committee/member-seconds/two-moons", member_seconds),
        Benchmark("memory/committee-1000-over-20", memory),
    ]
