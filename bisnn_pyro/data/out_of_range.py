"""Inputs outside the range of the training set: how many there are, and what is done with them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass

from bisnn_pyro.errors import DataWarning

ACTIONS = ("clip", "refuse", "pass")
"""What is done with such values: clipped to the range, refused, or scaled as they are."""

_SERIOUS = 0.05
"""Share of values outside, or of examples with a value far outside, from which on there is a warning.

Test data exceed the range of the training data slightly: a new value of one of n training values is outside
with probability 2 / (n + 1).  A wrong unit or a missing step of preparation puts most examples far outside.
"""


@dataclass(frozen=True)
class OutOfRange:
    """How many inputs lie outside the range that each feature has in the training set.

    Attributes:
        share: Share of the values that do.
        far: Share of the examples with a value farther outside than the range is wide.
        action: What is done with them, one of :data:`ACTIONS`.

    Example:
        >>> import numpy as np
        >>> from bisnn_pyro.data import FeatureScaler
        >>> scaler = FeatureScaler(np.array([0.0, 0.0]), np.array([1.0, 10.0]))
        >>> found = scaler.out_of_range(np.array([[0.5, 10.5], [3.0, 5.0]]))
        >>> found.share, found.far, found.serious
        (0.5, 0.5, True)
    """

    share: float = 0.0
    far: float = 0.0
    action: str = "clip"

    @property
    def serious(self) -> bool:
        """Whether a prediction on such inputs should not be trusted without a look at them."""
        return self.share > _SERIOUS or self.far > _SERIOUS

    def __str__(self) -> str:
        """One clause: what share of the values, and of the examples, and what is done with them."""
        text = f"{_percent(self.share)} of the input values lie outside the range of the training set"
        text += f" ({_percent(self.far)} of the examples far outside)" if self.far else ""
        return f"{text} and are {'used as they are' if self.action == 'pass' else 'clipped to it'}"

    def warn(self) -> None:
        """Give a :class:`~bisnn_pyro.errors.DataWarning` if it is serious."""
        if self.serious:
            text = f"{self}; the predictions may be wrong: was x prepared like the training data?"
            warnings.warn(text, DataWarning, stacklevel=3)


def out_of_range_notes(parts: Mapping[str, OutOfRange]) -> tuple[str, ...]:
    """Return one sentence per part of a data set whose inputs are seriously out of range."""
    return tuple(f"{part} part: {found}" for part, found in parts.items() if found.serious)


def _percent(share: float) -> str:
    """A share in percent with two digits, never 0 or 100 by rounding."""
    if 0 < share < 0.0005:
        return "less than 0.05 %"
    if 0.999 < share < 1:
        return "more than 99.9 %"
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
