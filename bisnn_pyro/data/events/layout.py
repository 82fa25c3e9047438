"""Where the recordings of a data set are, before any of them is read."""

from __future__ import annotations

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
    """

    path: Path
    label: str = ""
    part: str = ""
    span: tuple[int, int] | None = None
    row: int | None = None

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
    """

    kind: str
    root: Path
    recordings: tuple[Recording, ...]
    sensor: Sensor | None = None

    @property
    def files(self) -> list[Path]:
        """The files that hold the recordings, each once."""
        return list(dict.fromkeys(recording.path for recording in self.recordings))


def visible(folder: Path) -> list[Path]:
    """What a folder holds, by name, without hidden entries.

    Raises:
        DataError: If it cannot be listed.
    """
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror or error}") from error
