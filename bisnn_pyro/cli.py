"""The command line: a thin face on :mod:`bisnn_pyro.experiments`.

Heavy imports happen inside the commands, so that ``bisnn --help`` and ``bisnn list`` answer at once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from bisnn_pyro.cli_data import data_app
from bisnn_pyro.cli_reproduce import reproduce
from bisnn_pyro.cli_study import study_app
from bisnn_pyro.errors import BisnnError, ConfigError, InputError

if TYPE_CHECKING:
    from bisnn_pyro.experiments.config import Config
    from bisnn_pyro.experiments.run import RunResult
    from bisnn_pyro.experiments.summary import Summary
    from bisnn_pyro.experiments.tune import Trial

INTERRUPTED = 130

app = typer.Typer(
    name="bisnn",
    help="Bayesian learning of spiking networks with binary synapses.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app)
app.add_typer(study_app)
app.command()(reproduce)


def _version(wanted: bool) -> None:
    if wanted:
        from bisnn_pyro import __version__

        typer.echo(f"bisnn_pyro {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Bayesian learning of spiking networks with binary synapses."""


Source = Annotated[str, typer.Argument(help="A preset's name (see `bisnn list`) or a TOML file.")]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", help="Run this method only; repeat for several.", show_default=False),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a key: --set train.epochs=50. Repeatable.", show_default=False),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder of the runs instead of runs/<experiment>.", show_default=False),
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the data set's files: data.path.", show_default=False),
]
Jobs = Annotated[int, typer.Option(min=1, help="Runs at once, each in a process on one thread.")]


@app.command()
def run(
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
    out: Out = None,
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
    if not summary.intervals:
        way = "one training seed: no intervals; --seeds 0-4 gives them"
        typer.echo(way if summary.over == "seed" else "one fold: no intervals; --folds K runs all K of them")
    if summary.differences:
        typer.echo(f"\npaired by {summary.over}, on the same test points:\n{summary.differences}")
    for std, table in summary.noise_tables.items():
        typer.echo(f"\nwith input noise of standard deviation {std}:\n{table}")
    typer.echo(f"\ntables and figures: {summary.path}")
    for figure in summary.figures:
        typer.echo(f"  {figure}")


@app.command("list")
def list_presets() -> None:
    """List the presets."""
    import tomllib

    from bisnn_pyro.experiments.resolve import preset_names, preset_text

    names = preset_names()
    width = max(map(len, names))
    for name in names:
        typer.echo(f"{name:<{width}}  {tomllib.loads(preset_text(name)).get('description', '')}")


@app.command()
def show(preset: Annotated[str, typer.Argument(help="A preset's name.")]) -> None:
    """Print a preset's TOML, to copy and edit."""
    from bisnn_pyro.experiments.resolve import preset_text

    typer.echo(preset_text(preset), nl=False)


@app.command()
def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    noise: Annotated[
        str | None,
        typer.Option(help="Standard deviations of input noise, e.g. 0.1,0.2.", show_default=False),
    ] = None,
    data_dir: DataDir = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="New data: an .npz file with x and y, raw.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="With --data: file for the table, .csv, .md or .tex.", show_default=False),
    ] = None,
) -> None:
    """Evaluate a run's posterior anew, an interrupted run's too; or, with --data, on new data.

    On new data nothing in the run folder is changed.
    """
    if data is not None:
        _evaluate_data(folder, data, out, noise, data_dir)
        return
    if out is not None:
        raise ConfigError("--out is for --data; without, the run folder itself is written anew")
    from bisnn_pyro.analysis import results_table
    from bisnn_pyro.experiments.run import evaluate_folder

    levels = None
    if noise is not None:
        try:
            levels = [float(part) for part in noise.split(",")]
        except ValueError:
            raise ConfigError(f"--noise {noise!r} is not a list of numbers such as 0.1,0.2") from None
    metrics = evaluate_folder(folder, levels, data_dir)
    rows = [{"predictor": name, **scores} for name, scores in metrics["predictors"].items()]
    typer.echo(results_table(rows))
    for std, predictors in metrics.get("noise", {}).items():
        noisy = [{"predictor": name, **scores} for name, scores in predictors.items()]
        typer.echo(f"\nwith input noise of standard deviation {std}:\n{results_table(noisy)}")
    if (folder / "figures").is_dir():
        typer.echo(f"\nfigures: {folder / 'figures'}")


