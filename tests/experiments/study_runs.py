"""Tiny finished runs for the studies."""

import contextlib
import hashlib

import numpy as np

from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.run import run

from .spikes import spikes_configs
from .tiny import TINY

QUIET = ["analysis.figures=false", "train.epochs=1"]

DIGITS = [
    "data.name=digits",
    "data.n_train=60",
    "encoder.name=rate",
    "encoder.n_steps=6",
    "network.hidden=[12]",
    "network.burn_in=1",
    "predict.draws=3",
]


def moons_runs(folder, methods, seeds=(0,), overrides=()):
    """Two moons, 30 test points, with temperatures and noise."""
    source = folder / "tiny.toml"
    source.write_text(TINY)
    changes = [*QUIET, "analysis.temperature_scaling=true", *overrides]
    return [run(c, folder / "moons").path for c in plan(str(source), methods, seeds, changes)]


def digits_run(folder, overrides=()):
    """8 x 8 images, rate-encoded."""
    source = folder / "digits.toml"
    source.write_text(
        TINY.replace("n_train = 24\nn_val = 16\nn_test = 30\n", "").replace("n_neurons = 4\n", "")
    )
    (config,) = plan(str(source), ["bayes"], overrides=[*QUIET, "analysis.noise=[]", *DIGITS, *overrides])
    return run(config, folder / "digits").path


def spikes_run(folder):
    """Ready spikes of 2 x 4 x 3 pixels."""
    (config,) = spikes_configs(folder, overrides=["train.epochs=1", "encoder.name=population"])
    return run(config, folder / "spikes").path


def curve_runs(folder):
    """A regression in a second or two."""
    small = ["data.points_per_unit=4", "data.n_val=10", "data.n_test=20", "encoder.n_neurons=4"]
    small += ["encoder.n_steps=12", "network.hidden=[8]", "network.burn_in=2", "predict.draws=3"]
    configs = plan("curve", ["bayes", "straight-through"], overrides=[*QUIET, *small])
    return [run(config, folder / "curve").path for config in configs]


def ebp_run(folder):
    """Sign units, whose first predictor is analytic."""
    quick = ["data.name=digits", "data.n_train=60", "network.hidden=[12]", "predict.draws=2"]
    quick += ["analysis.temperature_scaling=false"]
    (config,) = plan("mnist-ebp", ["ebp"], overrides=[*QUIET, *quick])
    return run(config, folder / "ebp").path


def contents(folder):
    """Digest of every file."""
    files = [p for p in sorted(folder.rglob("*")) if p.is_file()]
    return {p: hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def read_csv(path):
    """Columns of a CSV by name, numbers where they are."""
    lines = [line.split(",") for line in path.read_text().splitlines()]
    columns = {name: np.array([line[i] for line in lines[1:]]) for i, name in enumerate(lines[0])}
    for name, values in columns.items():
        with contextlib.suppress(ValueError):
            columns[name] = values.astype(float)
    return columns
