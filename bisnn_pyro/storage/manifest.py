"""``manifest.json``: size and SHA-256 of every file of a folder, so that a change never passes unnoticed."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.files import PREFIX, write_whole

NAME = "manifest.json"
FORMAT = 1
LARGE = 1 << 24
"""Bytes from which a file is hashed once per process and state; smaller ones are hashed at every reading."""

_accepting: ContextVar[bool] = ContextVar("accepting", default=False)


@contextmanager
def accept_changed(wanted: bool = True) -> Iterator[None]:
    """Let files of run folders be read within a block although they are not as the run wrote them.

    For a deliberate edit.  On the command line the option is ``--accept-changed``.

    Example::

        with bisnn_pyro.accept_changed():
            bisnn_pyro.compare("runs/edited")
    """
    token = _accepting.set(wanted or _accepting.get())
    try:
        yield
    finally:
        _accepting.reset(token)


def accept_from_now_on(wanted: bool) -> None:
    """Accept changed files in the rest of a process: a worker that does what its parent does."""
    _accepting.set(wanted)


def accepting() -> bool:
    """Return whether changed files are accepted here."""
    return _accepting.get()


@dataclass(frozen=True)
class Manifest:
    """What the files of a folder are.

    Attributes:
        files: path below the folder, with slashes -> size in bytes and SHA-256.
    """

    files: Mapping[str, tuple[int, str]]

    @classmethod
    def of(cls, folder: Path, paths: Iterable[Path]) -> Manifest:
        """Return the manifest of files as they are now."""
        names = sorted(path.relative_to(folder).as_posix() for path in paths)
        return cls({name: _state(folder / name) for name in names})

    @classmethod
    def read(cls, folder: Path) -> Manifest | None:
        """Return the manifest of a folder, None where it has none.

        Raises:
            RunFolderError: if the file itself was changed or cannot be read.
        """
        path = folder / NAME
        if not path.is_file():
            return None
        try:
            text = path.read_text(encoding="utf-8")
            found = cls(
                {name: (own["bytes"], own["sha256"]) for name, own in json.loads(text)["files"].items()}
            )
        except OSError as error:
            raise RunFolderError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            text, found = "", cls({})
        if text != found._text():
            raise RunFolderError(
                f"{path} was edited or damaged, so that no file of its folder can be checked"
            )
        return found

    def write(self, folder: Path) -> None:
        """Write ``manifest.json``, whole or not at all."""
        write_whole(folder / NAME, self._text().encode())

    def check(self, folder: Path, name: str) -> None:
        """Refuse a file that is not the one that was written.

        Raises:
            RunFolderError: if it is missing, or was edited or damaged.
        """
        problem = self.problem(folder, name)
        if problem is not None:
            raise RunFolderError(f"{folder / name} {problem}")

    def problem(self, folder: Path, name: str) -> str | None:
        """Return what is wrong with a file, None where it is as it was written."""
        path = folder / name
        if name not in self.files:
            return f"is not a file that the run wrote: {NAME} does not list it"
        if not path.is_file():
            return "is missing"
        size, digest = self.files[name]
        try:
            found = _state(path)
        except OSError as error:
            return f"cannot be read: {error.strerror}"
        if found == (size, digest):
            return None
        return f"was edited or damaged: {NAME} has another SHA-256"

    def problems(self, folder: Path, except_for: tuple[str, ...] = ()) -> list[str]:
        """Return one line per file that is not as it was written."""
        names = (name for name in self.files if not name.startswith(except_for))
        found = ((name, self.problem(folder, name)) for name in names)
        return [f"{folder / name} {problem}" for name, problem in found if problem is not None]

    def _text(self) -> str:
        files = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in self.files.items()}
        plain: dict[str, Any] = {"format": FORMAT, "files": files}
        own = hashlib.sha256(json.dumps(plain).encode()).hexdigest()
        return json.dumps({**plain, "sha256_of_these": own}, indent=1) + "\n"


def _state(path: Path) -> tuple[int, str]:
    """Return size and SHA-256 of a file."""
    found = path.stat()
    if found.st_size < LARGE:
        content = path.read_bytes()
        return len(content), hashlib.sha256(content).hexdigest()
    return _hashed(path.resolve(), found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


@lru_cache(maxsize=256)
def _hashed(path: Path, size: int, *state: int) -> tuple[int, str]:
    with path.open("rb") as stream:
        return size, hashlib.file_digest(stream, "sha256").hexdigest()


def keep_others(old: Path, new: Path) -> None:
    """Seal a folder that replaces another, and copy into it what somebody else laid into the old one.

    Args:
        old: the folder that is replaced; of one without a manifest nothing is known, and nothing is copied.
        new: the folder with the files that replace those of the old one.

    Raises:
        RunFolderError: if the old manifest was changed, so that it does not tell whose files these are.
    """
    before = Manifest.read(old)
    Manifest.of(new, files_below(new)).write(new)
    if before is None:
        return
    for path in files_below(old):
        name, target = path.relative_to(old).as_posix(), new / path.relative_to(old)
        if name not in {*before.files, NAME} and PREFIX not in name and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)


def files_below(folder: Path) -> list[Path]:
    """Return all files below a folder, at any depth."""
    return [Path(at) / name for at, _, names in os.walk(folder) for name in names]
