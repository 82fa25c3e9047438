r"""Statistics of spike trains, unit by unit, and posterior predictive checks of them as ArviZ data.

Spikes are `[T, B, U]`, steps first, 0 or 1: B trains of T steps of each of U units.  All statistics pool a
unit's B trains, so that a few long trains and many short ones count alike.  For reference, a Bernoulli
process of rate p has geometric intervals, of mean :math:`1/p` and coefficient of variation
:math:`\sqrt{1-p}`, and the Fano factor :math:`1-p` in any window.  Refractory units lie below, bursting ones
above.

:func:`spike_check_data` stores:

====================  =========================  =========================================================
group                 dimensions                 holds
====================  =========================  =========================================================
posterior_predictive  chain, draw, point, step,  ``y``: trains that each member's outputs draw
                      unit
posterior_predictive  chain, draw, unit          ``rate``, ``interval_mean``, ``interval_cv`` and ``fano``
                                                 of these
observed_data         as above, without chain    the same of the trains in the data
                      and draw
posterior_predictive  chain, draw,               ``<layer>.rate`` and so on: of hidden spikes, for which
                      <layer>.unit               there are no data
====================  =========================  =========================================================

Both groups use the same names, so that ``arviz.plot_ppc(data, var_names=["rate"])`` (0.x) and
``plot_ppc_dist`` (1.x) show data and predictions together.  A unit with too few spikes for a statistic has
NaN, which those plots leave out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.posterior.inference_data import make_idata
from bisnn_pyro.analysis.validation import BoolArray, FloatArray, IntArray
from bisnn_pyro.errors import DataError

STATISTICS = ("rate", "interval_mean", "interval_cv", "fano")


def train_statistics(spikes: ArrayLike, window: int = 10) -> dict[str, FloatArray]:
    """All statistics of each unit.

    Args:
        spikes: `[T, B, U]`, 0 or 1.
        window: steps of the Fano factor's windows; at most T // 2.

    Returns:
        `[U]` each: ``rate`` (spikes per step), ``interval_mean`` (steps) and ``interval_cv`` (both see
        :func:`interval_moments`), and ``fano``; NaN where a unit has too few spikes for it.

    Raises:
        DataError: an array of a wrong shape or with other values, or a window that is not in 1..T // 2.
    """
    trains = as_spikes(spikes)
    mean, cv = interval_moments(interval_counts(trains))
    values = (firing_rate(trains), mean, cv, fano_factor(trains, window))
    return dict(zip(STATISTICS, values, strict=True))


def firing_rate(spikes: ArrayLike) -> FloatArray:
    """Spikes per step of each unit, `[U]`; divide by a step's length in seconds for hertz.

    Args:
        spikes: `[T, B, U]`, 0 or 1.

    Raises:
        DataError: an array of a wrong shape or with other values.
    """
    trains = as_spikes(spikes)
    return np.count_nonzero(trains, axis=(0, 1)) / (trains.shape[0] * trains.shape[1])


def interval_counts(spikes: ArrayLike) -> IntArray:
    """How often each unit has each interval between two spikes of the same train that follow each other.

    Intervals that the ends of a train cut off are not counted, and long ones are cut off more often: where
    1 / rate is no small part of T, the intervals counted are too short, those of all predictors alike.

    Args:
        spikes: `[T, B, U]`, 0 or 1.

    Returns:
        `[T, U]`: row k counts intervals of k steps; row 0 is empty.

    Raises:
        DataError: an array of a wrong shape or with other values.
    """
    trains = as_spikes(spikes)
    n_steps, _, n_units = trains.shape
    train, step = np.nonzero(trains.reshape(n_steps, -1).T)  # train by train, each in the order of time
    follows = train[1:] == train[:-1]
    interval, unit = np.diff(step)[follows], train[1:][follows] % n_units
    counts = np.bincount(interval * n_units + unit, minlength=n_steps * n_units)
    return counts.reshape(n_steps, n_units).astype(np.int64)


def interval_moments(counts: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Mean and coefficient of variation of the intervals.

    Args:
        counts: `[T, U]` from :func:`interval_counts`.

    Returns:
        Mean `[U]`, in steps, NaN of a unit without intervals; standard deviation over mean `[U]`, NaN of a
        unit with fewer than two (the variance is the unbiased one).
    """
    table = np.asarray(counts, dtype=np.float64)
    length, n = np.arange(len(table))[:, None], table.sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (table * length).sum(0) / n
        variance = (table * (length - mean) ** 2).sum(0) / np.where(n > 1, n - 1, np.nan)
        return mean, np.sqrt(variance) / mean


