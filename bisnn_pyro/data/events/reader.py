"""Reading recordings by the suffix of their file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bisnn_pyro.data.events.aedat import read_aedat
from bisnn_pyro.data.events.array_file import read_array
from bisnn_pyro.data.events.bin_file import read_bin
from bisnn_pyro.data.events.layout import Recording
from bisnn_pyro.data.events.record import Events, Sensor
from bisnn_pyro.data.events.shd import SpikeTable
from bisnn_pyro.errors import DataError

READERS: dict[str, Callable[[Path], Events]] = {
    ".aedat": read_aedat,
    ".bin": read_bin,
    ".npy": read_array,
    ".npz": read_array,
}
"""Readers of files that hold one recording, by suffix."""


MAX_SIDE = 8192
"""Pixels; no event camera has as many in a row."""


class UnreadableError(DataError):
    """The system could not read a recording; it may well do so the next time."""


class Reader:
    """Reads recordings one after another, and keeps the file that several in a row share.

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
            raise DataError(f"the suffix {path.suffix!r} is not read here; expected {', '.join(READERS)}")
        if recording.span is not None:
            return self._opened(path, read).between(*recording.span)
        return read(path)

    def _opened(self, path: Path, read: Callable[[Path], Any]) -> Any:
        if path != self._path:
            self._path, self._shared = None, None  # the old one goes before the new one comes
            self._path, self._shared = path, read(path)
        return self._shared


def _plausible(events: Events) -> Events:
    """Refuse pixels that are none, where no sensor bounds them: an array of them would fill the memory."""
    if events.sensor is None and max(events.extent) > MAX_SIDE:
        height, width = events.extent
        raise DataError(
            f"events reach x = {width - 1} and y = {height - 1}, which no sensor has: expected the columns "
            "t, x, y, p in this order; data.sensor = [height, width] says how large the sensor is"
        )
    return events
