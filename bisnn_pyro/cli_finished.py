"""Commands on finished runs: ``bisnn evaluate``, ``export``, ``energy``, ``compare`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bisnn_pyro.cli_options import BootstrapSeed, DataDir, OneRun, Reference, Resamples, Runs, TableFile
from bisnn_pyro.errors import ConfigError


def evaluate(
    folder: OneRun,
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


def export(
    folder: OneRun,
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


def energy(
    runs: Runs,
    out: TableFile = None,
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


def compare(
    runs: Runs,
    out: TableFile = None,
    reference: Reference = None,
    n_resamples: Resamples = 2000,
    seed: BootstrapSeed = 0,
) -> None:
    """Compare finished runs on the same test points: scores, costs, paired differences."""
    from bisnn_pyro.experiments.compare import compare as compare_runs

    result = compare_runs(runs, out, reference=reference, n_resamples=n_resamples, seed=seed)
    typer.echo(result.scores.plain())
    if result.differences is not None:
        typer.echo(f"\n{result.differences.plain()}")
    if result.files:
        typer.echo(f"\nwritten: {', '.join(map(str, result.files))}")


def report(
    runs: Runs,
    out: Annotated[Path, typer.Option("--out", help="The page, .html.")],
    reference: Reference = None,
    n_resamples: Resamples = 2000,
    seed: BootstrapSeed = 0,
    data_dir: DataDir = None,
) -> None:
    """Write one page about finished runs: tables, figures, warnings. It opens from disk."""
    from bisnn_pyro.experiments.report.writing import report as write_report

    path = write_report(runs, out, reference=reference, n_resamples=n_resamples, seed=seed, data_dir=data_dir)
    typer.echo(f"written: {path} ({path.stat().st_size} bytes)")
