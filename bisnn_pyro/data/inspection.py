"""What data there are: the recordings in a folder, and the size of a published set."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from bisnn_pyro.data.events.formats import Events, Sensor
from bisnn_pyro.data.events.layouts import Layout, Reader, Recording, find_layout
from bisnn_pyro.data.events.sets import dvs_gesture, mnist_dvs, nmnist, poker_dvs, shd
from bisnn_pyro.data.images import FASHION_MNIST, MNIST
from bisnn_pyro.data.limits import check_example
from bisnn_pyro.data.location import FOLDER_VARIABLE, PublishedSet, cache_folder
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

MAX_PICTURES = 30
UNLABELLED = "(none)"
_SHORT, _LONG = 3.0, 60_000.0
"""Milliseconds between which recordings of one example last; others may count in another unit."""
_TIME_CELLS, _UNIT_CELLS = 100, 100


@dataclass(frozen=True)
class Facts:
    """What one recording holds.

    Attributes:
        recording: Where it is.
        n_events: Number of events.
        duration: Microseconds from the first event to the last.
        begin: Microseconds from the clock's zero to the first event.
        on_share: Share of ON events.
        sensor: ``(H, W)``; None if neither the set nor the file says.
        extent: The smallest sensor that holds the events.
    """

    recording: Recording
    n_events: int
    duration: int
    begin: int
    on_share: float
    sensor: Sensor | None
    extent: Sensor

    @classmethod
    def of(cls, recording: Recording, events: Events) -> Facts:
        """Measure a recording."""
        on_share = float(np.mean(events.p))
        begin = int(events.t.min())
        return cls(recording, len(events), events.duration, begin, on_share, events.sensor, events.extent)

    @property
    def rate(self) -> float:
        """Events per second; NaN for a recording without a duration."""
        return self.n_events / self.duration * 1e6 if self.duration else float("nan")

    @property
    def label(self) -> str:
        """Its class, or "(none)"."""
        return self.recording.label or UNLABELLED


@dataclass(frozen=True)
class Pictures:
    """One picture per class: the counts of events per cell.

    Attributes:
        panels: Title, caption and counts ``[H, W]`` of each.
        axis_names: What the columns and the rows of the counts are.
        extent: Upper ends of both axes, which begin at 0; None for the numbers of columns and rows.
    """

    panels: Sequence[tuple[str, str, np.ndarray]]
    axis_names: tuple[str, str] = ("x (pixels)", "y (pixels)")
    extent: tuple[float, float] | None = None


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        layout: The recordings.
        facts: Of the readable ones, ordered by class.
        refused: What is wrong with each of the others.
        examples: Class -> the facts and the events of its first recording, for the first 30 classes.
    """

    layout: Layout
    facts: Sequence[Facts]
    refused: Sequence[str]
    examples: dict[str, tuple[Facts, Events]]

    @property
    def sensor(self) -> Sensor:
        """``(H, W)`` of the largest sensor, or the smallest that holds all events if no file says."""
        heights, widths = zip(*(fact.sensor or fact.extent for fact in self.facts), strict=True)
        return max(heights), max(widths)

    def summary(self) -> str:
        """The heading, a table with one row per class, and the recordings that cannot be read."""
        formats = Counter(fact.recording.path.suffix.lower() for fact in self.facts)
        kinds = ", ".join(f"{n} {suffix}" for suffix, n in sorted(formats.items()))
        height, width = self.sensor
        if any(fact.sensor is None for fact in self.facts):
            size = f"events lie within {width} x {height} pixels (width x height; the files name no sensor)"
        else:
            size = f"sensor: {width} x {height} pixels (width x height)"
        on = np.average([fact.on_share for fact in self.facts], weights=[f.n_events for f in self.facts])
        head = [
            f"{self.layout.root}: {self.layout.kind}",
            f"recordings: {len(self.facts)} ({kinds}), refused: {len(self.refused)}",
            f"{size}; {on:.0%} of the events are ON",
            *(f"note: {note}" for note in (*self.layout.notes, *self.doubts)),
        ]
        tail = [f"\nrefused ({len(self.refused)}):", *(f"  {reason}" for reason in self.refused)]
        return "\n".join([*head, "", *self._table(), *(tail if self.refused else [])])

    @property
    def doubts(self) -> list[str]:
        """What looks as if times were not microseconds, or did not count from the first event."""
        duration = float(np.median([fact.duration for fact in self.facts])) / 1000
        begin = float(np.median([fact.begin for fact in self.facts])) / 1000
        doubts = []
        if not _SHORT <= duration <= _LONG:
            more, unit = ("less", "milliseconds") if duration < _SHORT else ("more", "nanoseconds")
            doubts.append(
                f"half of the recordings last {duration:.4g} ms or {more}, read as microseconds; if the "
                f"files count {unit}, convert them"
            )
        if abs(begin) > duration:
            doubts.append(
                f"half of the recordings begin after {begin:.4g} ms of their clock, longer than they last; "
                "data.zero = 'first-event' counts from the first event"
            )
        return doubts

    def frame(self) -> pd.DataFrame:
        """One row per readable recording: its file, class, part, and what it holds."""
        import pandas as pd

        return pd.DataFrame(
            {
                "recording": str(fact.recording),
                "class": fact.recording.label,
                "part": fact.recording.part,
                "events": fact.n_events,
                "duration_us": fact.duration,
                "events_per_second": fact.rate,
                "on_share": fact.on_share,
                "height": fact.extent[0],
                "width": fact.extent[1],
            }
            for fact in self.facts
        )

    def pictures(self) -> Pictures:
        """One picture per class: events per pixel, or over time if the sensor is a single row."""
        check_example(1, prod(self.sensor), "one event far off makes the pictures large")
        end = max(int(events.t.max() - events.t.min()) + 1 for _, events in self.examples.values())
        flat = self.sensor[0] == 1
        panels = [
            (
                f"class {label}" if fact.recording.label else fact.recording.path.name,
                f"{fact.n_events} events\n{fact.duration / 1000:.4g} ms",
                _over_time(events, self.sensor[1], end) if flat else _on_pixels(events, self.sensor),
            )
            for label, (fact, events) in self.examples.items()
        ]
        return (
            Pictures(panels, ("time (ms)", "unit"), (end / 1000, self.sensor[1]))
            if flat
            else Pictures(panels)
        )

    def _table(self) -> Iterator[str]:
        """The lines of a table with one row per class and one for all recordings."""
        groups: dict[str, list[Facts]] = {}
        for fact in self.facts:
            groups.setdefault(fact.label, []).append(fact)
        if len(groups) > 1:
            groups["all"] = list(self.facts)
        parted = any(fact.recording.part for fact in self.facts)
        rows = [["class", "recordings", "train", "test", "events", "duration (ms)", "rate (events/s)"]]
        rows += [_row(label, group, parted) for label, group in groups.items()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        rows.insert(1, ["-" * width for width in widths])
        for label, *cells in rows:
            numbers = (cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True))
            yield "  ".join([label.ljust(widths[0]), *numbers]).rstrip()
        yield "events, duration and rate: minimum / median / maximum over recordings"


