"""The comparison of the BiSNN paper (arXiv 2012.08300), and what it leaves open.

Two moons and real data are the paper's: full precision, straight-through, and the Bayesian rule's most
probable network and committee.  Beside them stand the single-step network (S2NN, arXiv 2201.10879) and
expectation backpropagation (EBP, arXiv 1503.03562).  Scarce data, shift and inputs from outside ask where the
committee is better than a straight-through net with temperature scaling; two sweeps, how far from Bayes' rule
the settings are.  All settings are the presets' own; EBP, which has no learning rate, takes those for MNIST
to the digits, where S2NN's would train too little.
"""

from __future__ import annotations

from bisnn_pyro.experiments.reproduce.presence import absence, n_recordings
from bisnn_pyro.experiments.reproduce.stage import Batch, Output, Settings, Stage

EVENT_SETS = ("mnist-dvs", "nmnist")
"""The paper's event data, and what stands in for it."""
WHOLE = 10_000
"""Recordings below which an event set is a part of itself, which needs folds to test on enough."""
N_FOLDS = 5
SCARCE = (50, 100, 200)
"""Training images of the digits."""
SHIFTS = ("noise", "rotation", "stuck")
MADE_UP = ("noise", "rotated", "shuffled")
"""Inputs from outside that need no other data set."""
SEEN = "data.classes=[0,1,2,3,4,5,6,7]"
"""The digits that are learned where 8 and 9 are the unseen classes."""
FEW_IMAGES = "data.n_train=10000"
"""MNIST's part for unseen classes: their nets are trained for this alone."""
SWEEPS = {
    "train.kl_weight": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1),
    "guide.temperature": (0.1, 0.2, 0.5, 1, 2),
}
"""Settings of the posterior that are swept, all others staying as they were tuned."""

_QUICK = ("predict.draws=10", "train.validation_draws=3", "analysis.figures=false", "analysis.resolution=30")
_IMAGES = ("data.n_train=1000", "data.n_val=200", "data.n_test=200", "network.hidden=[64]", "train.epochs=3")
QUICK = {
    "two-moons": ("data.n_test=300", "encoder.n_steps=40", "network.hidden=[64,64]", "train.epochs=15"),
    "two-moons-scarce": (
        "data.n_test=300",
        "encoder.n_steps=40",
        "network.hidden=[64,64]",
        "train.epochs=40",
    ),
    "digits": ("network.hidden=[128]", "train.epochs=8", "analysis.noise=[]"),
    "digits-ebp": ("network.hidden=[128]", "train.epochs=5"),
    "mnist": _IMAGES,
    "mnist-s2nn": _IMAGES,
    "mnist-ebp": _IMAGES,
    "mnist-dvs": ("data.n_train=200", "data.n_val=50", "data.n_test=50", "train.epochs=2"),
    "nmnist": ("data.n_train=200", "data.n_val=50", "data.n_test=50", "train.epochs=2"),
}
"""What a quick reproduction overrides."""

USUAL, SCARCELY, SHIFTED = "data as trained on", "scarce data", "shift"
OUTSIDE, UNSEEN = "inputs from outside", "unseen classes"
"""With the line above: where Bayes may earn its keep."""
ALL = (Output("table"), Output("reliability"), Output("forest"), Output("committee-size"))


