"""Time kernels: the sequential part of a spiking network, as pure functions with explicit state.

Two backends compute the same bits: ``torch`` (the reference, any device) and ``numba`` (CPU).  The one
asked for is the one that runs; nothing falls back in silence.
"""

from bisnn_pyro.compute import BACKENDS, current_backend, use_backend
from bisnn_pyro.models.kernels.dynamics import (
    FilterState,
    ResetState,
    TimeConstants,
    alpha_filter,
    recurrent_scan,
    refractory_trace,
    threshold_scan,
)

__all__ = [
    "BACKENDS",
    "FilterState",
    "ResetState",
    "TimeConstants",
    "alpha_filter",
    "current_backend",
    "recurrent_scan",
    "refractory_trace",
    "threshold_scan",
    "use_backend",
]
