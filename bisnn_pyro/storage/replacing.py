"""A folder that takes the place of another: whenever the process is killed, the old one or the new is there.

What is to replace ``runs/bayes-seed0`` is made in ``runs/bayes-seed0.next``, or, where it is a matter of
moments, in ``runs/.making-bayes-seed0``.  The old folder then becomes ``runs/.replaced-bayes-seed0``, the new
one takes its name, and the old one is removed.  :func:`settle` finishes or undoes what a kill left of this.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.files import PREFIX
from bisnn_pyro.storage.checkpoint import FOLDER, link_or_copy
from bisnn_pyro.storage.lock import locked
from bisnn_pyro.storage.manifest import NAME

NEXT = ".next"
_MAKING, _REPLACED = HIDDEN = (".making-", ".replaced-")


def beside(target: Path) -> Path:
    """Return where the folder that is to replace this one is made."""
    return target.with_name(f"{target.name}{NEXT}")


def is_complete(path: Path) -> bool:
    """Return whether a folder is finished: it has a manifest, and no checkpoint any more."""
    return (path / NAME).is_file() and not (path / FOLDER).exists()


def take_over(new: Path, target: Path) -> None:
    """Give a new folder the name of the old one, which is removed; the caller holds the lock."""
    old = _named(target, _REPLACED)
    _remove(old)
    if target.exists():
        target.rename(old)
    new.rename(target)
    _remove(old)


@contextmanager
def made_anew(target: Path, *, copy: bool = False) -> Iterator[Path]:
    """Give a hidden folder to write to, which replaces the target when the block succeeds.

    Args:
        target: the folder to replace; the caller holds its lock.
        copy: start from what it holds, except its manifest.
    """
    target = target.resolve()
    new = _named(target, _MAKING)
    _remove(new)
    try:
        if copy:
            ignored = shutil.ignore_patterns(NAME, f"{PREFIX}*")
            shutil.copytree(target, new, ignore=ignored, copy_function=link_or_copy)
        else:
            new.mkdir(parents=True)
        yield new
    except BaseException:
        _remove(new)
        raise
    take_over(new, target)


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a folder for a block, settled and without what killed processes left in and beside it.

    Raises:
        RunFolderError: if another process holds it.
    """
    with locked(path):
        target = path.resolve()
        _settle(target)
        _remove(_named(target, _MAKING))
        for folder in (target, beside(target)):
            for leftover in [*folder.glob(f"**/{PREFIX}*")]:
                _remove(leftover)
        yield


def settle(path: Path) -> None:
    """Finish, or undo, the replacement of a folder that was killed; leave it to a process that holds it."""
    target = path.resolve()
    if _named(target, _REPLACED).is_dir() and not target.exists():
        with suppress(RunFolderError), locked(path):
            _settle(target)


def settle_all(out: Path) -> None:
    """Settle every folder directly below this one."""
    for left in out.glob(f"{_REPLACED}*"):
        settle(out / left.name.removeprefix(_REPLACED))


def _settle(target: Path) -> None:
    old, new = _named(target, _REPLACED), beside(target)
    if is_complete(new):
        take_over(new, target)
    elif old.is_dir() and not target.exists():
        old.rename(target)
    _remove(old)


def _named(target: Path, prefix: str) -> Path:
    return target.with_name(f"{prefix}{target.name}")


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
