"""The folder of one run as files: begun, cut off or finished, and never other than it was written."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count, takewhile
from pathlib import Path
from typing import Any, ClassVar, Self

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.storage import checkpoint, manifest, replacing, strict_json

RESTORE = "put it back, or run it again with --overwrite"
ACCEPT = "put back what the run wrote, or read it as it is with --accept-changed (accept_changed=True)"


@dataclass(frozen=True)
class StoredFolder:
    """A folder that one process writes over a long time, and whose files are checked when they are read.

    ``checkpoint/`` means that the run was cut off and can be resumed.  Every file is compared with
    ``manifest.json`` when it is read; only an unfinished run may lack a manifest.

    Attributes:
        path: the folder.
        accept_changed: whether to read files that are not as the run wrote them.
    """

    path: Path
    accept_changed: bool = field(default_factory=manifest.accepting)

    first: ClassVar[str] = "config.toml"
    """The file that is written first: a folder with it was begun."""
    last: ClassVar[tuple[str, ...]] = ("posterior.safetensors", "metrics.json")
    """Files that are written once a checkpoint is there, so without a checkpoint the run was finished."""
    sealed: ClassVar[tuple[str, ...]] = (
        *(first, "environment.json", "preprocessing.json", "history.csv"),
        *last,
        *("inference_data.nc", "figures/*"),
    )
    """What the manifest lists, as patterns."""

    @classmethod
    def at(cls, path: str | os.PathLike[str], *, accept_changed: bool = False) -> Self:
        """Return the folder at a path, which may be such a folder already."""
        if isinstance(path, cls):
            return path
        replacing.settle(Path(path))
        return cls(Path(path), accept_changed or manifest.accepting())

    def __fspath__(self) -> str:
        """The path, so that a folder goes wherever a path does."""
        return str(self.path)

    # -- its state ------------------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / self.first).is_file()

    @property
    def resumable(self) -> bool:
        """Whether the run was cut off."""
        return checkpoint.is_there(self.checkpoint_path())

    @property
    def finished(self) -> bool:
        """Whether the run came to its end; one that has lost a file since is finished as well."""
        return any((self.path / name).is_file() for name in self.last) and not self.resumable

    @property
    def beside(self) -> Self:
        """Where the run is made that is to replace a finished one: ``<folder>.next``."""
        return type(self)(replacing.beside(self.path))

    @property
    def occupied(self) -> bool:
        """Whether there is something that must not be written over.

        Raises:
            RunFolderError: if it is not even a folder, or cannot be listed.
        """
        try:
            return os.path.lexists(self.path) and any(self.path.iterdir())
        except OSError as error:
            raise RunFolderError(
                f"{self.path} cannot be a run folder: {error.strerror}; move it away, or give another --out"
            ) from error

    # -- writing --------------------------------------------------------------------------------------

    def held(self) -> AbstractContextManager[None]:
        """Keep other processes from writing this folder for a block.

        Raises:
            RunFolderError: if one is writing it.
        """
        return replacing.held(self.path)

    def prepare(self, *, overwrite: bool = False, resume: bool = False) -> Self:
        """Make a folder ready to be written, and return it: this one, or the one beside a run that stays.

        Raises:
            RunFolderError: if something is there that must not be run over, or it cannot be written.
        """
        new, folder = self.beside, self
        if new.occupied and not new.begun:
            raise RunFolderError(
                f"{new.path} is not a run folder (no {self.first}) and is left alone; move it away"
            )
        if resume and new.begun:
            folder = new
        elif self.occupied and not (resume and self.resumable):
            self._refuse_unless(overwrite, resume)
            folder = new if self.finished or self.resumable else self
        elif new.path.exists() and not overwrite:
            raise RunFolderError(
                f"{new.path} holds an unfinished run; use --resume to go on with it, or --overwrite to start "
                "again"
            )
        if not (resume and folder.resumable):
            folder.discard()
        if folder is self:
            new.discard()
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"cannot make the run folder {folder.path}: {error.strerror}") from error
        if not os.access(folder.path, os.W_OK):
            raise RunFolderError(f"the run folder {folder.path} cannot be written to")
        return folder

    def _refuse_unless(self, overwrite: bool, resume: bool) -> None:
        if self.begun and (overwrite or (resume and not self.finished)):
            return
        if overwrite:
            raise RunFolderError(f"{self.path} is not a run folder (no {self.first}); it is left alone")
        if self.finished and self.beside.path.exists():
            what = (
                f"holds a finished run, and {self.beside.path} an unfinished one that is to replace it; use "
            )
            what += "--resume to go on with that, --overwrite to start it again, or another --out"
        elif self.finished:
            what = "holds a finished run; use --overwrite to run over it, or another --out"
        elif self.resumable:
            what = "holds an unfinished run; use --resume to go on, or --overwrite to start again"
        else:
            what = "is not empty; use --overwrite if it is an unfinished run, or another --out"
        raise RunFolderError(f"{self.path} {what}")

    def discard(self) -> None:
        """Remove the folder: nothing half-written stays behind."""
        replacing.discard(self.path)

    @contextmanager
    def made_anew(self, *, copy: bool = False) -> Iterator[Self]:
        """Give a folder to write to that is sealed and takes the place of this one when the block succeeds.

        Args:
            copy: start from what this one holds.
        """
        with replacing.made_anew(self.path, copy=copy) as path:
            folder = type(self)(path, accept_changed=True)  # nothing is sealed yet
            yield folder
            folder.seal()

    def seal(self) -> None:
        """Write the manifest of the files as they are now."""
        found = (path for pattern in self.sealed for path in self.path.glob(pattern) if path.is_file())
        manifest.Manifest.of(self.path, found).write(self.path)

    def unseal(self) -> None:
        """Remove the manifest, before files change."""
        (self.path / manifest.NAME).unlink(missing_ok=True)

    def finish(self) -> Self:
        """Seal the folder, remove what only an unfinished run needs, and return it in its final place."""
        self.seal()
        checkpoint.remove(self.path)
        if not self.path.name.endswith(replacing.NEXT):
            return self
        target = self.path.with_name(self.path.name.removesuffix(replacing.NEXT))
        replacing.take_over(self.path.resolve(), target.resolve())
        return type(self)(target, self.accept_changed)

    def checkpoint_path(self, component: int = 0) -> Path:
        """Return what a component of the run starts from when it is resumed."""
        name = f"state-{component}" if component else "state"
        return self.path / checkpoint.FOLDER / f"{name}.safetensors"

    def read_checkpoints(self) -> list[Any]:
        """Return the checkpoints of the components that were begun.

        Raises:
            RunFolderError: if one is damaged; the message says whether the one before it is whole.
        """
        paths = takewhile(checkpoint.is_there, map(self.checkpoint_path, count()))
        return [checkpoint.read(path) for path in paths]

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file of the folder."""
        strict_json.write(self.path / name, value)

    # -- reading --------------------------------------------------------------------------------------

    def checked(self, name: str, way_out: str | None = None) -> Path:
        """Return the path of a file, which is as the run wrote it.

        Args:
            name: the file.
            way_out: what the message tells to do; by default to put the file back.

        Raises:
            RunFolderError: if it is missing, was edited or damaged, or cannot be checked.
        """
        path = self.path / name
        if not path.is_file():
            raise RunFolderError(f"{path} is missing; {way_out or RESTORE}")
        if not self.accept_changed and (problem := self._problem(name)) is not None:
            raise RunFolderError(f"{problem}; {way_out or ACCEPT}")
        return path

    def _problem(self, name: str) -> str | None:
        found = manifest.Manifest.read(self.path)
        if found is not None:
            problem = found.problem(self.path, name)
            return None if problem is None else f"{self.path / name} {problem}"
        if self.resumable:
            return None  # cut off before it was sealed: only --resume reads it for good
        return (
            f"{self.path} has no {manifest.NAME}, so that its files cannot be checked: the run is of an "
            "earlier release, or the file was removed"
        )

    def check(self, except_for: tuple[str, ...] = ()) -> None:
        """Refuse a run of which any file is not as it was written.

        Args:
            except_for: what the names of files begin with that are not compared.

        Raises:
            RunFolderError: naming the files.
        """
        if self.accept_changed:
            return
        self.checked(self.first)
        found = manifest.Manifest.read(self.path)
        problems = found.problems(self.path, except_for) if found is not None else []
        if problems:
            raise RunFolderError(
                f"{self.path} is not as the run wrote it: {'; '.join(problems)}; put back what the run "
                "wrote, or run it again with --overwrite"
            )

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the folder.

        Raises:
            RunFolderError: if it is missing or broken, or not as the run wrote it.
        """
        path = self.checked(name)
        try:
            return strict_json.read(path)
        except (OSError, ValueError) as error:
            raise RunFolderError(f"cannot read {path}: {error}") from error
