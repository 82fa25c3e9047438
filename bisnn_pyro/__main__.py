"""The command ``bisnn``, and ``python -m bisnn_pyro``: what must hold before anything large is imported."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

from bisnn_pyro.errors import INTERRUPTED


def main() -> NoReturn:
    """Run the command line; Ctrl-C during its imports ends as it does later, with a line and status 130."""
    _check_folder()
    try:
        from bisnn_pyro.cli import main as run

        run()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one must not cut the message
        sys.stderr.write("bisnn: interrupted\n")
    except SystemExit as ended:
        if ended.code != INTERRUPTED:
            raise
    # Python itself would end by the signal if Ctrl-C came within an exec of text, as in many imports.
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(INTERRUPTED)


def _check_folder() -> None:
    """Leave a folder that was deleted: libraries would end the process in words of their own."""
    try:
        os.getcwd()
    except OSError:
        sys.stderr.write("bisnn: the current folder does not exist any more; change to another one\n")
        sys.exit(2)


def _leave_current_folder() -> None:
    """Take the current folder from the head of the path, where ``-m`` put it: its files are not libraries."""
    if sys.flags.safe_path or not sys.path or sys.path[0] not in ("", os.getcwd()):
        return
    here = sys.path.pop(0)
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if os.path.abspath(here) == home:  # the package itself is found there
        sys.path.append(home)


if __name__ == "__main__":
    _check_folder()
    _leave_current_folder()
    main()
