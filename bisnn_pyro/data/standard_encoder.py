"""The encoder ``standard``: features standardised on the training set, as constant currents.

With it come the statistics that it stores, :class:`Standardiser`, and a fixed bank of spatial filters that
images may pass first: edges in four directions, added to the image itself.  The filters are for dense binary
networks, whose synapses can only add or subtract a pixel and so make poor edge detectors.  Cheng, Soudry, Mao
and Lan (arXiv 1503.03562) filter images before expectation backpropagation; the bank here is this package's
own, not theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bisnn_pyro.data.checks import check_choice, check_count, check_flag
from bisnn_pyro.data.encoders import Encoder, check_features
from bisnn_pyro.data.scaling import entry, set_vectors
from bisnn_pyro.errors import DataError

SCALES = ("feature", "all")

FLOOR = 0.01
"""A feature with a smaller deviation on the training set (features are in [0, 1]) is centred only.

A border pixel that is bright in one image of 60,000 deviates by 0.004: divided by it, that image would
have a feature of 245.  With the floor no standardised feature exceeds 1 / FLOOR.
"""

POOL = 2
_DECIMALS = 7  # more than the rounding errors of a sum, so that all machines store the same numbers
_ROWS = 4096  # rows at a time, so that the float64 intermediate stays small


def filter_images(x: Tensor, image_shape: tuple[int, ...]) -> Tensor:
    """Append edge maps to flattened images.

    A map is the absolute Sobel derivative along 0, 90, 45 or 135 degrees (weights 1, 2, 1 over 4, so that
    pixels in [0, 1] give edges in [0, 1]; border pixels are repeated outwards), averaged over blocks of
    2 x 2 pixels.  An odd last row or column is dropped.

    Args:
        x: Images in [0, 1], ``[B, C H W]``, floating point.
        image_shape: ``(C, H, W)``, H and W at least 2.

    Returns:
        ``[B, C H W + 4 C (H // 2) (W // 2)]``, in [0, 1]: the image, then its maps.

    Raises:
        DataError: If the images are not of that shape, or too small.
    """
    if len(image_shape) != 3 or min(image_shape[1:]) < POOL or x.shape[1:] != (prod(image_shape),):
        raise DataError(
            f"images have shape {tuple(x.shape)}; expected [B, C H W] with (C, H, W) = {image_shape}, "
            f"H and W at least {POOL}"
        )
    channels, height, width = image_shape
    padded = functional.pad(x.reshape(-1, channels, height, width), (1, 1, 1, 1), mode="replicate")

    def neighbour(down: int, right: int) -> Tensor:
        return padded[:, :, 1 + down : 1 + down + height, 1 + right : 1 + right + width]

    # Differences of opposite neighbours; elementwise, so that an example has the same bits in any batch.
    across, along = neighbour(0, 1) - neighbour(0, -1), neighbour(1, 0) - neighbour(-1, 0)
    rising, falling = neighbour(-1, 1) - neighbour(1, -1), neighbour(1, 1) - neighbour(-1, -1)
    directions = (
        2 * across + rising + falling,
        2 * along - rising + falling,
        2 * rising + across - along,
        2 * falling + across + along,
    )
    maps = functional.avg_pool2d(torch.cat(directions, dim=1).abs_().div_(4), POOL)
    return torch.cat((x, maps.flatten(1)), dim=1)


@dataclass(frozen=True, eq=False)
class Standardiser:
    """Mean and deviation of scaled training features, or of images and their edge maps.

    Attributes:
        mean: Mean of each feature, ``[F]``, float64.
        deviation: Its standard deviation (divided by N), ``[F]``, float64.
        image_shape: ``(C, H, W)`` if the features are images followed by their edge maps
            (``filter_images``); None if they are used as they are.
    """

    mean: np.ndarray
    deviation: np.ndarray
    image_shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        mean, deviation = set_vectors(self, "standardiser", "mean", "deviation")
        if not np.isfinite(mean).all() or not np.isfinite(deviation).all() or (deviation < 0).any():
            raise DataError("standardiser mean and deviation must be finite, the deviation 0 or more")

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
        # The values are in [0, 1], so this difference is accurate to 1e-16.
        variance = np.maximum(squares / len(x_train) - mean**2, 0.0)
        return cls(np.round(mean, _DECIMALS), np.round(np.sqrt(variance), _DECIMALS), image_shape)

    def prepare(self, x: Tensor) -> Tensor:
        """Return the features that the statistics describe, ``[B, F]``, from those of a task."""
        return x if self.image_shape is None else filter_images(x, self.image_shape)

    def divisor(self, scale: Literal["feature", "all"]) -> np.ndarray:
        """The scale that centred features are divided by.

        Args:
            scale: ``"feature"`` for each feature's own deviation, 1 if it is below :data:`FLOOR`;
                ``"all"`` for one deviation of all centred features together, sqrt(mean variance),
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
        """The statistics as plain lists, for JSON; :meth:`from_dict` restores them exactly."""
        plain: dict[str, list[Any]] = {"mean": self.mean.tolist(), "deviation": self.deviation.tolist()}
        return plain if self.image_shape is None else plain | {"image_shape": list(self.image_shape)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> Standardiser:
        """Restore what :meth:`to_dict` gave.

        Raises:
            DataError: If a key is missing.
        """
        mean, deviation = (entry("standardiser", state, key) for key in ("mean", "deviation"))
        shape = state.get("image_shape")
        return cls(mean, deviation, None if shape is None else tuple(shape))


def _root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).sum() / max(values.size, 1)))


