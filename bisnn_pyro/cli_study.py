"""``bisnn study``: finished runs under shift, beside inputs from outside, and where they may withhold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bisnn_pyro.cli_options import DataDir, Resamples, Runs
from bisnn_pyro.errors import ConfigError

if TYPE_CHECKING:
    from bisnn_pyro.experiments.study import Study

study_app = typer.Typer(
    name="study", help="Look at what finished runs do with their uncertainty.", no_args_is_help=True
)

Out = Annotated[Path | None, typer.Option("--out", help="Folder for tables and figures.", show_default=False)]
Seed = Annotated[int, typer.Option(min=0, help="Seed of whatever is drawn at random.")]


@study_app.command()
def shift(
    runs: Runs,
    kind: Annotated[
        str, typer.Option(help="noise, rotation, drop, jitter (of spikes), or stuck (synapses).")
    ],
    severities: Annotated[
        str | None, typer.Option(help="Severities, e.g. 0,15,30,45; the kind's own.", show_default=False)
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    data_dir: DataDir = None,
) -> None:
    """Score finished runs at every severity of a shift of their test points or synapses."""
    from bisnn_pyro.experiments.shift import shift_study

    levels = None if severities is None else _numbers("--severities", severities)
    _print(shift_study(runs, kind, levels, out=out, seed=seed, data_dir=data_dir))


@study_app.command()
def outside(
    runs: Runs,
    against: Annotated[
        str,
        typer.Option(
            help="noise, rotated, shuffled, upside-down, unseen-classes (left out by data.classes), "
            "or a data set: NAME or NAME:path."
        ),
    ],
    out: Out = None,
    seed: Seed = 0,
    n_resamples: Resamples = 1000,
    data_dir: DataDir = None,
) -> None:
    """Score how well finished runs tell their test points from inputs of another kind."""
    from bisnn_pyro.experiments.outside import outside_study

    _print(outside_study(runs, against, out=out, seed=seed, n_resamples=n_resamples, data_dir=data_dir))


@study_app.command()
def selective(
    runs: Runs,
    level: Annotated[float, typer.Option(help="Coverage that conformal sets promise.")] = 0.9,
    out: Out = None,
    seed: Seed = 0,
    data_dir: DataDir = None,
) -> None:
    """Score what the confidence of finished runs is good for: withholding answers, conformal sets."""
    from bisnn_pyro.experiments.selective import selective_study

    _print(selective_study(runs, level=level, out=out, seed=seed, data_dir=data_dir))


@study_app.command()
def sweep(
    runs: Runs,
    key: Annotated[str, typer.Option(help="The setting in which the runs differ: train.kl_weight.")],
    out: Out = None,
) -> None:
    """Show the scores of finished runs against one setting: an experiment a value, seeds for intervals."""
    from bisnn_pyro.experiments.sweep import sweep_study

    _print(sweep_study(runs, key, out=out))


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option} {text!r} is not a list of numbers such as 0,15,30") from None


def _print(study: Study) -> None:
    typer.echo(study.table.plain())
    if study.files:
        typer.echo(f"\nwritten: {', '.join(map(str, study.files))}")
