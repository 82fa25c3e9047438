"""Recordings in one folder a class: N-MNIST, POKER-DVS and users' own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from bisnn_pyro.data.events.layout import Layout, Recording, visible
from bisnn_pyro.data.events.reader import READERS
from bisnn_pyro.data.events.record import Sensor

_NAMED = 6
_PART = re.compile(r"(?:.*[^a-z])?(train|test)(?:ing)?", re.IGNORECASE)


def find_classes(
    root: Path, suffixes: Collection[str] = tuple(READERS), sensor: Sensor | None = None
) -> Layout | None:
    """Find ``class/recording``, or ``Train/class/recording`` and ``Test/class/recording``.

    A part's folder is named ``train`` or ``test`` in any case, with or without a prefix (``pips_train``), and
    holds folders of recordings; one that holds recordings itself is a class of that name.  Files of other
    suffixes, and hidden ones, are passed over; so are recordings in other places, which the notes name.

    Args:
        root: The folder.
        suffixes: Those of the recordings.
        sensor: ``(H, W)`` of all recordings, if known.

    Returns:
        The recordings; None where there are none.
    """
    named = [(match[1].lower(), f) for f in _folders(root) if (match := _PART.fullmatch(f.name))]
    parts = [(part, f, found) for part, f in named if (found := list(_below(f, part, suffixes)))]
    if parts:
        parts.sort(key=lambda item: (item[0] != "train", item[1].name))
        found = [recording for *_, own in parts for recording in own]
        read = " and ".join(folder.name for _, folder, _ in parts)
        kind = f"{read}, one folder a class"
        why = f"only {read} are read (data.n_val takes validation recordings from the training part)"
    else:
        found, kind = list(_below(root, "", suffixes)), "one folder a class"
        why = "they lie in no folder of a class"
    notes = _passed_over(root, {recording.path.parent for recording in found}, suffixes, why)
    return Layout(kind, root, tuple(found), sensor, notes) if found else None


def find_flat(root: Path, suffixes: Collection[str] = tuple(READERS)) -> Layout | None:
    """Find recordings that lie in the folder itself, without classes; None where there are none."""
    found = tuple(Recording(file) for file in _files(root, suffixes))
    return Layout("a flat folder, no classes", root, found) if found else None


def _passed_over(root: Path, taken: Collection[Path], suffixes: Collection[str], why: str) -> tuple[str, ...]:
    """Say which entries of a folder have recordings that are not taken, two folders down at most."""
    names = [f.name for f in _files(root, suffixes)]
    for folder in _folders(root):
        if folder in taken:
            continue
        inside = [inner for inner in _folders(folder) if inner not in taken]
        names += [f"{folder.name}/" for f in (folder, *inside) if _files(f, suffixes)][:1]
    if not names:
        return ()
    listed = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    return (f"recordings in {root} that were passed over: {listed}; {why}",)


def _below(folder: Path, part: str, suffixes: Collection[str]) -> Iterator[Recording]:
    for label in _folders(folder):
        for file in _files(label, suffixes):
            yield Recording(file, label.name, part)


def _folders(root: Path) -> list[Path]:
    return [entry for entry in visible(root) if entry.is_dir()]


def _files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    return [entry for entry in visible(folder) if entry.suffix.lower() in suffixes and entry.is_file()]
