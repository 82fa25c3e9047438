"""Ensembles of trainings: scores by size with intervals over seeds, and how many nets equal a method.

Scores are given for sets of training seeds, ``{(0,): 0.21, (1,): 0.22, (0, 1): 0.19}``: those of the ensemble
whose members were trained with these seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bisnn_pyro.analysis.comparison import Difference
from bisnn_pyro.analysis.validation import FloatArray, check_level
from bisnn_pyro.errors import DataError

Scores = Mapping[tuple[int, ...], float]
_GRID = 801


def seed_sets(seeds: Sequence[int], size: int, most: int = 300) -> list[tuple[int, ...]]:
    """Return sets of so many seeds: all of them, or a random choice where there are more than ``most``.

    The choice is the same in every call, so that methods are paired.

    Example:
        >>> seed_sets([0, 1, 2], 2)
        [(0, 1), (0, 2), (1, 2)]

    Raises:
        DataError: the size is not between 1 and the number of seeds.
    """
    if not 1 <= size <= len(seeds):
        raise DataError(f"size is {size}; expected 1 to {len(seeds)}, the number of seeds.")
    if math.comb(len(seeds), size) <= most:
        return list(combinations(sorted(seeds), size))
    rng, ordered = np.random.default_rng(0), sorted(seeds)
    found: set[tuple[int, ...]] = set()
    while len(found) < most:
        found.add(tuple(ordered[i] for i in sorted(rng.choice(len(ordered), size, replace=False))))
    return sorted(found)


def ensemble_mean(scores: Scores) -> Difference:
    """Mean score of ensembles of one size, with its jackknife error over seeds.

    Ensembles share seeds, so their scores are not independent.  The delete-one jackknife leaves out every
    ensemble with one seed in turn; it is that of a U-statistic (Arvesen 1969), conservative on average (Efron
    and Stein 1981).  Where the ensembles have all seeds there is nothing to leave out, and no interval.

    Args:
        scores: set of seeds -> score, all of one size.

    Example:
        >>> found = ensemble_mean({(0,): 1.0, (1,): 2.0, (2,): 3.0})
        >>> found.mean, round(found.error, 6)  # of single networks: the standard error of the mean
        (2.0, 0.57735)
    """
    seeds = _seeds(scores)
    values = _by_deletion(scores, seeds)
    return Difference(float(values[0]), float(_jackknife(values)), len(seeds) - 1, len(seeds))


@dataclass(frozen=True)
class EnsembleEquivalent:
    """How many networks of a baseline, pooled, score like a method.

    Attributes:
        size: the number, as a rule not a whole one; 0 where a single network is already better, infinite
            where the largest ensemble is still worse.
        low: lower end of the interval; 0 where it reaches below one network.
        high: upper end; infinite where it reaches beyond the largest ensemble that has an error.
        largest: members of the largest ensemble.
    """

    size: float
    low: float
    high: float
    largest: int

    def __str__(self) -> str:
        ends = {0.0: "fewer than 1", math.inf: f"more than {self.largest}"}
        high = "inf" if math.isinf(self.high) else f"{self.high:.2f}"
        interval = "" if math.isnan(self.low) else f" [{self.low:.2f}, {high}]"
        return ends.get(self.size, f"{self.size:.2f}") + interval


def ensemble_equivalent(ours: Scores, ensembles: Scores, level: float = 0.95) -> EnsembleEquivalent:
    """Return how many networks of a baseline equal a method, paired by training seed.

    The mean score of the baseline's ensembles is interpolated linearly in the logarithm of their size, as the
    least up to each size.  The interval holds the sizes at which the paired difference to the method is not
    significant (the way of Fieller 1954, which holds where the curve is flat too), with the jackknife over
    seeds of :func:`ensemble_mean` and Student t.

    *Assumes* a score for which less is better, and finite.  *Says nothing* beyond the largest ensemble.
    The ensemble of all seeds has no error, and the interval stops at the size before it: train more seeds
    than the largest ensemble has members.

    Args:
        ours: set of seeds -> score of the method; of one seed each for a single training.
        ensembles: set of seeds -> score of the baseline's ensembles, of several sizes from 1.
        level: coverage.

    Example:
        >>> nets = {(s,): 0.10 for s in range(3)} | {(0, 1): 0.08, (0, 2): 0.08, (1, 2): 0.08}
        >>> print(ensemble_equivalent({(s,): 0.09 for s in range(3)}, nets))
        1.41 [1.41, 1.41]

    Raises:
        DataError: sizes that do not start at 1 or are fewer than two, other seeds, or an infinite score.
    """
    from scipy.special import stdtrit

    check_level(level)
    sizes, seeds = sorted({len(members) for members in ensembles}), _seeds(ensembles)
    if sizes[:1] != [1] or len(sizes) < 2 or _seeds(ours) != seeds:
        raise DataError(
            f"The ensembles have sizes {sizes} of seeds {seeds}, and the method seeds {_seeds(ours)}; "
            "expected sizes from 1, two at least, and the same seeds."
        )
    if not np.isfinite([*ours.values(), *ensembles.values()]).all():
        raise DataError("A score is infinite; an equivalent number of networks needs finite ones.")
    by_size = [{m: v for m, v in ensembles.items() if len(m) == size} for size in sizes]
    curve = np.stack([_by_deletion(own, seeds) for own in by_size], axis=1)
    method = _by_deletion(ours, seeds)
    logs = np.log(sizes)
    grid = np.linspace(0.0, logs[-1], _GRID)
    gap = np.interp(grid, logs, np.minimum.accumulate(curve[0])) - method[0]
    size = _crossing(grid, gap)
    errors = _jackknife(curve - method[:, None])
    if np.isnan(errors[0]):
        return EnsembleEquivalent(size, math.nan, math.nan, sizes[-1])
    known = grid <= logs[np.isfinite(errors)].max()
    deleted = np.stack([np.interp(grid[known], logs, row) - m for row, m in zip(curve, method, strict=True)])
    half = float(stdtrit(len(seeds) - 1, 0.5 + level / 2)) * _jackknife(deleted)
    return EnsembleEquivalent(size, *_accepted(grid[known], gap[known], half, size), sizes[-1])


def _crossing(grid: FloatArray, gap: FloatArray) -> float:
    """The size from which the baseline is no worse; `grid` is its logarithm and `gap` never rises."""
    if gap[0] < 0:
        return 0.0
    if gap[-1] > 0:
        return math.inf
    return float(np.exp(np.interp(0.0, -gap, grid)))


def _accepted(grid: FloatArray, gap: FloatArray, half: FloatArray, size: float) -> tuple[float, float]:
    """Ends of the sizes whose gap is not significant."""
    inside = np.flatnonzero(np.abs(gap) <= half)
    if len(inside) == 0:
        beyond = gap[-1] > 0
        return (float(np.exp(grid[-1])), math.inf) if beyond else (size, size)
    low = 0.0 if inside[0] == 0 else float(np.exp(grid[inside[0]]))
    return low, math.inf if inside[-1] == len(grid) - 1 else float(np.exp(grid[inside[-1]]))


def _seeds(scores: Scores) -> list[int]:
    return sorted({seed for members in scores for seed in members})


def _by_deletion(scores: Scores, seeds: Sequence[int]) -> FloatArray:
    """Mean over all ensembles, then over those without each seed in turn `[1 + S]`; NaN without any."""
    kept = [list(scores.values()), *([v for m, v in scores.items() if s not in m] for s in seeds)]
    return np.array([np.mean(values) if values else math.nan for values in kept])


def _jackknife(values: FloatArray) -> FloatArray:
    """Standard error `[...]` of an estimate `[1 + S, ...]` followed by those without each seed."""
    deleted = values[1:]
    n = len(deleted)
    if n < 2:
        return np.full(values.shape[1:], np.nan)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt((n - 1) / n * ((deleted - deleted.mean(0)) ** 2).sum(0)))
