"""From recordings on disk to a task of ready spikes."""

from __future__ import annotations

import numpy as np

from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.cache import Binned, bin_recordings
from bisnn_pyro.data.events.layout import Layout, fingerprint
from bisnn_pyro.data.events.shares import Shares
from bisnn_pyro.data.labels import LabelMap
from bisnn_pyro.data.task import Split, Task
from bisnn_pyro.errors import DataError

_NAMED = 5
"""Refused recordings that a note names; the others are counted."""


def event_task(
    name: str, layout: Layout, binning: Binning, shares: Shares, on_error: str = "raise", cache: bool = True
) -> Task:
    """Bin recordings and split them.

    Args:
        name: The task's name, and its folder in the cache.
        layout: The recordings.
        binning: How they become spikes.
        shares: Which of them train, validate and test.
        on_error: ``"raise"``, or ``"skip"`` for leaving out what cannot be read; ``Task.notes`` says what.
        cache: Whether to keep the spikes in the user's cache.

    Returns:
        A classification task whose ``x`` are :class:`~bisnn_pyro.data.events.recordings.Recordings`.

    Raises:
        DataError: If a recording or a setting is not as described, or a class has no training recording.
    """
    binned = bin_recordings(name, layout, binning, on_error, cache)
    raw = _labels([recording.label for recording in layout.recordings])
    labels = LabelMap.fit(raw[binned.rows])
    if len(labels.labels) < 2:
        raise DataError(
            f"the {len(binned.rows)} recordings in {layout.root} are all of class {labels.names[0]}; "
            "expected 2 classes or more"
        )
    # All recordings are dealt out, and those that cannot be read leave gaps: one that is damaged later, or
    # mended, moves no other from one part to another.
    parts = np.array([recording.part for recording in layout.recordings])
    train, val, test = (
        np.flatnonzero(np.isin(binned.rows, rows))
        for rows in shares.split(parts, np.unique(raw, return_inverse=True)[1])
    )
    y = labels.encode(raw[binned.rows])
    for what, rows in (("training", train), ("test", test)):
        if not len(rows):
            raise DataError(
                f"no {what} recording in {layout.root} can be read: {'; '.join(binned.refused[:1])}"
            )
    missing = np.setdiff1d(y, y[train])
    if len(missing):
        raise DataError(
            f"no training recording in {layout.root} is of class {labels.names[missing[0]]}, which others "
            "are; use more training recordings, or fewer classes or folds"
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
        notes=(*layout.notes, *_notes(binned)),
        binning=binning,
        sensor=binned.sensor,
    )


def _labels(names: list[str]) -> np.ndarray:
    """Class names, as numbers where all of them are, each another one."""
    classes = set(names)
    numbered = all(n.isdecimal() for n in classes) and len({int(n) for n in classes}) == len(classes)
    return np.array([int(n) for n in names] if numbered else names)


def _notes(binned: Binned) -> tuple[str, ...]:
    n = len(binned.refused)
    if not n:
        return ()
    named = "; ".join(binned.refused[:_NAMED]) + (f"; and {n - _NAMED} more" if n > _NAMED else "")
    return (f"{n} of {n + len(binned.rows)} recordings cannot be read and were left out: {named}",)
