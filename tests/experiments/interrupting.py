"""Ctrl-C at a moment that a test knows."""

import signal

from bisnn_pyro.experiments import run as run_module


def interrupt_after(monkeypatch, epochs):
    """Ask to stop, as Ctrl-C does, during the epoch after ``epochs``."""
    original = run_module._Checkpoints.__call__

    def call(self, history, make):
        original(self, history, make)
        if len(history) == epochs:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(run_module._Checkpoints, "__call__", call)
