"""Arguments and options that several commands share, and the status of an interrupted one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

INTERRUPTED = 130

Source = Annotated[str, typer.Argument(help="A preset's name (see `bisnn list`) or a TOML file.")]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", help="Run this method only; repeat for several.", show_default=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key: --set train.epochs=50. Repeatable.", show_default=False),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the data set's files: data.path.", show_default=False),
]
Jobs = Annotated[int, typer.Option(min=1, help="Runs at once, each in a process on one thread.")]

OneRun = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Runs = Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, or folders that hold them.")]
TableFile = Annotated[
    Path | None,
    typer.Option("--out", help="File for the table: .csv, .md or .tex.", show_default=False),
]
Reference = Annotated[
    str | None,
    typer.Option(help="Method that the others are taken from; the first run's.", show_default=False),
]
Resamples = Annotated[int, typer.Option("--n-boot", min=1, help="Bootstrap resamples.")]
BootstrapSeed = Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")]
