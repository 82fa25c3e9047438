"""DVS128 Gesture as published: one long recording a subject and light, and a table of its gestures."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from bisnn_pyro.data.events.layout import Layout, Recording, visible
from bisnn_pyro.data.events.record import Sensor
from bisnn_pyro.errors import DataError

SENSOR: Sensor = (128, 128)
HEADER = ["class", "startTime_usec", "endTime_usec"]
LAST_TRAINING_SUBJECT = 23
_SUFFIX = "_labels.csv"
_SUBJECT = re.compile(r"user(\d+)_")


def find_gestures(root: Path) -> Layout | None:
    """Find ``NAME.aedat`` with ``NAME_labels.csv`` beside it; classes are 1 to 11.

    Subjects 1 to 23 train and 24 to 29 test, or whatever the lists ``trials_to_train.txt`` and
    ``trials_to_test.txt`` say, where they are there (Amir et al., CVPR 2017).  Any part of the set will do.

    Returns:
        The gestures; None where there is no such pair of files.

    Raises:
        DataError: If a table or a list is damaged.
    """
    lists = {part: _listed(root / f"trials_to_{part}.txt") for part in ("train", "test")}
    found: dict[str, list[Recording]] = {"train": [], "test": [], "": []}
    for table in visible(root):
        trial = table.with_name(table.name.removesuffix(_SUFFIX) + ".aedat")
        if table.name.endswith(_SUFFIX) and trial.is_file():
            part = next((part for part, names in lists.items() if trial.name in names), _by_subject(trial))
            found[part] += [Recording(trial, label, part, span) for label, span in _gestures(table)]
    recordings = tuple(recording for part in found.values() for recording in part)
    return Layout("DVS128 Gesture", root, recordings, SENSOR) if recordings else None


def _listed(file: Path) -> set[str]:
    try:
        return set(file.read_text(encoding="utf-8").split()) if file.is_file() else set()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def _by_subject(trial: Path) -> str:
    subject = _SUBJECT.match(trial.name)
    if subject is None:
        return ""
    return "train" if int(subject[1]) <= LAST_TRAINING_SUBJECT else "test"


def _gestures(table: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    """The class and the span of time of each gesture."""
    try:
        rows = [row for row in csv.reader(table.read_text(encoding="utf-8").splitlines()) if row]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{table} cannot be read: {error}") from error
    if not rows or [name.strip() for name in rows[0]] != HEADER:
        raise DataError(f"{table} does not begin with {','.join(HEADER)}; expected a table of gestures")
    for row in rows[1:]:
        try:
            label, start, end = (int(cell) for cell in row)
        except ValueError:
            raise DataError(f"{table} holds the row {','.join(row)}; expected three whole numbers") from None
        yield str(label), (start, end)
