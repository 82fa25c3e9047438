"""Where the files of a published data set are: a folder of the user's, or the publisher's server."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bisnn_pyro.data.download import cache_folder, download
from bisnn_pyro.data.user_folders import FOLDER_VARIABLE, shared_folder, user_folder
from bisnn_pyro.errors import DataError


@dataclass(frozen=True)
class PublishedSet:
    """A data set that others publish as a few files.

    Attributes:
        name: Its name, ``data.name``.
        folders: What its folder is called below a folder of data sets, the usual name first.
        url: The publisher's folder, with a slash at its end.
        md5: The published files (``.gz``) and their MD5 checksums.
    """

    name: str
    folders: tuple[str, ...]
    url: str
    md5: Mapping[str, str]

    @property
    def files(self) -> list[str]:
        """The names of the files, unpacked."""
        return [name.removesuffix(".gz") for name in self.md5]


def locate(published: PublishedSet, path: str | os.PathLike[str] | None = None) -> dict[str, Path]:
    """Find the files of a data set; none of the user's own folders is ever written to.

    In this order: ``path``, the set's own folder or its parent; ``$BISNN_DATA``, a folder that holds one
    folder a set; the user's cache, into which the publisher's files are downloaded with their checksums
    if they are not there yet.  Files may be compressed (``.gz``) or not.

    Args:
        published: The data set.
        path: The user's folder (``data.path``, ``--data-dir``).

    Returns:
        The path of each of :attr:`PublishedSet.files`.

    Raises:
        DataError: If a folder or a file is missing, or there is no folder and the download fails.
    """
    if path is not None:
        return _below(published, user_folder(path))
    root = shared_folder(published.folders[0])
    if root is None:
        return _downloaded(published, f"data.path and {FOLDER_VARIABLE} are not set")
    found = _first(published, (root / name for name in published.folders))
    if found is None:
        return _downloaded(published, f"{FOLDER_VARIABLE} = {root} has no files of it")
    return _complete(published, *found)


def _below(published: PublishedSet, folder: Path) -> dict[str, Path]:
    """Find the files in this folder or, where it is the parent of several sets, in its own one."""
    places = [*(folder / name for name in published.folders), folder, folder / "raw"]
    found = _first(published, places)
    if found is None:
        entries = sorted(p.name for p in folder.iterdir())
        held = ", ".join(entries[:6]) + (", ..." if len(entries) > 6 else "") if entries else "nothing"
        raise DataError(
            f"{folder} has no files of {published.name}: looked there and in its "
            f"{_listing(published.folders)} for {_listing(published.files)}, compressed (.gz) or not; "
            f"the folder holds {held}"
        )
    return _complete(published, *found)


def _first(published: PublishedSet, places: Iterable[Path]) -> tuple[Path, dict[str, Path]] | None:
    """Return the first place with any of the files, and those that are there."""
    for place in places:
        there = {name: file for name in published.files if (file := _either(place / name)) is not None}
        if there:
            return place, there
    return None


def _either(file: Path) -> Path | None:
    packed = file.with_name(f"{file.name}.gz")
    return next((f for f in (file, packed) if f.is_file()), None)


def _complete(published: PublishedSet, place: Path, there: dict[str, Path]) -> dict[str, Path]:
    missing = [name for name in published.files if name not in there]
    if missing:
        raise DataError(
            f"{place} holds only a part of {published.name}: {_listing(missing)} (or .gz) is missing; "
            f"{published.url} has the files"
        )
    return there


def _downloaded(published: PublishedSet, why: str) -> dict[str, Path]:
    try:
        paths = download(published.name, published.url, published.md5)
    except OSError as error:
        raise DataError(
            f"no files of {published.name}: {why}, and the download of {published.url} into "
            f"{cache_folder(published.name)} failed ({error}). Three ways out: --data-dir DIR (or data.path) "
            f"with a folder that holds {_listing(published.files)}, compressed (.gz) or not; "
            f"{FOLDER_VARIABLE}=DIR where DIR/{published.folders[0]} is that folder; or a network"
        ) from error
    return dict(zip(published.files, paths, strict=True))


def _listing(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
