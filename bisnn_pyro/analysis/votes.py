"""The votes of finished runs, as figures and measures take them.

A figure of votes accepts any of these forms:

* a mapping from a label to ``(probabilities [N, C], labels [N])``,
* a mapping from a label to a labelled dataset, as :meth:`Voting.votes` returns it,
* an object with :meth:`Voting.votes`, such as ``bisnn_pyro.Runs("runs/digits")``.

A measure of one pair of arrays, such as :func:`~bisnn_pyro.analysis.expected_calibration_error`, also accepts
the last two, and then returns its value for every label and training seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    overload,
    runtime_checkable,
)

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.validation import FloatArray, IntArray
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

Pair = tuple[FloatArray, IntArray]
P = ParamSpec("P")
R = TypeVar("R")


@runtime_checkable
class Voting(Protocol):
    """Anything that can say how its runs voted on their test points."""

    def votes(self, predictor: str | None = None) -> Mapping[str, xr.Dataset]:
        """Return the votes of one predictor, by default the first of each run.

        Returns:
            Label, such as the method, -> dataset with the training seeds along ``seed``.  A classification
            has ``probability`` (seed, point, class) and ``target`` (point); a regression has ``mean`` (seed,
            draw, point), ``noise_scale`` (seed) and ``target`` (point).
        """
        ...


@runtime_checkable
class HasMembers(Protocol):
    """Anything that can also say how each member of its committees voted."""

    def members(self) -> Mapping[str, xr.Dataset]:
        """Return label -> dataset with ``probability`` (seed, draw, point, class) and ``target`` (point)."""
        ...


#: What a figure of votes takes.
Votes = Voting | Mapping[str, Any]


class Measure(Protocol[P, R]):
    """A function of votes: of one pair of arrays, or of every label and seed of labelled votes."""

    @overload
    def __call__(
        self, probabilities: ArrayLike, labels: ArrayLike, /, *args: P.args, **kwargs: P.kwargs
    ) -> R: ...

    @overload
    def __call__(self, votes: Votes, /, *args: P.args, **kwargs: P.kwargs) -> dict[str, list[R]]: ...


def of_votes(measure: Callable[Concatenate[ArrayLike, ArrayLike, P], R]) -> Measure[P, R]:
    """Let a function of ``(probabilities, labels)`` take labelled votes too, seed by seed."""

    @wraps(measure)
    def either(first: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(first, Voting | Mapping):
            return measure(first, *args, **kwargs)
        pairs = class_votes(first)
        return {name: [measure(*pair, *args, **kwargs) for pair in seeds] for name, seeds in pairs.items()}

    return cast("Measure[P, R]", either)


def class_votes(given: Votes) -> dict[str, list[Pair]]:
    """Return label -> ``(probabilities [N, C], labels [N])`` of each training seed.

    Raises:
        DataError: there are no votes, or they are not those of a classification.
    """
    found = given.votes() if isinstance(given, Voting) else given
    if not found:
        raise DataError("There are no votes to show; give at least one predictor.")
    return {str(name): _pairs(str(name), votes) for name, votes in found.items()}


def first_votes(given: Votes) -> dict[str, Pair]:
    """Return label -> votes of the first training seed; the label names the seed where there are several."""
    found = {}
    for name, pairs in class_votes(given).items():
        found[name if len(pairs) == 1 else f"{name}, first of {len(pairs)} seeds"] = pairs[0]
    return found


def member_votes(given: HasMembers | Mapping[str, xr.Dataset]) -> dict[str, list[Pair]]:
    """Return label -> ``(members' probabilities [S, N, C], labels [N])`` of each training seed."""
    found = given.members() if isinstance(given, HasMembers) else given
    return {name: _of_dataset(name, votes, ("draw", "point", "class")) for name, votes in found.items()}


def _pairs(name: str, votes: Any) -> list[Pair]:
    if hasattr(votes, "data_vars"):
        return _of_dataset(name, votes, ("point", "class"))
    several: Sequence[Any] = [votes] if isinstance(votes, tuple) else votes
    if len(several) == 0:
        raise DataError(f"The predictor {name!r} has no seeds; give (probabilities, labels) of at least one.")
    return list(several)


def _of_dataset(name: str, votes: xr.Dataset, dims: tuple[str, ...]) -> list[Pair]:
    if "probability" not in votes or not {*dims} <= {*votes["probability"].dims}:
        held = ", ".join(f"{key} {values.dims}" for key, values in votes.data_vars.items())
        raise DataError(
            f"The votes of {name!r} hold {held}; expected `probability` with the dimensions {dims}."
        )
    probability = votes["probability"]
    if "seed" not in probability.dims:
        probability = probability.expand_dims("seed")
    values = probability.transpose("seed", *dims).values
    target = votes["target"].values
    return [(one, target) for one in np.asarray(values, dtype=np.float64)]
