"""``bisnn data inspect``: what recordings there are, in numbers and pictures."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bisnn_pyro.analysis import Picture, PrintedTable, plot_recordings, save_figure
from bisnn_pyro.data.events.layout import Layout
from bisnn_pyro.data.events.record import Events, Sensor
from bisnn_pyro.data.events.survey import Facts, find_layout, survey
from bisnn_pyro.errors import DataError

MAX_PICTURES = 30
UNLABELLED = "(none)"
_TIME_CELLS, _UNIT_CELLS = 100, 100


@dataclass(frozen=True)
class Inspection:
    """What was found.

    Attributes:
        layout: the recordings.
        facts: of those that can be read, class after class.
        refused: what is wrong with each of the others.
        examples: class -> the facts and the events of its first recording, of the first 30 classes.
    """

    layout: Layout
    facts: Sequence[Facts]
    refused: Sequence[str]
    examples: dict[str, tuple[Facts, Events]]

    @property
    def sensor(self) -> Sensor:
        """``(H, W)`` of the largest sensor, or the smallest that holds all events where nothing says."""
        heights, widths = zip(*(fact.sensor or fact.extent for fact in self.facts), strict=True)
        return max(heights), max(widths)

    def summary(self) -> str:
        """The heading, a table with a row a class, and the recordings that cannot be read."""
        formats = Counter(fact.recording.path.suffix.lower() for fact in self.facts)
        kinds = ", ".join(f"{n} {suffix}" for suffix, n in sorted(formats.items()))
        head = [
            f"{self.layout.root}: {self.layout.kind}",
            f"recordings: {len(self.facts)} ({kinds}), refused: {len(self.refused)}",
            f"{self._size()}; {self._polarity()}",
            *(f"note: {note}" for note in self.layout.notes),
        ]
        refused = [f"  {reason}" for reason in self.refused]
        tail = [f"\nrefused ({len(refused)}):", *refused] if refused else []
        return "\n".join([*head, "", self.table().plain(), *tail])

    def table(self) -> PrintedTable:
        """A row a class and one for all; the numbers are those of each recording."""
        groups: dict[str, list[Facts]] = {}
        for fact in self.facts:
            groups.setdefault(_label(fact), []).append(fact)
        if len(groups) > 1:
            groups["all"] = list(self.facts)
        parted = any(fact.recording.part for fact in self.facts)
        rows = [_row(label, group, parted) for label, group in groups.items()]
        header = ["class", "recordings", "train", "test", "events", "duration (ms)", "rate (events/s)"]
        notes = ["events, duration and rate: minimum / median / maximum over recordings"]
        numbers = [_numbers(fact) for fact in self.facts]
        return PrintedTable(header, rows, [False, *[True] * 6], notes, numbers)

    def write(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Write ``pictures.pdf``, ``.png`` and ``.csv``, and ``recordings.csv``, a row a recording."""
        plot = _plot(self.examples, self.sensor)
        pictures = save_figure(plot.figure, folder, "pictures", plot.table)
        return [*pictures.values(), self.table().write(Path(folder) / "recordings.csv")]

    def _size(self) -> str:
        height, width = self.sensor
        if any(fact.sensor is None for fact in self.facts):
            return f"events lie within {width} x {height} pixels (width x height; no file says the sensor's)"
        return f"sensor: {width} x {height} pixels (width x height)"

    def _polarity(self) -> str:
        share = np.average([fact.on_share for fact in self.facts], weights=[f.n_events for f in self.facts])
        return f"{share:.0%} of the events are ON"


def inspect_recordings(path: str | os.PathLike[str], *, progress: bool = False) -> Inspection:
    """Read all recordings below a folder.

    Args:
        path: a folder, or one recording.
        progress: show a bar.

    Raises:
        DataError: if there are none, or none can be read.
    """
    layout = find_layout(path)
    facts: list[Facts] = []
    refused: list[str] = []
    examples: dict[str, tuple[Facts, Events]] = {}
    bar = tqdm(survey(layout), total=len(layout.recordings), disable=not progress, leave=False)
    for found in bar:
        if isinstance(found, DataError):
            refused.append(str(found))
            continue
        facts.append(found[0])
        if len(examples) < MAX_PICTURES:
            examples.setdefault(_label(found[0]), found)
    if not facts:
        raise DataError(f"none of the {len(refused)} recordings in {layout.root} can be read: {refused[0]}")
    facts.sort(key=lambda fact: _order(_label(fact)))
    return Inspection(
        layout, facts, refused, {label: examples[label] for label in sorted(examples, key=_order)}
    )


def _label(fact: Facts) -> str:
    return fact.recording.label or UNLABELLED


def _order(label: str) -> tuple[int, str]:
    """Numbers in their order, then names in theirs."""
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


def _numbers(fact: Facts) -> dict[str, Any]:
    recording = fact.recording
    return {
        "recording": str(recording),
        "class": recording.label,
        "part": recording.part,
        "events": fact.n_events,
        "duration_us": fact.duration,
        "events_per_second": fact.rate,
        "on_share": fact.on_share,
        "height": fact.extent[0],
        "width": fact.extent[1],
    }


def _plot(examples: dict[str, tuple[Facts, Events]], sensor: Sensor) -> Any:
    """One picture a class: events a pixel, or over time where the sensor is a single row."""
    ends = [int(events.t.max() - events.t.min()) + 1 for _, events in examples.values()]
    flat = sensor[0] == 1
    pictures = [
        Picture(
            f"class {label}" if fact.recording.label else fact.recording.path.name,
            f"{fact.n_events} events\n{fact.duration / 1000:.4g} ms",
            _over_time(events, sensor[1], max(ends)) if flat else _on_pixels(events, sensor),
        )
        for label, (fact, events) in examples.items()
    ]
    if flat:
        return plot_recordings(pictures, ("time (ms)", "unit"), (max(ends) / 1000, sensor[1]))
    return plot_recordings(pictures)


def _on_pixels(events: Events, sensor: Sensor) -> np.ndarray:
    height, width = sensor
    flat = events.y.astype(np.int64) * width + events.x
    return np.bincount(flat, minlength=height * width).reshape(height, width)


def _over_time(events: Events, units: int, end: int) -> np.ndarray:
    rows = min(units, _UNIT_CELLS)
    row = events.x.astype(np.int64) * rows // units
    column = (events.t - events.t.min()) * _TIME_CELLS // end
    return np.bincount(row * _TIME_CELLS + column, minlength=rows * _TIME_CELLS).reshape(rows, _TIME_CELLS)
