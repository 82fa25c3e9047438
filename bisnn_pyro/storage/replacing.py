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
from bisnn_pyro.files import PREFIX, real, remove_leftovers
from bisnn_pyro.storage.checkpoint import FOLDER, link_or_copy
from bisnn_pyro.storage.lock import locked
from bisnn_pyro.storage.manifest import NAME, Manifest

NEXT = ".next"
LAST = "metrics.json"
"""What a run writes last, before its folder is sealed."""
_MAKING, _REPLACED = HIDDEN = (".making-", ".replaced-")


def beside(target: Path) -> Path:
    """Return where the folder that is to replace this one is made."""
    return target.with_name(f"{target.name}{NEXT}")


def is_complete(path: Path) -> bool:
    """Return whether a folder is finished and as it was written, so that it may replace another."""
    if not (path / NAME).is_file() or (path / FOLDER).exists():
        return False
    try:
        found = Manifest.read(path)
    except RunFolderError:
        return False
    return found is not None and LAST in found.files and not found.problems(path)


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
    target = real(target)
    new = _named(_base(target), _MAKING)
    _remove(new)
    try:
        if copy:
            _copy(target, new)
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
    with locked(_base(path)):  # one lock for a folder and the one beside it
        _settle(real(path))
        yield


def settle(path: Path) -> None:
    """Finish, or undo, what a killed process left of a folder; leave it to a process that holds it."""
    target = real(path)
    hidden = (_named(target, prefix) for prefix in HIDDEN)
    if any(map(Path.exists, hidden)) or any(target.glob(f"**/{PREFIX}*")):
        with suppress(RunFolderError, OSError), locked(_base(path)):
            _settle(target)


def _copy(folder: Path, new: Path) -> None:
    ignored = shutil.ignore_patterns(NAME, f"{PREFIX}*")
    try:
        shutil.copytree(folder, new, ignore=ignored, copy_function=link_or_copy)
    except shutil.Error as error:  # one entry per file
        source, _, reason = error.args[0][0]
        raise RunFolderError(f"cannot copy {source}: {reason}; put the file back, or remove it") from error


def discard(path: Path) -> None:
    """Remove a folder, which is whole or gone for whoever looks; the caller holds its lock."""
    path = real(path)
    gone = _named(_base(path), _MAKING)
    _remove(gone)
    if path.is_dir():
        path.rename(gone)
        _remove(gone)


def settle_all(out: Path) -> None:
    """Settle every folder directly below this one."""
    for prefix in HIDDEN:
        for left in [*out.glob(f"{prefix}*")]:
            settle(out / left.name.removeprefix(prefix))


def _settle(target: Path) -> None:
    old, new = _named(target, _REPLACED), beside(target)
    if is_complete(new):
        take_over(new, target)
    elif old.is_dir() and not target.exists():
        old.rename(target)
    _remove(old)
    _remove(_named(_base(target), _MAKING))
    for folder in (target, beside(target)):
        for place in {leftover.parent for leftover in folder.glob(f"**/{PREFIX}*")}:
            remove_leftovers(place, ours=True)


def _base(path: Path) -> Path:
    """Return the folder that this one is to replace, or itself."""
    target = real(path)
    return target.with_name(target.name.removesuffix(NEXT))


def _named(target: Path, prefix: str) -> Path:
    return target.with_name(f"{prefix}{target.name}")


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
