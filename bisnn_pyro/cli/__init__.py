"""The command line: a thin face on :mod:`bisnn_pyro.experiments` and :mod:`bisnn_pyro.results`.

Heavy imports happen inside the commands, so that ``bisnn --help`` and ``bisnn list`` answer at once.
"""

from __future__ import annotations

import errno
import io
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
import typer.core

from bisnn_pyro.cli.certify import certify
from bisnn_pyro.cli.data import data_app
from bisnn_pyro.cli.distil import distil
from bisnn_pyro.cli.doctor import doctor
from bisnn_pyro.cli.finished import compare, energy, evaluate, export, report
from bisnn_pyro.cli.reproduce import reproduce
from bisnn_pyro.cli.study import study_app
from bisnn_pyro.cli.training import list_presets, merge, run, show, tune
from bisnn_pyro.errors import INTERRUPTED, BisnnError, InputError
from bisnn_pyro.memory import out_of_memory


class Commands(typer.core.TyperGroup):
    """The commands; Ctrl-C in any of them says so, where typer would end without a word."""

    def make_context(self, *arguments: Any, **settings: Any) -> Any:
        """Read the words of the command line, for which typer imports much."""
        with _interrupts_said():
            return super().make_context(*arguments, **settings)

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        with _interrupts_said():
            return super().invoke(ctx)


@contextmanager
def _interrupts_said() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one must not cut the message
        typer.echo("bisnn: interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    cls=Commands,
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


def main() -> NoReturn:
    """Run the command line: status 2 on bad input, 1 on a failed run, 130 on Ctrl-C.

    ``BISNN_DEBUG=1`` lets the traceback through.
    """
    typed = shlex.join(["bisnn", *sys.argv[1:]])  # runs record it
    os.environ["MPLBACKEND"] = "agg"  # figures go to files; a notebook's backend may be unknown here
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without the sign for plus or minus
    if os.environ.get("BISNN_DEBUG"):
        app(obj=typed)
    try:
        app(obj=typed)
    except Exception as error:
        status, message = _verdict(error)
        typer.echo(f"bisnn: {message}", err=True)
        sys.exit(status)
    sys.exit(0)


def _verdict(error: Exception) -> tuple[int, str]:
    """Return the exit status of a failure, and what to say."""
    if _was_interrupted(error):
        return INTERRUPTED, "interrupted"
    if isinstance(error, BisnnError):
        return (2 if isinstance(error, InputError) else 1), str(error)
    if isinstance(error, OSError) and error.errno != errno.ENOMEM:
        return 1, f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
    if (memory := out_of_memory(error)) is not None:
        return 1, memory
    return 1, f"internal error: {type(error).__name__}: {error}\nset BISNN_DEBUG=1 for the traceback"


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: a library that it interrupts may raise one of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


if __name__ == "__main__":
    main()
