"""Where the files of a data set are: a folder of the user's, or the cache of downloads."""

from __future__ import annotations

import os
import tarfile
import tempfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from bisnn_pyro.errors import DataError

FOLDER_VARIABLE = "BISNN_DATA"
"""Environment variable: a folder that holds one folder per data set."""

RETRIES = 1
"""How often a download is repeated that arrives damaged."""

Found = TypeVar("Found")


def given_path(path: Any, expected: str) -> Path:
    """Return the path that a user gave, with ``~`` expanded.

    Args:
        path: ``data.path``, text or a path.
        expected: What it should be, for the message.

    Raises:
        DataError: If it is no path, or the system can have no file of that name.
    """
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise DataError(f"data.path is {path!r}; expected {expected}")
    try:
        found = Path(os.path.expanduser(path))
        found.exists()  # a name may be too long, or in a folder that may not be read
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(
            f"data.path = {str(path)[:80]!r} cannot be used: {reason}; expected {expected}"
        ) from error
    return found


def user_folder(path: str | os.PathLike[str] | None) -> Path:
    """Return the folder that ``data.path`` names, absolute and without ``..``, so that it has a name.

    Raises:
        DataError: If there is no such folder.
    """
    folder = given_path(path, "a folder").absolute()
    folder = folder.resolve() if ".." in folder.parts else folder
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"data.path = {folder} {what}; expected a folder (--data-dir DIR sets it)")
    return folder


def shared_folder(example: str) -> Path | None:
    """Return the folder that ``$BISNN_DATA`` names, absolute; None if the variable is not set.

    Args:
        example: The folder of one data set in there, for the message.

    Raises:
        DataError: If the variable does not name a folder.
    """
    variable = os.environ.get(FOLDER_VARIABLE)
    if not variable:
        return None
    folder = given_path(variable, f"a folder of data sets in {FOLDER_VARIABLE}").absolute()
    if not folder.is_dir():
        raise DataError(
            f"the environment variable {FOLDER_VARIABLE} is {variable!r}, which is not a folder; expected a "
            f"folder with one folder per data set, for example {folder / example}"
        )
    return folder


def cache_folder(name: str) -> Path:
    """The folder of a data set in the user's cache; the environment variable XDG_CACHE_HOME moves it."""
    import pooch  # imports an HTTP client, so only when it is used

    return Path(pooch.os_cache("bisnn_pyro")) / name


def download(name: str, url: str, md5: Mapping[str, str]) -> list[Path]:
    """Download the files that are not in the cache yet; a file with another checksum is downloaded again.

    Args:
        name: The data set, a folder of the cache.
        url: The publisher's folder, ending with a slash.
        md5: The files and their MD5 checksums, which protect against transfer errors, not against malice.

    Returns:
        The files in the cache, in the order of ``md5``.

    Raises:
        OSError: If the server cannot be reached or refuses, a file has another checksum, or the cache
            cannot be written; the message says which.
    """
    import pooch
    from requests.exceptions import ConnectionError, Timeout

    registry = {file: f"md5:{checksum}" for file, checksum in md5.items()}
    fetcher = pooch.create(cache_folder(name), url, registry=registry, retry_if_failed=RETRIES)
    try:
        return [Path(fetcher.fetch(file)) for file in md5]
    except (ConnectionError, Timeout) as error:
        raise OSError(f"no connection to {urlsplit(url).netloc}") from error
    except ValueError as error:  # how pooch reports a wrong checksum
        raise OSError(str(error)) from error


def download_archives(name: str, url: str, md5: Mapping[str, str]) -> Path:
    """Download and unpack the archives (zip or tar) that are not in the cache yet; see :func:`download`.

    Returns:
        The folder with the contents of all of them.

    Raises:
        OSError: As :func:`download`, or if an archive cannot be unpacked.
    """
    root = cache_folder(name) / "unpacked"
    for file, checksum in md5.items():
        done = root / f".{checksum}"
        if not done.exists():
            (archive,) = download(name, url, {file: checksum})
            root.mkdir(parents=True, exist_ok=True)
            _unpack(archive, root)
            done.touch()
    return root


