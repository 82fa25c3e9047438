"""Event recordings as tasks of ready spikes: the published sets, and a user's own folder.

Each set is one object, an :class:`EventSet`, which is called like a function with the keys of ``[data]``.
What the keys mean, and how they turn recordings into the parts of a task, is stated once by
:class:`EventSettings`; a set states what differs.
"""

from __future__ import annotations

import copy
import inspect
import os
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np

from bisnn_pyro.data.checks import check_count, check_number
from bisnn_pyro.data.events.binning import Binned, Binning, bin_recordings
from bisnn_pyro.data.events.formats import Sensor
from bisnn_pyro.data.events.layouts import (
    Layout,
    find_classes,
    find_flat,
    find_gestures,
    find_mnist_dvs,
    find_shd,
    fingerprint,
    folders_in,
    visible,
)
from bisnn_pyro.data.location import PublishedSet, download_archives, user_folder
from bisnn_pyro.data.scaling import LabelMap
from bisnn_pyro.data.splitting import at_most, choose, held_out, stratified_folds
from bisnn_pyro.data.task import Split, Task
from bisnn_pyro.errors import DataError

_VALIDATION_SHARE = 0.1
"""Of the recordings outside the test set, if no number is given."""
_NAMED = 5
"""Unreadable recordings that a note names; the others are counted."""


