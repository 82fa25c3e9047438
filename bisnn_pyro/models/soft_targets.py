"""Soft targets: class probabilities ``[N, C]`` in place of labels ``[N]``."""

from __future__ import annotations

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

from bisnn_pyro.errors import DataError

_TOLERANCE = 1e-4
"""How far a row may be from a sum of one: float32 with many classes."""


def is_soft(y: Tensor | None) -> bool:
    """Return whether targets are class probabilities ``[*S, B, C]``: floating, with two axes or more."""
    return y is not None and y.is_floating_point() and y.dim() >= 2


def as_soft(y: Tensor, n_classes: int) -> Tensor:
    """Return targets as class probabilities ``[B, C]``; a label is certain.

    Example:
        >>> as_soft(torch.tensor([1, 0]), 3).tolist()
        [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    if is_soft(y):
        return y
    return torch.nn.functional.one_hot(y.long(), n_classes).to(torch.get_default_dtype())


def check_soft(y: Tensor, n_classes: int, name: str = "y") -> None:
    """Refuse soft targets that are not the probabilities of so many classes.

    Raises:
        DataError: if there are more or fewer classes, a negative value, or a row that does not sum to one.
    """
    if y.shape[1:] != (n_classes,):
        raise DataError(f"{name} has shape {tuple(y.shape)}; class probabilities are [N, {n_classes}]")
    wrong = (y < 0).any(-1) | ~((y.sum(-1) - 1).abs() <= _TOLERANCE)
    if bool(wrong.any()):
        row = int(wrong.nonzero()[0])
        raise DataError(
            f"{name}[{row}] is not a distribution over {n_classes} classes: it sums to "
            f"{float(y[row].sum()):.6g}, its least value is {float(y[row].min()):.6g}; "
            "give values of at least 0 that sum to 1"
        )


class SoftCategorical(dist.OneHotCategorical):
    r"""Scores class probabilities q ``[..., C]`` by the cross-entropy :math:`\sum_c q_c\log p_c`.

    It is the expected log-probability of a label drawn from q, and that of the label where q is one-hot.  As
    a density of q it is not normalised.  Draws are one-hot.

    Example:
        >>> site = SoftCategorical(logits=torch.zeros(2))
        >>> site.log_prob(torch.tensor([0.25, 0.75]))  # -ln 2, whatever q is
        tensor(-0.6931)
    """

    support = constraints.independent(constraints.nonnegative, 1)  # type: ignore[assignment]

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the cross-entropy of q ``[..., C]``, without its sign."""
        if self._validate_args:
            self._validate_sample(value)
        score: Tensor = (value * self.logits).sum(-1)
        return score


def soft_label(logits: Tensor) -> Any:
    """Return :class:`SoftCategorical` for the logits of classes ``[..., C]``, or of class 1 ``[..., 1]``."""
    if logits.shape[-1] == 1:
        logits = torch.cat((torch.zeros_like(logits), logits), dim=-1)
    return SoftCategorical(logits=logits)
