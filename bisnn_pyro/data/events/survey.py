"""What lies below a folder: its recordings in whatever layout they are, and what each of them holds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bisnn_pyro.data.events.folders import find_classes, find_flat
from bisnn_pyro.data.events.gestures import find_gestures
from bisnn_pyro.data.events.layout import Layout, Recording, visible
from bisnn_pyro.data.events.mnist_dvs import find_mnist_dvs
from bisnn_pyro.data.events.reader import READERS, Reader
from bisnn_pyro.data.events.record import Events, Sensor
from bisnn_pyro.data.events.shd import SUFFIXES, find_shd
from bisnn_pyro.errors import DataError

_PUBLISHED = (find_gestures, find_shd, find_mnist_dvs)
_GENERAL = (find_classes, find_flat)
"""Which would take the folder of a published set for a class; so they come second."""


@dataclass(frozen=True)
class Facts:
    """What one recording holds.

    Attributes:
        recording: Where it is.
        n_events: Number of events.
        duration: Microseconds from the first event to the last.
        on_share: Share of ON events.
        sensor: ``(H, W)``; None where neither the set nor the file says.
        extent: The smallest sensor that holds the events.
    """

    recording: Recording
    n_events: int
    duration: int
    on_share: float
    sensor: Sensor | None
    extent: Sensor

    @property
    def rate(self) -> float:
        """Events a second; NaN for a recording without a duration."""
        return self.n_events / self.duration * 1e6 if self.duration else float("nan")


def find_layout(path: str | os.PathLike[str]) -> Layout:
    """Find the recordings in a folder, in a single folder inside it, or a file.

    Args:
        path: The folder or the file.

    Returns:
        The recordings, in the first layout that fits: DVS128 Gesture, the Spiking Heidelberg Digits,
        MNIST-DVS, one folder a class, a flat folder.

    Raises:
        DataError: If there are none, or several folders inside hold some.
    """
    root = Path(path).expanduser().absolute()
    if root.is_file():
        return _single(root)
    if not root.is_dir():
        raise DataError(f"{root} does not exist; expected a folder of recordings, or a recording")
    found = _published(root) or _first(root, _GENERAL) or _only(root)
    if found is None:
        suffixes = ", ".join([*READERS, *SUFFIXES])
        raise DataError(f"{root} holds no recordings ({suffixes}), nor do folders in it or in those")
    return found


def survey(layout: Layout) -> Iterator[tuple[Facts, Events] | DataError]:
    """Read the recordings one after another; one that cannot be read gives its error.

    Args:
        layout: The recordings.

    Yields:
        What each holds, and its events; or what is wrong with it.
    """
    read = Reader(layout.sensor)
    for recording in layout.recordings:
        try:
            events = read(recording)
        except DataError as error:
            yield error
            continue
        on_share = float(np.mean(events.p))
        yield Facts(recording, len(events), events.duration, on_share, events.sensor, events.extent), events


def _published(root: Path) -> Layout | None:
    """The published set in this folder or in one inside it, if there is no other set beside that one."""
    here = _first(root, _PUBLISHED)
    if here is None:
        return _only(root) if any(_first(folder, _PUBLISHED) for folder in _folders(root)) else None
    # MNIST-DVS is found two folders down, and so may lie in one of several sets.
    places = {root.joinpath(r.path.relative_to(root).parts[0]) for r in here.recordings}
    return _only(root) if len(places) == 1 and next(iter(places)).is_dir() else here


def _only(root: Path) -> Layout | None:
    """The set in the only folder that holds one, or holds a folder that does; None where there is none."""
    inside = {}
    for folder in _folders(root):
        places = (folder, *_folders(folder))
        found = next((layout for place in places if (layout := _first(place, _PUBLISHED + _GENERAL))), None)
        if found is not None:
            inside[folder.name] = found
    if len(inside) > 1:
        names = ", ".join(inside)
        raise DataError(f"{root} holds several sets of recordings: {names}; give one of these folders")
    return next(iter(inside.values()), None)


def _folders(root: Path) -> list[Path]:
    return [entry for entry in visible(root) if entry.is_dir()]


def _first(root: Path, finders: Sequence[Callable[[Path], Layout | None]]) -> Layout | None:
    return next((found for find in finders if (found := find(root))), None)


def _single(file: Path) -> Layout:
    if file.suffix.lower() in SUFFIXES:
        raise DataError(f"{file} is an HDF5 file; give the folder that holds shd_train.h5 or shd_test.h5")
    if file.suffix.lower() not in READERS:
        raise DataError(f"{file} has the suffix {file.suffix!r}; expected {', '.join(READERS)}")
    return Layout("one recording", file, (Recording(file),))
