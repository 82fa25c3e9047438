"""From events to binary spikes on a grid of time steps and pixels, computed once and cached on disk."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bisnn_pyro.data.checks import check_choice, check_count, check_flag, check_number
from bisnn_pyro.data.events.formats import Events, Sensor
from bisnn_pyro.data.events.layouts import Layout, Reader, UnreadableError, relative_name
from bisnn_pyro.data.events.spikes import Recordings, SpikeFile, write_spikes
from bisnn_pyro.data.limits import check_example, enough_memory
from bisnn_pyro.data.location import cache_folder
from bisnn_pyro.errors import DataError, DataWarning
from bisnn_pyro.files import PREFIX, atomic_path

_LONGEST = 1e9
"""Milliseconds; 11 days."""
_FEW = 0.01
"""Share of the events within the time steps below which the settings or the unit of time may be wrong."""
_FIRST_STEPS = 10
"""All events in the first of so many parts of the steps may mean so, too."""


@dataclass(frozen=True)
class Binning:
    """How recordings become spikes; an input spikes in a step if any event falls there.

    Attributes:
        time_step: Length of a step in milliseconds, a whole number of microseconds.
        n_steps: T; later events are cut off, and a shorter recording ends in silence.
        start: Where step 0 begins, in milliseconds after ``zero``.
        crop: ``(top, left, height, width)`` of the pixels kept; None for all.
        downsample: Side of the square of pixels, counted after the crop, that become one input.
        polarity: ``"keep"``: OFF and ON are channels 0 and 1; ``"merge"``: one channel for both;
            ``"on-only"``: one channel, OFF events dropped.
        zero: What time is counted from: ``"clock"``, the file's own zero, or ``"first-event"``.

    Raises:
        DataError: If a setting is out of range.

    Example:
        >>> import numpy as np
        >>> events = Events(np.array([0, 1500, 1700]), np.array([0, 1, 1]), np.array([0, 0, 0]),
        ...                 np.array([1, 1, 1]))
        >>> Binning(time_step=1.0, n_steps=3, polarity="merge").spikes(events, sensor=(1, 2))
        array([[1, 0],
               [0, 1],
               [0, 0]], dtype=uint8)
    """

    time_step: float
    n_steps: int
    start: float = 0.0
    crop: Sequence[int] | None = None
    downsample: int = 1
    polarity: str = "keep"
    zero: str = "clock"

    def __post_init__(self) -> None:
        step = check_number("data.time_step", self.time_step, 0.001, _LONGEST) * 1000
        if abs(step - round(step)) > 1e-6:
            raise DataError(
                f"data.time_step is {self.time_step!r} milliseconds; expected a whole number of microseconds"
            )
        check_count("data.n_steps", self.n_steps)
        check_number("data.start", self.start, 0.0, _LONGEST)
        check_count("data.downsample", self.downsample)
        check_choice("data.polarity", self.polarity, ("keep", "merge", "on-only"))
        check_choice("data.zero", self.zero, ("clock", "first-event"))
        if self.crop is not None:
            if isinstance(self.crop, str) or not isinstance(self.crop, Sequence) or len(self.crop) != 4:
                raise DataError(f"data.crop is {self.crop!r}; expected [top, left, height, width]")
            for value, minimum in zip(self.crop, (0, 0, 1, 1), strict=True):
                check_count("a number of data.crop", value, minimum)

    def image_shape(self, sensor: Sensor) -> tuple[int, int, int]:
        """``(P, H, W)`` of the inputs that a sensor ``(H, W)`` becomes.

        Raises:
            DataError: If the crop does not lie on the sensor, or there are too many inputs or steps.
        """
        _, _, height, width = self._window(sensor)
        side = self.downsample
        shape = (2 if self.polarity == "keep" else 1, -(-height // side), -(-width // side))
        advice = (
            f"the sensor is {sensor[1]} x {sensor[0]} pixels (one event far off makes it larger); set "
            "data.sensor, data.crop, data.downsample or data.n_steps"
        )
        check_example(self.n_steps, prod(shape), advice)
        return shape

    def steps(self, events: Events) -> np.ndarray:
        """The step of each event, int64 ``[n]``; it may be below 0 or beyond the last."""
        zero = int(events.t.min()) if self.zero == "first-event" and len(events) else 0
        return (events.t - (zero + round(self.start * 1000))) // round(self.time_step * 1000)

    def coverage(self, events: Events) -> Coverage:
        """Count the events that fall within the steps."""
        step = self.steps(events)
        inside = step[(step >= 0) & (step < self.n_steps)]
        used = int(inside.max()) + 1 if len(inside) else 0
        return Coverage(len(events), len(inside), used, events.duration)

    def doubts(self, found: Coverage) -> list[str]:
        """Say what looks as if times were not microseconds, or the steps were elsewhere."""
        span, longest = self.time_step * self.n_steps, found.duration / 1000
        lasts = f"recordings last up to {longest:g} ms, if their times are microseconds as expected"
        doubts = []
        share = found.n_inside / max(found.n_events, 1)
        # The first event of a short recording is within the steps in any unit.
        if share < _FEW or (share < 10 * _FEW and span < _FEW * longest):
            doubts.append(
                f"{share:.2%} of the events fall within the {span:g} ms of the time steps; {lasts} "
                "(data.start, data.zero, data.time_step and data.n_steps set the steps)"
            )
        if self.n_steps >= _FIRST_STEPS and 0 < found.used <= self.n_steps // _FIRST_STEPS:
            doubts.append(f"no event falls after step {found.used} of {self.n_steps}; {lasts}")
        return doubts

    def new_spikes(self, events: Events, sensor: Sensor, name: str = "the recording") -> np.ndarray:
        """Bin a recording that a finished run is to predict, ``[T, I]``.

        Raises:
            DataError: If no event falls within the time steps.
        """
        found, span = self.coverage(events), self.time_step * self.n_steps
        if not found.n_inside:
            first, last = (t / 1000 for t in (events.t.min(), events.t.max())) if len(events) else (0, 0)
            raise DataError(
                f"no event of {name} falls within the {span:g} ms after data.start = {self.start:g} ms, "
                f"counted from its {self.zero}: its {len(events)} events lie between {first:g} and {last:g} "
                "ms of its clock; shift them as in the training recordings"
            )
        for doubt in self.doubts(found):
            warnings.warn(f"{name}: {doubt}", DataWarning, stacklevel=3)
        return self.spikes(events, sensor)

    def packed(self, events: Events, sensor: Sensor) -> np.ndarray:
        """Bin one recording.

        Args:
            events: The events.
            sensor: ``(H, W)`` of the sensor that they lie on.

        Returns:
            The spikes ``[T, P, H, W]``, flattened and packed to bits by ``numpy.packbits``.
        """
        top, left, height, width = self._window(sensor)
        channels, rows, columns = self.image_shape(sensor)
        step = self.steps(events)
        y, x = events.y.astype(np.int64) - top, events.x.astype(np.int64) - left
        inside = (step >= 0) & (step < self.n_steps)
        if self.crop is not None:
            inside &= (y >= 0) & (y < height) & (x >= 0) & (x < width)
        if self.polarity == "on-only":
            inside &= events.p > 0
        if self.downsample > 1:
            y, x = y // self.downsample, x // self.downsample
        channel = step * 2 + events.p if channels == 2 else step
        flat = (channel * rows + y) * columns + x
        dense = np.zeros(self.n_steps * channels * rows * columns, np.uint8)
        dense[flat[inside]] = 1
        return np.packbits(dense)

    def spikes(self, events: Events, sensor: Sensor) -> np.ndarray:
        """Bin one recording to spikes ``[T, I]``, uint8, with I = P H W."""
        size = prod(self.image_shape(sensor))
        return np.unpackbits(self.packed(events, sensor), count=self.n_steps * size).reshape(-1, size)

    def _window(self, sensor: Sensor) -> tuple[int, int, int, int]:
        if self.crop is None:
            return 0, 0, *sensor
        top, left, height, width = self.crop
        if top + height > sensor[0] or left + width > sensor[1]:
            raise DataError(
                f"data.crop is {list(self.crop)} (top, left, height, width), beyond the sensor of height "
                f"{sensor[0]} and width {sensor[1]}"
            )
        return top, left, height, width


@dataclass(frozen=True)
class Coverage:
    """How the events of recordings fall into the time steps.

    Attributes:
        n_events: Number of events.
        n_inside: Those within the steps.
        used: The last step with an event, counted from 1; 0 if there is none.
        duration: Microseconds of the longest recording.
    """

    n_events: int = 0
    n_inside: int = 0
    used: int = 0
    duration: int = 0

    def __add__(self, other: Coverage) -> Coverage:
        """Both together."""
        return Coverage(
            self.n_events + other.n_events,
            self.n_inside + other.n_inside,
            max(self.used, other.used),
            max(self.duration, other.duration),
        )


# --- binned once, and kept in the user's cache folder -----------------------------------------------------

_QUIET_SECONDS = 3.0
_FORMAT = 3
_HINT = "(data.on_error = 'skip' leaves such recordings out)"


@dataclass(frozen=True)
class Binned:
    """All recordings of a data set as spikes.

    Attributes:
        spikes: The readable recordings, ``[n, T, I]``.
        rows: Their numbers in the layout, int64 ``[n]``.
        image_shape: ``(P, H, W)``, I = P H W.
        sensor: ``(H, W)`` of the sensor, as given by the set, the user or the files.
        refused: What was wrong with each of the others.
        doubts: What looks as if the settings did not suit the recordings, one clause each.
    """

    spikes: Recordings
    rows: np.ndarray
    image_shape: tuple[int, int, int]
    sensor: Sensor
    refused: tuple[str, ...]
    doubts: tuple[str, ...] = ()


def bin_recordings(
    name: str, layout: Layout, binning: Binning, on_error: str = "raise", cache: bool = True
) -> Binned:
    """Bin all recordings, or find them in the cache: each is read once, and memory holds one at a time.

    The spikes go to ``<the user's cache>/<name>/binned``, one file per setting: a change of the settings or
    of any source file (folder, name, size, time of change) makes another file.  It gets its name when it is
    complete, so an interrupted run leaves no file that could be mistaken for one.  With ``cache=False``, or
    if that folder is not writable, they go to a temporary file that disappears with the process.  A
    recording that the system could not read is tried again the next time.

    Args:
        name: The data set's folder in the cache.
        layout: The recordings.
        binning: How they become spikes.
        on_error: ``"raise"``, or ``"skip"`` to leave out unreadable recordings.
        cache: Whether to keep the spikes.

    Returns:
        The spikes and what was left out.

    Raises:
        DataError: If a recording cannot be read and ``on_error`` is ``"raise"``, none can be read, or none
            has an event within the steps.
        OSError: If neither the cache nor a temporary file can be written.
    """
    check_choice("data.on_error", on_error, ("raise", "skip"))
    file = _cached(name, layout, binning, on_error) if check_flag("data.cache", cache) else None
    if file is None:
        stream: Any = tempfile.TemporaryFile()  # noqa: SIM115  (the SpikeFile closes it)
        _write(stream, name, layout, binning, on_error)
        file = SpikeFile(stream, f"the temporary file of {name}")
    return _checked(file, layout, binning, on_error)


def cache_key(layout: Layout, binning: Binning) -> str:
    """The name of a cached file: a hash of the settings and of the source files' state."""
    settings = asdict(binning) | {"time_step": float(binning.time_step), "start": float(binning.start)}
    state: list[Any] = [_FORMAT, settings, layout.sensor, str(layout.root.resolve())]
    state += [(relative_name(file, layout.root), *_stat(file)) for file in layout.files]
    state += [(r.label, r.part, r.span, r.row) for r in layout.recordings]
    return hashlib.sha256(json.dumps(state).encode()).hexdigest()[:24]


