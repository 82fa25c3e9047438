"""The learner of expectation backpropagation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.ebp.updates import ExpectationUpdates
from bisnn_pyro.inference.learner import Learner
from bisnn_pyro.inference.updater import Updater


def _no_optimisers(model: Any, guide: Any) -> Sequence[torch.optim.Optimizer]:
    return ()


@dataclass
class ExpectationLearner(Learner):
    """Fits a posterior by expectation backpropagation, in the loop of :class:`Learner`.

    Of its arguments only ``model``, ``guide``, ``encode``, ``settings``, ``seed`` and ``augment`` matter, of
    the settings not ``particles``, ``window`` and ``validation_draws``: there are no draws, no steps in time,
    no gradient and no learning rate.  Validation is of the posterior's moments.
    """

    make_optimisers: Callable[..., Sequence[torch.optim.Optimizer]] = _no_optimisers

    def make_updater(self) -> Updater:
        """Return what moves the posterior.

        Raises:
            ModelError: if the network or the posterior is none of expectation backpropagation's.
        """
        if self.settings.window is not None or self.settings.particles != 1:
            raise ModelError(
                "expectation backpropagation has neither windows nor weight draws; leave train.window and "
                "train.particles out"
            )
        return ExpectationUpdates(self.model, self.guide)
