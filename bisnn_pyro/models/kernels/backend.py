"""Choosing the backend of the time kernels, explicitly and for a stretch of code only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType

import torch
from torch import Tensor

from bisnn_pyro.errors import ModelError

BACKENDS = ("auto", "torch", "numba")
"""``auto`` means numba for tensors on the CPU and torch elsewhere."""

_selected: ContextVar[str] = ContextVar("bisnn_pyro_kernel_backend", default="auto")


def current_backend() -> str:
    """Return the name that :func:`use_backend` selected, ``auto`` by default."""
    return _selected.get()


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Run the time kernels on backend ``name`` within the ``with`` block.

    Args:
        name: one of :data:`BACKENDS`.

    Raises:
        ModelError: if there is no such backend.
    """
    if name not in BACKENDS:
        raise ModelError(f"unknown kernel backend {name!r}; use one of {', '.join(BACKENDS)}")
    token = _selected.set(name)
    try:
        yield
    finally:
        _selected.reset(token)


def kernels_for(tensor: Tensor) -> ModuleType:
    """Return the backend module for ``tensor``.

    Raises:
        ModelError: if ``tensor`` is not of a floating-point type, or not one that the backend takes.
    """
    if not tensor.is_floating_point():
        raise ModelError(
            f"the time kernels take floating-point tensors, not {tensor.dtype}; convert with .float()"
        )
    name = _selected.get()
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
