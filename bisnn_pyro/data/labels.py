"""Class labels of any kind, numbered 0 to C-1 in sorted order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bisnn_pyro.errors import DataError

Label = bool | int | float | str


@dataclass(frozen=True)
class LabelMap:
    """The classes of a task; the position in ``labels`` is the class index.

    Attributes:
        labels: The original labels, sorted, all numbers or all strings.
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
        return cls(tuple(_plain("labels", y, np.unique).tolist()))

    @property
    def names(self) -> tuple[str, ...]:
        """The labels as strings."""
        return tuple(str(label) for label in self.labels)

    def encode(self, y: np.ndarray, name: str = "y") -> np.ndarray:
        """Labels to class indices.

        Args:
            y: Labels ``[N]``.
            name: What the array is called in a message.

        Returns:
            Class indices ``[N]``, int64.

        Raises:
            DataError: If a label is not among the known ones; it is named.
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
        if array.dtype.kind not in "iu" or (
            array.size and (array.min() < 0 or array.max() >= len(self.labels))
        ):
            raise DataError(f"class indices must be whole numbers in 0..{len(self.labels) - 1}")
        return np.array(self.labels)[array]

    def to_dict(self) -> dict[str, list[Label]]:
        """The map as a plain list, for JSON."""
        return {"labels": list(self.labels)}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> LabelMap:
        """Restore what :meth:`to_dict` gave; a missing key is a :class:`DataError`."""
        if "labels" not in state:
            raise DataError(f"stored label map has no 'labels'; it holds {sorted(state)}")
        return cls(tuple(state["labels"]))

    def _listing(self, most: int = 12) -> str:
        shown = ", ".join(repr(label) for label in self.labels[:most])
        return shown + (f", ... ({len(self.labels)} in all)" if len(self.labels) > most else "")


def _plain(name: str, y: np.ndarray, reduce: Any = None) -> np.ndarray:
    """Labels as bool, int, float or unicode ``[N]``, reduced by ``reduce`` if given."""
    array = np.asarray(y)
    if array.ndim != 1 or array.size == 0:
        raise DataError(f"{name} has shape {array.shape}; expected class labels [N], one an example")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    if array.dtype.kind not in "biufU":
        raise DataError(f"{name} has type {array.dtype}; expected whole numbers or strings")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise DataError(f"{name} of shape {array.shape} holds NaN or infinity; expected class labels")
        if (array == np.round(array)).all() and (np.abs(array) < 2**53).all():
            array = array.astype(np.int64)
    return reduce(array) if reduce else array
