"""Choosing the backend of the package's kernels, explicitly and for a stretch of code only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
    """Run the kernels on backend ``name`` within the ``with`` block.

    Args:
        name: one of :data:`BACKENDS`.

    Raises:
        ModelError: if there is no such backend.

    Example:
        >>> with use_backend("torch"):
        ...     current_backend()
        'torch'
    """
    if name not in BACKENDS:
        raise ModelError(f"unknown kernel backend {name!r}; use one of {', '.join(BACKENDS)}")
    token = _selected.set(name)
    try:
        yield
    finally:
        _selected.reset(token)


def runs_compiled(x: Tensor) -> bool:
    """Return whether the elementwise functions of natural parameters run compiled on ``x``.

    Float32 on the CPU does, unless the backend is ``torch``; any other type or device takes the formulas
    in plain torch, which agree to a few units in the last place.
    """
    return _selected.get() != "torch" and x.dtype == torch.float32 and x.device.type == "cpu"
