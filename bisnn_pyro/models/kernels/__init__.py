"""Time kernels: the sequential part of a spiking network, as pure functions with explicit state.

Two backends compute the same bits: ``torch`` (the reference, any device) and ``numba`` (CPU).  The backend
that was chosen is the one that runs; none silently replaces another.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from bisnn_pyro.compute import current_backend
from bisnn_pyro.errors import ModelError


def kernels_for(tensor: Tensor) -> ModuleType:
    """Return the backend module for ``tensor``.

    Raises:
        ModelError: if ``tensor`` is not of a floating-point type, or not one that the backend takes.
    """
    if not tensor.is_floating_point():
        raise ModelError(
            f"the time kernels take floating-point tensors, not {tensor.dtype}; convert with .float()"
        )
    name = current_backend()
    if name == "auto":
        name = "numba" if tensor.device.type == "cpu" else "torch"
    if name == "numba":
        if tensor.dtype not in (torch.float32, torch.float64):
            raise ModelError(f"the numba kernels take float32 and float64, not {tensor.dtype}; use 'torch'")
        if tensor.device.type != "cpu":
            raise ModelError(f"the numba kernels run on the CPU, not on {tensor.device}; use 'torch' there")
        from bisnn_pyro.models.kernels import numba_backend

        return numba_backend
    from bisnn_pyro.models.kernels import torch_backend

    return torch_backend
