"""How the package computes: which backend runs, and how its own kernels are compiled."""

from bisnn_pyro.compute.backend import BACKENDS, current_backend, runs_compiled, use_backend

__all__ = ["BACKENDS", "current_backend", "runs_compiled", "use_backend"]
