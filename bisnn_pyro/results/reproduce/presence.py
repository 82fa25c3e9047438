"""Whether a published data set is there, without a download."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from bisnn_pyro.data.download import cache_folder
from bisnn_pyro.data.events.place import EventSet, locate_recordings
from bisnn_pyro.data.events.published import MNIST_DVS, NMNIST
from bisnn_pyro.data.images import FASHION_MNIST, MNIST
from bisnn_pyro.data.location import PublishedSet, locate
from bisnn_pyro.data.user_folders import FOLDER_VARIABLE
from bisnn_pyro.errors import DataError

PUBLISHED = {own.name: own for own in (MNIST, FASHION_MNIST, NMNIST, MNIST_DVS)}


def absence(name: str, data_dir: Path | None = None) -> str | None:
    """Return why a data set is not there, in words; None where it is.

    It has to be in `data_dir`; without, in ``$BISNN_DATA`` or among earlier downloads.  A reproduction
    downloads nothing by itself: what it runs should not hang on a server.
    """
    if any(_size(PUBLISHED[name], place) for place in _places(name, data_dir)):
        return None
    if data_dir is not None:
        return f"no {name} in {data_dir}"
    return f"no {name} in {FOLDER_VARIABLE} or among the downloads; give --data-dir"


def n_recordings(name: str, data_dir: Path | None = None) -> int:
    """Return how many recordings of an event set there are."""
    return next((n for place in _places(name, data_dir) if (n := _size(PUBLISHED[name], place))), 0)


def _places(name: str, data_dir: Path | None) -> Iterator[Path]:
    if data_dir is not None:
        yield data_dir
        return
    variable = os.environ.get(FOLDER_VARIABLE)
    if variable:
        yield Path(variable)
    yield cache_folder(name)


def _size(wanted: PublishedSet | EventSet, place: Path) -> int:
    """Return how many files or recordings a place has; those of a single class are none to learn from."""
    try:
        if isinstance(wanted, PublishedSet):
            return len(locate(wanted, place))
        found = locate_recordings(wanted, place).recordings
    except DataError:
        return 0
    return len(found) if len({recording.label for recording in found}) > 1 else 0
