"""A user's own recordings as a task."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bisnn_pyro.data.checks import check_count
from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.folders import find_classes, find_flat
from bisnn_pyro.data.events.layout import visible
from bisnn_pyro.data.events.settings import describe_settings
from bisnn_pyro.data.events.shares import Shares
from bisnn_pyro.data.events.tasks import event_task
from bisnn_pyro.data.task import Task
from bisnn_pyro.data.user_folders import user_folder
from bisnn_pyro.errors import DataError


@describe_settings(
    path="The folder.",
    start="Where step 0 begins, in milliseconds after ``zero``.",
    zero='What time counts from: each recording\'s ``"first-event"``, or the ``"clock"`` that its times were '
    "written by, for recordings that begin with the stimulus.",
    sensor="``[height, width]`` in pixels; None for what the files say, or else the smallest that holds all "
    "events, for which all files are read once more.",
    test_share="Share of the recordings that test, where there is neither a test folder nor folds.",
    n_folds="K: all recordings, training and test together, are dealt to K folds, classes in proportion; "
    "None for the test folder, or ``test_share`` where there is none.",
)
def event_folder(
    path: str | os.PathLike[str],
    time_step: float = 10.0,
    n_steps: int = 100,
    start: float = 0.0,
    zero: str = "first-event",
    sensor: Sequence[int] | None = None,
    crop: Sequence[int] | None = None,
    downsample: int = 1,
    polarity: str = "keep",
    test_share: float = 0.2,
    n_train: int | None = None,
    n_val: int | None = None,
    n_test: int | None = None,
    n_folds: int | None = None,
    fold: int | None = None,
    seed: int = 0,
    on_error: str = "raise",
    cache: bool = True,
) -> Task:
    """One's own recordings: ``class/recording``, or ``Train/class/recording`` and ``Test/class/recording``.

    The recordings are ``.aedat`` (2.0 of a DVS128, or 3.1), ``.bin`` as N-MNIST has them, or ``.npy`` and
    ``.npz`` arrays of t (microseconds), x, y and polarity; other files are passed over.  The task is named
    after the folder, the classes after theirs.
    """
    root = user_folder(path)
    layout = find_classes(root)
    if layout is None:
        raise DataError(
            f"{root} has no folders of recordings{_hint(root)}; expected class/recording, or "
            "Train/class/recording and Test/class/recording, as .aedat, .bin, .npy or .npz"
        )
    if sensor is not None:
        layout = replace(layout, sensor=_sensor(sensor))
    binning = Binning(time_step, n_steps, start, crop, downsample, polarity, zero)
    shares = Shares(n_train, n_val, n_test, n_folds, fold, seed, test_share)
    return event_task(root.name or "events", layout, binning, shares, on_error, cache)


def _hint(root: Path) -> str:
    """What there is instead."""
    if find_flat(root):
        return " (there are recordings, but in no folder of a class)"
    inside = [entry.name for entry in visible(root) if entry.is_dir() and find_classes(entry)]
    return f", but its {', '.join(inside)} has: try --data-dir {root / inside[0]}" if inside else ""


def _sensor(sensor: Sequence[int]) -> tuple[int, int]:
    if isinstance(sensor, str) or not isinstance(sensor, Sequence) or len(sensor) != 2:
        raise DataError(f"data.sensor is {sensor!r}; expected [height, width]")
    height, width = (check_count("a number of data.sensor", side) for side in sensor)
    return height, width
