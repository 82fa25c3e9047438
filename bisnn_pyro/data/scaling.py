"""Maps fitted on the training data: labels to class indices, features and regression targets to [0, 1]."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bisnn_pyro.data.checks import check_choice, check_finite
from bisnn_pyro.data.out_of_range import OutOfRange
from bisnn_pyro.errors import DataError

Label = bool | int | float | str

_VALUES = 1 << 14  # values scaled at a time, so that the float64 intermediates stay small


@dataclass(frozen=True)
class LabelMap:
    """The classes of a task; the position in ``labels`` is the class index.

    Attributes:
        labels: The original labels, sorted, all numbers or all strings.

    Example:
        >>> import numpy as np
        >>> labels = LabelMap.fit(np.array(["no", "yes", "no"]))
        >>> labels.encode(np.array(["yes", "no"]))
        array([1, 0])
        >>> labels.decode([0, 0, 1]).tolist()
        ['no', 'no', 'yes']
    """

    labels: tuple[Label, ...]

    def __post_init__(self) -> None:
        kinds = {isinstance(label, str) for label in self.labels}
        if not self.labels or len(kinds) != 1 or list(self.labels) != sorted(set(self.labels)):
            raise DataError(f"labels are {self.labels}; expected distinct sorted numbers or strings")

    @classmethod
    def fit(cls, y: np.ndarray) -> LabelMap:
        """Collect the distinct labels.

        Args:
            y: Labels ``[N]``: whole numbers, floats, booleans or strings.

        Returns:
            The map; floats that are all whole numbers (-1.0, 1.0) become integers.

        Raises:
            DataError: If there are no labels or they cannot be sorted.
        """
        return cls(tuple(np.unique(_plain("labels", y)).tolist()))

    @property
    def names(self) -> tuple[str, ...]:
        """The labels as strings."""
        return tuple(str(label) for label in self.labels)

    def encode(self, y: np.ndarray, name: str = "y") -> np.ndarray:
        """Labels to class indices.

        Args:
            y: Labels ``[N]``.
            name: Name of the array in a message.

        Returns:
            Class indices ``[N]``, int64.

        Raises:
            DataError: If a label is not a known one; the message names it.
        """
        plain = _plain(name, y)
        known = np.array(self.labels)
        if (plain.dtype.kind == "U") != (known.dtype.kind == "U"):
            raise DataError(f"{name} holds {plain.dtype} labels; expected some of {self._listing()}")
        index = np.searchsorted(known, plain).clip(max=len(known) - 1)
        wrong = known[index] != plain
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"{name} of shape {plain.shape} holds the unknown label {plain[at].item()!r} at index {at}; "
                f"expected one of the training labels {self._listing()}"
            )
        return index.astype(np.int64)

    def decode(self, index: np.ndarray) -> np.ndarray:
        """Class indices to labels.

        Args:
            index: Class indices in 0..C-1, any shape.

        Returns:
            The original labels, same shape.

        Raises:
            DataError: If an index is out of range or not a whole number.
        """
        array = np.asarray(index)
        top = len(self.labels) - 1
        if array.dtype.kind not in "iu" or (array.size and (array.min() < 0 or array.max() > top)):
            raise DataError(f"class indices must be whole numbers in 0..{top}")
        return np.array(self.labels)[array]

    def to_dict(self) -> dict[str, list[Label]]:
        """The map as a plain list, for JSON."""
        return {"labels": list(self.labels)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> LabelMap:
        """Restore what :meth:`to_dict` gave.

        Raises:
            DataError: If a key is missing.
        """
        return cls(tuple(entry("label map", state, "labels")))

    def _listing(self, most: int = 12) -> str:
        shown = ", ".join(repr(label) for label in self.labels[:most])
        return shown + (f", ... ({len(self.labels)} in all)" if len(self.labels) > most else "")


def _plain(name: str, y: np.ndarray) -> np.ndarray:
    """Labels as bool, int, float or unicode ``[N]``."""
    array = np.asarray(y)
    if array.ndim != 1 or array.size == 0:
        raise DataError(f"{name} has shape {array.shape}; expected class labels [N], one per example")
    if array.dtype.kind == "S":
        try:
            array = np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:  # replaced characters would make two labels one
            raise DataError(f"{name} holds bytes that are not UTF-8 text; save the labels as text") from error
    if array.dtype.kind not in "biufU":
        raise DataError(f"{name} has type {array.dtype}; expected whole numbers or strings")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise DataError(f"{name} of shape {array.shape} holds NaN or infinity; expected class labels")
        if (array == np.round(array)).all() and (np.abs(array) < 2**53).all():
            array = array.astype(np.int64)
    return array


@dataclass(frozen=True, eq=False)
class FeatureScaler:
    """Maps raw features to [0, 1] by one minimum and one maximum per feature.

    Attributes:
        low: Raw value that becomes 0, ``[F]``, float64.
        high: Raw value that becomes 1, ``[F]``, float64.

    Example:
        >>> import numpy as np
        >>> scaler = FeatureScaler.fit(np.array([[0.0, 10.0], [4.0, 30.0]]))
        >>> scaler.transform(np.array([[1.0, 50.0]]))
        array([[0.25, 1.  ]], dtype=float32)
    """

    low: np.ndarray
    high: np.ndarray

    def __post_init__(self) -> None:
        low, high = set_vectors(self, "scaler", "low", "high")
        with np.errstate(over="ignore", invalid="ignore"):
            span = high - low
        if not np.isfinite(span).all() or (span < 0).any():
            raise DataError(
                "scaler low and high must be finite with low <= high and a range that a float64 holds"
            )

    @classmethod
    def fit(cls, x_train: np.ndarray, mode: Literal["feature", "global"] = "feature") -> FeatureScaler:
        """Take minimum and maximum from the training set.

        Args:
            x_train: Raw features, ``[N, F]`` or ``[N, ...]`` (flattened).
            mode: ``"feature"`` for one range per feature; ``"global"`` for one range for all, which
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

    def transform(self, x: np.ndarray, *, clip: bool = True) -> np.ndarray:
        """Scale raw features and clip them to [0, 1].

        Args:
            x: Raw features, ``[N, F]``, or images ``[N, ...]`` with F values each.
            clip: Whether to clip; otherwise values outside the training range lie outside [0, 1].

        Returns:
            ``[N, F]``, float32, in [0, 1] if clipped.  A feature that is constant in training becomes 0.

        Raises:
            DataError: If the number of features differs from F, on NaN or infinity, or if a value is too far
                outside to be scaled.
        """
        flat = self._flat(x)
        span = self.high - self.low
        # A constant feature carries no information: 0 everywhere, even if a test value differs.
        gain = np.divide(1.0, span, out=np.zeros_like(span), where=span > np.finfo(np.float64).tiny)
        out = np.empty(flat.shape, dtype=np.float32)
        for rows in self._chunks(flat):
            raw = flat[rows].astype(np.float64)
            if clip:
                # Clipped before the subtraction too: an extreme test value must not overflow.
                raw = np.clip(raw, self.low, self.high)
                out[rows] = np.clip((raw - self.low) * gain, 0.0, 1.0)
            else:
                with np.errstate(over="ignore", invalid="ignore"):
                    out[rows] = (raw - self.low) * gain
        if not clip and not np.isfinite(out).all():
            raise DataError("x has values too far outside the range of the training set to be scaled")
        return out

    def out_of_range(self, x: np.ndarray) -> OutOfRange:
        """Count the values that :meth:`transform` clips.

        Args:
            x: Raw features, as for :meth:`transform`.

        Returns:
            Their share; none of an array without examples.  Of a feature that is constant in training every
            other value counts, though it is not far outside.
        """
        if not len(x):
            return OutOfRange()
        flat = self._flat(x)
        span = self.high - self.low
        far = np.where(span > 0, span, np.inf)
        n_outside = n_far = 0
        for rows in self._chunks(flat):
            raw = flat[rows].astype(np.float64)
            with np.errstate(over="ignore"):
                beyond = np.maximum(self.low - raw, raw - self.high)
            n_outside += int((beyond > 0).sum())
            n_far += int((beyond > far).any(axis=1).sum())
        return OutOfRange(n_outside / flat.size, n_far / len(flat))

    def _flat(self, x: np.ndarray) -> np.ndarray:
        flat = _flatten("x", x)
        if flat.shape[1] != self.n_features:
            raise DataError(
                f"x has shape {np.shape(x)}, that is {flat.shape[1]} features; "
                f"expected {self.n_features} as in training"
            )
        return flat

    def _chunks(self, flat: np.ndarray) -> Iterator[slice]:
        step = max(1, _VALUES // self.n_features)
        return (slice(start, start + step) for start in range(0, len(flat), step))

    def to_dict(self) -> dict[str, list[float]]:
        """The scaler as plain lists, for JSON; :meth:`from_dict` restores it exactly."""
        return {"low": self.low.tolist(), "high": self.high.tolist()}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> FeatureScaler:
        """Restore what :meth:`to_dict` gave.

        Raises:
            DataError: If a key is missing or the lists do not fit.
        """
        return cls(entry("scaler", state, "low"), entry("scaler", state, "high"))


@dataclass(frozen=True)
class TargetScaler:
    """Maps regression targets to [0, 1] on the training set, and back.  Nothing is clipped.

    Attributes:
        low: Original value that becomes 0.
        high: Original value that becomes 1; if equal to ``low``, the map only shifts.

    Example:
        >>> import numpy as np
        >>> scaler = TargetScaler.fit(np.array([10.0, 30.0]))
        >>> scaler.transform(20.0).item(), scaler.inverse(0.5).item(), scaler.span
        (0.5, 20.0, 20.0)
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
        """Original units per rescaled unit: multiply an RMSE or a noise scale by it."""
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
        """Restore what :meth:`to_dict` gave.

        Raises:
            DataError: If a key is missing.
        """
        return cls(float(entry("scaler", state, "low")), float(entry("scaler", state, "high")))


def set_vectors(owner: Any, what: str, one: str, other: str) -> tuple[np.ndarray, np.ndarray]:
    """Replace two attributes of a frozen dataclass by float64 vectors ``[F]``.

    Raises:
        DataError: If their shapes differ, or are not one non-empty axis.
    """
    a, b = (np.array(getattr(owner, name), dtype=np.float64) for name in (one, other))
    if a.ndim != 1 or a.shape != b.shape or a.size == 0:
        raise DataError(
            f"{what} {one} has shape {a.shape} and {other} {b.shape}; expected the same [F] for both"
        )
    object.__setattr__(owner, one, a)
    object.__setattr__(owner, other, b)
    return a, b


def entry(what: str, state: Mapping[str, Any], key: str) -> Any:
    """Return a key of a stored map; a missing one is a :class:`DataError`."""
    if key not in state:
        raise DataError(f"stored {what} has no {key!r}; it holds {sorted(state)}")
    return state[key]


def _flatten(name: str, x: np.ndarray) -> np.ndarray:
    """``[N, ...]`` to ``[N, F]``; no features, no numbers or no finite values are refused."""
    array = np.asarray(x)
    if array.ndim < 2 or array.size == 0:
        raise DataError(f"{name} has shape {array.shape}; expected [N, F] with N and F at least 1")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} of shape {array.shape} has type {array.dtype}; expected numbers")
    check_finite(name, array)
    return array.reshape(len(array), -1)
