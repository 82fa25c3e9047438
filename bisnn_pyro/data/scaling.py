"""Affine maps fitted on the training data: features to [0, 1], regression targets to [0, 1]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bisnn_pyro.data.checks import check_choice, check_finite
from bisnn_pyro.errors import DataError

_VALUES = 1 << 14  # values scaled at a time: the float64 intermediates stay small, however wide a row


@dataclass(frozen=True, eq=False)
class FeatureScaler:
    """Maps raw features to [0, 1] by a minimum and a maximum a feature.

    Attributes:
        low: Raw value that becomes 0, ``[F]``, float64.
        high: Raw value that becomes 1, ``[F]``, float64.
    """

    low: np.ndarray
    high: np.ndarray

    def __post_init__(self) -> None:
        low, high = (np.array(a, dtype=np.float64) for a in (self.low, self.high))
        if low.ndim != 1 or low.shape != high.shape or low.size == 0:
            raise DataError(
                f"scaler low has shape {low.shape} and high {high.shape}; expected the same [F] for both"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            span = high - low
        if not np.isfinite(span).all() or (span < 0).any():
            raise DataError(
                "scaler low and high must be finite with low <= high and a range that a float64 holds"
            )
        object.__setattr__(self, "low", low)
        object.__setattr__(self, "high", high)

    @classmethod
    def fit(cls, x_train: np.ndarray, mode: Literal["feature", "global"] = "feature") -> FeatureScaler:
        """Take minimum and maximum from the training set.

        Args:
            x_train: Raw features, ``[N, F]`` or ``[N, ...]`` (flattened).
            mode: ``"feature"`` for one range a feature; ``"global"`` for one range in all, which
                keeps the pixels of an image comparable (a pixel at the minimum stays 0).

        Returns:
            The fitted scaler.

        Raises:
            DataError: If the array is empty, has no feature axis or holds NaN or infinity.
        """
        check_choice("scaling mode", mode, ("feature", "global"))
        flat = _flatten("x_train", x_train)
        low, high = flat.min(axis=0), flat.max(axis=0)
        if mode == "global":
            low, high = np.full(low.shape, low.min()), np.full(high.shape, high.max())
        return cls(low, high)

    @property
    def n_features(self) -> int:
        """F, the number of features."""
        return int(self.low.size)

    def transform(self, x: np.ndarray) -> np.ndarray:
        """Scale raw features and clip them to [0, 1].

        Args:
            x: Raw features, ``[N, F]``, or images ``[N, ...]`` with F values each.

        Returns:
            ``[N, F]``, float32, in [0, 1].  A feature that is constant in training becomes 0.

        Raises:
            DataError: If the number of features differs from F, or on NaN or infinity.
        """
        flat = _flatten("x", x)
        if flat.shape[1] != self.n_features:
            raise DataError(
                f"x has shape {np.shape(x)}, that is {flat.shape[1]} features; "
                f"expected {self.n_features} as in training"
            )
        span = self.high - self.low
        # A constant feature tells nothing: 0 everywhere, also where a test value differs.
        gain = np.divide(1.0, span, out=np.zeros_like(span), where=span > np.finfo(np.float64).tiny)
        out = np.empty(flat.shape, dtype=np.float32)
        step = max(1, _VALUES // self.n_features)
        for start in range(0, len(flat), step):
            rows = slice(start, start + step)
            # Clip before the subtraction too: a wild test value must not overflow.
            raw = np.clip(flat[rows].astype(np.float64), self.low, self.high)
            out[rows] = np.clip((raw - self.low) * gain, 0.0, 1.0)
        return out

    def to_dict(self) -> dict[str, list[float]]:
        """The scaler as plain lists, for JSON; :meth:`from_dict` gives it back exactly."""
        return {"low": self.low.tolist(), "high": self.high.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> FeatureScaler:
        """Restore a scaler.

        Args:
            state: What :meth:`to_dict` gave.

        Returns:
            An equal scaler.

        Raises:
            DataError: If a key is missing or the lists do not fit.
        """
        return cls(_entry(state, "low"), _entry(state, "high"))


@dataclass(frozen=True)
class TargetScaler:
    """Maps regression targets to [0, 1] on the training set, and back.  Nothing is clipped.

    Attributes:
        low: Original value that becomes 0.
        high: Original value that becomes 1; if equal to ``low``, the map only shifts.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.high - self.low) or self.high < self.low:
            raise DataError(
                f"target range is [{self.low}, {self.high}]; expected finite numbers, low <= high"
            )

    @classmethod
    def fit(cls, y_train: np.ndarray) -> TargetScaler:
        """Take minimum and maximum of the training targets.

        Args:
            y_train: Targets in original units, ``[N]``.

        Returns:
            The fitted scaler.

        Raises:
            DataError: If the array is empty or holds NaN or infinity.
        """
        y = np.asarray(y_train)
        if y.size == 0:
            raise DataError(f"y_train has shape {y.shape}; expected at least one target")
        check_finite("y_train", y)
        return cls(float(y.min()), float(y.max()))

    @property
    def span(self) -> float:
        """Original units in one rescaled unit: multiply an RMSE or a noise scale by it."""
        return (self.high - self.low) or 1.0

    def transform(self, y: np.ndarray) -> np.ndarray:
        """Original to rescaled units, any shape, float32."""
        return ((np.asarray(y, dtype=np.float64) - self.low) / self.span).astype(np.float32)

    def inverse(self, y: np.ndarray) -> np.ndarray:
        """Rescaled to original units, any shape, float64."""
        return np.asarray(y, dtype=np.float64) * self.span + self.low

    def to_dict(self) -> dict[str, float]:
        """The map as plain numbers, for JSON."""
        return {"low": self.low, "high": self.high}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> TargetScaler:
        """Restore what :meth:`to_dict` gave; a missing key is a :class:`DataError`."""
        return cls(float(_entry(state, "low")), float(_entry(state, "high")))


def _flatten(name: str, x: np.ndarray) -> np.ndarray:
    """``[N, ...]`` to ``[N, F]``, refusing what has no features, no numbers or no finite values."""
    array = np.asarray(x)
    if array.ndim < 2 or array.size == 0:
        raise DataError(f"{name} has shape {array.shape}; expected [N, F] with N and F at least 1")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} of shape {array.shape} has type {array.dtype}; expected numbers")
    check_finite(name, array)
    return array.reshape(len(array), -1)


def _entry(state: Mapping[str, Any], key: str) -> Any:
    if key not in state:
        raise DataError(f"stored scaler has no {key!r}; it holds {sorted(state)}")
    return state[key]
