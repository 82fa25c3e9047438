"""Rows of a committee's prediction: time against the floor and the loop, and time per member."""

from __future__ import annotations

import torch

from benchmarks.floor import CommitteeFloor
from benchmarks.loop import LoopCommittee
from benchmarks.measurement import Benchmark, Measurement, Settings
from benchmarks.nets import Net, our_committee
from benchmarks.timing import alternate, quartiles, repeat

TYPES = {"floor": torch.float32, "floor-bfloat16": torch.bfloat16}


def _about(net: Net, draws: int, settings: Settings) -> str:
    sizes = net.setting.rsplit(",", 1)[0]
    return f"{sizes}, {draws} members on {settings.points} points"


def floor(name: str, settings: Settings) -> Measurement:
    """Compare our committee with its matrix products; our own sums need none, they count bits."""
    _, kind, which = name.split("/")
    net = settings.nets[which]
    with our_committee(net, settings.points, settings.draws) as ours:
        path = ours().path
        theirs = CommitteeFloor(net, ours.blocks, settings.draws, TYPES[kind])
        c = alternate(ours, theirs, seconds=settings.seconds, warm=1)
    dtype = str(TYPES[kind]).removeprefix("torch.")
    what = f"our {path} path, draws and votes included, against {dtype} products"
    return Measurement.of(name, c, f"{_about(net, settings.draws, settings)}; {what}")


def loop(name: str, settings: Settings) -> Measurement:
    """Compare our committee with the hand-written loop."""
    net = settings.nets[name.rsplit("/", 1)[1]]
    with our_committee(net, settings.points, settings.draws) as ours:
        readout = ours.model.random_readout(-1)
        theirs = LoopCommittee(net, ours.source, ours.blocks, settings.draws, readout)
        c = alternate(ours, theirs, seconds=settings.seconds, least=3, warm=1)
    return Measurement.of(
        name, c, f"{_about(net, settings.draws, settings)}; step-by-step torch loop, one member at a time"
    )


def member_seconds(name: str, settings: Settings) -> Measurement:
    """Measure our time per member; there is nothing to compare it with here."""
    net, draws = settings.nets[name.rsplit("/", 1)[1]], settings.member_draws
    with our_committee(net, settings.points, draws) as ours:
        path = ours().path
        times = [t / draws for t in repeat(ours, seconds=settings.seconds / 2, least=5)]
    low, middle, high = quartiles(times)
    about = (
        f"{_about(net, draws, settings)}, {path} path; seconds per member, quartiles {low:.4g} to {high:.4g}"
    )
    return Measurement(name, None, None, None, middle, None, about)


def benchmarks() -> list[Benchmark]:
    """Return the rows of a committee."""
    return [
        Benchmark("committee/floor/two-moons", floor),
        Benchmark("committee/floor-bfloat16/two-moons", floor),
        Benchmark("committee/loop/two-moons", loop),
        Benchmark("committee/member-seconds/two-moons", member_seconds),
    ]