def _stat(file: Path) -> tuple[int, int]:
    """Size and time of change; zeros for a file that has disappeared, which reading will report."""
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _cached(name: str, layout: Layout, binning: Binning, on_error: str) -> SpikeFile | None:
    """Open the cached file, made now if necessary; None if it cannot be kept."""
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


def _write(stream: Any, name: str, layout: Layout, binning: Binning, on_error: str) -> None:
    header: dict[str, Any] = {"refused": {}, "n_silent": 0, "unreadable": False}
    sensor = layout.sensor or _measured(name, layout, on_error, header)
    header |= {"image_shape": binning.image_shape(sensor), "sensor": sensor}
    read, found = Reader(sensor), Coverage()

    def packed() -> Iterator[np.ndarray | None]:
        """Give the packed spikes of each recording, None for an unreadable one, and count both."""
        nonlocal found
        for number, recording in enumerate(_progress(f"binning {name}", layout)):
            try:
                events = read(recording)
                with enough_memory("its spikes"):
                    bits = binning.packed(events, sensor)
            except DataError as error:
                _skip(error, on_error, header)
                header["refused"][str(number)] = str(error)
                yield None
                continue
            header["n_silent"] += not bits.any()
            found += binning.coverage(events)
            yield bits
        header["coverage"] = asdict(found)

    write_spikes(stream, packed(), header)


