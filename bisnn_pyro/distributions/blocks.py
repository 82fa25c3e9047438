"""Elementwise formulas in blocks that stay in the cache."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_SIZE = 16384


def in_blocks(formula: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """Return ``formula(*tensors)`` for an elementwise formula, computed block by block on the CPU.

    A formula of a dozen torch operations makes a dozen passes over memory; in blocks that fit the
    cache it makes one.  The numbers are the same, as each depends on its own entries alone.

    Args:
        formula: elementwise, result in the type of the first tensor.
        *tensors: of one shape after broadcasting; among the later ones, those of one entry are given to
            every block as scalars.
    """
    shape = torch.broadcast_shapes(*(x.shape for x in tensors))
    if shape.numel() <= _SIZE or tensors[0].device.type != "cpu":
        return formula(*torch.broadcast_tensors(*tensors)).to(tensors[0].dtype)
    out = torch.empty(shape, dtype=tensors[0].dtype)
    first, *rest = tensors
    flat = [first.expand(shape).reshape(-1)]
    flat += [x.reshape(()) if x.numel() == 1 else x.expand(shape).reshape(-1) for x in rest]
    result = out.view(-1)
    for start in range(0, len(result), _SIZE):
        part = slice(start, start + _SIZE)
        result[part] = formula(*(x if x.dim() == 0 else x[part] for x in flat))
    return out
