"""Paired differences between two methods: their intervals, tests, and what may be said of them.

Which interval suits depends on what was repeated: :func:`over_seeds` for trainings on one split,
:func:`over_seeds_and_points` where the scores of the test points are known too, :func:`over_folds` for a
cross-validation, repeated or not.  All give a :class:`Difference`; :func:`verdicts` puts it into words.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.validation import FloatArray, as_real, check_level
from bisnn_pyro.errors import DataError

Name = TypeVar("Name", bound=Hashable)
Verdict = Literal["ahead", "behind", "no different", "undecided"]

MARGIN = 0.002
"""Difference of the NLL, in nats, below which two methods are no different."""


@dataclass(frozen=True)
class Difference:
    """The mean of a paired difference, whose error is Student t.

    Attributes:
        mean: the estimate.
        error: its standard error; NaN where it cannot be estimated.
        df: degrees of freedom of the error.
        n: the number of pairs.
    """

    mean: float
    error: float
    df: float
    n: int

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return both ends of the interval; NaN where there is no error.

        Raises:
            DataError: `level` outside (0, 1).
        """
        from scipy.special import stdtrit

        check_level(level)
        half = float(stdtrit(self.df, 0.5 + level / 2)) * self.error
        return self.mean - half, self.mean + half

    @property
    def p_value(self) -> float:
        """Two-sided, of no difference at all; NaN where there is no error."""
        return _tail(-abs(self.mean), self.error, self.df, sides=2)

    def p_equivalent(self, margin: float = MARGIN) -> float:
        """Return the p-value of a difference as large as the margin (Schuirmann's two one-sided tests, 1987).

        Args:
            margin: above 0, in the unit of the scores.
        """
        return _tail(abs(self.mean) - margin, self.error, self.df)


def _tail(distance: float, error: float, df: float, sides: int = 1) -> float:
    """Chance of a Student t variable below ``distance / error``."""
    from scipy.special import stdtr

    if math.isnan(error) or math.isnan(distance):
        return math.nan
    if error == 0:
        return 1.0 if distance >= 0 else 0.0
    return float(sides * stdtr(df, distance / error))


def over_seeds(differences: ArrayLike) -> Difference:
    """Student t over independent pairs, such as the scores of two methods with the same training seeds.

    *Says* what other trainings would show on the same test points.

    Example:
        >>> found = over_seeds([-0.02, -0.03, -0.01])
        >>> round(found.mean, 3), round(found.p_value, 3)
        (-0.02, 0.074)

    Args:
        differences: `[K]`, one per seed.

    Raises:
        DataError: a wrong shape, or NaN.
    """
    return _student(as_real(differences, "differences", 1, finite=False), 1.0)


def over_folds(differences: ArrayLike, test_share: float) -> Difference:
    """Corrected resampled t over the runs of a repeated cross-validation (Nadeau and Bengio 2003, eq. 9).

    The training sets of two runs overlap, so that their scores are correlated.  The variance of the mean of J
    runs is that of a run times ``1/J + n_test/n_train`` instead of 1/J: the correlation is taken to be
    ``n_test / (n_test + n_train)``.  For folds of a repeated cross-validation see Bouckaert and Frank (2004).

    *Assumes* that correlation.  No estimator of the variance is unbiased (Bengio and Grandvalet 2004); a
    learner that changes much with few training examples makes it too short, a stable one too long.

    Args:
        differences: `[J]`, one per fold and repeat.
        test_share: n_test / n_train; 1 / (K - 1) for K folds.

    Raises:
        DataError: a wrong shape, NaN, or a share that is not above 0.

    Example:
        >>> found = over_folds([0.1, 0.3, 0.2, 0.2], test_share=1 / 3)
        >>> round(found.error, 4), found.df
        (0.0624, 3)
    """
    if not test_share > 0:
        raise DataError(f"test_share is {test_share}; expected n_test / n_train, above 0.")
    array = as_real(differences, "differences", 1, finite=False)
    return _student(array, 1.0 + len(array) * test_share)


def _student(values: FloatArray, inflation: float) -> Difference:
    n = len(values)
    with np.errstate(invalid="ignore"):  # inf and -inf together have no mean
        mean = float(values.mean())
    known = n > 1 and np.isfinite(values).all()
    error = math.sqrt(float(values.var(ddof=1)) / n * inflation) if known else math.nan
    return Difference(mean, error, n - 1, n)


