"""Where a published set of recordings is: a folder of the user's, or the publisher's archives."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bisnn_pyro.data.download import cache_folder
from bisnn_pyro.data.events.archives import fetch
from bisnn_pyro.data.events.layout import Layout, visible
from bisnn_pyro.data.user_folders import FOLDER_VARIABLE, shared_folder, user_folder
from bisnn_pyro.errors import DataError


@dataclass(frozen=True)
class EventSet:
    """A published set.

    Attributes:
        name: ``data.name``.
        find: Finds its recordings in a folder; None where there are none.
        holds: What such a folder holds, in words.
        source: Where to get it, a sentence.
        folders: What its folder's name may begin with, in lower case without marks.
        url: The folder of the archives at the publisher's, with a slash at its end.
        md5: The archives (zip or tar) and their checksums; none where there is no stable address.
    """

    name: str
    find: Callable[[Path], Layout | None]
    holds: str
    source: str
    folders: tuple[str, ...]
    url: str = ""
    md5: Mapping[str, str] = field(default_factory=dict)


def locate_recordings(wanted: EventSet, path: str | os.PathLike[str] | None = None) -> Layout:
    """Find a set's recordings; none of the user's own folders is ever written to.

    In this order: ``path``, the set's own folder or its parent; ``$BISNN_DATA``, a folder that holds one
    folder a set; the user's cache, into which the archives are downloaded and unpacked.  A set's folder is
    one whose name begins like the set's, whatever its case and marks (``nmnist``, ``N-MNIST``,
    ``nmnist_small``), or one in there.  Any part of the set will do.

    Args:
        wanted: The set.
        path: The user's folder (``data.path``, ``--data-dir``).

    Returns:
        The recordings.

    Raises:
        DataError: If there are none, and they cannot be downloaded; the message says where to get them.
    """
    if path is not None:
        folder = user_folder(path)
        found = _search(wanted, folder)
        if found is None:
            raise DataError(
                f"{folder} has no recordings of {wanted.name}: looked for {wanted.holds}, there and in its "
                f"folders named like the set; it holds {_listing(folder)}. {wanted.source}"
            )
        return found
    root = shared_folder(wanted.name)
    if root is None:
        return _downloaded(wanted, f"data.path and {FOLDER_VARIABLE} are not set")
    return _search(wanted, root) or _downloaded(wanted, f"{FOLDER_VARIABLE} = {root} has none")


def _search(wanted: EventSet, root: Path) -> Layout | None:
    """Look in the folders named like the set, those inside them, and the folder itself."""
    places = [*_named(wanted, root)]
    inside = [inner for place in places for inner in _named(wanted, place)]
    return next((found for place in (*places, *inside, root) if (found := wanted.find(place))), None)


def _named(wanted: EventSet, root: Path) -> Iterator[Path]:
    """The folders named like the set, the shortest name first."""
    for entry in sorted(visible(root), key=lambda entry: (len(entry.name), entry.name)):
        if re.sub(r"[^a-z0-9]", "", entry.name.lower()).startswith(wanted.folders) and entry.is_dir():
            yield entry


def _downloaded(wanted: EventSet, why: str) -> Layout:
    ways = (
        f"{wanted.source} Then use --data-dir DIR (or data.path) with a folder that holds {wanted.holds}, "
        f"or {FOLDER_VARIABLE}=DIR where DIR/{wanted.name} is that folder"
    )
    if not wanted.md5:
        raise DataError(f"no recordings of {wanted.name}: {why}, and there is no download. {ways}")
    root = cache_folder(wanted.name)
    try:
        unpacked = fetch(wanted.name, wanted.url, wanted.md5)
    except OSError as error:
        raise DataError(
            f"no recordings of {wanted.name}: {why}, and the download of {wanted.url} into {root} failed "
            f"({error}). {ways}"
        ) from error
    found = _search(wanted, unpacked)
    if found is None:
        raise DataError(f"{unpacked} lacks {wanted.holds}; delete {root}, and it is downloaded anew")
    return found


def _listing(root: Path) -> str:
    names = [entry.name for entry in visible(root)]
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") or "nothing"