@dataclass(frozen=True)
class StandardEncoder(Encoder):
    """Standardised features as constant currents, one neuron per feature.

    A feature becomes (x - mean) / divisor with the mean and the deviation of the training set, set by
    :meth:`fit` or :meth:`fitted`; currents may be negative and exceed 1.  See
    :meth:`Standardiser.divisor` for the divisor.

    Attributes:
        n_steps: T, the number of time steps.
        scale: ``"feature"``, each feature by its own deviation: rare pixels weigh as much as common ones;
            or ``"all"``, all by one deviation of all centred features: an image stays an image.
        filters: Whether edge maps are appended to images (``filter_images``), which doubles the
            number of inputs.
        standardiser: The statistics; None until fitted.

    Example:
        >>> import torch
        >>> from bisnn_pyro.data import two_moons
        >>> task = two_moons()
        >>> encoder = StandardEncoder(n_steps=5).fit(task.train.x)
        >>> currents = encoder(torch.from_numpy(task.train.x))
        >>> currents.shape, bool(currents.mean().abs() < 1e-5)
        (torch.Size([5, 200, 2]), True)
    """

    deterministic = True
    binary = False

    n_steps: int = 1
    scale: Literal["feature", "all"] = "all"
    filters: bool = False
    standardiser: Standardiser | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_count("n_steps", self.n_steps)
        check_choice("scale", self.scale, SCALES)
        check_flag("filters", self.filters)

    def n_inputs(self, n_features: int) -> int:
        """I = F, or with filters the number of pixels and of edges; fit the encoder first."""
        return self._statistics().mean.size if self.filters else n_features

    def fit(self, x_train: np.ndarray, image_shape: tuple[int, ...] | None = None) -> StandardEncoder:
        """Return this encoder with the statistics of a training set.

        Args:
            x_train: Scaled training features, ``[N, F]``.
            image_shape: ``(C, H, W)`` of images, which filters need (``Task.image_shape``).

        Returns:
            The fitted encoder.

        Raises:
            DataError: If there are filters but no images.
        """
        if self.filters and image_shape is None:
            raise DataError(
                "encoder.filters = true needs images; these features have no image shape: set it to false"
            )
        return self.fitted(Standardiser.fit(x_train, image_shape if self.filters else None))

    def fitted(self, standardiser: Standardiser) -> StandardEncoder:
        """Return this encoder with statistics that were fitted before."""
        encoder = replace(self)
        object.__setattr__(encoder, "standardiser", standardiser)
        return encoder

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See :meth:`Encoder.__call__`; stride 0 in time, one step in memory.

        Raises:
            DataError: If the encoder is not fitted, or ``x`` has another number of features.
        """
        check_features(x)
        statistics = self._statistics()
        x = statistics.prepare(x)
        mean, divisor = (torch.from_numpy(a).to(x) for a in (statistics.mean, self._divisor))
        if x.shape[1] != len(mean):
            raise DataError(
                f"encoder input has shape {tuple(x.shape)}; expected {len(mean)} features as in training"
            )
        return ((x - mean) / divisor).expand(self.n_steps, *x.shape)

    @cached_property
    def _divisor(self) -> np.ndarray:
        return self._statistics().divisor(self.scale)

    def _statistics(self) -> Standardiser:
        if self.standardiser is None:
            raise DataError("the encoder 'standard' is not fitted; call fit(task.train.x, task.image_shape)")
        return self.standardiser
