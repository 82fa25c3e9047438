"""The comparison of the BiSNN paper (arXiv 2012.08300) as data: stages of runs, figures and studies.

The paper has two moons and real data: full precision, straight-through, and the Bayesian rule's mode and
committee; S2NN (arXiv 2201.10879) and expectation backpropagation (EBP, arXiv 1503.03562) are added.  Scarce
data, shift, out-of-distribution inputs and unseen classes ask when the committee is better than a
straight-through net with temperature scaling; two sweeps ask how far the settings are from Bayes' rule.  All
settings are the presets' own; EBP takes those for MNIST to the digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bisnn_pyro.data import published_size
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.config import Config


@dataclass(frozen=True)
class Settings:
    """What a user chooses.

    Attributes:
        seeds: training seeds, each once.
        quick: reduced sizes, to check in minutes that everything works.
        data_dir: a folder with one folder per data set; ``$BISNN_DATA`` and the downloads if None.
        jobs: runs at once.
        command: the command line that started this, for the record of the runs.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    quick: bool = False
    data_dir: Path | None = None
    jobs: int = 1
    command: str | None = None


@dataclass(frozen=True)
class Batch:
    """The runs of an experiment, as ``bisnn run`` makes them; with folds, of the first seed alone."""

    experiment: str
    source: str
    overrides: tuple[str, ...] = ()
    n_folds: int | None = None
    methods: tuple[str, ...] = ()

    @property
    def changes(self) -> list[str]:
        """All overrides, ``table.key=value``."""
        return [f"experiment={self.experiment}", "analysis.temperature_scaling=true", *self.overrides]

    def configs(self, seeds: Sequence[int]) -> list[Config]:
        """Return the configs of all methods, seeds and folds."""
        own = seeds[:1] if self.n_folds else seeds
        return plan(self.source, self.methods, own, self.changes, self.n_folds)


@dataclass(frozen=True)
class Stage:
    """One part of a reproduction.

    Attributes:
        name: its name, and the beginning of its files' names unless there is a `prefix`.
        title: what it shows, one line.
        question: what its differences help to answer.
        batches: its runs, which stages may share.
        outputs: what is made of them: keys of :data:`~bisnn_pyro.results.report.paper.OUTPUTS`, with an
            argument after a colon.
        needs: published data sets that it cannot run without.
        prefix: see `name`.
        aside: experiments that are shown for comparison and do not count for the question.
    """

    name: str
    title: str
    question: str
    batches: tuple[Batch, ...]
    outputs: tuple[str, ...]
    needs: tuple[str, ...] = ()
    prefix: str = ""
    aside: tuple[str, ...] = ()


MNISTS, FEWER_DIGITS = ("mnist", "mnist-s2nn", "mnist-ebp"), (50, 100, 200)
EVENTS, WHOLE, N_FOLDS = ("mnist-dvs", "nmnist"), 10_000, 5
"""The paper's event set and its substitute; one with fewer recordings than `WHOLE` is cross-validated."""
USUAL, SCARCE, UNSEEN = "data as trained on", "scarce data", "unseen classes"
ALL = ("table", "reliability", "forest", "committee-size")
SEEN = "data.classes=[0,1,2,3,4,5,6,7]"
SWEEPS = {
    "train.kl_weight": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1),
    "guide.temperature": (0.1, 0.2, 0.5, 1, 2),
}
_DRAWS = "train.validation_draws=3"
_MOONS = (_DRAWS, "data.n_test=300", "encoder.n_steps=40", "network.hidden=[64,64]")
_IMAGES = ("data.n_train=1000", "data.n_val=200", "data.n_test=200", "network.hidden=[64]", "train.epochs=3")
_EVENTS = (_DRAWS, "data.n_train=200", "data.n_val=50", "data.n_test=50", "train.epochs=2")
QUICK = {
    "": ("predict.draws=10", "analysis.figures=false", "analysis.resolution=30"),
    "two-moons": (*_MOONS, "train.epochs=15"),
    "two-moons-scarce": (*_MOONS, "train.epochs=40"),
    "digits": (_DRAWS, "network.hidden=[128]", "train.epochs=8", "analysis.noise=[]"),
    "digits-ebp": ("network.hidden=[128]", "train.epochs=5"),
    "mnist-ebp": _IMAGES,
    **dict.fromkeys(MNISTS[:2], (_DRAWS, *_IMAGES)),
    **dict.fromkeys(EVENTS, _EVENTS),
}
"""Overrides of a quick reproduction by experiment; those of all experiments under the empty name."""


