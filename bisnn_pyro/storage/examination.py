"""What of a folder is as it was written, and what is not: for the folder as a whole, every file of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.files import PREFIX
from bisnn_pyro.storage import checkpoint, replacing
from bisnn_pyro.storage.folder import StoredFolder
from bisnn_pyro.storage.manifest import NAME, Manifest, files_below


@dataclass(frozen=True)
class Examination:
    """What was found.

    Attributes:
        n_files: files that were compared with the manifest or with their own SHA-256.
        problems: one line each.
        extra: files that are not part of the run.
    """

    n_files: int
    problems: tuple[str, ...]
    extra: tuple[Path, ...]


def examine(path: Path) -> Examination:
    """Compare every file of a run folder with its manifest, and checkpoints with their own SHA-256.

    Raises:
        RunFolderError: if this is not a run folder.
    """
    folder = StoredFolder(path)
    if not path.is_dir() or not any((path / name).exists() for name in (folder.first, *folder.last, NAME)):
        raise RunFolderError(f"{path} is not a run folder: it has no {folder.first}")
    try:
        manifest = Manifest.read(path)
        problems = [] if manifest is None else manifest.problems(path)
    except RunFolderError as error:
        manifest, problems = Manifest({}), [str(error)]
    if manifest is None and not folder.resumable:
        problems.append(f"{path} has no {NAME}: it was cut off, is of an earlier release, or lost the file")
    own = {path / name for name in manifest.files} if manifest is not None else set()
    found = set(files_below(path)) - {path / NAME}
    checkpoints = {file for file in found if file.parent.name == checkpoint.FOLDER}
    problems += [*_damaged(checkpoints), *_left(path)]
    leftover = {file for file in found if any(part.startswith(PREFIX) for part in file.parts)}
    unlisted = found - own - checkpoints - leftover
    known = {file for pattern in folder.sealed for file in path.glob(pattern)} & unlisted
    if manifest is not None and manifest.files:
        problems += [f"{file} is not listed in {NAME}: another process wrote it" for file in sorted(known)]
    return Examination(len(own | checkpoints), tuple(problems), tuple(sorted(unlisted - known)))


def _damaged(checkpoints: set[Path]) -> Iterator[str]:
    for file in sorted(checkpoints):
        try:
            checkpoint.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            yield f"{file} was edited or damaged: {error}"


def _left(path: Path) -> Iterator[str]:
    """What killed processes left; the next command that writes the folder removes or finishes it."""
    real = path.resolve()
    beside = (real.with_name(f"{prefix}{real.name}") for prefix in replacing.HIDDEN)
    for left in [*sorted(path.glob(f"**/{PREFIX}*")), *filter(Path.exists, beside)]:
        yield f"{left} was left by a process that was killed; the next run or evaluation here removes it"
