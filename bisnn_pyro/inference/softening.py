"""Targets of training that are less certain than labels: label smoothing and mixup, and what may be soft."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.errors import DataError, ModelError
from bisnn_pyro.inference.updates import TrainSettings
from bisnn_pyro.models import Classification, Likelihood, Regression, as_soft, check_soft, is_soft


def smoothed(y: Tensor, n_classes: int, eps: float) -> Tensor:
    """Return labels ``[N]`` or probabilities ``[N, C]`` mixed with the uniform distribution.

    A network that fits them gives the label ``1 - eps + eps / C`` (Szegedy et al. 2016, arXiv 1512.00567).

    Example:
        >>> smoothed(torch.tensor([1]), 4, 0.2)
        tensor([[0.0500, 0.8500, 0.0500, 0.0500]])
    """
    return (1 - eps) * as_soft(y, n_classes) + eps / n_classes


def mixup(x: Tensor, y: Tensor, a: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    r"""Mix a batch with a permutation of itself (Zhang et al. 2018, arXiv 1710.09412).

    One share :math:`\lambda\sim\mathrm{Beta}(a,a)` for the batch.  Features and targets become
    :math:`\lambda z+(1-\lambda)z'`.  Events cannot be averaged: of ready spikes each bin is taken from the
    first example with probability :math:`\lambda` and otherwise from the second, so that the mean is that of
    mixup and spikes stay spikes.

    It assumes that between two examples the class changes in proportion.  Where it does not, the network is
    underconfident on clean inputs; one notices a validation NLL that is worse than without.

    Args:
        x: features ``[B, ...]``, or ready spikes: ``[B, T, I]``, or of an integer type.
        y: class probabilities ``[B, C]`` or real targets ``[B]``.
        a: both parameters of the Beta distribution; 1 is uniform, towards 0 one example is left alone.
        generator: source of randomness.
    """
    source = np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))
    share, order = float(source.beta(a, a)), torch.randperm(len(x), generator=generator)
    mixed_y = share * y + (1 - share) * y[order]
    if x.dim() == 3 or not x.is_floating_point():
        first = torch.rand(x.shape, generator=generator) < share
        return torch.where(first, x, x[order]), mixed_y
    return share * x + (1 - share) * x[order], mixed_y


def training_targets(y: Tensor, likelihood: Likelihood, settings: TrainSettings) -> Tensor:
    """Return the targets to train on: soft where the settings soften them, otherwise as they are."""
    if isinstance(likelihood, Classification) and (settings.label_smoothing or settings.mixup):
        return smoothed(y, likelihood.n_classes, settings.label_smoothing)
    return y


def _check_labels(name: str, y: Tensor | None, n_classes: int) -> None:
    """Refuse labels ``[N]`` of classes that there are not; torch would stop at some later index."""
    if y is None or y.dim() != 1 or not len(y):
        return
    low, high = float(y.min()), float(y.max())
    if low < 0 or high >= n_classes or (y.is_floating_point() and bool((y != y.round()).any())):
        raise DataError(f"{name} has labels from {low:g} to {high:g}; expected 0 to {n_classes - 1}, whole")


def check_targets(
    y: Tensor, y_val: Tensor | None, likelihood: Likelihood, settings: TrainSettings | None = None
) -> None:
    """Refuse targets, and settings that soften them, which the likelihood cannot score.

    Args:
        y: training targets.
        y_val: validation targets.
        likelihood: of the targets.
        settings: of the training.

    Raises:
        DataError: if targets have the wrong shape, or soft ones are no probabilities.
        ModelError: if ``label_smoothing`` or ``mixup`` does not suit the likelihood.
    """
    name, soft = type(likelihood).__name__, likelihood.soft_targets
    if settings is not None and not soft:
        if settings.label_smoothing:
            raise ModelError(f"{name} takes no class probabilities: set train.label_smoothing = 0")
        if settings.mixup and not isinstance(likelihood, Regression):
            raise ModelError(f"{name} takes no class probabilities: set train.mixup = 0")
    if isinstance(likelihood, Regression) and y.dim() != 1:
        raise DataError(f"y has shape {tuple(y.shape)}; {name} takes targets [N]")
    if isinstance(likelihood, Classification):
        for which, labels in (("y", y), ("y_val", y_val)):
            _check_labels(which, labels, likelihood.n_classes)
    if not soft or not isinstance(likelihood, Classification):
        return
    shapes = f"labels [N] or, in training, class probabilities [N, {likelihood.n_classes}], floating"
    if is_soft(y):
        check_soft(y, likelihood.n_classes)
    elif y.dim() != 1:
        raise DataError(f"y has shape {tuple(y.shape)} and type {y.dtype}; {name} takes {shapes}")
    if y_val is not None and y_val.dim() != 1:
        raise DataError(f"y_val has shape {tuple(y_val.shape)}; validation takes labels [N]")
