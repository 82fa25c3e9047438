"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".writing-"
"""What the names of temporary folders begin with."""


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name beside `path` to write to; it takes the name `path` when the block succeeds.

    The folder is made where it is missing.  A reader never sees half a file, and a block that raises
    leaves an older file as it was.

    Args:
        path: the final name.

    Yields:
        The temporary name, in the same folder and with the same suffix.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    # A folder, not a file: mkstemp would fix the mode at 0600, the writer's own open() respects umask.
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=target.parent) as folder:
        temporary = Path(folder) / target.name
        yield temporary
        os.replace(temporary, target)
