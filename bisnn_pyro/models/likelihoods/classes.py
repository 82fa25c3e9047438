"""Likelihoods of a class label, on the time-averaged read-out or at each step."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.likelihoods.base import Classification, Window, two_classes


class CategoricalRate(Classification):
    """``y ~ Categorical(softmax(mean_t r_t))``: one term per example.

    Args:
        n_classes: number of classes C, at least 2; the read-out has C units.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = self.n_outputs = check_classes(n_classes)

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the label's distribution, batch shape ``[*S, B]``."""
        return dist.Categorical(logits=readout.mean(-2))

    def target(self, y: Tensor, n_steps: int, window: Window) -> Tensor:
        """Return the labels as they are."""
        return y

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, C]``."""
        return torch.softmax(readout.mean(-2), dim=-1)


class BernoulliRate(Classification):
    """``y ~ Bernoulli(sigmoid(mean_t r_t))``: two classes on a single read-out unit."""

    def __init__(self, n_classes: int = 2) -> None:
        super().__init__()
        self.n_classes, self.n_outputs = check_two(n_classes), 1

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the label's distribution, batch shape ``[*S, B]``."""
        return dist.Bernoulli(logits=readout.mean(-2).squeeze(-1))

    def target(self, y: Tensor, n_steps: int, window: Window) -> Tensor:
        """Return the labels as floats."""
        return y.to(torch.get_default_dtype()) if not y.is_floating_point() else y

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, 2]``."""
        return two_classes(readout.mean(-2).squeeze(-1))


class _Steps(Classification):
    """The label is scored at each counted step; an example's nll is the mean over those T' steps.

    One label seen at T' steps is one observation, hence the mean: in probabilities, the geometric mean
    over steps.  It is a tempered likelihood, not a normalised one; ``log_likelihood`` inherits that.
    """

    def weight(self, n_steps: int, window: Window) -> float:
        """Return ``fraction / T'``: the mean over the whole sequence's counted steps."""
        return window.fraction / n_steps

    def target(self, y: Tensor, n_steps: int, window: Window) -> Tensor:
        """Return each label repeated over the steps, ``[B, T]``."""
        return y.unsqueeze(-1).expand(*y.shape, n_steps)


class CategoricalSteps(_Steps):
    """``y ~ Categorical(softmax(r_t))`` at every step: the paper's loss (arXiv 2012.08300).

    Args:
        n_classes: number of classes C, at least 2; the read-out has C units.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = self.n_outputs = check_classes(n_classes)

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the distribution of the label at each step, event shape ``[T]``."""
        return dist.Categorical(logits=readout).to_event(1)

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, C]`` of the time-averaged read-out."""
        return torch.softmax(readout.mean(-2), dim=-1)


class BernoulliSteps(_Steps):
    """``y ~ Bernoulli(sigmoid(r_t))`` at every step: the paper's loss for two moons."""

    def __init__(self, n_classes: int = 2) -> None:
        super().__init__()
        self.n_classes, self.n_outputs = check_two(n_classes), 1

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the distribution of the label at each step, event shape ``[T]``."""
        return dist.Bernoulli(logits=readout.squeeze(-1)).to_event(1)

    def target(self, y: Tensor, n_steps: int, window: Window) -> Tensor:
        """Return each label repeated over the steps, as floats ``[B, T]``."""
        y = y if y.is_floating_point() else y.to(torch.get_default_dtype())
        return super().target(y, n_steps, window)

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, 2]`` of the time-averaged read-out."""
        return two_classes(readout.mean(-2).squeeze(-1))


def check_classes(n_classes: int) -> int:
    """Return ``n_classes`` if it is at least 2."""
    if n_classes < 2:
        raise ModelError(f"a classification needs at least 2 classes, not {n_classes}")
    return n_classes


def check_two(n_classes: int) -> int:
    """Return ``n_classes`` if it is 2."""
    if n_classes != 2:
        raise ModelError(
            f"a Bernoulli likelihood has 2 classes, the data have {n_classes}; use a categorical one"
        )
    return n_classes
