"""Compilation of the CPU kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(function: Callable[..., Any] | None = None, *, inline: bool = False) -> Any:
    """Compile a kernel with numba: no fast-math, the lock released, the result cached on disk if possible.

    Where neither the package's folder nor the user's cache can be written, numba refuses to cache at
    import; the kernel is then compiled anew in each process (about a second).  ``NUMBA_CACHE_DIR`` names
    another place.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    if inline:
        options["inline"] = "always"

    def decorate(kernel: Callable[..., Any]) -> Any:
        try:
            return njit(cache=True, **options)(kernel)
        except RuntimeError:
            return njit(**options)(kernel)

    return decorate if function is None else decorate(function)
