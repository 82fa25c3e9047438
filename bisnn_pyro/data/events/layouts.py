"""Where the recordings of a data set are: the published and the general layouts of folders, and their reader.

A finder takes a folder and returns a :class:`Layout`, the recordings with their classes and parts, or None if
its layout is not there.  :class:`Reader` then gives the events of a recording.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bisnn_pyro.data.events.formats import HDF5_SUFFIXES, READERS, SHD_SENSOR, Events, Sensor, SpikeTable
from bisnn_pyro.data.limits import enough_memory
from bisnn_pyro.data.location import given_path
from bisnn_pyro.errors import DataError

_NAMED = 6
"""Entries that a note lists by name; the others are counted."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording: a file, or a part of one.

    Attributes:
        path: The file.
        label: Its class; empty if unknown.
        part: ``"train"``, ``"test"``, or empty if the set does not say.
        span: Start and end (exclusive) in microseconds, if the file holds several recordings in sequence.
        row: Its number, if the file holds several in a table.

    Raises:
        DataError: If the path is not valid text; the class, messages and tables are made from it.
    """

    path: Path
    label: str = ""
    part: str = ""
    span: tuple[int, int] | None = None
    row: int | None = None

    def __post_init__(self) -> None:
        try:
            str(self.path).encode()
        except UnicodeEncodeError:
            raise DataError(f"the name {os.fsencode(self.path)!r} is not UTF-8; rename it") from None

    def __str__(self) -> str:
        if self.span is not None:
            return f"{self.path} ({self.span[0]} to {self.span[1]} us)"
        return f"{self.path}" + ("" if self.row is None else f" (row {self.row})")


@dataclass(frozen=True)
class Layout:
    """The recordings below a folder.

    Attributes:
        kind: The layout in words.
        root: The folder, or the file.
        recordings: In a fixed order: by part, class and name.
        sensor: ``(H, W)``; None if the set does not say.
        notes: Which other recordings in the folder were not read, and why; one sentence each.
    """

    kind: str
    root: Path
    recordings: tuple[Recording, ...]
    sensor: Sensor | None = None
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """The files that hold the recordings, each once."""
        return list(dict.fromkeys(recording.path for recording in self.recordings))


def fingerprint(recordings: Iterable[Recording], root: Path) -> str:
    """Identify a choice of recordings, independent of where their folder is.

    Args:
        recordings: Some recordings, in order.
        root: The folder of all of them.

    Returns:
        A hash of their names relative to the folder, their classes, and their spans or rows.
    """
    digest = hashlib.sha256()
    for r in recordings:
        digest.update(json.dumps([relative_name(r.path, root), r.label, r.span, r.row]).encode())
    return digest.hexdigest()


def relative_name(file: Path, root: Path) -> str:
    """A file's path relative to a folder, with slashes; the whole path of a file that lies elsewhere."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