def _measured(name: str, layout: Layout, on_error: str, header: dict[str, Any]) -> Sensor:
    """The smallest sensor that holds all recordings, for formats that do not say."""
    read, height, width = Reader(), 1, 1
    for recording in _progress(f"measuring {name}", layout):
        try:
            events = read(recording)
        except DataError as error:
            _skip(error, on_error, header)
            continue
        own = events.sensor or events.extent
        height, width = max(height, own[0]), max(width, own[1])
    return height, width


def _skip(error: DataError, on_error: str, header: dict[str, Any]) -> None:
    """Raise, or leave the recording out and note whether another attempt may read it."""
    if on_error == "raise":
        raise DataError(f"{error} {_HINT}") from error
    header["unreadable"] |= isinstance(error, UnreadableError)


def _progress(what: str, layout: Layout) -> Any:
    """Iterate over the recordings; a terminal shows a bar once it takes a while."""
    return tqdm(layout.recordings, what, disable=None, delay=_QUIET_SECONDS, leave=False)


def _checked(file: SpikeFile, layout: Layout, binning: Binning, on_error: str) -> Binned:
    refused = {int(number): reason for number, reason in file.header["refused"].items()}
    first = next(iter(refused.values()), "")
    if refused and on_error == "raise":
        raise DataError(f"{first} {_HINT}")
    rows = np.setdiff1d(np.arange(len(layout.recordings)), np.array([*refused], dtype=np.int64))
    if not len(rows):
        raise DataError(f"none of the {len(refused)} recordings in {layout.root} can be read; first: {first}")
    if file.header["n_silent"] == len(rows):
        span = binning.time_step * binning.n_steps
        raise DataError(
            f"no recording in {layout.root} has an event in the {span:g} ms after data.start = "
            f"{binning.start:g} ms, within the crop; data.time_step is in milliseconds, and times count from "
            f"the {binning.zero}"
        )
    image_shape = tuple(file.header["image_shape"])
    spikes = Recordings(file, rows, binning.n_steps, int(np.prod(image_shape)))
    doubts = binning.doubts(Coverage(**file.header["coverage"]))
    if n_silent := file.header["n_silent"]:
        doubts.append(f"{n_silent} of {len(rows)} recordings have no spike in the time steps")
    return Binned(
        spikes, rows, image_shape, tuple(file.header["sensor"]), tuple(refused.values()), tuple(doubts)
    )


