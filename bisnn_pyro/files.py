"""Writing a file, or a folder of them, whole or not at all."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from bisnn_pyro.errors import BisnnError, RunFolderError

PREFIX = ".writing-"
"""What the names of temporary folders begin with; the process and its host follow."""
FULL = 1 << 16
"""Bytes free below which a disk is full for whoever fails to write to it."""
ABOUT_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Errors of the system that a write to an open file can meet, and that name no file then."""
A_DAY = 24 * 60 * 60.0
"""Seconds; no writer takes longer, so what another host left is then nobody's."""


def real(path: str | os.PathLike[str]) -> Path:
    """Return where a path leads to: absolute and without links; it need not exist.

    Raises:
        RunFolderError: if it is not a path: links in a circle, a zero byte, a name that is too long.

    Example:
        >>> real("/tmp/a/../b").name
        'b'
    """
    try:
        found = Path(path).resolve()
        found.exists()  # not found is an answer, too long is not
        return found
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RunFolderError(f"{str(path)[:200]!r} cannot be used as a path: {reason}") from error


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name next to `path` to write to; it takes the name `path` when the block succeeds.

    The folder is made where it is missing.  A reader never sees half a file, and a block that raises
    leaves an older file as it was.

    Args:
        path: the final name.

    Yields:
        The temporary name, in the same folder and with the same suffix.

    Raises:
        OSError: with `path` in it, where the block could not write and the error names no file; for any error
            of a library on a full disk, too.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    _tidy(str(target.parent.absolute()))
    # A folder, not a file: mkstemp would fix the mode at 0600, the writer's own open() respects umask.
    with tempfile.TemporaryDirectory(prefix=_own_prefix(), dir=target.parent) as folder:
        temporary = Path(folder) / target.name
        try:
            yield temporary
        except BisnnError:
            raise
        except Exception as error:
            number = _system_error(error, folder)
            if number is None:
                raise
            raise OSError(number, os.strerror(number), str(target)) from error
        try:
            os.replace(temporary, target)
        except OSError as error:  # a folder has that name; the temporary one says nothing to anybody
            raise OSError(error.errno, error.strerror, str(target)) from error


def write_whole(path: str | os.PathLike[str], content: bytes | memoryview) -> Path:
    """Write a file whole or not at all; return its path.

    For libraries that do not survive an error of the system while they write: HDF5 ends the process.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
    return Path(path)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder to fill, which takes the place of the folder `path` when the block succeeds.

    A block that raises leaves an older folder as it was.  What killed processes left beside it is removed.

    Args:
        path: the final name.

    Yields:
        The temporary folder, beside the final one.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(target.parent)
    if os.path.lexists(target) and not target.is_dir():
        raise RunFolderError(f"{target} is in the way: it is not a folder; move it away")
    with tempfile.TemporaryDirectory(prefix=_own_prefix(), dir=target.parent) as folder:
        fresh, old = Path(folder) / target.name, Path(folder) / "old"
        fresh.mkdir()
        yield fresh
        if target.exists():
            target.rename(old)
        fresh.rename(target)


@cache
def _tidy(folder: str) -> None:
    """Remove what was left in a folder, before this process first writes there."""
    remove_leftovers(folder)


def remove_leftovers(folder: str | os.PathLike[str], *, ours: bool = False) -> None:
    """Remove the temporary folders of processes that were killed, directly in a folder.

    Those of other hosts, whose processes cannot be seen, are removed once they are a day old.

    Args:
        folder: the folder.
        ours: whether nobody else may write here, so that those of other hosts can be removed at once.
    """
    for entry in Path(folder).glob(f"{PREFIX}*"):
        host, _, rest = entry.name.removeprefix(PREFIX).partition("-")
        pid = rest.partition("-")[0]
        try:
            dead = not is_alive(int(pid)) if host == _host() and pid.isdecimal() else ours
            if dead or time.time() - entry.stat().st_mtime > A_DAY:
                shutil.rmtree(entry, ignore_errors=True)
        except OSError:  # another process was first
            continue


def is_alive(pid: int) -> bool:
    """Return whether this host has a process with this number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def _own_prefix() -> str:
    return f"{PREFIX}{_host()}-{os.getpid()}-"


def _host() -> str:
    """Return a short name of this host that suits a file name."""
    return f"{zlib.crc32(platform.node().encode()):08x}"


def _system_error(error: Exception, folder: str) -> int | None:
    """Return what the system said of a file that it did not name, as a number; None where it said nothing."""
    if isinstance(error, OSError) and error.filename is None and error.errno in ABOUT_WRITING:
        return error.errno
    # Writers that meet a full disk raise what they like: a RuntimeError, an AttributeError.
    if not isinstance(error, OSError) and shutil.disk_usage(folder).free < FULL:
        return errno.ENOSPC
    return None
