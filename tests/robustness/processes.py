"""What processes run that are killed, or whose disk is full; they import it from here."""

import contextlib
import io
import multiprocessing
import os
import resource
import signal
import sys

from bisnn_pyro.analysis.figures import style
from bisnn_pyro.experiments.run import evaluate_folder, run
from tests.robustness.conftest import DPI

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["bisnn_pyro.results", __name__])
CHANGING = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "open"}
"""What Python reports of changes of a file system; os.replace is reported as a renaming."""


def count_changes(out, act):
    """Call a function with the number of each change below a folder, just before it is made."""
    n = 0

    def hook(event, arguments):
        nonlocal n
        if event not in CHANGING or not str(arguments[0]).startswith(str(out)):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        act(n)
        n += 1

    sys.addaudithook(hook)


def train(config, out, at=None, counted=None, **settings):
    """Run, and be killed just before the change of a file with this number; or tell how many there are."""
    last = [0]

    def act(n):
        last[0] = n + 1
        if n == at:
            os.kill(os.getpid(), signal.SIGKILL)

    style.PNG_DPI = DPI
    count_changes(out, act)
    run(config, out, **settings)
    if counted is not None:
        counted.value = last[0]


def evaluate(path, at=None, counted=None):
    """Evaluate, and be killed likewise."""
    last = [0]

    def act(n):
        last[0] = n + 1
        if n == at:
            os.kill(os.getpid(), signal.SIGKILL)

    style.PNG_DPI = DPI
    count_changes(path.parent, act)
    evaluate_folder(path)
    if counted is not None:
        counted.value = last[0]


def command_with_limit(limit, words, answer):
    """Run a command line that cannot write more bytes to a file than this; send its status and messages."""
    from bisnn_pyro.cli import main

    style.PNG_DPI = DPI
    sys.argv = ["bisnn", *map(str, words)]
    said, status = io.StringIO(), None
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            main()
        except SystemExit as stopped:
            status = stopped.code
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    answer.send((status, said.getvalue()))
    answer.close()
