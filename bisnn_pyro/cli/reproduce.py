"""``bisnn reproduce``: a paper's comparison from data to figures and LaTeX tables."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bisnn_pyro.cli.options import Jobs
from bisnn_pyro.errors import INTERRUPTED

if TYPE_CHECKING:
    from bisnn_pyro.experiments.config import Config
    from bisnn_pyro.experiments.run import RunResult

QUICK_SEEDS = "0-1"


def reproduce(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="PLAN", help="The comparison: bisnn-2021.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder instead of runs/PLAN, or runs/PLAN-quick.", show_default=False),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Reduced sizes: to see all of it in minutes, not its numbers.")
    ] = False,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="Folder with one folder per data set.", show_default=False),
    ] = None,
    jobs: Jobs = 1,
    seeds: Annotated[
        str | None, typer.Option(help="Training seeds: 0-4, or 0-1 with --quick.", show_default=False)
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="This stage alone; repeat for several.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the plan and how it stands.")
    ] = False,
) -> None:
    """Run a paper's comparison, or go on where it stopped.

    It makes runs, tables, figures and README.md.  Nothing is downloaded; parts without their data are named
    and skipped.
    """
    from bisnn_pyro.experiments.batch import parse_seeds
    from bisnn_pyro.results import reproduce as reproduction

    chosen = parse_seeds(seeds if seeds is not None else QUICK_SEEDS if quick else "0-4")
    place = data_dir and Path(os.path.expanduser(data_dir)).absolute()
    settings = reproduction.Settings(tuple(chosen), quick, place, jobs, context.obj)
    folder = out or Path("runs") / (f"{name}-quick" if quick else name)
    for one in reproduction.planned(name, settings, folder, only or []):
        typer.echo(one)
    if dry_run:
        return
    typer.echo()
    start = time.monotonic()
    done = reproduction.reproduce(
        name, settings, folder, only=only or [], report=_report_run, tell=typer.echo
    )
    typer.echo(f"\n{time.monotonic() - start:.0f} s; what was made, and how: {folder / 'README.md'}")
    for stage, error in done.failures:
        typer.echo(f"bisnn: {stage.name} failed: {error}; the same command tries it again", err=True)
    if done.interrupted:
        typer.echo("interrupted; the same command goes on", err=True)
        raise typer.Exit(INTERRUPTED)
    if done.failures:
        raise typer.Exit(1)


def _report_run(config: Config, result: RunResult) -> None:
    how = "interrupted" if result.metrics is None else f"trained in {result.metrics['train_seconds']:.1f} s"
    typer.echo(f"  {config.experiment} {result.path.name}: {how}")
