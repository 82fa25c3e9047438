r"""From one batch to new posterior parameters: the backward pass of expectation backpropagation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from bisnn_pyro.distributions.normal import density, inverse_mills
from bisnn_pyro.inference.ebp.moments import LayerMoments, Pass


def one_hot_signs(y: Tensor, n_classes: int, like: Tensor) -> Tensor:
    """Return labels ``[B]`` as signs ``[B, C]``: +1 for the label's unit, -1 for the others."""
    signs = like.new_full((len(y), n_classes), -1.0)
    return signs.scatter_(1, y.long()[:, None], 1.0)


def log_evidence(z: Tensor, signs: Tensor) -> Tensor:
    r"""Return :math:`\sum_k\log\Phi(y_k z_k)` of each example, ``[B]``."""
    return torch.special.log_ndtr(signs * z).sum(-1)


def errors(layers: Sequence[LayerMoments], passed: Pass, signs: Tensor) -> list[Tensor]:
    r"""Return each layer's error ``[B, O]``: twice the log-evidence's derivative in the mean potential.

    Variances count as constants; the error of a hidden layer comes through its units' means.
    """
    last = passed.potentials[-1]
    deltas = [2 * signs * inverse_mills(signs * last.z) / last.deviation]
    for layer, potential in zip(reversed(layers[1:]), reversed(passed.potentials[:-1]), strict=True):
        gain = density(potential.z).mul_(2).div_(potential.deviation)
        deltas.append((deltas[-1] @ layer.mean).mul_(gain))
    return deltas[::-1]


def assimilate(layers: Sequence[LayerMoments], passed: Pass, deltas: Sequence[Tensor]) -> None:
    """Add every example's update to the parameters of all layers."""
    for layer, signal, delta in zip(layers, passed.signals, deltas, strict=True):
        layer.parameter.addmm_(delta.T, signal.mean, alpha=0.5)
        layer.bias.add_(delta.sum(0), alpha=0.5 * layer.scale)
