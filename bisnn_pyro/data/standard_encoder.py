"""The encoder ``standard``: features standardised on the training set, as constant currents."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.data.checks import check_choice, check_count
from bisnn_pyro.data.encoders import Encoder, check_features
from bisnn_pyro.data.standardising import SCALES, Standardiser
from bisnn_pyro.errors import DataError


@dataclass(frozen=True)
class StandardEncoder(Encoder):
    """Standardised features as constant currents, one neuron a feature.

    A feature becomes (x - mean) / divisor with the mean and the deviation of the training set, which
    :meth:`fit` or :meth:`fitted` brings in; so currents are of either sign and beyond [0, 1].  What is
    divided by, and when it is 1 instead, says :meth:`bisnn_pyro.data.Standardiser.divisor`.

    Attributes:
        n_steps: T.
        scale: ``"feature"``, each feature by its own deviation: rare pixels weigh as much as common ones;
            or ``"all"``, all by the one deviation of all centred features: an image stays an image.
        filters: Whether images get their edge maps beside them
            (:func:`bisnn_pyro.data.filters.filter_images`), twice as many inputs in all.
        standardiser: The statistics; None until fitted.
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
        if not isinstance(self.filters, bool):
            raise DataError(f"filters is {self.filters!r}; expected true or false")

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