def bisnn_2021(settings: Settings) -> list[Stage]:
    """Return the stages, including those whose data are missing."""
    quick, data_dir = settings.quick, settings.data_dir

    def batch(name: str, *changes: str, of: str = "", source: str = "", **more: Any) -> Batch:
        """Return the runs of an experiment, with the preset and quick overrides of the experiment `of`."""
        base = of or name
        at = (f"data.path={data_dir}",) if data_dir and base in (*EVENTS, *MNISTS) else ()
        return Batch(
            name, source or base, (*(QUICK[""] + QUICK[base] if quick else ()), *at, *changes), **more
        )

    moons, scarce, digits, mnist = map(batch, ("two-moons", "two-moons-scarce", "digits", "mnist"))
    ebp = batch("digits-ebp", "data.name=digits", source="mnist-ebp")
    fewer = (*(batch(f"digits-{n}", f"data.n_train={n}", of="digits") for n in FEWER_DIGITS), digits)
    event = next((name for name in EVENTS if published_size(name, data_dir)), EVENTS[0])
    events, how, sizes = batch(event), "", "scores against the number of training images"
    if not quick and 0 < published_size(event, data_dir) < WHOLE:
        events = replace(events, experiment=f"{event}-folds", n_folds=N_FOLDS)
        how = f", a part of the set, {N_FOLDS} folds and one seed"
    found = [
        Stage("two-moons", "the paper's task: map and reliability", USUAL, (moons,), (*ALL, "map")),
        Stage("digits", "real data that come with the package, and EBP", USUAL, (digits, ebp), ALL),
        Stage("mnist", "real data, S2NN and EBP", USUAL, tuple(map(batch, MNISTS)), ALL, ("mnist",)),
        Stage("events", f"event data: {event}{how}", USUAL, (events,), ALL, (event,)),
        Stage("two-moons-scarce", "50 noisy training points", SCARCE, (scarce,), (*ALL, "map")),
        Stage("digits-scarce", sizes, SCARCE, fewer, ("tables", "sizes"), aside=("digits",)),
    ]
    needs: tuple[str, ...]
    for own, needs in ((digits, ()), (mnist, ("mnist",))):
        name, title = f"{own.experiment}-shift", "noise, rotation, flipped synapses: scores against severity"
        outputs = tuple(f"shift:{kind}" for kind in ("noise", "rotation", "flipped"))
        found.append(Stage(name, title, "shift", (own,), outputs, needs, own.experiment))
        name, title = f"{own.experiment}-outside", "noise, rotated, shuffled: told apart from test points"
        outputs = tuple(f"outside:{other}" for other in ("noise", "rotated", "shuffled"))
        found.append(Stage(name, title, "out-of-distribution inputs", (own,), outputs, needs, own.experiment))
    outputs, title = ("table", "outside:unseen-classes"), "8 and 9, for networks that learned 0 to 7"
    for base, needs, few in (("digits", (), ()), ("mnist", ("mnist",), ("data.n_train=10000",))):
        own = batch(f"{base}-unseen", SEEN, *(() if quick else few), of=base)
        found.append(Stage(f"{base}-unseen", f"unseen classes: {title}", UNSEEN, (own,), outputs, needs))
    outputs, needs = (
        (f"outside:fashion-mnist{f':{data_dir}' if data_dir else ''}",),
        ("mnist", "fashion-mnist"),
    )
    found.append(
        Stage("mnist-fashion", "unseen classes: Fashion-MNIST", UNSEEN, (mnist,), outputs, needs, "mnist")
    )
    for key, values in SWEEPS.items():
        name, base = key.rpartition(".")[2].replace("_", "-"), scarce.experiment
        swept = tuple(
            batch(f"{base}-{name}-{value:g}", f"{key}={value}", of=base, methods=("bayes",))
            for value in values[:: 3 if quick else 1]
        )
        found.append(Stage(name, f"{base}: scores against {key}", USUAL, swept, (f"sweep:{key}",)))
    return found
