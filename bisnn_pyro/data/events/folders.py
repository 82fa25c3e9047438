"""Recordings in one folder a class: N-MNIST, POKER-DVS and users' own."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from bisnn_pyro.data.events.layout import Layout, Recording, visible
from bisnn_pyro.data.events.reader import READERS
from bisnn_pyro.data.events.record import Sensor

_PART = re.compile(r"(?:.*[^a-z])?(train|test)(?:ing)?", re.IGNORECASE)


def find_classes(
    root: Path, suffixes: Collection[str] = tuple(READERS), sensor: Sensor | None = None
) -> Layout | None:
    """Find ``class/recording``, or ``Train/class/recording`` and ``Test/class/recording``.

    A part's folder is named ``train`` or ``test`` in any case, with or without a prefix (``pips_train``).
    Files of other suffixes, and hidden ones, are passed over.

    Args:
        root: The folder.
        suffixes: Those of the recordings.
        sensor: ``(H, W)`` of all recordings, if known.

    Returns:
        The recordings; None where there are none.
    """
    parts = {folder: match[1].lower() for folder in _folders(root) if (match := _PART.fullmatch(folder.name))}
    if parts:
        order = sorted(parts, key=lambda folder: (parts[folder] != "train", folder.name))
        found = [r for folder in order for r in _below(folder, parts[folder], suffixes)]
        kind = f"{' and '.join(folder.name for folder in order)}, one folder a class"
    else:
        found, kind = list(_below(root, "", suffixes)), "one folder a class"
    return Layout(kind, root, tuple(found), sensor) if found else None


def find_flat(root: Path, suffixes: Collection[str] = tuple(READERS)) -> Layout | None:
    """Find recordings that lie in the folder itself, without classes; None where there are none."""
    found = tuple(Recording(file) for file in _files(root, suffixes))
    return Layout("a flat folder, no classes", root, found) if found else None


def _below(folder: Path, part: str, suffixes: Collection[str]) -> Iterator[Recording]:
    for label in _folders(folder):
        for file in _files(label, suffixes):
            yield Recording(file, label.name, part)


def _folders(root: Path) -> list[Path]:
    return [entry for entry in visible(root) if entry.is_dir()]


def _files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    return [entry for entry in visible(folder) if entry.suffix.lower() in suffixes and entry.is_file()]