# --- keeping the cache small ------------------------------------------------------------------------------

_A_DAY = 24 * 60 * 60.0
"""Seconds; no writer takes longer, and another process may delete the files of one that does."""


@dataclass(frozen=True)
class Cleared:
    """What :func:`clear_cache` removed, or would remove.

    Attributes:
        folders: The folders of binned recordings.
        n_files: Files in them.
        size: Their bytes.
    """

    folders: tuple[Path, ...]
    n_files: int
    size: int


def remove_leftovers(folder: Path) -> None:
    """Remove what writers left that were killed more than a day ago; younger files may still be written."""
    for entry in folder.glob(f"{PREFIX}*"):
        try:
            if time.time() - entry.stat().st_mtime > _A_DAY:
                shutil.rmtree(entry, ignore_errors=True)
        except OSError:  # another process was first
            continue


def clear_cache(*, dry_run: bool = False) -> Cleared:
    """Delete all binned recordings from the user's cache; downloads stay, and the next run bins again.

    Args:
        dry_run: Report what would be deleted, and delete nothing.

    Raises:
        DataError: If a folder is a link.
        OSError: If something cannot be deleted.
    """
    folders = tuple(sorted(f for f in cache_folder("").glob("*/binned") if f.is_dir()))
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    cleared = Cleared(folders, len(files), sum(file.stat().st_size for file in files))
    if not dry_run:
        for folder in folders:
            if folder.is_symlink():
                raise DataError(f"{folder} is a link, which is left alone; remove it by hand")
            shutil.rmtree(folder)
    return cleared
