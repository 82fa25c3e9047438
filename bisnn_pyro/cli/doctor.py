"""``bisnn doctor``: whether a run folder is as it was written, or a machine computes as it should."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bisnn_pyro.errors import DataError, RunFolderError


def doctor(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="[RUN]", help="A run folder, or one that holds them.", show_default=False),
    ] = None,
) -> None:
    """Check every file of a run; without a run, this machine.

    The status is 2 if a file is missing, damaged, or not the one that the run wrote, and 1 if this machine
    lacks something or computes other numbers than it should.
    """
    if folder is None:
        from bisnn_pyro.diagnosis import environment_report

        report = environment_report()
        typer.echo("\n".join(report.lines))
        raise typer.Exit(0 if report.ok else 1)
    sound = [_is_sound(path) for path in _runs(folder)]
    if not all(sound):
        raise typer.Exit(2)


def _runs(path: Path) -> list[Path]:
    """Return the run folder, or those directly in a folder, unfinished ones included."""
    from bisnn_pyro.storage.folder import StoredFolder
    from bisnn_pyro.storage.manifest import NAME

    if not path.exists():
        StoredFolder.at(path)  # a process was killed between two renamings
    if not path.is_dir():
        raise RunFolderError(f"{path} is not a folder; give a run folder, or one that holds them")
    if not any((path / name).exists() for name in (StoredFolder.first, *StoredFolder.last, NAME)):
        inside = [one for one in sorted(path.iterdir()) if one.name[0] != "." and StoredFolder(one).begun]
        return inside or [path]
    return [path]


def _is_sound(path: Path) -> bool:
    from bisnn_pyro.exports import read_export
    from bisnn_pyro.exports.writing import SUFFIX
    from bisnn_pyro.storage.examination import examine

    found = examine(path)
    problems, extra = list(found.problems), []
    for file in found.extra:
        if file.suffix != SUFFIX:
            extra.append(file)
            continue
        try:
            read_export(file)
        except DataError as error:
            problems.append(str(error))
    for problem in problems:
        typer.echo(problem)
    for file in extra:
        typer.echo(f"{file} is not part of the run")
    state = f"{len(problems)} problems" if problems else "all as they were written"
    typer.echo(f"{path}: {found.n_files} files checked, {state}")
    return not problems
