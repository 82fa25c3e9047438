"""What every likelihood does: from a read-out over time to an observed site, and back to a prediction."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

import pyro
import torch
from pyro import poutine
from pyro.distributions import TorchDistribution
from pyro.nn import PyroModule
from torch import Tensor


class Window(NamedTuple):
    """Which steps of a sequence a call sees.

    Attributes:
        start: index, in the whole sequence, of the first step given.
        burn_in: how many of the given steps come before the first one that counts.
        fraction: share w / T' of the whole sequence's counted steps; 1 for a whole sequence.
    """

    start: int = 0
    burn_in: int = 0
    fraction: float = 1.0

    @property
    def first(self) -> int:
        """Index, in the whole sequence, of the first counted step."""
        return self.start + self.burn_in


class Likelihood(PyroModule):
    """From read-outs ``[*S, B, T, O]`` (counted steps only) to the observed site, and back.

    A subclass states its distribution, its target and the weight of its log-probability; the loss, the
    site and the prediction follow.  ``bisnn_pyro.testing.LikelihoodContract`` is its test suite.
    """

    kind: ClassVar[Literal["classification", "regression"]]
    needs_trained_readout: ClassVar[bool] = False
    n_outputs: int
    """Number of read-out units O."""

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the distribution of the target, batch shape ``[*S, B]``.

        ``y`` is given where the initial state of a clamped train depends on it; most ignore it.
        """
        raise NotImplementedError

    def target(self, y: Tensor, n_steps: int, window: Window) -> Tensor:
        """Return ``y`` ``[B]`` in the shape that :meth:`distribution` scores."""
        raise NotImplementedError

    def weight(self, n_steps: int, window: Window) -> float:
        """Return the factor of the log-probability, so that windows add up to the whole sequence."""
        return window.fraction

    def log_prob(self, readout: Tensor, y: Tensor, window: Window | None = None) -> Tensor:
        """Return the weighted log-likelihood of each example, ``[*S, B]``: minus its nll."""
        window = window or Window()
        n_steps = readout.shape[-2]
        target = self._scored(y, readout, window)
        return self.weight(n_steps, window) * self.distribution(readout, y, window).log_prob(target)

    def observe(self, name: str, readout: Tensor, y: Tensor | None, window: Window | None = None) -> Tensor:
        """Make the sample site ``name``, observed where ``y`` is given; call it inside the data plate."""
        window = window or Window()
        n_steps = readout.shape[-2]
        obs = None if y is None else self._scored(y, readout, window)
        with poutine.scale(scale=self.weight(n_steps, window)):
            site = self.distribution(readout, y, window)
            mark: Any = {"is_likelihood": True}
            return pyro.sample(name, site, obs=obs, infer=mark)

    def _scored(self, y: Tensor, readout: Tensor, window: Window) -> Tensor:
        # A real target takes the read-out's precision: torch scores in the target's otherwise.
        target = self.target(y, readout.shape[-2], window)
        return target.to(readout.dtype) if target.is_floating_point() else target

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, C]``, or predicted means ``[*S, B]`` of a regression."""
        raise NotImplementedError


class Classification(Likelihood):
    """A likelihood of class labels 0 .. C-1."""

    kind = "classification"
    n_classes: int


class Regression(Likelihood):
    """A likelihood of a real target with Gaussian noise."""

    kind = "regression"

    @property
    def noise_scale(self) -> Tensor:
        """Standard deviation of the noise, a scalar in the units of the target."""
        raise NotImplementedError


def two_classes(logit: Tensor) -> Tensor:
    """Return ``[..., 2]`` probabilities from the logit of class 1, accurate at both ends."""
    return torch.stack((torch.sigmoid(-logit), torch.sigmoid(logit)), dim=-1)
