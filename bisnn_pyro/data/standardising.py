"""Mean and deviation of the training features, by which the encoder ``standard`` standardises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.data.checks import check_choice
from bisnn_pyro.data.filters import filter_images
from bisnn_pyro.errors import DataError

SCALES = ("feature", "all")

FLOOR = 0.01
"""A feature that deviates by less on the training set (features are in [0, 1]) is centred only.

A border pixel that is bright in one image of 60,000 deviates by 0.004: divided by it, that image would
have a feature of 245.  With the floor no standardised feature exceeds 1 / FLOOR.
"""

_DECIMALS = 7  # fewer than a sum's rounding can reach, so that all machines store the same numbers
_ROWS = 4096  # rows at a time, so that the float64 intermediate stays small


@dataclass(frozen=True, eq=False)
class Standardiser:
    """Statistics of scaled training features, or of images and their edge maps.

    Attributes:
        mean: Mean of each feature, ``[F]``, float64.
        deviation: Its standard deviation (divided by N), ``[F]``, float64.
        image_shape: ``(C, H, W)`` where the features are images followed by their edge maps
            (:func:`bisnn_pyro.data.filters.filter_images`); None where they are as the task has them.
    """

    mean: np.ndarray
    deviation: np.ndarray
    image_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        mean, deviation = (np.array(a, dtype=np.float64) for a in (self.mean, self.deviation))
        if mean.ndim != 1 or mean.shape != deviation.shape or mean.size == 0:
            raise DataError(
                f"standardiser mean has shape {mean.shape} and deviation {deviation.shape}; expected the "
                "same [F] for both"
            )
        if not np.isfinite(mean).all() or not np.isfinite(deviation).all() or (deviation < 0).any():
            raise DataError("standardiser mean and deviation must be finite, the deviation 0 or more")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "deviation", deviation)

    @classmethod
    def fit(cls, x_train: np.ndarray, image_shape: tuple[int, ...] | None = None) -> Standardiser:
        """Take the statistics of the training set, rounded to 7 decimals.

        Args:
            x_train: Scaled training features, ``[N, F]``, in [0, 1].
            image_shape: ``(C, H, W)`` to filter them first.

        Returns:
            The fitted standardiser.

        Raises:
            DataError: If the array has another shape or is empty.
        """
        if x_train.ndim != 2 or x_train.size == 0:
            raise DataError(f"x_train has shape {x_train.shape}; expected features [N, F] to standardise")
        total = squares = np.zeros(1)
        for start in range(0, len(x_train), _ROWS):
            rows = x_train[start : start + _ROWS]
            if image_shape is not None:
                rows = filter_images(torch.from_numpy(rows), image_shape).numpy()
            total = total + rows.sum(axis=0, dtype=np.float64)
            squares = squares + np.square(rows, dtype=np.float64).sum(axis=0)
        mean = total / len(x_train)
        # Of numbers in [0, 1], so that this difference is good to 1e-16.
        variance = np.maximum(squares / len(x_train) - mean**2, 0.0)
        return cls(np.round(mean, _DECIMALS), np.round(np.sqrt(variance), _DECIMALS), image_shape)

    def prepare(self, x: Tensor) -> Tensor:
        """Return the features that the statistics are of, ``[B, F]``, from a task's."""
        return x if self.image_shape is None else filter_images(x, self.image_shape)

    def divisor(self, scale: Literal["feature", "all"]) -> np.ndarray:
        """What centred features are divided by.

        Args:
            scale: ``"feature"`` for each feature's own deviation, 1 where it is below :data:`FLOOR`;
                ``"all"`` for the one deviation of all centred features together, sqrt(mean variance),
                1 if it is 0; with edge maps, one for the pixels and one for the maps.

        Returns:
            Divisors, ``[F]``, float64, above 0.

        Raises:
            DataError: If ``scale`` is neither.
        """
        if check_choice("scale", scale, SCALES) == "feature":
            return np.where(self.deviation < FLOOR, 1.0, self.deviation)
        n_plain = self.deviation.size if self.image_shape is None else prod(self.image_shape)
        groups = np.split(self.deviation, [n_plain])
        return np.concatenate([np.full_like(g, _root_mean_square(g) or 1.0) for g in groups])

    def to_dict(self) -> dict[str, list[Any]]:
        """The statistics as plain lists, for JSON; :meth:`from_dict` gives them back exactly."""
        plain: dict[str, list[Any]] = {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}
        return plain if self.image_shape is None else plain | {"image_shape": list(self.image_shape)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Standardiser:
        """Restore what :meth:`to_dict` gave; a missing key is a :class:`DataError`."""
        for key in ("mean", "deviation"):
            if key not in state:
                raise DataError(f"stored standardiser has no {key!r}; it holds {sorted(state)}")
        shape = state.get("image_shape")
        return cls(state["mean"], state["deviation"], None if shape is None else tuple(shape))


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).sum() / max(values.size, 1)))