def inspect_recordings(path: str | os.PathLike[str], *, progress: bool = False) -> Inspection:
    """Read all recordings in a folder.

    Args:
        path: A folder, or one recording.
        progress: Whether to show a progress bar.

    Raises:
        DataError: If it has no recordings, or none can be read.
    """
    layout = find_layout(path)
    read = Reader(layout.sensor)
    facts: list[Facts] = []
    refused: list[str] = []
    examples: dict[str, tuple[Facts, Events]] = {}
    for recording in tqdm(layout.recordings, disable=not progress, leave=False):
        try:
            events = read(recording)
        except DataError as error:
            refused.append(str(error))
            continue
        fact = Facts.of(recording, events)
        facts.append(fact)
        if len(examples) < MAX_PICTURES:
            examples.setdefault(fact.label, (fact, events))
    if not facts:
        raise DataError(f"none of the {len(refused)} recordings in {layout.root} can be read: {refused[0]}")
    facts.sort(key=lambda fact: _order(fact.label))
    chosen = {label: examples[label] for label in sorted(examples, key=_order)}
    return Inspection(layout, facts, refused, chosen)


def published_size(name: str, data_dir: str | os.PathLike[str] | None = None) -> int:
    """How many files or recordings of a published set there are; nothing is downloaded.

    Args:
        name: ``data.name`` of the set.
        data_dir: Where to look; None for ``$BISNN_DATA``, then earlier downloads.

    Returns:
        The number; 0 if the set is not there, is incomplete, or has recordings of a single class only.
    """
    sets = (MNIST, FASHION_MNIST, nmnist, poker_dvs, mnist_dvs, dvs_gesture, shd)
    wanted: PublishedSet[Any] = next(own for own in sets if own.name == name)
    variable = os.environ.get(FOLDER_VARIABLE)
    places: list[str | os.PathLike[str]] = (
        [data_dir] if data_dir is not None else [*([variable] if variable else []), cache_folder(name)]
    )
    return next((size for place in places if (size := _size(wanted, place))), 0)


def _size(wanted: PublishedSet[Any], place: str | os.PathLike[str]) -> int:
    try:
        found = wanted.locate(place)
    except DataError:
        return 0
    if not isinstance(found, Layout):
        return len(found)
    return len(found.recordings) if len({r.label for r in found.recordings}) > 1 else 0


def _order(label: str) -> tuple[int, str]:
    """Numbers first, in their order, then names in theirs."""
    return (int(label), "") if label.isdecimal() else (sys.maxsize, label)


def _row(label: str, facts: Sequence[Facts], parted: bool) -> list[str]:
    counts = Counter(fact.recording.part for fact in facts)
    parts = [str(counts[part]) if parted else "-" for part in ("train", "test")]
    spreads = (
        _spread([fact.n_events for fact in facts], ".0f"),
        _spread([fact.duration / 1000 for fact in facts], ".1f"),
        _spread([fact.rate for fact in facts], ".0f"),
    )
    return [label, str(len(facts)), *parts, *spreads]


def _spread(values: Sequence[float], form: str) -> str:
    finite = np.array(values)[np.isfinite(values)]
    if not len(finite):
        return "-"
    return " / ".join(f"{v:{form}}" for v in (finite.min(), np.median(finite), finite.max()))


def _on_pixels(events: Events, sensor: Sensor) -> np.ndarray:
    height, width = sensor
    flat = events.y.astype(np.int64) * width + events.x
    return np.bincount(flat, minlength=height * width).reshape(height, width)


def _over_time(events: Events, units: int, end: int) -> np.ndarray:
    rows = min(units, _UNIT_CELLS)
    row = events.x.astype(np.int64) * rows // units
    share = (events.t - events.t.min()) / end  # times the number of cells, whole numbers may exceed 64 bits
    column = np.minimum((share * _TIME_CELLS).astype(np.int64), _TIME_CELLS - 1)
    return np.bincount(row * _TIME_CELLS + column, minlength=rows * _TIME_CELLS).reshape(rows, _TIME_CELLS)
