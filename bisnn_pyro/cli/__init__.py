"""The command line: a thin face on :mod:`bisnn_pyro.experiments` and :mod:`bisnn_pyro.results`.

Heavy imports happen inside the commands, so that ``bisnn --help`` and ``bisnn list`` answer at once.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import Annotated, NoReturn

import typer

from bisnn_pyro.cli.certify import certify
from bisnn_pyro.cli.data import data_app
from bisnn_pyro.cli.distil import distil
from bisnn_pyro.cli.doctor import doctor
from bisnn_pyro.cli.finished import compare, energy, evaluate, export, report
from bisnn_pyro.cli.options import INTERRUPTED
from bisnn_pyro.cli.reproduce import reproduce
from bisnn_pyro.cli.study import study_app
from bisnn_pyro.cli.training import list_presets, merge, run, show, tune
from bisnn_pyro.errors import BisnnError, InputError

app = typer.Typer(
    name="bisnn",
    help="Bayesian learning of spiking networks with binary synapses.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # importing rich takes longer than everything else that --help does
)


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


app.command()(reproduce)
app.command()(run)
app.command()(merge)
app.command("list")(list_presets)
app.command()(show)
app.command()(evaluate)
app.command()(export)
app.command()(certify)
app.command()(energy)
app.command()(tune)
app.command()(distil)
app.command()(doctor)
app.command()(compare)
app.command()(report)
app.add_typer(data_app)
app.add_typer(study_app)


def _fail(message: str, status: int) -> NoReturn:
    typer.echo(f"bisnn: {message}", err=True)
    sys.exit(status)


def main() -> NoReturn:
    """Run the command line: status 2 on bad input, 1 on a failed run, 130 on Ctrl-C.

    ``BISNN_DEBUG=1`` lets the traceback through.
    """
    typed = shlex.join(["bisnn", *sys.argv[1:]])  # runs record it
    if os.environ.get("BISNN_DEBUG"):
        app(obj=typed)
    try:
        app(obj=typed)
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