def over_seeds_and_points(differences: ArrayLike) -> Difference:
    """Interval over training seeds and test points together, both drawn at random.

    The mean squares of the table of seeds and points estimate its variance without bias: the difference of a
    seed, that of a point, and the rest are random effects, and ``Var = (MS_seeds + MS_points - MS_rest) /
    (K N)``, with Satterthwaite's degrees of freedom (Searle, Casella and McCulloch, Variance Components,
    1992).  The crossed bootstrap (Owen 2007) aims at the same variance; it counts the rest three times and
    the seeds (K - 1) / K times, which is too short an interval where few seeds dominate.

    *Says* what other trainings would show on other test points.  *Fails* with one seed, which says nothing
    of other seeds, and for scores that are not means over points.  *Assumes* about normal effects of seeds:
    with K < 5 one odd seed decides, which shows as df near 1 and a wide interval.

    Args:
        differences: `[K, N]`, of each training seed and test point.

    Raises:
        DataError: a wrong shape, or NaN.

    Example:
        >>> table = [[0.1, 0.3, 0.2], [0.2, 0.4, 0.3]]  # seeds and points add up, with no rest
        >>> found = over_seeds_and_points(table)
        >>> round(found.error**2, 6) == round(0.005 / 2 + 0.01 / 3, 6)
        True
    """
    table = as_real(differences, "differences", 2, finite=False)
    k, n = table.shape
    with np.errstate(invalid="ignore"):
        mean = float(table.mean())
    if min(k, n) < 2 or not np.isfinite(table).all():
        return Difference(mean, math.nan, math.nan, k)
    seeds, points = table.mean(1), table.mean(0)
    rest = float(((table - seeds[:, None] - points + mean) ** 2).sum()) / ((k - 1) * (n - 1))
    parts = [(n * float(seeds.var(ddof=1)), k - 1), (k * float(points.var(ddof=1)), n - 1)]
    # A chance estimate below what either factor alone would give is not believed.
    square = max(sum(s for s, _ in parts) - rest, *(s for s, _ in parts))
    spread = sum(s**2 / df for s, df in parts) + rest**2 / ((k - 1) * (n - 1))
    df = square**2 / spread if spread > 0 else float(k - 1)
    return Difference(mean, math.sqrt(square / (k * n)), max(df, 1.0), k)


def holm(p_values: ArrayLike) -> FloatArray:
    """Adjust p-values for their number: a false alarm among all is as rare as the level (Holm 1979).

    Args:
        p_values: `[m]`; NaN is left out and stays NaN.

    Returns:
        `[m]` adjusted, to be compared with the level itself.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)[: np.isfinite(p).sum()]
    adjusted = np.full(p.shape, np.nan)
    scaled = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return adjusted


def verdicts(
    differences: Mapping[Name, Difference],
    *,
    margin: float = MARGIN,
    level: float = 0.95,
    larger_is_better: bool = False,
) -> dict[Name, Verdict]:
    """Say of each difference, on one data set each, whether the first method is ahead.

    ``ahead`` or ``behind``: the difference is not 0, adjusted by Holm for all that are given.  ``no
    different``: it is smaller than the margin, by two one-sided tests, adjusted likewise.  Else
    ``undecided``, which is no sign of equality: more seeds or points may decide.

    Args:
        differences: data set -> first minus second method.
        margin: what is too small to matter, in the unit of the scores.
        level: 1 minus the chance of a false alarm among all.
        larger_is_better: for an accuracy; a smaller NLL is better.

    Example:
        >>> verdicts({"digits": Difference(-0.02, 0.004, 9, 10), "mnist": Difference(0.0, 0.0005, 9, 10)})
        {'digits': 'ahead', 'mnist': 'no different'}

    Raises:
        DataError: `level` outside (0, 1), or a margin that is not above 0.
    """
    check_level(level)
    if not margin > 0:
        raise DataError(f"margin is {margin}; expected a number above 0.")
    apart = holm([d.p_value for d in differences.values()])
    alike = holm([d.p_equivalent(margin) for d in differences.values()])
    found: dict[Name, Verdict] = {}
    for (name, d), p_apart, p_alike in zip(differences.items(), apart, alike, strict=True):
        better = (d.mean > 0) == larger_is_better
        if p_apart < 1 - level:
            found[name] = "ahead" if better else "behind"
        else:
            found[name] = "no different" if p_alike < 1 - level else "undecided"
    return found
