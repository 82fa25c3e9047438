"""Regression on the time-averaged read-out."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from pyro.nn import PyroParam
from torch import Tensor
from torch.distributions import constraints

from bisnn_pyro.errors import ModelError
from bisnn_pyro.models.likelihoods.base import Regression, Window


class Gaussian(Regression):
    """``y ~ Normal(mean_t r_t, sigma)`` with a learned noise scale ``sigma``.

    Each local read-out learns its own scale, so that an earlier, coarser layer does not inflate the
    noise of the last one.

    Args:
        noise: initial standard deviation, in units of the target.
    """

    scale: Tensor

    def __init__(self, noise: float = 0.3) -> None:
        super().__init__()
        if not noise > 0:
            raise ModelError(f"likelihood noise must be positive, not {noise}")
        self.n_outputs = 1
        self.scale = PyroParam(torch.tensor(float(noise)), constraints.positive)  # type: ignore[assignment]

    @property
    def noise_scale(self) -> Tensor:
        """The learned standard deviation."""
        return self.scale

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the target's distribution, batch shape ``[*S, B]``."""
        return dist.Normal(self.predict(readout), self.scale)

    def target(self, y: Tensor, n_steps: int, window: Window) -> Tensor:
        """Return the targets as they are."""
        return y

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return predicted means ``[*S, B]``."""
        return readout.mean(-2).squeeze(-1)
