"""Commands that train: ``bisnn run`` and ``bisnn tune``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bisnn_pyro.cli_options import INTERRUPTED, DataDir, Jobs, Methods, Overrides, Source
from bisnn_pyro.errors import ConfigError

if TYPE_CHECKING:
    from bisnn_pyro.experiments.config import Config
    from bisnn_pyro.experiments.run import RunResult
    from bisnn_pyro.experiments.summary import Summary
    from bisnn_pyro.experiments.tune import Trial


def run(
    context: typer.Context,
    source: Source,
    method: Methods = None,
    overrides: Overrides = None,
    data_dir: DataDir = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Training seed; the source's own, or 0.", show_default=False)
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Several training seeds: 0-4 or 0,2,5.", show_default=False)
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Cross-validate over K folds of the data, a run each.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the runs instead of runs/<experiment>.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Run over finished runs.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with interrupted runs.")] = False,
    jobs: Jobs = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
) -> None:
    """Train, predict and analyse: every method of a preset, into one folder each."""
    from bisnn_pyro.experiments.batch import parse_seeds, plan, run_experiment

    if seed is not None and seeds is not None:
        raise ConfigError("give --seed or --seeds, not both")
    training_seeds = [seed] if seeds is None else [*parse_seeds(seeds)]
    configs = plan(source, method or [], training_seeds, _with_data_dir(overrides, data_dir), folds)
    result = run_experiment(
        configs,
        out,
        overwrite=overwrite,
        resume=resume,
        jobs=jobs,
        progress=not quiet and sys.stderr.isatty(),
        report=_report_run,
        command=context.obj,
    )
    if result.summary is not None:
        _print_summary(result.summary)
    for reason in result.left_out:
        typer.echo(f"not in the tables: {reason}", err=True)
    for config, error in result.failures:
        fold = "" if config.fold is None else f" on fold {config.fold}"
        typer.echo(f"bisnn: {config.method} with seed {config.seed}{fold} failed: {error}", err=True)
    if result.interrupted:
        typer.echo(f"interrupted; finish with --resume. Runs so far: {result.out}", err=True)
        raise typer.Exit(INTERRUPTED)
    if result.failures:
        raise typer.Exit(1)


def _with_data_dir(overrides: list[str] | None, data_dir: Path | None) -> list[str]:
    """Return the overrides of ``--set`` and ``--data-dir``, which wins."""
    own = [] if data_dir is None else [f"data.path={data_dir.expanduser().absolute()}"]
    return [*(overrides or []), *own]


def _report_run(config: Config, result: RunResult) -> None:
    if result.metrics is None:
        typer.echo(f"{result.path}: interrupted")
        return
    m = result.metrics
    stop = f"best epoch {m['best_epoch']} of {m['epochs']}"
    typer.echo(f"{result.path}: trained in {m['train_seconds']:.1f} s, {stop}")
    for note in m.get("notes", ()):
        typer.echo(f"  note: {note}")


def _print_summary(summary: Summary) -> None:
    typer.echo(f"\n{summary.table}")
    for note in summary.notes:
        typer.echo(note)
    if not summary.intervals:
        way = "one training seed: no intervals; --seeds 0-4 gives them"
        typer.echo(way if summary.over == "seed" else "one fold: no intervals; --folds K runs all K of them")
    if summary.differences:
        typer.echo(f"\npaired by {summary.over}, on the same test points:\n{summary.differences}")
    for std, table in summary.noise_tables.items():
        typer.echo(f"\nwith input noise of standard deviation {std}:\n{table}")
    typer.echo(f"\ntables and figures: {summary.path}")
    if summary.early is not None:
        typer.echo(f"  {summary.early} (scores over elapsed time)")
    for figure in summary.figures:
        typer.echo(f"  {figure}")


def tune(
    source: Source,
    trials: Annotated[int, typer.Option(min=1, help="Settings tried for each method.")],
    method: Methods = None,
    overrides: Overrides = None,
    data_dir: DataDir = None,
    n_seeds: Annotated[int, typer.Option("--n-seeds", min=1, help="Training seeds per trial.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder instead of runs/<experiment>/tune.", show_default=False),
    ] = None,
    jobs: Jobs = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Search anew.")] = False,
) -> None:
    """Search the settings of every method with the same budget, on validation NLL."""
    from bisnn_pyro.experiments.tune import tune as search

    folder = search(
        source,
        trials,
        out,
        methods=method or [],
        n_seeds=n_seeds,
        overrides=_with_data_dir(overrides, data_dir),
        jobs=jobs,
        overwrite=overwrite,
        report=_report_trial,
    )
    typer.echo(f"\nall trials: {folder / 'trials.csv'}\nbest settings: {folder / 'tuned.toml'}")


def _report_trial(trial: Trial) -> None:
    setting = ", ".join(f"{key} = {value}" for key, value in trial.setting.items())
    typer.echo(f"{trial.method} trial {trial.number}: validation NLL {trial.val_nll:.4f} ({setting})")
