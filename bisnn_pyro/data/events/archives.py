"""Publishers' archives, downloaded and unpacked into the user's cache."""

from __future__ import annotations

import tarfile
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from bisnn_pyro.data.download import cache_folder, download


def fetch(name: str, url: str, md5: Mapping[str, str]) -> Path:
    """Download and unpack the archives that are not there yet.

    Args:
        name: The data set, a folder of the cache.
        url: The folder at the publisher's, with a slash at its end.
        md5: The archives (zip or tar) and their checksums.

    Returns:
        The folder with the contents of all of them.

    Raises:
        OSError: If the server cannot be reached, what comes is damaged, or the cache cannot be written.
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
    """Unpack aside, then give each entry its name: a folder that is there is whole."""
    with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=root) as aside:
        try:
            if zipfile.is_zipfile(archive):
                with zipfile.ZipFile(archive) as packed:
                    packed.extractall(aside)
            else:
                with tarfile.open(archive) as packed_tar:
                    packed_tar.extractall(aside, filter="data")
        except (tarfile.TarError, zipfile.BadZipFile) as error:
            raise OSError(f"{archive} cannot be unpacked: {error}") from error
        for entry in Path(aside).iterdir():
            if not (root / entry.name).exists():  # another process may have been first
                entry.rename(root / entry.name)
