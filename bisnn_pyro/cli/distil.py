"""``bisnn distil``: one network that has learnt what the committee of a run says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bisnn_pyro.cli.options import AcceptChanged, DataDir, OneRun, Overrides, TrustCode
from bisnn_pyro.errors import INTERRUPTED


def distil(
    context: typer.Context,
    folder: OneRun,
    method: Annotated[
        str, typer.Option("--method", "-m", help="Whose guide the student has.")
    ] = "straight-through",
    source: Annotated[
        str | None,
        typer.Option(
            help="Preset or TOML file for the student's settings instead of the run's.", show_default=False
        ),
    ] = None,
    overrides: Overrides = None,
    mix: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Share of the votes in the targets (1); the rest is labels.",
            show_default=False,
        ),
    ] = None,
    predictor: Annotated[
        str | None, typer.Option(help="The run's predictor that votes; its first.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Training seed; the run's own.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the new run instead of the run's.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Run over a finished run.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Train one network on the votes of a run's committee on the training points.

    It is a run like any other, distilled-seed<k>, with one binary network by default.
    """
    from bisnn_pyro.derived.distil import student
    from bisnn_pyro.experiments.fitted import moved
    from bisnn_pyro.experiments.run import run
    from bisnn_pyro.toml import parse_overrides

    config = student(
        folder,
        method=method,
        source=source,
        overrides=parse_overrides(overrides or []),
        mix=mix,
        predictor=predictor,
        seed=seed,
        trust=trust,
    )
    result = run(
        moved(config, data_dir),
        out or folder.absolute().parent,
        overwrite=overwrite,
        resume=resume,
        progress=not quiet and sys.stderr.isatty(),
        command=context.obj,
        trust=trust,
    )
    if result.interrupted:
        typer.echo(f"interrupted; finish with --resume: {result.path}", err=True)
        raise typer.Exit(INTERRUPTED)
    typer.echo(repr(result))
