"""Recordings binned once and kept in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bisnn_pyro.data.checks import check_choice
from bisnn_pyro.data.download import cache_folder
from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.housekeeping import remove_leftovers
from bisnn_pyro.data.events.layout import Layout, relative_name
from bisnn_pyro.data.events.reader import Reader, UnreadableError
from bisnn_pyro.data.events.record import Sensor
from bisnn_pyro.data.events.recordings import Recordings
from bisnn_pyro.data.events.spike_file import SpikeFile, write_spikes
from bisnn_pyro.errors import DataError
from bisnn_pyro.files import atomic_path

ON_ERROR = ("raise", "skip")
_QUIET_SECONDS = 3.0
_FORMAT = 2
_HINT = "(data.on_error = 'skip' leaves such recordings out)"


@dataclass(frozen=True)
class Binned:
    """All recordings of a data set as spikes.

    Attributes:
        spikes: Those that could be read, ``[n, T, I]``.
        rows: Their numbers in the layout, int64 ``[n]``.
        image_shape: ``(P, H, W)``, I = P H W.
        sensor: ``(H, W)`` of the sensor, as the set, the user or the files say.
        refused: What was wrong with each of the others.
    """

    spikes: Recordings
    rows: np.ndarray
    image_shape: tuple[int, int, int]
    sensor: Sensor
    refused: tuple[str, ...]


def bin_recordings(
    name: str, layout: Layout, binning: Binning, on_error: str = "raise", cache: bool = True
) -> Binned:
    """Bin all recordings, or find them binned: each is read once, and memory holds one at a time.

    The spikes go to ``<the user's cache>/<name>/binned``, a file a setting: a change of the settings or of
    any source file (folder, name, size, time of change) makes another file.  It takes its name when it is
    complete, so that a run that is interrupted leaves nothing that could be read.  With ``cache=False``,
    and where that folder cannot be written, they go to a temporary file that the process takes along.  A
    recording that the system could not read is tried anew the next time.

    Args:
        name: The data set's folder in the cache.
        layout: The recordings.
        binning: How they become spikes.
        on_error: ``"raise"``, or ``"skip"`` for leaving out what cannot be read.
        cache: Whether to keep the spikes.

    Returns:
        The spikes and what was left out.

    Raises:
        DataError: If a recording cannot be read and ``on_error`` is ``"raise"``, none can be, or none has
            an event within the steps.
        OSError: If neither the cache nor a temporary file can be written.
    """
    check_choice("data.on_error", on_error, ON_ERROR)
    if not isinstance(cache, bool):
        raise DataError(f"data.cache is {cache!r}; expected true or false")
    file = _cached(name, layout, binning, on_error) if cache else None
    if file is None:
        file = _temporary(name, layout, binning, on_error)
    return _checked(file, layout, binning, on_error)


def cache_key(layout: Layout, binning: Binning) -> str:
    """What tells one cached file from another: a hash of the settings and of the source files' state."""
    settings = asdict(binning) | {"time_step": float(binning.time_step), "start": float(binning.start)}
    state: list[Any] = [_FORMAT, settings, layout.sensor, str(layout.root.resolve())]
    state += [(relative_name(file, layout.root), *_stat(file)) for file in layout.files]
    state += [(r.label, r.part, r.span, r.row) for r in layout.recordings]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:24]


def _cached(name: str, layout: Layout, binning: Binning, on_error: str) -> SpikeFile | None:
    """Open the cached file, made now if need be; None where it cannot be kept."""
    path = cache_folder(name) / "binned" / f"{cache_key(layout, binning)}.spikes"
    found = _opened(path)
    if found is not None and not found.header["unreadable"]:
        return found
    try:
        remove_leftovers(path.parent)
        with atomic_path(path) as temporary, temporary.open("xb") as stream:
            _write(stream, name, layout, binning, on_error)
    except OSError:  # a folder that is read-only or full; sources that cannot be read are a DataError
        return None
    return _opened(path)


