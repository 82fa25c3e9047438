"""The votes of finished runs, as figures and measures take them.

A figure of votes accepts any of these forms:

* a mapping from a label to ``(probabilities [N, C], labels [N])``, or to one such pair per training seed,
* a mapping from a label to a labelled dataset, as ``votes`` returns it,
* an object with ``votes``, such as ``bisnn_pyro.Runs("runs/digits")``.

A measure of arrays, such as :func:`~bisnn_pyro.analysis.expected_calibration_error`, accepts these forms too
and then returns, for every label, its value for each training seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast, overload, runtime_checkable

import numpy as np

from bisnn_pyro.analysis.validation import FloatArray, IntArray
from bisnn_pyro.errors import DataError

if TYPE_CHECKING:
    import xarray as xr

P = ParamSpec("P")
R = TypeVar("R")


@runtime_checkable
class Voting(Protocol):
    """Anything that can say how its runs voted on their test points.

    Example:
        >>> import xarray as xr
        >>> class Finished:
        ...     def votes(self, predictor=None):
        ...         probability = (("seed", "point", "class"), [[[0.9, 0.1], [0.4, 0.6]]])
        ...         return {"bayes": xr.Dataset({"probability": probability, "target": ("point", [0, 0])})}
        >>> isinstance(Finished(), Voting)
        True
        >>> from bisnn_pyro.analysis import accuracy
        >>> accuracy(Finished())
        {'bayes': [0.5]}
    """

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
    """Anything that can say how each member of its committees voted."""

    def members(self) -> Mapping[str, xr.Dataset]:
        """Return label -> dataset with ``probability`` (seed, draw, point, class) and ``target`` (point)."""
        ...


#: What a figure of votes takes.
Votes = Voting | Mapping[str, Any]
#: Label -> the arrays of each training seed.
Arrays = dict[str, list[tuple[Any, ...]]]


class Measure(Protocol[P, R]):
    """A function of arrays that also takes labelled votes."""

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    def __call__(
        self, votes: Voting | HasMembers | Mapping[str, Any], /, **settings: Any
    ) -> dict[str, list[R]]: ...


def of_votes(measure: Callable[P, R]) -> Measure[P, R]:
    """Let a function of ``(probabilities, labels)`` take the votes of classifications."""
    return _either(measure, class_votes)


def of_confidences(measure: Callable[P, R]) -> Measure[P, R]:
    """Let a function of ``probabilities`` alone take the votes of classifications."""
    return _either(
        measure, lambda given: {k: [v[:1] for v in seeds] for k, seeds in class_votes(given).items()}
    )


def of_members(measure: Callable[P, R]) -> Measure[P, R]:
    """Let a function of a committee's ``draws`` take an object with :meth:`HasMembers.members`."""
    return _either(
        measure, lambda given: {k: [v[:1] for v in seeds] for k, seeds in member_votes(given).items()}
    )


def of_regressions(measure: Callable[P, R]) -> Measure[P, R]:
    """Let a function of ``(mean_draws, scale, y)`` take the votes of regressions."""
    return _either(measure, regression_votes)


def class_votes(given: Votes) -> dict[str, list[tuple[FloatArray, IntArray]]]:
    """Return label -> ``(probabilities [N, C], labels [N])`` of each training seed.

    Raises:
        DataError: there are no votes, or they are not those of a classification.
    """
    found = {}
    for name, votes in _mapping(given, Voting).items():
        if hasattr(votes, "data_vars"):
            (probability,) = _by_seed(name, votes, probability=("point", "class"))
            found[name] = [(one, votes["target"].values) for one in probability]
        else:
            several: Sequence[Any] = [votes] if isinstance(votes, tuple) else votes
            found[name] = list(several)
        if not found[name]:
            raise DataError(
                f"The predictor {name!r} has no seeds; give (probabilities, labels) of at least one."
            )
    return found


def first_votes(given: Votes) -> dict[str, tuple[FloatArray, IntArray]]:
    """Return label -> votes of the first training seed; the label says so where there are several."""
    found = class_votes(given)
    return {k if len(v) == 1 else f"{k}, first of {len(v)} seeds": v[0] for k, v in found.items()}


def member_votes(given: HasMembers | Mapping[str, Any]) -> dict[str, list[tuple[FloatArray, IntArray]]]:
    """Return label -> ``(members' probabilities [S, N, C], labels [N])`` of each training seed.

    Raises:
        DataError: there are no members' votes of a classification.
    """
    found = {}
    for name, votes in _mapping(given, HasMembers).items():
        (probability,) = _by_seed(name, votes, probability=("draw", "point", "class"))
        found[name] = [(one, votes["target"].values) for one in probability]
    return found


def regression_votes(given: Votes) -> dict[str, list[tuple[FloatArray, FloatArray, FloatArray]]]:
    """Return label -> ``(means [S, N], noise scale, targets [N])`` of each training seed.

    Raises:
        DataError: there are no votes, or they are not those of a regression.
    """
    found = {}
    for name, votes in _mapping(given, Voting).items():
        means, scales = _by_seed(name, votes, mean=("draw", "point"), noise_scale=())
        found[name] = [(*pair, votes["target"].values) for pair in zip(means, scales, strict=True)]
    return found


def _either(
    measure: Callable[P, R], read: Callable[[Any], Mapping[str, Sequence[tuple[Any, ...]]]]
) -> Measure[P, R]:
    @wraps(measure)
    def either(*args: Any, **settings: Any) -> Any:
        if not args or not isinstance(args[0], Voting | HasMembers | Mapping):
            return measure(*args, **settings)
        return {name: [measure(*one, **settings) for one in seeds] for name, seeds in read(args[0]).items()}

    return cast("Measure[P, R]", either)


def _mapping(given: Any, protocol: type) -> dict[str, Any]:
    found: Any = given
    if not isinstance(given, Mapping):
        method = getattr(given, "votes" if protocol is Voting else "members", None)
        if method is None:
            raise DataError(f"{type(given).__name__} has no votes of a committee's members; give these.")
        found = method()
    if not found:
        raise DataError("There is nothing to show: no votes were given; give at least one predictor.")
    return {str(name): votes for name, votes in found.items()}


def _by_seed(name: str, votes: xr.Dataset, **variables: tuple[str, ...]) -> list[FloatArray]:
    """Variables of one label as arrays with the seeds first and then the dimensions named."""
    found = []
    for key, dims in variables.items():
        if key not in getattr(votes, "data_vars", ()) or not {*dims} <= {*votes[key].dims} <= {"seed", *dims}:
            held = {str(k): v.dims for k, v in getattr(votes, "data_vars", {}).items()}
            raise DataError(
                f"The votes of {name!r} hold {held}; expected {key!r} with dimensions {('seed', *dims)}."
            )
        values = votes[key] if "seed" in votes[key].dims else votes[key].expand_dims("seed")
        found.append(np.asarray(values.transpose("seed", *dims).values, dtype=np.float64))
    return found