def _evaluate_data(
    folder: Path, data: Path, out: Path | None, noise: str | None, data_dir: Path | None
) -> None:
    from bisnn_pyro.experiments.new_data import evaluate_data

    if noise is not None or data_dir is not None:
        raise ConfigError("--noise and --data-dir are for the run's own data; leave them out with --data")
    typer.echo(evaluate_data(folder, data, out).plain())
    if out is not None:
        typer.echo(f"\nwritten: {out}")


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="The file, instead of RUN/mode.bisnn.", show_default=False),
    ] = None,
    member: Annotated[
        int | None,
        typer.Option("--member", min=0, help="This member of the committee, from 0.", show_default=False),
    ] = None,
    mode: Annotated[bool, typer.Option("--mode", help="The most probable network (the default).")] = False,
) -> None:
    """Write a network of a run as packed 1-bit weights, for bisnn_pyro.read_export or a chip."""
    from bisnn_pyro.experiments.export.writing import export as export_run

    if mode and member is not None:
        raise ConfigError("give --mode or --member, not both")
    path = export_run(folder, out, member=member)
    typer.echo(f"written: {path} ({path.stat().st_size} bytes)")


@app.command()
def energy(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, or folders that hold them.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="File for the table: .csv, .md or .tex.", show_default=False),
    ] = None,
    picojoules: Annotated[
        list[str] | None,
        typer.Option(
            "--pj",
            help="Energy of an operation: add_int, add_float, multiply_float or memory_bit, for example "
            "--pj memory_bit=0.3. Repeatable; Horowitz's for 45 nm by default.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Estimate what an inference costs: spikes, operations, memory accesses, energy."""
    from bisnn_pyro.experiments.energy import energy as energy_table
    from bisnn_pyro.experiments.energy import parse_energies

    table = energy_table(runs, out, energies=parse_energies(picojoules or []), data_dir=data_dir)
    typer.echo(table.plain())
    if out is not None:
        typer.echo(f"\nwritten: {out}")


@app.command()
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


@app.command()
def compare(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, or folders that hold them.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="File for the table: .csv, .md or .tex.", show_default=False),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Method that the others are taken from; the first run's.", show_default=False),
    ] = None,
    n_resamples: Annotated[int, typer.Option("--n-boot", min=1, help="Bootstrap resamples.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
) -> None:
    """Compare finished runs on the same test points: scores, costs, paired differences."""
    from bisnn_pyro.experiments.compare import compare as compare_runs

    result = compare_runs(runs, out, reference=reference, n_resamples=n_resamples, seed=seed)
    typer.echo(result.scores.plain())
    if result.differences is not None:
        typer.echo(f"\n{result.differences.plain()}")
    if result.files:
        typer.echo(f"\nwritten: {', '.join(map(str, result.files))}")


@app.command()
def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, or folders that hold them.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The page, .html.")],
    reference: Annotated[
        str | None,
        typer.Option(help="Method that the others are taken from; the first run's.", show_default=False),
    ] = None,
    n_resamples: Annotated[int, typer.Option("--n-boot", min=1, help="Bootstrap resamples.")] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the bootstrap.")] = 0,
    data_dir: DataDir = None,
) -> None:
    """Write one page about finished runs: tables, figures, warnings. It opens from disk."""
    from bisnn_pyro.experiments.report.writing import report as write_report

    path = write_report(runs, out, reference=reference, n_resamples=n_resamples, seed=seed, data_dir=data_dir)
    typer.echo(f"written: {path} ({path.stat().st_size} bytes)")


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(f"bisnn: {message}", err=True)
    sys.exit(status)


def main() -> NoReturn:
    """Run the command line: status 2 on bad input, 1 on a failed run, 130 on Ctrl-C.

    ``BISNN_DEBUG=1`` lets the traceback through.
    """
    sys.path.insert(0, "")  # a user's own "package.module:Class" stands in the working directory
    if os.environ.get("BISNN_DEBUG"):
        app()
    try:
        app()
    except InputError as error:
        _fail(str(error), 2)
    except BisnnError as error:
        _fail(str(error), 1)
    except KeyboardInterrupt:
        _fail("interrupted", INTERRUPTED)
    except OSError as error:
        _fail(f"{error.strerror or error}: {error.filename or ''}".rstrip(": "), 1)
    except Exception as error:
        kind = type(error).__name__
        _fail(f"internal error: {kind}: {error}\nset BISNN_DEBUG=1 for the traceback", 1)
    sys.exit(0)


if __name__ == "__main__":
    main()
