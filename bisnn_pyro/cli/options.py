"""Arguments and options that several commands share, and the exit status of an interrupted one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bisnn_pyro.errors import ConfigError

Source = Annotated[str, typer.Argument(help="A preset's name (see `bisnn list`) or a TOML file.")]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", help="Run only this method; repeat for several.", show_default=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key: --set train.epochs=50. Repeatable.", show_default=False),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the data set's files: data.path.", show_default=False),
]
TrustCode = Annotated[
    bool, typer.Option("--trust-code", help="Import classes of your own that a config names: they are code.")
]


def _accept_changed(context: typer.Context, wanted: bool) -> bool:
    """Accept them until the command has ended."""
    if wanted:
        from bisnn_pyro.storage.manifest import accept_changed

        context.with_resource(accept_changed())
    return wanted


AcceptChanged = Annotated[
    bool,
    typer.Option(
        "--accept-changed",
        callback=_accept_changed,
        help="Read run folders although files were edited since the run.",
    ),
]
Jobs = Annotated[int, typer.Option(min=1, help="Runs at once, each in a process on one thread.")]
Seeds = Annotated[str | None, typer.Option(help="Training seeds: 0-4 or 0,2,5.", show_default=False)]

OneRun = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, or folders that hold them.")]
TableFile = Annotated[
    Path | None,
    typer.Option("--out", help="File for the table: .csv, .md or .tex.", show_default=False),
]
Reference = Annotated[
    str | None,
    typer.Option(help="Method that the others are subtracted from; the first run's.", show_default=False),
]
Resamples = Annotated[int, typer.Option("--n-boot", min=1, help="Bootstrap resamples.")]
BootstrapSeed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the bootstrap.")]


def numbers(option: str, text: str | None, example: str) -> list[float] | None:
    """Return the numbers of an option such as ``0.1,0.2``; None if it is not given.

    Raises:
        ConfigError: if they are not numbers.
    """
    try:
        return None if text is None else [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option} {text!r} is not a list of numbers such as {example}") from None


def echo_files(files: tuple[Path, ...]) -> None:
    """Print which files were written, if any."""
    if files:
        typer.echo(f"\nwritten: {', '.join(map(str, files))}")
