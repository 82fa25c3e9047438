"""From recordings on disk to a task of ready spikes."""

from __future__ import annotations

import numpy as np

from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.cache import Binned, bin_recordings
from bisnn_pyro.data.events.layout import Layout
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
    chosen = [layout.recordings[row] for row in binned.rows]
    raw = _labels([recording.label for recording in chosen])
    labels = LabelMap.fit(raw)
    if len(labels.labels) < 2:
        raise DataError(
            f"the {len(chosen)} recordings in {layout.root} are all of class {labels.names[0]}; "
            "expected 2 classes or more"
        )
    y = labels.encode(raw)
    train, val, test = shares.split(np.array([recording.part for recording in chosen]), y)
    missing = np.setdiff1d(y, y[train])
    if len(missing):
        raise DataError(
            f"no training recording in {layout.root} is of class {labels.names[missing[0]]}, which others "
            "are; use more training recordings, or fewer classes or folds"
        )

    def part(rows: np.ndarray) -> Split:
        return Split(binned.spikes.take(rows), y[rows])

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
        notes=_notes(binned),
    )


def _labels(names: list[str]) -> np.ndarray:
    """Class names, as numbers where all of them are."""
    return np.array([int(n) for n in names] if all(n.isdecimal() for n in names) else names)


def _notes(binned: Binned) -> tuple[str, ...]:
    n = len(binned.refused)
    if not n:
        return ()
    named = "; ".join(binned.refused[:_NAMED]) + (f"; and {n - _NAMED} more" if n > _NAMED else "")
    return (f"{n} of {n + len(binned.rows)} recordings cannot be read and were left out: {named}",)
