"""``bisnn study``: finished runs under shift, on out-of-distribution inputs, and when they may withhold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bisnn_pyro.cli.options import AcceptChanged, DataDir, Resamples, Runs, TrustCode, echo_files, numbers

if TYPE_CHECKING:
    from bisnn_pyro.results.studies import Study

study_app = typer.Typer(
    name="study", help="Study the uncertainty of finished runs.", no_args_is_help=True, rich_markup_mode=None
)

Out = Annotated[Path | None, typer.Option("--out", help="Folder for tables and figures.", show_default=False)]
Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of everything that is drawn at random.")]

FORMER = {"stuck": "flipped"}
"""Kinds of shift by their former names."""


@study_app.command()
def shift(
    runs: Runs,
    kind: Annotated[
        str, typer.Option(help="noise, rotation, drop, jitter (of spikes), or flipped (synapses).")
    ],
    severities: Annotated[
        str | None, typer.Option(help="Severities, e.g. 0,15,30,45; the kind's own.", show_default=False)
    ] = None,
    out: Out = None,
    seed: Seed = 0,
    data_dir: DataDir = None,
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Score runs under a shift of test points or synapses."""
    from bisnn_pyro.results.studies import shift_study

    kind, levels = FORMER.get(kind, kind), numbers("--severities", severities, "0,15,30")
    _print(shift_study(runs, kind, levels, out=out, seed=seed, data_dir=data_dir, trust=trust))


@study_app.command("outside", hidden=True)  # the former name
@study_app.command()
def out_of_distribution(
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
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Score the detection of out-of-distribution inputs."""
    from bisnn_pyro.results.studies import out_of_distribution_study as study

    settings = {"out": out, "seed": seed, "n_resamples": n_resamples, "data_dir": data_dir, "trust": trust}
    _print(study(runs, against, **settings))  # type: ignore[arg-type]


@study_app.command()
def selective(
    runs: Runs,
    level: Annotated[float, typer.Option(help="Coverage that conformal sets promise.")] = 0.9,
    out: Out = None,
    seed: Seed = 0,
    data_dir: DataDir = None,
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Score selective prediction and conformal sets."""
    from bisnn_pyro.results.studies import selective_study

    _print(selective_study(runs, level=level, out=out, seed=seed, data_dir=data_dir, trust=trust))


@study_app.command()
def sweep(
    runs: Runs,
    key: Annotated[str, typer.Option(help="The setting in which the runs differ: train.kl_weight.")],
    out: Out = None,
    accept_changed: AcceptChanged = False,
) -> None:
    """Show scores against one setting in which runs differ."""
    from bisnn_pyro.results.studies import sweep_study

    _print(sweep_study(runs, key, out=out))


@study_app.command()
def ensembles(
    runs: Runs,
    sizes: Annotated[
        str | None, typer.Option(help="Numbers of trainings; 1,2,3,5,10,20.", show_default=False)
    ] = None,
    baseline: Annotated[
        str, typer.Option(help="Method whose networks the equivalents count.")
    ] = "straight-through",
    out: Out = None,
    trust: TrustCode = False,
    accept_changed: AcceptChanged = False,
) -> None:
    """Pool the votes of several trainings, without training anew."""
    from bisnn_pyro.results.studies import ensembles_study
    from bisnn_pyro.results.studies.ensembles import SIZES

    trainings = [int(m) for m in numbers("--sizes", sizes, "1,2,3,5") or SIZES]
    _print(ensembles_study(runs, sizes=trainings, baseline=baseline, out=out, trust=trust))


def _print(study: Study) -> None:
    typer.echo(study.table.plain())
    echo_files(study.files)
