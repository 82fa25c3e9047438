"""The exponential average of a run's parameters, which predicts in their place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class ParameterAverage:
    """Averages of parameters over the last ``1 / (1 - decay)`` updates or so.

    In the first updates the average is that of all so far, so that the start is forgotten.

    Args:
        modules: whose parameters to average, as they are stored (for natural parameters: lambda).
        decay: share of the average that an update keeps, in (0, 1).
    """

    def __init__(self, modules: Sequence[nn.Module], decay: float) -> None:
        self.parameters = [p for module in modules for p in module.parameters()]
        self.decay, self.updates = decay, 0
        self.values = [p.detach().clone() for p in self.parameters]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters after an update."""
        self.updates += 1
        keep = min(self.decay, 1 - 1 / self.updates)
        for value, parameter in zip(self.values, self.parameters, strict=True):
            value.lerp_(parameter, 1 - keep)

    def restart(self) -> None:
        """Forget everything, as where the parameters have changed their meaning."""
        self.updates = 0

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages in the parameters' place within the ``with`` block."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        if not self.updates:
            return
        for value, parameter in zip(self.values, self.parameters, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(value)
            value.copy_(kept)

    def state_dict(self) -> dict[str, list[Tensor] | int]:
        """Return what :meth:`load_state_dict` needs."""
        return {"updates": self.updates, "values": self.values}

    def load_state_dict(self, state: dict[str, list[Tensor] | int]) -> None:
        """Continue from a stored state."""
        values = state["values"]
        assert isinstance(values, list)
        self.updates = int(state["updates"])  # type: ignore[arg-type]
        for own, stored in zip(self.values, values, strict=True):
            own.copy_(stored)