@dataclass(frozen=True)
class EventSettings:
    """The keys of a set of recordings: how they become spikes, and which train, validate and test.

    Every choice keeps the share of each class.

    Attributes:
        path: The set's own folder or its parent; None for ``$BISNN_DATA`` or the publisher.
        scale: Size of the digits on the screen: 4, 8 or 16.
        time_step: Length of a step in milliseconds.
        n_steps: T; later events are cut off, and a shorter recording ends in silence.
        start: Where step 0 begins, in milliseconds after the recording's zero.
        zero: What time is counted from: each recording's ``"first-event"``, or the ``"clock"`` of its file,
            for recordings that begin with the stimulus.
        sensor: ``[height, width]`` in pixels; None for what the files say, or else the smallest that holds
            all events, for which all files are read once more.
        crop: ``[top, left, height, width]`` of the pixels kept; None for all.
        downsample: Side of the square of pixels that become one input, which spikes if any of them does.
        polarity: ``"keep"`` OFF and ON events in channels 0 and 1, ``"merge"`` them into one, or
            ``"on-only"``, which drops OFF events.
        test_share: Share of the recordings that test, if there are no folds.
        n_train: At most this many training recordings, classes in proportion; None for all that are left.
        n_val: Number of validation recordings; None for a tenth of those outside the test set.
        n_test: At most this many test recordings, for quick trials; None for all.
        n_folds: K: all recordings, training and test together, are divided into K folds, classes in
            proportion; None for the set's own test recordings.
        fold: Which of the K folds, 0..K-1, is the test set.
        seed: Seed of these choices; not the training seed.
        on_error: ``"raise"``, or ``"skip"`` to leave out recordings that cannot be read;
            ``Task.notes`` then counts and names them.
        cache: Whether to keep the spikes in the user's cache for the next run.
    """

    path: str | os.PathLike[str] | None = None
    scale: int = 4
    time_step: float = 10.0
    n_steps: int = 100
    start: float = 0.0
    zero: str = "clock"
    sensor: Sequence[int] | None = None
    crop: Sequence[int] | None = None
    downsample: int = 1
    polarity: str = "keep"
    test_share: float = 0.1
    n_train: int | None = None
    n_val: int | None = None
    n_test: int | None = None
    n_folds: int | None = None
    fold: int | None = None
    seed: int = 0
    on_error: str = "raise"
    cache: bool = True

    @property
    def binning(self) -> Binning:
        """How recordings become spikes."""
        return Binning(
            self.time_step, self.n_steps, self.start, self.crop, self.downsample, self.polarity, self.zero
        )

    def split(self, parts: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Choose the recordings of each part.

        Args:
            parts: ``"train"``, ``"test"`` or ``""``, ``[N]``.
            y: Class indices ``[N]``.

        Returns:
            The numbers of the training, validation and test recordings, which are disjoint.

        Raises:
            DataError: If a setting is out of range, or no recording is left for a part.
        """
        test = self._tests(parts, y)
        if not 0 < test.sum() < len(y):
            raise DataError(
                f"{test.sum()} of {len(y)} recordings would test, the others train; expected at least one "
                "of each. Use more recordings or, if the set has that key, another data.test_share "
                f"({self.test_share} now)"
            )
        rest = np.flatnonzero(~test)
        n_val = round(len(rest) * _VALIDATION_SHARE) if self.n_val is None else self.n_val
        if check_count("data.n_val", n_val, 0) >= len(rest):
            raise DataError(
                f"data.n_val is {n_val}, but there are {len(rest)} recordings outside the test set; lower it "
                "to leave some to train on"
            )
        val = choose(len(rest), n_val, self.seed + 1, y[rest])
        train, tested = rest[~val], np.flatnonzero(test)
        return (
            train[at_most(self.n_train, len(train), self.seed + 2, y[train])],
            rest[val],
            tested[at_most(self.n_test, len(tested), self.seed + 3, y[tested])],
        )

    def _tests(self, parts: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Which recordings may test, bool ``[N]``."""
        check_count("data.seed", self.seed, 0)
        if self.n_test is not None:
            check_count("data.n_test", self.n_test)
        if (self.n_folds is None) != (self.fold is None):
            raise DataError(
                f"data.n_folds is {self.n_folds} and data.fold is {self.fold}; give both, as --folds does, "
                "or neither"
            )
        if self.n_folds is not None and self.fold is not None:
            return held_out(stratified_folds(self.n_folds, self.seed, y), self.fold, self.n_folds)
        own = parts == "test"
        if own.any() and not own.all():
            return own
        share = check_number("data.test_share", self.test_share, 0.0, 1.0)
        return choose(len(y), round(len(y) * share), self.seed, y)


def event_task(name: str, layout: Layout, settings: EventSettings) -> Task:
    """Bin recordings and split them.

    Args:
        name: The task's name, and its folder in the cache.
        layout: The recordings.
        settings: How they become spikes, and which of them train, validate and test.

    Returns:
        A classification task whose ``x`` are :class:`~bisnn_pyro.data.Recordings`.

    Raises:
        DataError: If a recording or a setting is not as described, or a class has no training recording.
    """
    binning = settings.binning
    binned = bin_recordings(name, layout, binning, settings.on_error, settings.cache)
    raw = _labels([recording.label for recording in layout.recordings])
    labels = LabelMap.fit(raw[binned.rows])
    if len(labels.labels) < 2:
        raise DataError(
            f"the {len(binned.rows)} recordings in {layout.root} are all of class {labels.names[0]}; "
            "expected 2 classes or more"
        )
    # All recordings are split, and unreadable ones leave gaps: a recording that is damaged or repaired later
    # moves no other from one part to another.
    parts = np.array([recording.part for recording in layout.recordings])
    train, val, test = (
        np.flatnonzero(np.isin(binned.rows, rows))
        for rows in settings.split(parts, np.unique(raw, return_inverse=True)[1])
    )
    y = labels.encode(raw[binned.rows])
    for what, rows in (("training", train), ("test", test)):
        if not len(rows):
            reason = "".join(binned.refused[:1])
            raise DataError(f"no {what} recording in {layout.root} can be read: {reason}")
    missing = np.setdiff1d(y, y[train])
    if len(missing):
        raise DataError(
            f"no training recording in {layout.root} is of class {labels.names[missing[0]]}, but others are; "
            "use more training recordings, or fewer classes or folds"
        )

    def part(rows: np.ndarray) -> Split:
        chosen = (layout.recordings[row] for row in binned.rows[rows])
        return Split(binned.spikes.take(rows), y[rows], fingerprint(chosen, layout.root))

    return Task(
        name,
        "classification",
        part(train),
        part(val),
        part(test),
        labels.names,
        spiking=True,
        image_shape=binned.image_shape,
        labels=labels,
        notes=(*layout.notes, *_notes(binned), *binned.doubts),
        binning=binning,
        sensor=binned.sensor,
    )


def _labels(names: list[str]) -> np.ndarray:
    """Class names, as numbers if all of them are different numbers."""
    classes = set(names)
    numbered = all(n.isdecimal() for n in classes) and len({int(n) for n in classes}) == len(classes)
    return np.array([int(n) for n in names] if numbered else names)


def _notes(binned: Binned) -> tuple[str, ...]:
    n = len(binned.refused)
    if not n:
        return ()
    named = "; ".join(binned.refused[:_NAMED]) + (f"; and {n - _NAMED} more" if n > _NAMED else "")
    return (f"{n} of {n + len(binned.rows)} recordings cannot be read and were left out: {named}",)


class EventSet(PublishedSet[Layout]):
    """A set of recordings that makes a task when it is called: ``nmnist(path="data", n_steps=20)``.

    The keys are fields of :class:`EventSettings` with this set's defaults; ``inspect.signature`` and ``help``
    show them.  The recordings are binned once and stay on disk
    (:func:`bisnn_pyro.data.events.binning.bin_recordings`), so the set may be larger than the memory.

    Args:
        name: ``data.name``.
        about: What the set is, its docstring: a summary line, then its source and the protocol.
        finder: Finds its recordings in a folder; None if it has no recordings.
        holds: What such a folder contains, in words.
        source: Where to get it, one sentence.
        folders: What its folder's name may begin with, in lower case without punctuation.
        url: The folder of the archives at the publisher's, ending with a slash.
        md5: The archives (zip or tar) and their checksums; None if there is no stable address.
        without: Fields of EventSettings that are not keys of this set.
        required: Keys without a default.
        meanings: What a key means, if it differs from EventSettings.
        **defaults: Defaults that differ, those of fields that are not keys among them.

    Example:
        >>> import inspect
        >>> keys = inspect.signature(nmnist).parameters
        >>> keys["n_steps"].default, keys["time_step"].default, "scale" in keys
        (30, 10.0, False)
    """

    what = "recordings"

    def __init__(
        self,
        name: str,
        about: str,
        finder: Callable[[Path], Layout | None],
        holds: str,
        source: str = "",
        folders: tuple[str, ...] = (),
        url: str = "",
        md5: Mapping[str, str] | None = None,
        *,
        without: Sequence[str] = ("scale", "zero", "sensor", "test_share"),
        required: Sequence[str] = (),
        meanings: Mapping[str, str] | None = None,
        **defaults: Any,
    ) -> None:
        super().__init__(name, folders, holds, source, url, md5)
        self.finder, self.defaults = finder, EventSettings(**defaults)
        keys = [field.name for field in fields(EventSettings) if field.name not in without]
        hints = get_type_hints(EventSettings)
        self.__name__ = self.__qualname__ = name.replace("-", "_")
        self.__doc__ = _documented(about, keys, _MEANINGS | dict(meanings or {}))
        self.__signature__ = inspect.Signature(
            [
                inspect.Parameter(
                    key,
                    inspect.Parameter.POSITIONAL_OR_KEYWORD,
                    default=inspect.Parameter.empty if key in required else getattr(self.defaults, key),
                    annotation=hints[key],
                )
                for key in keys
            ],
            return_annotation=Task,
        )

    def __call__(self, *args: Any, **settings: Any) -> Task:
        """Make the task; the keys are those of the signature."""
        chosen = replace(self.defaults, **self.__signature__.bind(*args, **settings).arguments)
        layout = self.layout(chosen)
        return event_task(self.task_name(layout), layout, chosen)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def layout(self, settings: EventSettings) -> Layout:
        """Find the recordings; see ``locate``."""
        return self.locate(settings.path)

    def task_name(self, layout: Layout) -> str:
        """The name of the task and of its folder in the cache."""
        return self.name

    def search(self, root: Path, shared: bool = False) -> Layout | None:
        """Look in the folders named like the set, those inside them, and the folder itself.

        A folder is named like the set if its name begins with it, whatever the case and the punctuation
        (``nmnist``, ``N-MNIST``, ``nmnist_small``).  Any part of the set will do.
        """
        places = [*self._named(root)]
        inside = [inner for place in places for inner in self._named(place)]
        return next((found for place in (*places, *inside, root) if (found := self.finder(place))), None)

    def download(self) -> Path:
        """Download and unpack the publisher's archives."""
        return download_archives(self.name, self.url, self.md5)

    def _named(self, root: Path) -> Iterator[Path]:
        """The folders named like the set, the shortest name first."""
        for entry in sorted(visible(root), key=lambda entry: (len(entry.name), entry.name)):
            if re.sub(r"[^a-z0-9]", "", entry.name.lower()).startswith(self.folders) and entry.is_dir():
                yield entry

    def _places(self) -> str:
        return "folders named like the set"


_OUTCOME = """
Returns:
    A classification task of ready spikes, whose inputs are images (P, H, W).

Raises:
    DataError: If there are no recordings, one cannot be read, or a setting is out of range.
"""


def _documented(about: str, keys: Sequence[str], meanings: Mapping[str, str]) -> str:
    """A set's docstring with the sections Args, Returns and Raises."""
    entries = [f"{key}: {meanings.get(key, '')}" for key in keys]
    wrap = textwrap.TextWrapper(100, initial_indent="    ", subsequent_indent=" " * 8, break_on_hyphens=False)
    return "\n".join([inspect.cleandoc(about), "", "Args:", *map(wrap.fill, entries), _OUTCOME])


def _attributes(doc: str | None) -> dict[str, str]:
    """The entries of a docstring's Attributes section, each on one line."""
    _, _, section = inspect.cleandoc(doc or "").partition("Attributes:\n")
    entries = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


_MEANINGS = _attributes(EventSettings.__doc__)


class _MnistDVS(EventSet):
    """MNIST-DVS, of which one of three scales is used."""

    def layout(self, settings: EventSettings) -> Layout:
        if settings.scale not in (4, 8, 16):
            raise DataError(f"data.scale is {settings.scale!r}; expected one of 4, 8, 16")
        wanted = copy.copy(self)
        wanted.finder = partial(find_mnist_dvs, scale=settings.scale)
        return wanted.locate(settings.path)


class _OwnFolder(EventSet):
    """A user's own recordings, whose folder names the task."""

    def layout(self, settings: EventSettings) -> Layout:
        root = user_folder(settings.path)
        found = self.finder(root)
        if found is None:
            raise DataError(f"{root} has no folders of recordings{_hint(root)}; expected {self.holds}")
        return found if settings.sensor is None else replace(found, sensor=_sensor(settings.sensor))

    def task_name(self, layout: Layout) -> str:
        return layout.root.name or self.name


def _hint(root: Path) -> str:
    """What there is instead."""
    if find_flat(root):
        return " (there are recordings, but not in the folder of a class)"
    inside = [entry.name for entry in folders_in(root) if find_classes(entry)]
    return f", but its {', '.join(inside)} has: try --data-dir {root / inside[0]}" if inside else ""


def _sensor(sensor: Sequence[int]) -> Sensor:
    if isinstance(sensor, str) or not isinstance(sensor, Sequence) or len(sensor) != 2:
        raise DataError(f"data.sensor is {sensor!r}; expected [height, width]")
    height, width = (check_count("a number of data.sensor", side) for side in sensor)
    return height, width


_NO_DOWNLOAD = "The set's own folder or its parent; None for ``$BISNN_DATA``; there is no download."

nmnist = EventSet(
    "nmnist",
    """N-MNIST: MNIST's digits in front of a camera that makes three saccades, 34 x 34 pixels, 0.3 s.

    Orchard, Jayawant, Cohen and Thakor, Frontiers in Neuroscience 9:437 (2015).  The recordings come from
    ``path``, ``$BISNN_DATA`` or the publisher; any part of the set will do.
    """,
    partial(find_classes, suffixes=(".bin",), sensor=(34, 34)),
    "Train/<digit>/*.bin and Test/<digit>/*.bin",
    "N-MNIST is published at https://www.garrickorchard.com/datasets/n-mnist.",
    ("nmnist",),
    "https://data.mendeley.com/public-files/datasets/468j46mzdv/files/",
    {
        "39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded": "20959b8e626244a1b502305a9e6e2031",
        "05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded": "69ca8762b2fe404d9b9bad1103e97832",
    },
    n_steps=30,
)

poker_dvs = EventSet(
    "poker-dvs",
    """POKER-DVS: the four suits on cards browsed in front of a camera, 35 x 35 pixels, 5 to 30 ms.

    Serrano-Gotarredona and Linares-Barranco, Frontiers in Neuroscience 9:481 (2015), as tonic cut it: 48
    training and 20 test recordings.
    """,
    partial(find_classes, suffixes=(".npy",), sensor=(35, 35)),
    "pips_train/<suit>/*.npy and pips_test/<suit>/*.npy",
    "The library tonic ships POKER-DVS as pips_train.tar.gz and pips_test.tar.gz.",
    ("pokerdvs",),
    "https://raw.githubusercontent.com/neuromorphs/tonic/"
    "d6f0a56421008c8e5700ca52abda193f9ff29836/tonic/datasets/",
    {
        "pips_train.tar.gz": "412bcfb96826e4fcb290558e8c150aae",
        "pips_test.tar.gz": "eef2bf7d0d3defae89a6fa98b07c17af",
    },
    time_step=1.0,
    n_steps=30,
)

mnist_dvs = _MnistDVS(
    "mnist-dvs",
    """MNIST-DVS: MNIST's digits moving on a screen in front of a camera of 128 x 128 pixels, 2 to 3 s.

    Serrano-Gotarredona and Linares-Barranco, Frontiers in Neuroscience 9:481 (2015).  Time counts from a
    recording's first event.  The set has no test part: ``test_share`` of the recordings test, classes in
    proportion.  The BiSNN paper's inputs (arXiv 2012.08300) are ``scale = 4``, ``crop = [48, 54, 26, 26]``,
    ``downsample = 1``, 400 steps of 5 ms.
    """,
    find_mnist_dvs,
    "mnist_<digit>_scale<scale>_<number>.aedat, up to two folders down",
    "MNIST-DVS is published at http://www2.imse-cnm.csic.es/caviar/MNISTDVS.html.",
    ("mnistdvs",),
    without=("zero", "sensor"),
    meanings={
        "path": _NO_DOWNLOAD,
        "start": "Where step 0 begins, in milliseconds after the first event.",
        "n_folds": "K: all recordings are divided into K folds, classes in proportion; None for "
        "``test_share``.",
    },
    time_step=20.0,
    zero="first-event",
    downsample=4,
)

dvs_gesture = EventSet(
    "dvs-gesture",
    """DVS128 Gesture: 11 gestures of 29 subjects under 3 lights, 128 x 128 pixels, about 6 s each.

    Amir et al., CVPR 2017.  A gesture is the time span given in the table that belongs to a recording, and
    time counts from its start; with the defaults the network sees its first 1.5 s.  Subjects 24 to 29 test.
    Classes are the published numbers 1 to 11.
    """,
    find_gestures,
    "pairs of <user>_<light>.aedat and <user>_<light>_labels.csv",
    "DVS128 Gesture is published at https://research.ibm.com/interactive/dvsgesture/ (DvsGesture.tar.gz).",
    ("dvsgesture", "dvs128gesture", "ibmgesture"),
    meanings={
        "path": _NO_DOWNLOAD,
        "start": "Where step 0 begins, in milliseconds after the start of the gesture.",
    },
    time_step=25.0,
    n_steps=60,
    downsample=4,
)

shd = EventSet(
    "shd",
    """Spiking Heidelberg Digits: spoken digits, German and English, through a cochlea of 700 units, 1 s.

    Cramer, Stradmann, Schemmel and Zenke, IEEE TNNLS 33 (2022).  Classes are the published numbers 0 to 19;
    inputs are the units, ``downsample`` neighbours at a time, as an image (1, 1, units).
    """,
    find_shd,
    "shd_train.h5 and shd_test.h5",
    "The Spiking Heidelberg Digits are published at https://zenkelab.org/datasets/.",
    ("shd", "hsd"),
    "https://zenkelab.org/datasets/",
    {
        "shd_train.h5.zip": "f3252aeb598ac776c1b526422d90eecb",
        "shd_test.h5.zip": "1503a5064faa34311c398fb0a1ed0a6f",
    },
    without=("scale", "zero", "sensor", "test_share", "crop", "polarity"),
    meanings={
        "downsample": "Number of neighbouring units that become one input, which spikes if any of them does."
    },
    polarity="merge",
)

event_folder = _OwnFolder(
    "events",
    """A user's own recordings: ``class/recording``, or ``Train/class/...`` and ``Test/class/...``.

    The recordings are ``.aedat`` (2.0 of a DVS128, or 3.1), ``.bin`` as in N-MNIST, or ``.npy`` and ``.npz``
    arrays of t (microseconds), x, y and polarity; other files are ignored.  The task is named after the
    folder, the classes after theirs.
    """,
    find_classes,
    "class/recording, or Train/class/recording and Test/class/recording, as .aedat, .bin, .npy or .npz",
    without=("scale",),
    required=("path",),
    meanings={
        "path": "The folder.",
        "start": "Where step 0 begins, in milliseconds after ``zero``.",
        "test_share": "Share of the recordings that test, if there is neither a test folder nor folds.",
        "n_folds": "K: all recordings, training and test together, are divided into K folds, classes in "
        "proportion; None for the test folder, or ``test_share`` without one.",
    },
    zero="first-event",
    test_share=0.2,
)