def bisnn_2021(settings: Settings) -> list[Stage]:
    """Return the stages, those of which the data are missing among them."""
    digits = _batch("digits", settings)
    mnist = _batch("mnist", settings, "mnist")
    beside = tuple(_batch(name, settings, "mnist") for name in ("mnist-s2nn", "mnist-ebp"))
    ebp = Batch("digits-ebp", "mnist-ebp", ("data.name=digits", *_quick("digits-ebp", settings)))
    scarce = tuple(_batch("digits", settings, n_train=n) for n in SCARCE)
    fashion = Output("outside", ("fashion-mnist",))
    moons, map_too = "two-moons", (*ALL, Output("map"))
    return [
        Stage(moons, "the paper's task: map and reliability", USUAL, (_batch(moons, settings),), map_too),
        Stage("digits", "real data that come along, EBP beside", USUAL, (digits, ebp), ALL),
        Stage("mnist", "real data, S2NN and EBP beside", USUAL, (mnist, *beside), ALL, ("mnist",)),
        _events(settings),
        Stage(
            f"{moons}-scarce",
            "50 noisy training points",
            SCARCELY,
            (_batch(f"{moons}-scarce", settings),),
            map_too,
        ),
        Stage(
            "digits-scarce",
            "scores against the number of training images",
            SCARCELY,
            (*scarce, digits),
            (Output("tables"), Output("sizes")),
            beside=("digits",),
        ),
        *_open_questions("digits", digits, ()),
        *_open_questions("mnist", mnist, ("mnist",)),
        _unseen("digits", (SEEN,), settings),
        _unseen("mnist", (SEEN, *(() if settings.quick else (FEW_IMAGES,))), settings, "mnist"),
        Stage(
            "mnist-fashion",
            "unseen classes: Fashion-MNIST",
            UNSEEN,
            (mnist,),
            (fashion,),
            ("mnist", "fashion-mnist"),
            prefix="mnist",
        ),
        *(_sweep(f"{moons}-scarce", key, settings) for key in SWEEPS),
    ]


def _batch(preset: str, settings: Settings, data: str = "", n_train: int | None = None) -> Batch:
    """Return a preset's runs; of its published data set `data`, or on so many training examples."""
    own = _quick(preset, settings)
    if n_train is not None:
        own.append(f"data.n_train={n_train}")
    if data and settings.data_dir is not None:
        own.append(f"data.path={settings.data_dir}")
    return Batch(preset if n_train is None else f"{preset}-{n_train}", preset, tuple(own))


def _quick(preset: str, settings: Settings) -> list[str]:
    return [*_QUICK, *QUICK[preset]] if settings.quick else []


def _events(settings: Settings) -> Stage:
    """Return the stage of the event data: the first set that is there, else the paper's, which is missing."""
    there = (name for name in EVENT_SETS if absence(name, settings.data_dir) is None)
    name = next(there, EVENT_SETS[0])
    batch = _batch(name, settings, name)
    part = not settings.quick and 0 < n_recordings(name, settings.data_dir) < WHOLE
    if part:
        batch = Batch(f"{name}-folds", batch.source, batch.overrides, N_FOLDS)
    how = f", a part of the set, {N_FOLDS} folds and one seed" if part else ""
    title = f"event data: {name}{how}"
    return Stage("events", title, USUAL, (batch,), ALL, (name,))


def _open_questions(name: str, batch: Batch, needs: tuple[str, ...]) -> tuple[Stage, Stage]:
    return (
        Stage(
            f"{name}-shift",
            f"{', '.join(SHIFTS)}: scores against severity",
            SHIFTED,
            (batch,),
            (Output("shift", SHIFTS),),
            needs,
            prefix=name,
        ),
        Stage(
            f"{name}-outside",
            f"{', '.join(MADE_UP)}: told apart from test points",
            OUTSIDE,
            (batch,),
            (Output("outside", MADE_UP),),
            needs,
            prefix=name,
        ),
    )


def _unseen(name: str, changes: tuple[str, ...], settings: Settings, data: str = "") -> Stage:
    """Return the stage of nets that learn some classes of a set and are shown the others."""
    own = _batch(name, settings, data)
    batch = Batch(f"{name}-unseen", own.source, (*own.overrides, *changes))
    outputs = (Output("table"), Output("outside", ("unseen-classes",)))
    title = "unseen classes: 8 and 9, to nets that learned 0 to 7"
    return Stage(f"{name}-unseen", title, UNSEEN, (batch,), outputs, (data,) if data else ())


def _sweep(preset: str, key: str, settings: Settings) -> Stage:
    """Return the stage of a setting of the Bayesian rule."""
    own = _batch(preset, settings)
    name = key.rpartition(".")[2].replace("_", "-")
    batches = tuple(
        Batch(f"{preset}-{name}-{value:g}", preset, (*own.overrides, f"{key}={value}"), methods=("bayes",))
        for value in SWEEPS[key][:: 3 if settings.quick else 1]
    )
    return Stage(name, f"{preset}: scores against {key}", USUAL, batches, (Output("sweep", (key,)),))
