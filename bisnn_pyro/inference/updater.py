"""What a training run asks of whatever moves the posterior: gradient steps, or another rule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from bisnn_pyro.inference.history import Row


class Updater(ABC):
    """Moves a posterior batch by batch, and judges it between epochs.

    The loop around it (order, encoding, history, stopping, checkpoints) is
    :class:`~bisnn_pyro.inference.training.TrainingRun`'s; :meth:`Learner.make_updater` makes one for a run.
    """

    optimisers: Sequence[torch.optim.Optimizer] = ()
    """Those whose state a checkpoint must keep."""

    def schedule(self, progress: float) -> Row:
        """Set what changes over training, ``progress`` in [0, 1); return it for the history."""
        return {}

    @abstractmethod
    def __call__(self, spikes: Tensor, y: Tensor) -> Iterator[Mapping[str, Tensor]]:
        """Update on inputs ``[T, B, I]`` and targets ``[B]``; yield what each update saw before it.

        Scalars by name: ``loss`` and ``nll`` are estimates of sums over the data set, which the history
        divides by its size; others enter as they are.

        Raises:
            DivergenceError: if a loss or a parameter is not finite; the message names it.
        """

    @abstractmethod
    def validate(self, blocks: Sequence[Tensor], y: Tensor, seed: int) -> Row:
        """Return ``val_nll``, and the accuracy or RMSE, on encoded inputs and targets ``[N]``."""