def _unpack(archive: Path, root: Path) -> None:
    """Unpack into a temporary folder, then rename each entry, so that a folder in place is complete."""
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=root) as temporary:
        try:
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as packed:
                    packed.extractall(temporary)
            else:
                with tarfile.open(archive) as packed_tar:
                    packed_tar.extractall(temporary, filter="data")
        except (tarfile.TarError, zipfile.BadZipFile) as error:
            raise OSError(f"{archive} cannot be unpacked: {error}") from error
        for entry in Path(temporary).iterdir():
            if not (root / entry.name).exists():  # another process may have been first
                entry.rename(root / entry.name)


class PublishedSet(ABC, Generic[Found]):
    """A data set that others publish, and the places where it is looked for.

    Args:
        name: ``data.name``.
        folders: Names of its folder below a folder of data sets, the usual one first.
        holds: What its folder contains, in words.
        source: Where to get it, one sentence.
        url: The publisher's folder, ending with a slash; empty if there is no stable address.
        md5: The published files and their MD5 checksums.

    Attributes:
        what: What its data are, for messages.
    """

    what = "files"

    def __init__(
        self,
        name: str,
        folders: tuple[str, ...],
        holds: str,
        source: str,
        url: str = "",
        md5: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.folders, self.holds, self.source = name, folders, holds, source
        self.url, self.md5 = url, dict(md5 or {})

    @abstractmethod
    def search(self, root: Path, shared: bool = False) -> Found | None:
        """Look in a folder, the set's own or its parent; None if the set is not there.

        Args:
            root: The folder.
            shared: Whether it is the folder of all data sets, which none of them owns.
        """

    @abstractmethod
    def download(self) -> Path:
        """Download the set into the user's cache, and return the folder of its files; an OSError if not."""

    def locate(self, path: str | os.PathLike[str] | None = None) -> Found:
        """Find the set; the user's own folders are never written to.

        In this order: ``path``, the set's own folder or its parent; ``$BISNN_DATA``, a folder that holds one
        folder per set; the user's cache, into which the publisher's files are downloaded if necessary.

        Args:
            path: The user's folder (``data.path``, ``--data-dir``).

        Raises:
            DataError: If the set is not there or only in part, or there is no folder and no download.
        """
        if path is not None:
            folder = user_folder(path)
            found = self.search(folder)
            if found is None:
                raise DataError(
                    f"{folder} has no {self.what} of {self.name}: looked there and in its {self._places()} "
                    f"for {self.holds}; it holds {_held(folder)}. {self.source}"
                )
            return found
        root = shared_folder(self.name)
        if root is None:
            return self._downloaded(f"data.path and {FOLDER_VARIABLE} are not set")
        found = self.search(root, shared=True)
        return self._downloaded(f"{FOLDER_VARIABLE} = {root} has none") if found is None else found

    def _places(self) -> str:
        return listing(self.folders)

    def _downloaded(self, why: str) -> Found:
        ways = (
            f"{self.source} Then use --data-dir DIR (or data.path) with a folder that holds {self.holds}, "
            f"or {FOLDER_VARIABLE}=DIR where DIR/{self.name} is that folder"
        )
        if not self.md5:
            raise DataError(f"no {self.what} of {self.name}: {why}, and there is no download. {ways}")
        cache = cache_folder(self.name)
        try:
            found = self.search(self.download())
        except OSError as error:
            raise DataError(
                f"no {self.what} of {self.name}: {why}, and the download of {self.url} into {cache} failed "
                f"({error}). {ways}"
            ) from error
        if found is None:
            raise DataError(f"{cache} lacks {self.holds}; delete the folder to download the set again")
        return found


def listing(names: Iterable[str]) -> str:
    """Join names by commas and "and"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _held(folder: Path) -> str:
    names = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    return ", ".join(names[:6]) + (", ..." if len(names) > 6 else "") or "nothing"
