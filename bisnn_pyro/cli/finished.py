"""Commands on finished runs: ``bisnn evaluate``, ``export``, ``energy``, ``compare`` and ``report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bisnn_pyro.cli.options import (
    AcceptChanged,
    BootstrapSeed,
    DataDir,
    OneRun,
    Reference,
    Resamples,
    Runs,
    TableFile,
    TrustCode,
    echo_files,
    numbers,
)
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
    on_out_of_range: Annotated[
        str | None,
        typer.Option(
            help="With --data: clip, refuse or pass inputs outside the training range.", show_default=False
        ),
    ] = None,
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Evaluate a run again, or on new data.

    Interrupted runs can be evaluated too.  With --data nothing in the run folder is changed.
    """
    if data is not None:
        _evaluate_data(folder, data, out, noise, data_dir, on_out_of_range, trust)
        return
    if out is not None:
        raise ConfigError("--out is for --data; without it the run folder itself is written again")
    if on_out_of_range is not None:
        raise ConfigError("--on-out-of-range is for --data; the run's own data are clipped")
    from bisnn_pyro.analysis import printed_table, score_rows
    from bisnn_pyro.experiments.run import evaluate_folder

    metrics = evaluate_folder(folder, numbers("--noise", noise, "0.1,0.2"), data_dir, trust=trust)
    typer.echo(printed_table(score_rows(metrics)).plain())
    for std, predictors in metrics.get("noise", {}).items():
        table = printed_table(score_rows({**metrics, "predictors": predictors})).plain()
        typer.echo(f"\nwith input noise of standard deviation {std}:\n{table}")
    if (folder / "figures").is_dir():
        typer.echo(f"\nfigures: {folder / 'figures'}")


def _evaluate_data(
    folder: Path,
    data: Path,
    out: Path | None,
    noise: str | None,
    data_dir: Path | None,
    on_out_of_range: str | None,
    trust: bool,
) -> None:
    from bisnn_pyro.experiments.evaluate import evaluate_data

    if noise is not None or data_dir is not None:
        raise ConfigError("--noise and --data-dir are for the run's own data; leave them out with --data")
    table = evaluate_data(folder, data, out, on_out_of_range=on_out_of_range, trust=trust)
    typer.echo(table.plain())
    echo_files(() if out is None else (out,))


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
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Write a network of a run as packed 1-bit weights.

    The file is for bisnn_pyro.read_export or for a chip.
    """
    from bisnn_pyro.exports import export as export_run

    if mode and member is not None:
        raise ConfigError("give --mode or --member, not both")
    path = export_run(folder, out, member=member, trust=trust)
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
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Estimate what one inference costs.

    The table has spikes, operations, memory accesses and energy.
    """
    from bisnn_pyro.results.studies.energy import energy_study, parse_energies

    energies = parse_energies(picojoules or [])
    study = energy_study(runs, out, energies=energies, data_dir=data_dir, trust=trust)
    typer.echo(study.table.plain())
    echo_files(study.files)


def compare(
    runs: Runs,
    out: TableFile = None,
    reference: Reference = None,
    n_resamples: Resamples = 2000,
    seed: BootstrapSeed = 0,
    accept_changed: AcceptChanged = False,
) -> None:
    """Compare finished runs on the same test points.

    The tables have scores, costs and paired differences.
    """
    from bisnn_pyro.results import compare as compare_runs

    result = compare_runs(runs, out, reference=reference, n_resamples=n_resamples, seed=seed)
    typer.echo(result.scores.plain())
    if result.differences is not None:
        typer.echo(f"\n{result.differences.plain()}")
    echo_files(result.files)


def report(
    runs: Runs,
    out: Annotated[Path, typer.Option("--out", help="The page, .html.")],
    reference: Reference = None,
    n_resamples: Resamples = 2000,
    seed: BootstrapSeed = 0,
    data_dir: DataDir = None,
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Write one page about finished runs, to open from disk."""
    from bisnn_pyro.results.report import report as write_report

    path = write_report(
        runs,
        out,
        reference=reference,
        n_resamples=n_resamples,
        seed=seed,
        data_dir=data_dir,
        trust=trust,
    )
    typer.echo(f"written: {path} ({path.stat().st_size} bytes)")
