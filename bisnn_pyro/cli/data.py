"""The commands ``bisnn data ...``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

data_app = typer.Typer(name="data", help="Look at data sets.", no_args_is_help=True, rich_markup_mode=None)


@data_app.command("inspect")
def inspect_data(
    path: Annotated[
        Path, typer.Argument(help="A folder of event recordings (class folders, flat, or a published set).")
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for pictures and numbers of the recordings.", show_default=False),
    ] = None,
) -> None:
    """Describe a folder of event recordings.

    Prints classes, counts, durations and rates, and which files cannot be read.
    """
    from bisnn_pyro.data import inspect_recordings

    found = inspect_recordings(path, progress=sys.stderr.isatty())
    typer.echo(found.summary())
    if out is None:
        typer.echo("\n--out DIR draws one recording of each class, and writes a CSV of them all")
    else:
        from bisnn_pyro.analysis import Picture, plot_recordings, save_figure

        pictures = found.pictures()
        panels = [Picture(*panel) for panel in pictures.panels]
        plot = plot_recordings(panels, pictures.axis_names, pictures.extent)
        written = save_figure(plot.figure, out, "pictures", plot.table)
        found.frame().to_csv(out / "recordings.csv", index=False)
        typer.echo(f"\nwritten: {', '.join(map(str, [*written.values(), out / 'recordings.csv']))}")


@data_app.command("clear-cache")
def clear_cache(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what there is.")] = False,
) -> None:
    """Delete binned recordings from the user's cache.

    The next run bins them again; downloads stay.
    """
    from bisnn_pyro.data import clear_cache as clear

    cleared = clear(dry_run=dry_run)
    for folder in cleared.folders:
        typer.echo(folder)
    what = "would be freed" if dry_run else "freed"
    typer.echo(f"{cleared.size / 1e6:.1f} MB in {cleared.n_files} files {what}")
