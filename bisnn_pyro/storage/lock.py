"""One writer for each folder: a second process is refused, and a killed one blocks nobody."""

from __future__ import annotations

import errno
import json
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.files import ABOUT_WRITING, is_alive, real

_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
"""What file systems without locks answer."""
_OF_THE_DISK = {*ABOUT_WRITING, errno.ENOMEM} - {errno.EROFS}
"""Errors that another folder on the same disk would meet as well."""
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""A lock in somebody else's folder may be a link to a file of the user's own, which must not be written."""


@contextmanager
def locked(folder: str | os.PathLike[str], *, wait: bool = False) -> Iterator[None]:
    """Hold a folder for a block.

    The lock is the file ``.lock-<folder>`` beside it, with process, host and time, and is gone afterwards.
    The system frees it when a process ends, however that happens.  On file systems without locks the process
    that the file names decides, as long as it lives on this host.

    Args:
        folder: the folder; it need not exist.
        wait: wait for another process instead of refusing.

    Raises:
        RunFolderError: if another process, or another thread, holds it; or if the folder's own folder cannot
            be written to.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as out, locked(f"{out}/bayes-seed0"):
        ...     with locked(f"{out}/bayes-seed0"):
        ...         pass
        Traceback (most recent call last):
        ...
        bisnn_pyro.errors.RunFolderError: ...
    """
    target = real(folder)
    path = target.with_name(f".lock-{target.name}")
    made = [parent for parent in path.parents if not parent.exists()]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquired(path, Path(folder), wait)
    except OSError as error:
        _remove_empty(made)
        if error.errno in _OF_THE_DISK:
            raise
        where = "" if error.filename is None else f" ({error.filename})"
        raise RunFolderError(
            f"cannot make the run folder {folder}: {error.strerror}{where}; give another --out"
        ) from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        _remove_empty(made)


def _acquired(path: Path, folder: Path, wait: bool) -> int:
    """Return the descriptor of the file, which is locked as long as it is open."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _NO_LINK, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EEXIST, "it is not a file", str(path))
            if os.fstat(descriptor).st_nlink > 1:
                raise OSError(errno.EEXIST, "it is a second name of another file", str(path))
            if not _lock(descriptor, wait):
                raise RunFolderError(_refusal(path, folder))
            if _is_at(descriptor, path):
                _sign(descriptor, path)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed it meanwhile


def _lock(descriptor: int, wait: bool) -> bool:
    """Lock the file; return whether it is ours now."""
    try:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except (ImportError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _UNSUPPORTED:
            raise
        return not _lives(_holder(os.pread(descriptor, 1000, 0)))
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False


def _sign(descriptor: int, path: Path) -> None:
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    text = json.dumps({"pid": os.getpid(), "host": platform.node(), "since": since})
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


def _holder(content: bytes) -> dict[str, object]:
    try:
        found = json.loads(content)
    except ValueError:  # its holder has not written it yet
        return {}
    return found if isinstance(found, dict) else {}


def _lives(holder: dict[str, object]) -> bool:
    pid = holder.get("pid")
    if not isinstance(pid, int) or pid == os.getpid():
        return False
    return holder.get("host") != platform.node() or is_alive(pid)


def _refusal(path: Path, folder: Path) -> str:
    holder: dict[str, object] = {}
    with suppress(OSError):
        holder = _holder(path.read_bytes())
    who = "another process"
    if {"pid", "host", "since"} <= holder.keys():
        who = f"process {holder['pid']} on {holder['host']} (since {holder['since']})"
    return f"{folder} is being written by {who}; wait until it is done, or give another --out"


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
