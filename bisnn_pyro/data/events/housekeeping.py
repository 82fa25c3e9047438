"""The cache of binned recordings kept small: what interrupted runs left, and all of it on demand."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from bisnn_pyro.data.download import cache_folder
from bisnn_pyro.files import PREFIX

_A_DAY = 24 * 60 * 60.0
"""Seconds; nobody writes for longer, and whoever does may lose what another process tidies away."""


@dataclass(frozen=True)
class Cleared:
    """What :func:`clear_cache` removed, or would.

    Attributes:
        folders: The folders of binned recordings.
        n_files: Files in them.
        size: Their bytes.
    """

    folders: tuple[Path, ...]
    n_files: int
    size: int


def remove_leftovers(folder: Path) -> None:
    """Remove what writers that were killed more than a day ago left behind; others may be writing still."""
    for entry in folder.glob(f"{PREFIX}*"):
        try:
            if time.time() - entry.stat().st_mtime > _A_DAY:
                shutil.rmtree(entry, ignore_errors=True)
        except OSError:  # another process was first
            continue


def clear_cache(*, dry_run: bool = False) -> Cleared:
    """Delete all binned recordings from the user's cache; downloads stay, and the next run bins anew.

    Args:
        dry_run: Only say what there is.

    Raises:
        OSError: If something cannot be deleted.
    """
    folders = tuple(sorted(f for f in cache_folder("").glob("*/binned") if f.is_dir()))
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    cleared = Cleared(folders, len(files), sum(file.stat().st_size for file in files))
    if not dry_run:
        for folder in folders:
            shutil.rmtree(folder)
    return cleared
