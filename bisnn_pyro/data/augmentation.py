"""Augmentation: random changes of training examples that should not change their class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.data.checks import check_count, check_flag, check_number
from bisnn_pyro.errors import DataError


@dataclass(frozen=True)
class SpikeAugmentation:
    """Random changes of batches of ready spikes ``[B, T, I]``, or of image features ``[B, F]``.

    Each setting assumes that the class stays the same under a change.  If it does not, the network learns to
    ignore a difference that matters, which shows as a validation NLL that is worse than without.

    * ``shift`` moves each example by whole pixels, -shift..shift along x and along y.  It assumes that
      position carries no information.  It hurts if it does, and if objects reach the border, where parts of
      them are lost.  An axis of one pixel stays: sound of ``image_shape = (1, 1, 700)`` moves along its
      channels only.
    * ``flip`` mirrors an example left to right with probability 1/2: for gestures of either hand, never for
      digits.
    * ``time_shift`` moves each recording by -time_shift..time_shift steps.  It assumes that the onset
      carries no information.  Spikes that leave the sequence are lost, and decisions come later, since the
      onset may be late.
    * ``time_jitter`` moves each spike by -time_jitter..time_jitter steps of its own.  It assumes that
      smaller differences in time carry no information, and blurs those that do: a latency code, the
      direction of fast motion.
    * ``drop`` deletes each spike with this probability, like a sensor that misses events.  It lowers the
      rates in training only, without compensation: test inputs are stronger by 1 / (1 - drop).

    All are drawn uniformly.  Moved spikes leave zeros.  A bin that counts several spikes moves, or is
    dropped, as one, and of bins that jitter onto the same place the largest stays, so that binary spikes stay
    binary.

    Attributes:
        shift: Largest shift along x and y, in pixels.
        flip: Whether to mirror, with probability 1/2.
        time_shift: Largest shift of a recording, in steps.
        time_jitter: Largest shift of a single spike, in steps.
        drop: Probability of deletion, below 1.
        image_shape: ``(C, H, W)`` of the flattened inputs (``Task.image_shape``), for ``shift`` and ``flip``.

    Raises:
        DataError: If a setting is out of range, or ``shift`` or ``flip`` has no image shape.

    Example:
        >>> import torch
        >>> x = torch.zeros(1, 6, 2)
        >>> x[0, 3] = 1
        >>> moved = SpikeAugmentation(time_shift=2)(x, torch.Generator().manual_seed(0))
        >>> moved.sum(), moved[0].argmax(0).tolist()
        (tensor(2.), [5, 5])
    """

    shift: int = 0
    flip: bool = False
    time_shift: int = 0
    time_jitter: int = 0
    drop: float = 0.0
    image_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("shift", "time_shift", "time_jitter"):
            check_count(name, getattr(self, name), 0)
        if check_number("drop", self.drop, 0.0, 1.0) == 1.0:
            raise DataError("drop is 1; expected a probability below 1, or no spike would remain")
        check_flag("flip", self.flip)
        if not (self.shift or self.flip):
            return
        if self.image_shape is None or len(self.image_shape) != 3:
            raise DataError(
                f"shift and flip need images and the image shape is {self.image_shape}; expected (C, H, W)"
            )
        across = [n for n in self.image_shape[1:] if n > 1]
        if self.shift >= min(across, default=1):
            raise DataError(
                f"shift is {self.shift} and the images are {self.image_shape}; expected less than their sides"
            )

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Change a batch.

        Args:
            x: Ready spikes ``[B, T, I]`` or image features ``[B, F]``, 0 or more; it is not changed.
            generator: Source of randomness, on the CPU like ``x``.

        Returns:
            The changed batch, shape and type of ``x``.

        Raises:
            DataError: As :meth:`check`.
        """
        self.check(x.shape)
        if self.shift or self.flip or self.time_shift:
            x = self._moved(x, generator)
        return self._scattered(x, generator) if self.time_jitter or self.drop else x

    def check(self, shape: Sequence[int]) -> None:
        """Refuse inputs that the settings do not apply to.

        Args:
            shape: Of ready spikes ``[B, T, I]`` or image features ``[B, F]``.

        Raises:
            DataError: If they have no spikes to change, too few steps, or another size than the images.
        """
        of_spikes = [name for name in ("time_shift", "time_jitter", "drop") if getattr(self, name)]
        if len(shape) != 3 and (of_spikes or len(shape) != 2):
            what = ", ".join(of_spikes) or "augmentation"
            raise DataError(f"{what} of inputs of shape {tuple(shape)}; expected ready spikes [N, T, I]")
        if len(shape) == 3 and shape[1] <= self.time_shift:
            raise DataError(f"time_shift is {self.time_shift}; expected less than the {shape[1]} steps")
        if self.image_shape is not None and prod(self.image_shape) != shape[-1]:
            raise DataError(
                f"inputs have shape {tuple(shape)}; expected images {self.image_shape} along the last axis"
            )

    def _moved(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Move whole examples, one slice each."""
        n_steps = x.shape[1] if x.ndim == 3 else 1
        images = x.reshape(len(x), n_steps, *(self.image_shape or (1, 1, x.shape[-1])))
        sizes = images.shape[1:]
        most = (self.time_shift, 0, *(self.shift if n > 1 else 0 for n in sizes[2:]))
        offsets = torch.stack([_whole_numbers(m, len(x), generator) for m in most], dim=1)
        mirrored = torch.rand(len(x), generator=generator) < 0.5 if self.flip else torch.zeros(len(x))
        moved = torch.zeros_like(images)
        for b, (offset, mirror) in enumerate(zip(offsets.tolist(), mirrored.tolist(), strict=True)):
            source = images[b].flip(-1) if mirror else images[b]
            spans = [_overlap(d, n) for d, n in zip(offset, sizes, strict=True)]
            moved[b][tuple(to for to, _ in spans)] = source[tuple(of for _, of in spans)]
        return moved.reshape(x.shape)

    def _scattered(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Drop and move single spikes; a margin in time catches those that leave the sequence."""
        n_steps, n_inputs, margin = x.shape[1], x.shape[2], self.time_jitter
        room = x.new_zeros(len(x), n_steps + 2 * margin, n_inputs)
        room[:, margin : margin + n_steps] = x
        flat = room.view(-1)
        places = torch.from_numpy(np.flatnonzero((flat != 0).numpy()))
        if self.drop:
            kept = torch.rand(len(places), generator=generator) >= self.drop
            places = places[kept]
        landed = places
        if margin:
            landed = places + n_inputs * _whole_numbers(margin, len(places), generator)
        out = torch.zeros_like(flat).scatter_reduce_(0, landed, flat[places], "amax")
        return out.view(room.shape)[:, margin : margin + n_steps]


def _whole_numbers(most: int, n: int, generator: torch.Generator) -> Tensor:
    """Draw ``n`` whole numbers from -most..most; nothing is drawn for 0."""
    if not most:
        return torch.zeros(n, dtype=torch.int64)
    return torch.randint(-most, most + 1, (n,), generator=generator)


def _overlap(offset: int, n: int) -> tuple[slice, slice]:
    """Where the rest of ``n`` places ends up after a move by ``offset``, and where it was."""
    return slice(max(offset, 0), n + min(offset, 0)), slice(max(-offset, 0), n - max(offset, 0))