def fano_factor(spikes: ArrayLike, window: int = 10) -> FloatArray:
    """Variance over mean of the spike counts in windows that follow each other.

    The variance is taken within each train (unbiased) and averaged over trains, so that trains of different
    inputs, whose rates differ, do not make it larger; what a train's rate does over its own time does.  A
    ratio of two estimates is biased for few spikes: compare predictors on the same number of windows.

    Args:
        spikes: `[T, B, U]`, 0 or 1; steps beyond the last whole window are left out.
        window: steps of a window.

    Returns:
        `[U]`, NaN of a silent unit.

    Raises:
        DataError: an array of a wrong shape or with other values, or a window that is not in 1..T // 2.
    """
    trains = as_spikes(spikes)
    n_steps, *shape = trains.shape
    if not 1 <= window <= n_steps // 2:
        raise DataError(f"window is {window!r}; expected 1 to {n_steps // 2} steps, half of {n_steps}.")
    n_windows = n_steps // window
    counts = trains[: n_windows * window].reshape(n_windows, window, *shape).sum(1, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return counts.var(0, ddof=1).mean(0) / counts.mean((0, 1))


def as_spikes(spikes: ArrayLike, name: str = "spikes") -> BoolArray:
    """Check spike trains `[T, B, U]` and return them as booleans.

    Raises:
        DataError: another number of axes, an empty one, or values other than 0 and 1.
    """
    array = np.asarray(spikes)
    if array.ndim != 3 or array.size == 0:
        raise DataError(f"{name} has shape {array.shape}; expected [T, B, U], steps first, no axis empty.")
    if array.dtype.kind == "b":
        return array
    fired = array == 1
    if array.dtype.kind not in "iuf" or not bool((fired | (array == 0)).all()):
        raise DataError(
            f"{name} (shape {array.shape}, dtype {array.dtype}) has other values than 0 and 1: currents, "
            "spike counts and signs are no spike trains."
        )
    return fired


Statistics = Mapping[str, ArrayLike]


def spike_check_data(
    *,
    seed: int,
    hidden: Mapping[str, Sequence[Statistics]],
    replicated: ArrayLike | None = None,
    observed: ArrayLike | None = None,
    window: int = 10,
    attrs: Mapping[str, Any] | None = None,
) -> Any:
    """Build the container of the spikes of one run's committee.

    Args:
        seed: the training seed, which becomes the chain's label.
        hidden: layer -> for each member what :func:`train_statistics` says of its spikes.
        replicated: `[S, T, B, O]` output trains that each member draws, where outputs are spike trains.
        observed: `[T, B, O]` the data's trains on the same points.
        window: steps of the Fano factor's windows in the output trains.
        attrs: of the whole container.

    Returns:
        The container of the installed ArviZ line.

    Raises:
        DataError: nothing at all, one of `replicated` and `observed` without the other, or other shapes.
    """
    if (replicated is None) != (observed is None):
        raise DataError("Give both replicated and observed trains, or neither.")
    predictive: dict[str, np.ndarray] = {}
    data: dict[str, np.ndarray] = {}
    dims = {name: ["unit"] for name in STATISTICS}
    for layer, members in hidden.items():
        for name in STATISTICS:
            predictive[f"{layer}.{name}"] = np.stack([member[name] for member in members])
            dims[f"{layer}.{name}"] = [f"{layer}.unit"]
    if replicated is not None:
        trains, target = np.asarray(replicated), np.asarray(observed)
        if trains.ndim != 4 or trains.shape[1:] != target.shape:
            raise DataError(
                f"replicated has shape {trains.shape} and observed {target.shape}; expected [S, T, B, O] and "
                "[T, B, O]."
            )
        each = [train_statistics(member, window) for member in trains]
        predictive |= {name: np.stack([one[name] for one in each]) for name in STATISTICS}
        predictive["y"] = trains.transpose(0, 2, 1, 3).astype(np.int8)
        data = {**train_statistics(target, window), "y": target.transpose(1, 0, 2).astype(np.int8)}
        dims["y"] = ["point", "step", "unit"]
    if not predictive:
        raise DataError("There are no spikes to check: give hidden layers, or output trains.")
    groups = {"posterior_predictive": {k: v[None] for k, v in predictive.items()}, "observed_data": data}
    return make_idata(
        groups, coords={"chain": [int(seed)]}, dims=dims, attrs={"seed": int(seed), **(attrs or {})}
    )
