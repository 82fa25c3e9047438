"""Inputs of another kind than those trained on: another data set's, or made of the test points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bisnn_pyro.data import FeatureScaler, Task, load_task, task_settings
from bisnn_pyro.data.checks import check_choice
from bisnn_pyro.data.registry import TASKS
from bisnn_pyro.data.shifts import Change, ChangedRows, noise_like, rotate, shuffle_pixels, upside_down
from bisnn_pyro.errors import DataError
from bisnn_pyro.experiments.config import Config

LOOK = ("time_step", "n_steps", "start", "crop", "downsample", "polarity", "n_test")
"""Keys of ``[data]`` that another set takes over: how events become spikes, and how many points there are."""

UNSEEN = "unseen-classes"


@dataclass(frozen=True)
class Outside:
    """Where inputs from outside come from.

    Attributes:
        name: for tables and files.
        points: the run's task to scaled inputs ``[M, ...]`` of its shape.
    """

    name: str
    points: Callable[[Task], Any]


def outside(against: str, config: Config, seed: int = 0) -> Outside:
    """Return where inputs from outside come from.

    Args:
        against: ``noise`` (uniform features, or each recording's spikes strewn over its bins), ``rotated``
            (test points by 90 degrees), ``shuffled`` (their pixels in one other order), ``upside-down``;
            ``unseen-classes``, the test points of the classes that ``data.classes`` leaves out; or a data
            set by name, whose test points it is, with ``NAME:path`` for files that are elsewhere.
        config: of the run; another set of events is binned as the run's own.
        seed: of ``noise`` and ``shuffled``.

    Raises:
        DataError: if there is no such outside, or its data cannot be read.
    """
    name, _, path = against.partition(":")
    check_choice("--against", name, [*MADE, UNSEEN, *TASKS])
    if path and name in (*MADE, UNSEEN):
        raise DataError(f"--against {against}: {name} is made of the run's own data and takes no path")
    if name in MADE:
        return Outside(name, lambda task: MADE[name](task, seed))
    if name == UNSEEN:
        unseen = _unseen(config)
        return Outside(name, lambda _: unseen)
    if name == config.data.name and not path:
        raise DataError(
            f"--against {name} is what the runs were tested on; {UNSEEN} stands for classes that "
            f"data.classes left out, {name}:path for files of another place"
        )
    own = {} if not path else {"path": str(Path(path).expanduser().absolute())}
    like = {k: v for k, v in config.data.settings.items() if k in LOOK and k in task_settings(name)}
    other = load_task(name, **like, **own)
    return Outside(name, lambda task: rescaled(other, task))


def rescaled(other: Task, task: Task) -> Any:
    """Return another set's test inputs as the run would have scaled them.

    Raises:
        DataError: if they are not of the shape that its network takes.
    """
    x = other.test.x
    if other.spiking != task.spiking or x.shape[1:] != task.test.x.shape[1:]:
        kinds = ["spikes [T, I]" if t.spiking else "features [F]" for t in (other, task)]
        raise DataError(
            f"{other.name} has {kinds[0]} of shape {list(x.shape[1:])}; the runs take {kinds[1]} of shape "
            f"{list(task.test.x.shape[1:])}"
        )
    if task.spiking or _same(other.scaler, task.scaler):
        return x
    raw = x if other.scaler is None else x * (other.scaler.high - other.scaler.low) + other.scaler.low
    return np.clip(raw, 0, 1).astype(np.float32) if task.scaler is None else task.scaler.transform(raw)


def _same(a: FeatureScaler | None, b: FeatureScaler | None) -> bool:
    if a is None or b is None:
        return a is b
    return bool(np.array_equal(a.low, b.low) and np.array_equal(a.high, b.high))


def _unseen(config: Config) -> Any:
    """Return the test points of the classes that a run leaves out, scaled as its own."""
    settings = dict(config.data.settings)
    seen = settings.pop("classes", None)
    if seen is None:
        raise DataError(
            f"--against {UNSEEN}: {config.experiment} knows all classes of {config.data.name}; leave some "
            "out, as in bisnn run digits --set 'data.classes=[0,1,2,3,4,5,6,7]'"
        )
    whole = load_task(config.data.name, **{**settings, "n_train": 1})  # its test points alone are wanted
    assert whole.labels is not None  # as only tasks with classes to leave out come here
    unseen = ~np.isin(whole.labels.decode(whole.test.y), seen)
    if not unseen.any():
        raise DataError(f"--against {UNSEEN}: data.classes of {config.experiment} leaves no class out")
    return whole.test.x[unseen]


def _changed(task: Task, change: Change) -> ChangedRows:
    change(task.test.x[:1], np.arange(1))  # refused here, before the points are read
    return ChangedRows(task.test.x, change)


MADE: dict[str, Callable[[Task, int], Any]] = {
    "noise": lambda task, seed: _changed(task, lambda x, numbers: noise_like(x, numbers, seed)),
    "rotated": lambda task, _: _changed(task, lambda x, _n: rotate(x, 90, task.image_shape)),
    "shuffled": lambda task, seed: _changed(task, lambda x, _n: shuffle_pixels(x, seed, task.image_shape)),
    "upside-down": lambda task, _: _changed(task, lambda x, _n: upside_down(x, task.image_shape)),
}
"""Inputs that are made of the test points."""
