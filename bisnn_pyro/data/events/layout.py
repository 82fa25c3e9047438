"""Where the recordings of a data set are, before any of them is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bisnn_pyro.data.events.record import Sensor
from bisnn_pyro.errors import DataError


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording: a file, or a part of one.

    Attributes:
        path: The file.
        label: Its class; empty where nothing tells.
        part: ``"train"``, ``"test"``, or empty where the set does not say.
        span: Start and end (exclusive) in microseconds, where the file holds several recordings in a row.
        row: Its number, where the file holds several in a table.

    Raises:
        DataError: If the path is no text: it is the class, and stands in messages and tables.
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
        kind: What they are laid out like, in words.
        root: The folder, or the file.
        recordings: In a fixed order: by part, class and name.
        sensor: ``(H, W)``; None where the set does not say.
        notes: What lies beside them and was passed over, a sentence each.
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
    """What tells one choice of recordings from another, wherever their folder is.

    Args:
        recordings: Some recordings, in order.
        root: The folder of all of them.

    Returns:
        A hash of their names below the folder, their classes, and their spans or rows.
    """
    digest = hashlib.sha256()
    for r in recordings:
        digest.update(json.dumps([relative_name(r.path, root), r.label, r.span, r.row]).encode())
    return digest.hexdigest()


def relative_name(file: Path, root: Path) -> str:
    """A file's path below a folder, with slashes; the whole path of one that lies elsewhere."""
    return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.as_posix()


def visible(folder: Path) -> list[Path]:
    """What a folder holds, by name, without hidden entries.

    Raises:
        DataError: If it cannot be listed.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror or error}") from error
