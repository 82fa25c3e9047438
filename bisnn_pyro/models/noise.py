"""Noise of stochastic neurons that belongs to a point, in whichever batch it runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.keys import HIDDEN_SPIKES, Keys, branch, point_keys, uniform


@dataclass(frozen=True)
class PointNoise:
    """Uniform numbers for hidden units: a function of seed, member, input, layer, step and unit alone.

    Draws and examples may run in any chunks, and time in windows that begin at ``start``.

    Attributes:
        points: one key for each of the B inputs.
        seed: of the keys.
        members: indices of the S members that run side by side.
        start: step of the first current.

    Example:
        >>> inputs = torch.eye(3).expand(20, 3, 3)  # [T, B, I]
        >>> noise, some = PointNoise.of(inputs, seed=0), PointNoise.of(inputs[:, 1:], seed=0)
        >>> current = torch.zeros(20, 3, 5)  # [T, B, O]
        >>> torch.equal(noise(0, current)[:, 1:], some(0, current[:, 1:]))
        True
    """

    points: Keys
    seed: int
    members: range = range(1)
    start: int = 0

    @classmethod
    def of(cls, inputs: Tensor, seed: int, member: int = 0) -> PointNoise:
        """Return the noise of whole inputs ``[T, B, I]`` in one member."""
        points = (one.float().numpy() for one in inputs.detach().cpu().unbind(1))
        return cls(point_keys(points, seed, HIDDEN_SPIKES), seed, range(member, member + 1))

    def on(self, inputs: Tensor) -> PointNoise:
        """Return the noise of other inputs ``[T, R, I]`` in the same members."""
        return replace(self.of(inputs, self.seed), members=self.members)

    def part(self, points: slice, members: range | None = None, start: int = 0) -> PointNoise:
        """Return the noise of some of the points, of these members, from this step on."""
        return replace(self, points=self.points[points], members=members or self.members, start=start)

    def __call__(self, layer: int, current: Tensor) -> Tensor:
        """Return numbers in [0, 1) for the currents ``[S, T, B, O]`` or ``[T, B, O]`` of a hidden layer."""
        members = np.array(self.members)[:, None] if current.dim() > 3 else np.array(self.members)
        keys = branch(branch(self.points, members), layer)
        double = current.dtype == torch.float64
        drawn = torch.empty(current.shape, dtype=torch.float64 if double else torch.float32)
        for t in range(current.shape[-3]):  # one step at a time bounds the memory
            of_step = uniform(
                branch(keys, self.start + t), current.shape[-1], np.float64 if double else np.float32
            )
            drawn[..., t, :, :] = torch.from_numpy(of_step)
        return drawn.to(current)
