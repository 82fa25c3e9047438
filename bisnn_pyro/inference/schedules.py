"""Schedules: how a number moves over the course of training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from bisnn_pyro.errors import ModelError

Shape = Literal["constant", "linear", "exponential", "cosine"]


@dataclass(frozen=True)
class Schedule:
    """A number as a function of training's progress from 0 to 1.

    Args:
        start: value at the start.
        end: value at the end, if it is not constant.
        shape: ``constant``, ``linear``, ``exponential`` (both values > 0) or ``cosine`` in between.
        warmup: share of training over which the value first rises linearly from 0 to ``start``.

    Raises:
        ModelError: if the shape is unknown, or the values do not suit it.

    Example:
        >>> temperature = Schedule(1.0, 0.25, "exponential")
        >>> [temperature(progress) for progress in (0.0, 0.5, 1.0)]
        [1.0, 0.5, 0.25]
    """

    start: float = 1.0
    end: float | None = None
    shape: Shape = "constant"
    warmup: float = 0.0

    def __post_init__(self) -> None:
        if self.shape not in ("constant", "linear", "exponential", "cosine"):
            raise ModelError(f"schedule shape {self.shape!r} is not constant, linear, exponential or cosine")
        if self.shape == "constant" and self.end not in (None, self.start):
            raise ModelError(
                f"a schedule from {self.start} to {self.end} needs a shape: linear, exponential or cosine"
            )
        if self.shape == "exponential" and not (self.start > 0 and (self.end is None or self.end > 0)):
            raise ModelError("an exponential schedule needs start and end > 0")
        if self.shape != "constant" and self.end is None:
            raise ModelError(f"a schedule of shape {self.shape!r} needs an end")
        if not 0 <= self.warmup < 1:
            raise ModelError(f"schedule warmup must lie in [0, 1), not {self.warmup}")

    def __call__(self, progress: float) -> float:
        """Return the value at ``progress`` in [0, 1]."""
        if progress < self.warmup:
            return self.start * progress / self.warmup
        x = min(1.0, max(0.0, (progress - self.warmup) / (1 - self.warmup)))
        end = self.start if self.end is None else self.end
        if self.shape == "exponential":
            return self.start * (end / self.start) ** x
        if self.shape == "cosine":
            return end + (self.start - end) * 0.5 * (1 + math.cos(math.pi * x))
        return self.start + (end - self.start) * x
