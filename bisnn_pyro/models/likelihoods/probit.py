"""The likelihood of a class label where each class has a unit of its own that is on or off."""

from __future__ import annotations

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor

from bisnn_pyro.distributions.normal import log_odds
from bisnn_pyro.models.likelihoods.base import Classification, Window
from bisnn_pyro.models.likelihoods.classes import check_classes


class CategoricalProbit(Classification):
    r"""One probit unit a class, given that exactly one of them is on.

    Unit k is on with probability :math:`\Phi(z_k)`, ``z`` the time-averaged read-out in units of its noise.
    Independent units of which just one is on make the label k with probability proportional to
    :math:`\Phi(z_k)/\Phi(-z_k)`: a softmax of their log-odds.  It is how a network of sign units with a
    unit a class (expectation backpropagation, arXiv 1503.03562) gets probabilities; two classes have two
    units as well.

    The log-odds grow as :math:`z^2/2`, so read-outs of tens are very sure: look at the calibration.

    Args:
        n_classes: number of classes C, at least 2; the read-out has C units.
    """

    def __init__(self, n_classes: int) -> None:
        super().__init__()
        self.n_classes = self.n_outputs = check_classes(n_classes)

    def distribution(self, readout: Tensor, y: Tensor | None, window: Window) -> TorchDistribution:
        """Return the label's distribution, batch shape ``[*S, B]``."""
        return dist.Categorical(logits=log_odds(readout.mean(-2)))

    def target(self, y: Tensor, n_steps: int, window: Window) -> Tensor:
        """Return the labels as they are."""
        return y

    def predict(self, readout: Tensor, window: Window | None = None) -> Tensor:
        """Return class probabilities ``[*S, B, C]``, none of them below the type's smallest normal number.

        So a sure mistake costs at most 708 nats (in double), and not infinitely many; scores of
        :meth:`log_prob` have no such bound.
        """
        p = torch.softmax(log_odds(readout.mean(-2)), dim=-1)
        return p.clamp_min(torch.finfo(p.dtype).tiny)