def _opened(path: Path) -> SpikeFile | None:
    try:
        return SpikeFile.at(path)
    except (OSError, DataError):
        return None


def _temporary(name: str, layout: Layout, binning: Binning, on_error: str) -> SpikeFile:
    stream: Any = tempfile.TemporaryFile()  # noqa: SIM115  (the SpikeFile closes it)
    _write(stream, name, layout, binning, on_error)
    return SpikeFile(stream, f"the temporary file of {name}")


def _write(stream: Any, name: str, layout: Layout, binning: Binning, on_error: str) -> None:
    header: dict[str, Any] = {"refused": {}, "n_silent": 0, "unreadable": False}
    sensor = layout.sensor or _sensor(name, layout, on_error, header)
    header |= {"image_shape": binning.image_shape(sensor), "sensor": sensor}
    write_spikes(stream, _packed(name, layout, sensor, binning, on_error, header), header)


def _packed(
    name: str, layout: Layout, sensor: Sensor, binning: Binning, on_error: str, header: dict[str, Any]
) -> Iterator[np.ndarray | None]:
    """Give the packed spikes of each recording, None for one that cannot be read, and count both."""
    read = Reader(sensor)
    for number, recording in enumerate(_progress(f"binning {name}", layout)):
        try:
            bits = binning.packed(read(recording), sensor)
        except DataError as error:
            _skip(error, on_error, header)
            header["refused"][str(number)] = str(error)
            yield None
            continue
        header["n_silent"] += not bits.any()
        yield bits


def _skip(error: DataError, on_error: str, header: dict[str, Any]) -> None:
    """Raise, or leave the recording out and remember whether another try may read it."""
    if on_error == "raise":
        raise DataError(f"{error} {_HINT}") from error
    header["unreadable"] |= isinstance(error, UnreadableError)


def _sensor(name: str, layout: Layout, on_error: str, header: dict[str, Any]) -> Sensor:
    """The smallest sensor that holds all recordings, for formats that do not say."""
    read, height, width = Reader(), 1, 1
    for recording in _progress(f"measuring {name}", layout):
        try:
            events = read(recording)
        except DataError as error:
            _skip(error, on_error, header)
            continue
        height, width = (
            max(a, b) for a, b in zip((height, width), events.sensor or events.extent, strict=True)
        )
    return height, width


def _progress(what: str, layout: Layout) -> Any:
    """Go through the recordings; a terminal sees a bar once it takes a while."""
    return tqdm(layout.recordings, what, disable=None, delay=_QUIET_SECONDS, leave=False)


def _checked(file: SpikeFile, layout: Layout, binning: Binning, on_error: str) -> Binned:
    refused = {int(number): reason for number, reason in file.header["refused"].items()}
    if refused and on_error == "raise":
        reason = next(iter(refused.values()))
        raise DataError(f"{reason} {_HINT}")
    rows = np.setdiff1d(np.arange(len(layout.recordings)), np.array([*refused], dtype=np.int64))
    if not len(rows):
        raise DataError(
            f"none of the {len(refused)} recordings in {layout.root} can be read; the first: "
            f"{next(iter(refused.values()))}"
        )
    if file.header["n_silent"] == len(rows):
        span = binning.time_step * binning.n_steps
        raise DataError(
            f"no recording in {layout.root} has an event in the {span:g} ms from data.start = "
            f"{binning.start:g} ms on, within the crop; data.time_step is in milliseconds"
        )
    image_shape = tuple(file.header["image_shape"])
    spikes = Recordings(file, rows, binning.n_steps, int(np.prod(image_shape)))
    return Binned(spikes, rows, image_shape, tuple(file.header["sensor"]), tuple(refused.values()))


def _stat(file: Path) -> tuple[int, int]:
    """Size and time of change; zeros for a file that has gone, which reading will name."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns
