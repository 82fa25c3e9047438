"""What a training did to the synapses: how many are saturated, and how many have not moved."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bisnn_pyro.inference.history import Row
from bisnn_pyro.inference.synaptic_guide import SynapticGuide

UNMOVED = 0.01
"""A synapse has moved if it is farther from its start than this share of its tensor's initial spread."""


def parameters_of(guide: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a guide's parameters by name, to measure later what has moved."""
    return {name: value.detach().clone() for name, value in guide.named_parameters()}


def synapse_shares(guide: SynapticGuide, start: Mapping[str, Tensor]) -> Row:
    """Return the shares of saturated and of unmoved synapses, for the history.

    Args:
        guide: a posterior, or a point.
        start: what :func:`parameters_of` returned before training.

    Returns:
        ``unmoved``: parameters that are within 1 % of the spread (root mean square) of their tensor's start
        from where they began.  ``saturated``: of a posterior over signs, see :func:`saturated_share`; points
        have none.
    """
    still = [_unmoved(value.detach(), start[name]) for name, value in guide.named_parameters()]
    row = {"unmoved": float(torch.cat(still).double().mean())} if still else {}
    if not guide.binary or guide.point or guide.warming:
        return row
    natural = torch.cat([n.flatten() for n in guide.natural_parameters().values()])
    natural = natural[natural.isfinite()]  # those of points are infinite
    return row | {"saturated": saturated_share(natural.cpu().numpy())} if len(natural) else row


def _unmoved(value: Tensor, start: Tensor) -> Tensor:
    spread = float(start.square().mean().sqrt())
    return ((value - start).abs() <= UNMOVED * spread).flatten()


def saturated_share(natural: NDArray[np.floating]) -> float:
    """Return the share of natural parameters that tanh maps to -1 or 1 in single precision, those beyond 9.

    Those at the limits of the rules (:data:`~bisnn_pyro.inference.rules.LARGEST_NATURAL`) are among them.

    Example:
        >>> saturated_share(np.array([0.0, 3.0, -20.0, np.inf]))
        0.5
    """
    return float((np.abs(np.tanh(np.asarray(natural, dtype=np.float32))) == 1).mean())
