"""Presets, and the commands that train: ``bisnn list``, ``show``, ``run`` and ``tune``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bisnn_pyro.cli.options import (
    AcceptChanged,
    DataDir,
    Jobs,
    Methods,
    Overrides,
    Seeds,
    Source,
    TrustCode,
)
from bisnn_pyro.errors import INTERRUPTED, ConfigError

if TYPE_CHECKING:
    from bisnn_pyro.experiments.config import Config
    from bisnn_pyro.experiments.run import RunResult
    from bisnn_pyro.experiments.tune import Trial
    from bisnn_pyro.results import Summary


def list_presets() -> None:
    """List the presets."""
    import tomllib

    from bisnn_pyro.experiments.resolve import preset_names, preset_text

    names = preset_names()
    width = max(map(len, names))
    for name in names:
        typer.echo(f"{name:<{width}}  {tomllib.loads(preset_text(name)).get('description', '')}")


def show(preset: Annotated[str, typer.Argument(help="A preset's name.")]) -> None:
    """Print a preset's TOML, to copy and edit."""
    from bisnn_pyro.experiments.resolve import preset_text

    typer.echo(preset_text(preset), nl=False)


def run(
    context: typer.Context,
    source: Source,
    method: Methods = None,
    overrides: Overrides = None,
    data_dir: DataDir = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**63 - 1, help="Training seed; the source's own, or 0.", show_default=False),
    ] = None,
    seeds: Seeds = None,
    folds: Annotated[
        int | None,
        typer.Option(min=2, help="Cross-validate over K folds, one run each.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the runs instead of runs/<experiment>.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Run over finished runs.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with interrupted runs.")] = False,
    jobs: Jobs = 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")] = False,
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Train, predict and analyse every method of a preset.

    Each method, seed and fold gets a folder of its own; ``summary/`` has what spans them.
    """
    from bisnn_pyro.analysis import not_learned
    from bisnn_pyro.experiments.batch import parse_seeds, plan, run_experiment
    from bisnn_pyro.experiments.folder import RunFolder
    from bisnn_pyro.results import summarise

    if seed is not None and seeds is not None:
        raise ConfigError("give --seed or --seeds, not both")
    training_seeds = [seed] if seeds is None else [*parse_seeds(seeds)]
    changes = _with_data_dir(overrides, data_dir)
    configs = plan(source, method or [], training_seeds, changes, folds, trust=trust)
    result = run_experiment(
        configs,
        out,
        overwrite=overwrite,
        resume=resume,
        jobs=jobs,
        progress=not quiet and sys.stderr.isatty(),
        report=_report_run,
        command=context.obj,
        trust=trust,
    )
    finished = [config for config in configs if RunFolder.of(config, result.out).finished]
    if finished and not result.interrupted:
        _print_summary(summarise(result.out, finished))
    for done in result.runs:
        for warning in not_learned(done.metrics or {}):
            typer.echo(f"{done.path.name} {warning}", err=True)
    for config, error in result.failures:
        fold = "" if config.fold is None else f" on fold {config.fold}"
        typer.echo(f"bisnn: {config.method} with seed {config.seed}{fold} failed: {error}", err=True)
    if result.interrupted:
        typer.echo(f"interrupted; finish with --resume. Runs so far: {result.out}", err=True)
        raise typer.Exit(INTERRUPTED)
    if result.failures:
        raise typer.Exit(1)


def merge(
    context: typer.Context,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of finished runs.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the runs, for the mixture.")],
    method: Annotated[
        str | None,
        typer.Option(help="Name of the mixture's method; METHOD-xM by default.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Run over a finished run.")] = False,
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Make one mixture of finished runs, without training.

    The runs may differ in their training seed alone; guide.components trains such a mixture itself.
    """
    from bisnn_pyro.analysis import printed_table, score_rows
    from bisnn_pyro.derived.merge import merge as merge_runs

    result = merge_runs(
        runs, out, method=method, overwrite=overwrite, data_dir=data_dir, command=context.obj, trust=trust
    )
    assert result.metrics is not None
    typer.echo(f"{result.path}:\n{printed_table(score_rows(result.metrics)).plain()}")