def visible(folder: Path) -> list[Path]:
    """The entries of a folder by name, without hidden ones.

    Raises:
        DataError: If the folder cannot be listed.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror or error}") from error


def folders_in(root: Path) -> list[Path]:
    """The visible folders in a folder, by name."""
    return [entry for entry in visible(root) if entry.is_dir()]


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """The visible files in a folder that have one of these suffixes, by name."""
    return [entry for entry in visible(folder) if entry.suffix.lower() in suffixes and entry.is_file()]


# --- one folder per class: N-MNIST, POKER-DVS and users' own ----------------------------------------------

_PART = re.compile(r"(?:.*[^a-z])?(train|test)(?:ing)?", re.IGNORECASE)


def find_classes(
    root: Path, suffixes: Collection[str] = tuple(READERS), sensor: Sensor | None = None
) -> Layout | None:
    """Find ``class/recording``, or ``Train/class/recording`` and ``Test/class/recording``.

    The folder of a part is named ``train`` or ``test`` in any case, with or without a prefix
    (``pips_train``), and holds folders of recordings; one that holds recordings itself is a class of that
    name.  Hidden files and other suffixes are ignored.  Recordings in other places are not read, and the
    notes name them.

    Args:
        root: The folder.
        suffixes: Those of the recordings.
        sensor: ``(H, W)`` of all recordings, if known.

    Returns:
        The recordings; None if it has no recordings.
    """
    named = [(match[1].lower(), f) for f in folders_in(root) if (match := _PART.fullmatch(f.name))]
    parts = [(part, f, found) for part, f in named if (found := list(_below(f, part, suffixes)))]
    if parts:
        parts.sort(key=lambda item: (item[0] != "train", item[1].name))
        found = [recording for *_, own in parts for recording in own]
        read = " and ".join(folder.name for _, folder, _ in parts)
        kind = f"{read}, one folder per class"
        why = f"only {read} are read (data.n_val takes validation recordings from the training part)"
    else:
        found, kind = list(_below(root, "", suffixes)), "one folder per class"
        why = "they are not in the folder of a class"
    taken = {recording.path.parent for recording in found}
    classes = [f for top in ([f for _, f, _ in parts] or [root]) for f in folders_in(top)]
    notes = (*_ignored(root, taken, suffixes, why), *_unread(classes, suffixes))
    return Layout(kind, root, tuple(found), sensor, notes) if found else None


def find_flat(root: Path, suffixes: Collection[str] = tuple(READERS)) -> Layout | None:
    """Find recordings in the folder itself, without classes; None if it has no recordings."""
    found = tuple(Recording(file) for file in files_in(root, suffixes))
    return Layout("a flat folder, no classes", root, found) if found else None


def _below(folder: Path, part: str, suffixes: Collection[str]) -> Iterator[Recording]:
    for label in folders_in(folder):
        for file in files_in(label, suffixes):
            yield Recording(file, label.name, part)


def _ignored(root: Path, taken: Collection[Path], suffixes: Collection[str], why: str) -> tuple[str, ...]:
    """Name the entries of a folder that hold recordings which are not read, two folders down at most."""
    names = [f.name for f in files_in(root, suffixes)]
    for folder in folders_in(root):
        if folder in taken:
            continue
        inside = [inner for inner in folders_in(folder) if inner not in taken]
        names += [f"{folder.name}/" for f in (folder, *inside) if files_in(f, suffixes)][:1]
    if not names:
        return ()
    listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return (f"recordings in {root} that were not read: {listed}; {why}",)


def _unread(classes: Iterable[Path], suffixes: Collection[str]) -> tuple[str, ...]:
    """Name the folders of classes with more files that nobody reads than recordings."""
    found = []
    for folder in classes:
        files = [entry for entry in visible(folder) if entry.is_file()]
        others = [f for f in files if f.suffix.lower() not in suffixes]
        if len(others) > len(files) - len(others):
            kinds = ", ".join(sorted({f.suffix or "no suffix" for f in others})[:_NAMED])
            found.append(f"{folder.name}/ ({len(others)} of {len(files)} files: {kinds})")
    if not found:
        return ()
    listed = ", ".join(found[:_NAMED]) + (f" and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
    return (f"folders with files that are not recordings: {listed}; read are {', '.join(suffixes)}",)


# --- DVS128 Gesture ---------------------------------------------------------------------------------------

_DVS128: Sensor = (128, 128)
_LAST_TRAINING_SUBJECT = 23
_LABELS = "_labels.csv"
_SUBJECT = re.compile(r"user(\d+)_")
_HEADER = ["class", "startTime_usec", "endTime_usec"]


def find_gestures(root: Path) -> Layout | None:
    """Find DVS128 Gesture: pairs of ``NAME.aedat`` and ``NAME_labels.csv``; classes are 1 to 11.

    One long recording per subject and light, and a table of its gestures.  Subjects 1 to 23 train and 24 to
    29 test, unless the lists ``trials_to_train.txt`` and ``trials_to_test.txt`` say otherwise (Amir et al.,
    CVPR 2017).  Any subset of the files works.

    Returns:
        The gestures; None if there is no such pair of files.

    Raises:
        DataError: If a table or a list is damaged.
    """
    lists = {part: _listed(root / f"trials_to_{part}.txt") for part in ("train", "test")}
    found: dict[str, list[Recording]] = {"train": [], "test": [], "": []}
    for table in visible(root):
        trial = table.with_name(table.name.removesuffix(_LABELS) + ".aedat")
        if table.name.endswith(_LABELS) and trial.is_file():
            part = next((part for part, names in lists.items() if trial.name in names), _by_subject(trial))
            found[part] += [Recording(trial, label, part, span) for label, span in _gestures(table)]
    recordings = tuple(recording for part in found.values() for recording in part)
    return Layout("DVS128 Gesture", root, recordings, _DVS128) if recordings else None


def _listed(file: Path) -> set[str]:
    return set(_text(file).split()) if file.is_file() else set()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")  # spreadsheets begin a table with a mark
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def _by_subject(trial: Path) -> str:
    subject = _SUBJECT.match(trial.name)
    if subject is None:
        return ""
    return "train" if int(subject[1]) <= _LAST_TRAINING_SUBJECT else "test"


def _gestures(table: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """The class and the time span of each gesture."""
    rows = [row for row in csv.reader(_text(table).splitlines()) if row]
    if not rows or [name.strip() for name in rows[0]] != _HEADER:
        raise DataError(f"{table} does not begin with {','.join(_HEADER)}; expected a table of gestures")
    for row in rows[1:]:
        try:
            label, start, end = (int(cell) for cell in row)
        except ValueError:
            raise DataError(f"{table} holds the row {','.join(row)}; expected three whole numbers") from None
        yield str(label), (start, end)


# --- MNIST-DVS and the Spiking Heidelberg Digits ----------------------------------------------------------

_MNIST_DVS = re.compile(r"(mnist_(\d)_scale(\d\d)_\d+)(_\w+)?\.aedat")


def find_mnist_dvs(root: Path, scale: int | None = None) -> Layout | None:
    """Find MNIST-DVS recordings of one scale, or of all, in this folder or up to two below it.

    They are named ``grabbed_data0/scale4/mnist_0_scale04_0001.aedat``.  The digit is taken from the file's
    name; the folders' names do not matter.  The set also has cuts of its recordings
    (``mnist_0_scale04_0001_qt1.aedat``): a cut is ignored if the whole recording is there, so that no
    recording is used for both training and testing.

    Args:
        root: The folder.
        scale: 4, 8 or 16; None for all.

    Returns:
        The recordings; None if it has no recordings.
    """
    files = {f for pattern in ("*.aedat", "*/*.aedat", "*/*/*.aedat") for f in root.glob(pattern)}
    named = ((file, match) for file in files if (match := _MNIST_DVS.fullmatch(file.name)) is not None)
    chosen = [(file, match) for file, match in named if scale in (None, int(match[3]))]
    whole = {match[1] for _, match in chosen if match[4] is None}
    found = [Recording(file, match[2]) for file, match in chosen if match[4] is None or match[1] not in whole]
    found.sort(key=lambda recording: (recording.label, recording.path))
    kind = "MNIST-DVS" if scale is None else f"MNIST-DVS, scale {scale}"
    return Layout(kind, root, tuple(found), _DVS128) if found else None


def find_shd(root: Path) -> Layout | None:
    """Find ``shd_train.h5`` and ``shd_test.h5``, or one of them; None if there is neither.

    Raises:
        DataError: If one of the files cannot be read.
    """
    found: list[Recording] = []
    for part in ("train", "test"):
        file = root / f"shd_{part}.h5"
        if file.is_file():
            try:
                labels = SpikeTable(file).labels()
            except (DataError, OSError) as error:
                raise DataError(f"{file}: {error}") from error
            found += [Recording(file, str(int(k)), part, row=i) for i, k in enumerate(labels)]
    return Layout("Spiking Heidelberg Digits", root, tuple(found), SHD_SENSOR) if found else None


# --- whichever layout a folder has ------------------------------------------------------------------------

_PUBLISHED = (find_gestures, find_shd, find_mnist_dvs)
_GENERAL = (find_classes, find_flat)
"""These would mistake the folder of a published set for a class, so they come second."""


def find_layout(path: str | os.PathLike[str]) -> Layout:
    """Find the recordings in a folder, in a single folder inside it, or a file.

    Args:
        path: The folder or the file.

    Returns:
        The recordings, in the first layout that fits: DVS128 Gesture, the Spiking Heidelberg Digits,
        MNIST-DVS, one folder per class, a flat folder.

    Raises:
        DataError: If it has no recordings, or several folders inside hold some.
    """
    root = given_path(path, "a folder of recordings").absolute()
    if root.is_file():
        return _single(root)
    if not root.is_dir():
        raise DataError(f"{root} does not exist; expected a folder of recordings, or a recording")
    found = _published(root) or _first(root, _GENERAL) or _only(root)
    if found is None:
        suffixes = ", ".join([*READERS, *HDF5_SUFFIXES])
        raise DataError(f"{root} holds no recordings ({suffixes}), and neither do two levels of subfolders")
    return found


def _published(root: Path) -> Layout | None:
    """The published set in this folder or in one inside it, unless another set lies next to it."""
    here = _first(root, _PUBLISHED)
    if here is None:
        return _only(root) if any(_first(folder, _PUBLISHED) for folder in folders_in(root)) else None
    # MNIST-DVS is found two folders down, so it may be in one of several sets.
    places = {root.joinpath(r.path.relative_to(root).parts[0]) for r in here.recordings}
    return _only(root) if len(places) == 1 and next(iter(places)).is_dir() else here


def _only(root: Path) -> Layout | None:
    """The set in the only folder that holds one, or holds a folder that does; else None."""
    inside = {}
    for folder in folders_in(root):
        places = (folder, *folders_in(folder))
        found = next((layout for place in places if (layout := _first(place, _PUBLISHED + _GENERAL))), None)
        if found is not None:
            inside[folder.name] = found
    if len(inside) > 1:
        raise DataError(f"{root} holds several sets of recordings: {', '.join(inside)}; name one of them")
    return next(iter(inside.values()), None)


def _first(root: Path, finders: Sequence[Callable[[Path], Layout | None]]) -> Layout | None:
    return next((found for find in finders if (found := find(root))), None)


def _single(file: Path) -> Layout:
    if file.suffix.lower() in HDF5_SUFFIXES:
        raise DataError(f"{file} is an HDF5 file; give the folder that contains shd_train.h5 or shd_test.h5")
    if file.suffix.lower() not in READERS:
        raise DataError(f"{file} has the suffix {file.suffix!r}; expected {', '.join(READERS)}")
    return Layout("one recording", file, (Recording(file),))


# --- reading ----------------------------------------------------------------------------------------------

_MAX_SIDE = 8192
"""Pixels along a side; larger than any event camera."""


class UnreadableError(DataError):
    """The system could not read a recording; another attempt may succeed."""


class Reader:
    """Reads recordings one after another, and keeps a file open that several consecutive ones share.

    Args:
        sensor: ``(H, W)`` that all recordings must lie on; None for what each format says.
    """

    def __init__(self, sensor: Sensor | None = None) -> None:
        self._sensor = sensor
        self._path: Path | None = None
        self._shared: Any = None

    def __call__(self, recording: Recording) -> Events:
        """Read one recording.

        Raises:
            DataError: If it cannot be read (then an :class:`UnreadableError`), is damaged or empty, or an
                event lies outside the sensor; the message begins with its file.
        """
        try:
            with enough_memory("it"):
                events = _plausible(self._events(recording).on(self._sensor))
        except DataError as error:
            raise DataError(f"{recording}: {error}") from error
        except OSError as error:
            raise UnreadableError(f"{recording}: it cannot be read: {error.strerror or error}") from error
        if not len(events):
            raise DataError(f"{recording}: it holds no event")
        return events

    def _events(self, recording: Recording) -> Events:
        path = recording.path
        if recording.row is not None:
            return self._opened(path, SpikeTable)[recording.row]
        read = READERS.get(path.suffix.lower())
        if read is None:
            raise DataError(f"the suffix {path.suffix!r} is not supported; expected {', '.join(READERS)}")
        if recording.span is not None:
            return self._opened(path, read).between(*recording.span)
        return read(path)

    def _opened(self, path: Path, read: Callable[[Path], Any]) -> Any:
        if path != self._path:
            self._path, self._shared = None, None  # free the old file before the new one is loaded
            self._path, self._shared = path, read(path)
        return self._shared


def _plausible(events: Events) -> Events:
    """Refuse impossible coordinates if no sensor bounds them: an array of that size would fill the memory."""
    if events.sensor is None and max(events.extent) > _MAX_SIDE:
        height, width = events.extent
        raise DataError(
            f"events reach x = {width - 1} and y = {height - 1}, larger than any sensor; expected the "
            "columns t, x, y, p in this order (data.sensor = [height, width] sets the size of the sensor)"
        )
    return events
