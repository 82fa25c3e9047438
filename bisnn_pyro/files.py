"""Writing a file whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bisnn_pyro.errors import BisnnError

PREFIX = ".writing-"
"""What the names of temporary folders begin with."""
FULL = 1 << 16
"""Bytes free below which a disk is full for whoever fails to write to it."""
ABOUT_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
"""Errors of the system that a write to an open file can meet, and that name no file then."""


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
    # A folder, not a file: mkstemp would fix the mode at 0600, the writer's own open() respects umask.
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=target.parent) as folder:
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
        os.replace(temporary, target)


def _system_error(error: Exception, folder: str) -> int | None:
    """Return what the system said of a file that it did not name, as a number; None where it said nothing."""
    if isinstance(error, OSError) and error.filename is None and error.errno in ABOUT_WRITING:
        return error.errno
    # Writers that meet a full disk raise what they like: a RuntimeError, an AttributeError.
    if not isinstance(error, OSError) and shutil.disk_usage(folder).free < FULL:
        return errno.ENOSPC
    return None