def _with_data_dir(overrides: list[str] | None, data_dir: Path | None) -> list[str]:
    """Return the overrides of ``--set`` and ``--data-dir``, which wins."""
    own = [] if data_dir is None else [f"data.path={Path(os.path.expanduser(data_dir)).absolute()}"]
    return [*(overrides or []), *own]


def _report_run(config: Config, result: RunResult) -> None:
    from bisnn_pyro.analysis import not_learned
    from bisnn_pyro.storage.replacing import NEXT

    if result.metrics is None:
        stays = result.path.name.removesuffix(NEXT)
        also = f"; {stays} stays as it is until this one is finished" if stays != result.path.name else ""
        typer.echo(f"{result.path}: interrupted{also}")
        return
    m = result.metrics
    stop = f"best epoch {m['best_epoch']} of {m['epochs']}"
    typer.echo(f"{result.path}: trained in {m['train_seconds']:.1f} s, {stop}")
    for warning in m.get("warnings", ()):
        if warning not in not_learned(m):  # said at the end
            typer.echo(f"  warning: {warning}")
    for note in m.get("notes", ()):
        typer.echo(f"  note: {note}")


def _print_summary(summary: Summary) -> None:
    typer.echo(f"\n{summary.table.plain()}")
    if not summary.intervals:
        way = "one training seed: no intervals; --seeds 0-4 gives them"
        typer.echo(way if summary.over == "seed" else "one fold: no intervals; --folds K runs all K of them")
    if summary.differences is not None:
        typer.echo(f"\npaired by {summary.over}, on the same test points:\n{summary.differences.plain()}")
    for std, table in summary.noise_tables.items():
        typer.echo(f"\nwith input noise of standard deviation {std}:\n{table.plain()}")
    typer.echo(f"\ntables and figures: {summary.path}")
    if summary.early is not None:
        typer.echo(f"  {summary.early} (scores over elapsed time)")
    for figure in summary.figures:
        typer.echo(f"  {figure}")
    for reason in summary.left_out:
        typer.echo(f"not in the tables: {reason}", err=True)


def tune(
    source: Source,
    trials: Annotated[int, typer.Option(min=1, max=10_000, help="Settings tried for each method.")],
    method: Methods = None,
    overrides: Overrides = None,
    data_dir: DataDir = None,
    n_seeds: Annotated[int, typer.Option("--n-seeds", min=1, max=1000, help="Training seeds per trial.")] = 1,
    rungs: Annotated[int, typer.Option(min=1, max=100, help="Rungs of successive halving; 1 for none.")] = 1,
    keep: Annotated[float, typer.Option(help="Share of the trials that goes on to the next rung.")] = 1 / 3,
    first_share: Annotated[
        float, typer.Option(help="Share of the epochs in the first of several rungs.")
    ] = 0.25,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder instead of runs/<experiment>/tune.", show_default=False),
    ] = None,
    jobs: Jobs = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Search again.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted search.")] = False,
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Search the settings of every method on validation NLL.

    Every method gets the same budget.
    """
    from bisnn_pyro.experiments.tune import Rungs, tune as search

    folder = search(
        source,
        trials,
        out,
        methods=method or [],
        n_seeds=n_seeds,
        rungs=Rungs(rungs, keep, first_share),
        overrides=_with_data_dir(overrides, data_dir),
        jobs=jobs,
        overwrite=overwrite,
        resume=resume,
        report=_report_trial,
        trust=trust,
    )
    typer.echo(f"\nall trials: {folder / 'trials.csv'}\nbest settings: {folder / 'tuned.toml'}")


def _report_trial(trial: Trial) -> None:
    setting = ", ".join(f"{key} = {value}" for key, value in trial.setting.items())
    where = f"{trial.method} trial {trial.number}, {trial.epochs} epochs"
    typer.echo(f"{where}: validation NLL {trial.val_nll:.4f} ({setting})")
