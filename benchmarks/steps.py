"""Rows of a training step: against the floor, the hand-written loop, no Pyro, and three libraries."""

from __future__ import annotations

import importlib

from torch import Tensor

from benchmarks.floor import StepFloor
from benchmarks.loop import LoopStep
from benchmarks.measurement import Benchmark, Measurement, Settings
from benchmarks.nets import Net, OurStep, our_step
from benchmarks.no_pyro import NoPyroStep
from benchmarks.peers import PeerStep
from benchmarks.timing import alternate

COMPARABLE = {"snntorch": "Synaptic", "spikingjelly": "CUBALIFNode", "norse": "LIF"}
"""Each library's second-order neuron with a reset, which is what ours is."""
OTHERS = {
    "snntorch": ("Leaky", "LeakyParallel", "StateLeaky"),
    "spikingjelly": ("LIFNode",),
    "norse": ("LIFBoxCell",),
}
"""Simpler neurons: one state fewer, some without a reset; in the full table only."""


def _net(name: str, settings: Settings) -> Net:
    return settings.nets[name.rsplit("/", 1)[1]]


def readouts_of(ours: OurStep) -> list[Tensor]:
    """Return the fixed read-out of each layer; end to end only the last has one, and it stands for all."""
    n = len(ours.model.layers)
    return [
        ours.model.random_readout(k - n) if ours.model.credit == "local" else ours.model.random_readout(-1)
        for k in range(n)
    ]


def floor(name: str, settings: Settings) -> Measurement:
    """Compare our step with its matrix products."""
    net = _net(name, settings)
    with our_step(net) as ours:
        c = alternate(ours, StepFloor(net), seconds=settings.seconds)
    return Measurement.of(
        name, c, f"{net.setting}; float32 products of the hidden layers, forward and weights' gradients"
    )


def loop(name: str, settings: Settings) -> Measurement:
    """Compare our step with the hand-written loop."""
    net = _net(name, settings)
    with our_step(net) as ours:
        theirs = LoopStep(net, ours.spikes, ours.y, ours.naturals, readouts_of(ours))
        c = alternate(ours, theirs, seconds=settings.seconds)
    return Measurement.of(name, c, f"{net.setting}; step-by-step torch loop, same mathematics")


def no_pyro(name: str, settings: Settings) -> Measurement:
    """Compare our step with the same functions called without Pyro."""
    net = _net(name, settings)
    with our_step(net) as ours:
        theirs = NoPyroStep(net, ours.spikes, ours.y, ours.naturals, readouts_of(ours))
        c = alternate(ours, theirs, seconds=settings.seconds)
    return Measurement.of(name, c, f"{net.setting}; the same kernels, draw, KL and rule called directly")


def peer(name: str, settings: Settings) -> Measurement:
    """Compare our step with a library's; the row's name says credit, library and neuron."""
    kind, who, _ = name.split("/")
    library, _, chosen = who.partition(":")
    net, local = _net(name, settings), kind == "step"
    module = importlib.import_module(f"benchmarks.peers_{library}")
    neuron = module.NEURONS[chosen or COMPARABLE[library]]
    with our_step(net, "local" if local else "end-to-end") as ours:
        readouts = readouts_of(ours)
        theirs = PeerStep(net, ours.spikes, ours.y, neuron.layer, readouts, local=local, reset=module.reset)
        c = alternate(ours, theirs, seconds=settings.seconds)
    credit = "local losses, layers detached" if local else "end-to-end against BPTT"
    return Measurement.of(name, c, f"{net.setting}; {neuron.note}; {credit}; real weights, SGD")


def benchmarks() -> list[Benchmark]:
    """Return the rows of a training step."""
    rows = [Benchmark(f"step/floor/{net}", floor) for net in ("two-moons", "mnist")]
    rows.append(Benchmark("step/loop/two-moons", loop))
    rows.append(Benchmark("step/no-pyro/mnist", no_pyro))
    rows.append(Benchmark("step/no-pyro/two-moons", no_pyro, quick=False))
    for kind in ("step", "step-e2e"):
        for net in ("two-moons", "mnist"):
            for library in COMPARABLE:
                rows.append(Benchmark(f"{kind}/{library}/{net}", peer, needs=library))
                rows += [
                    Benchmark(f"{kind}/{library}:{other}/{net}", peer, needs=library, quick=False)
                    for other in OTHERS[library]
                ]
    return rows
