r"""Expected log predictive densities (elpd), on held-out points or by leaving points out.

The elpd of N points is :math:`\sum_n \log p(y_n \mid \text{data without } n)`, in nats (Vehtari, Gelman and
Gabry, Statistics and Computing 27, 2017).  There are two ways to estimate it; which is right depends on the
points.

held out
    Test points, on which nothing was conditioned (``predictions_log_likelihood``): the elpd is the plain sum
    of :math:`\log \frac1S \sum_s p(y_n \mid w_s)`.  Leaving a point out again would take away information
    that was never there.
conditioned
    Training points (``log_likelihood``): each is left out in turn by Pareto-smoothed importance sampling
    (``arviz.loo``).

A run's log-likelihood is that of its observed site.  That of a per-step likelihood is a mean over steps, not
a normalised
probability: it compares models with the same likelihood only.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.posterior.inference_data import group, import_arviz, make_idata
from bisnn_pyro.analysis.tables import PrintedTable, plain_table
from bisnn_pyro.analysis.validation import FloatArray, as_real
from bisnn_pyro.errors import DataError

#: With fewer draws there is no tail to smooth.
MIN_DRAWS = 5

POINT = (
    "LOO is not defined for a point estimate: with one draw there is nothing to reweight, and the result "
    "would be the likelihood of the points that it was fitted to. Compare held-out points "
    "(conditioned=False)."
)

_COLUMNS = ("elpd", "se", "difference", "se_difference", "p_loo", "bad_k", "weight")
#: Whether the points were conditioned on -> groups of their log-likelihoods and of their targets.
_GROUPS = {
    True: ("log_likelihood", "observed_data"),
    False: ("predictions_log_likelihood", "predictions_constant_data"),
}


@dataclass(frozen=True)
class Elpd:
    """An estimate of the elpd of one model.

    Attributes:
        pointwise: `[N]` nats.
        n_draws: S.
        p_loo: effective number of parameters; LOO only.
        pareto_k: `[N]` shape of each point's importance weights; LOO only.
        good_k: the largest shape at which these weights are reliable, for this S.
        warnings: warnings of ArviZ.
    """

    pointwise: FloatArray
    n_draws: int
    p_loo: float = np.nan
    pareto_k: FloatArray | None = None
    good_k: float = np.nan
    warnings: tuple[str, ...] = ()

    @property
    def elpd(self) -> float:
        """The sum over points, nats."""
        return float(self.pointwise.sum())

    @property
    def se(self) -> float:
        """Standard error of the sum, for points drawn at random; NaN of a single point."""
        return _standard_error(self.pointwise)

    @property
    def n_bad(self) -> int | None:
        """Points whose importance weights are not reliable; None without such weights."""
        return None if self.pareto_k is None else int((~(self.pareto_k <= self.good_k)).sum())


def held_out_elpd(log_likelihood: ArrayLike) -> Elpd:
    r"""Return the elpd of points on which nothing was conditioned: :math:`\log \frac1S \sum_s p(y_n|w_s)`.

    Unbiased for the committee of these S members, and for a point estimate (S = 1) as well.  A larger
    committee has a larger elpd on average (Jensen), so compare committees of one size.

    Example:
        >>> round(held_out_elpd([[-0.1, -0.9], [-0.3, -0.2]]).elpd, 3)
        -0.685

    Args:
        log_likelihood: `[S, N]` nats, one row per draw; -inf is accepted.

    Raises:
        DataError: another shape, or NaN.
    """
    from scipy.special import logsumexp

    values = as_real(log_likelihood, "log_likelihood", 2, finite=False)
    with np.errstate(divide="ignore"):
        pointwise = logsumexp(values, axis=0) - np.log(len(values))
    return Elpd(np.asarray(pointwise), len(values))


def loo_elpd(idata: Any) -> Elpd:
    """Return the PSIS-LOO elpd of points that the posterior was conditioned on (``arviz.loo``).

    *Assumes* that the draws are independent draws of the posterior, as a committee's are (the relative
    efficiency is set to 1).  A variational posterior is not the posterior, and with another weight on the KL
    than 1 it approximates that of a tempered likelihood: the result is then that of the approximation,
    usually too good. *Fails* where single points have a strong influence on the posterior, and with few
    draws.  One notices by ``pareto_k`` above ``good_k``, which is 0.7, or less for fewer than 2,200 draws;
    ArviZ's warning is kept in ``warnings``.

    Args:
        idata: a container whose ``log_likelihood`` is of training points, as that of a run; or these
            log-likelihoods themselves, `[S, N]` nats.

    Raises:
        DataError: no such group, another shape, NaN, infinite values, or fewer than 5 draws.
    """
    return _loo_record(idata if hasattr(idata, "groups") else _container(idata))[0]


def compare_models(runs: Mapping[str, Any], *, conditioned: bool) -> PrintedTable:
    """Compare the elpd of several models on the same points.

    Args:
        runs: model -> container of its run.  Several seeds in one container are one mixture of their draws.
        conditioned: whether to compare on the training points, on which the posteriors were conditioned, by
            LOO (``log_likelihood``); else on the test points (``predictions_log_likelihood``).

    Returns:
        One line per model, best first, those without an estimate last.  ``difference`` is the elpd minus that
        of the best, at most 0, with the standard error of the *paired* difference, which is too small for
        fewer than 100 points or very similar models (Sivula et al., arXiv 2008.10296).  With LOO also
        ``p_loo``, ``bad_k`` (points whose Pareto k is too large) and ``weight`` (``arviz.compare``,
        stacking).  The notes say why a model has no estimate, and repeat ArviZ's warnings.

    Raises:
        DataError: no models, different points, a container without these points, or NaN.
    """
    _check_points(runs, conditioned)
    found: dict[str, Elpd] = {}
    loos: dict[str, Any] = {}
    lacking: dict[str, int] = {}
    notes: list[str] = []
    n_points = 0
    for name, idata in runs.items():
        values = _log_likelihoods(idata, conditioned)
        n_points = values.shape[1]
        try:
            if conditioned:
                found[name], loos[name] = _loo_record(idata)
            else:
                found[name] = held_out_elpd(values)
        except DataError as error:
            lacking[name] = len(values)
            notes.append(f"{name}: {error}")
    how = "each left out in turn (PSIS-LOO)" if conditioned else "on which nothing was conditioned"
    first = f"elpd in nats over {n_points} points, {how}; difference to the best, paired by point"
    weights, said = _stacking(loos)
    notes += [f"{name}: ArviZ: {text}" for name, one in found.items() for text in one.warnings]
    notes += [f"weights: ArviZ: {text}" for text in said]
    rows = [*_rows(found, weights), *({"model": name, "n_draws": n} for name, n in lacking.items())]
    shown = ("model", "n_draws", *(c for c in _COLUMNS if any(row.get(c) is not None for row in rows)))
    return plain_table([{c: row.get(c) for c in shown} for row in rows], digits=2, notes=[first, *notes])


def _container(log_likelihood: ArrayLike) -> Any:
    """Return draws `[S, N]` as a container of one chain."""
    values = as_real(log_likelihood, "log_likelihood", 2, finite=False)
    return make_idata({"log_likelihood": {"y": values[None]}})


def _log_likelihoods(idata: Any, conditioned: bool) -> FloatArray:
    """Return the draws of all chains, `[S, N]` nats."""
    name, _ = _GROUPS[conditioned]
    array = np.asarray(group(idata, name)["y"].transpose("chain", "draw", ...))
    return as_real(array.reshape(array.shape[0] * array.shape[1], -1), name, 2, finite=False)


def _loo_record(idata: Any) -> tuple[Elpd, Any]:
    """Return the estimate, and ArviZ's own record of it."""
    values = _log_likelihoods(idata, conditioned=True)
    if len(values) == 1:
        raise DataError(POINT)
    if len(values) < MIN_DRAWS:
        raise DataError(f"LOO fits a tail to the weights of at least {MIN_DRAWS} draws, not {len(values)}.")
    if not np.isfinite(values).all():
        raise DataError(
            "LOO is not defined with a log-likelihood of -inf: a draw that rules a point out has an infinite "
            "weight once the point is left out. Compare held-out points (conditioned=False)."
        )
    record, said = _heard(import_arviz().loo, idata, pointwise=True, var_name="y", reff=1.0)
    each = record.elpd_i if hasattr(record, "elpd_i") else record.loo_i  # 1.x and 0.x
    pointwise = np.asarray(each, dtype=np.float64).ravel()
    p_loo = held_out_elpd(values).elpd - float(pointwise.sum())
    pareto_k = np.asarray(record.pareto_k, dtype=np.float64).ravel()
    return Elpd(pointwise, len(values), p_loo, pareto_k, float(record.good_k), said), record


def _standard_error(values: FloatArray) -> float:
    """Return the standard error of a sum over random points; NaN of one point, or with infinities."""
    if len(values) < 2 or not np.isfinite(values).all():
        return float("nan")
    return float(np.sqrt(len(values) * values.var(ddof=1)))


def _heard(call: Any, *arguments: Any, **settings: Any) -> tuple[Any, tuple[str, ...]]:
    """Return what a call returns, and its warnings, except for notices of a library's own future."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call(*arguments, **settings)
    future = (DeprecationWarning, FutureWarning, PendingDeprecationWarning)
    said = dict.fromkeys(str(w.message).strip() for w in caught if not issubclass(w.category, future))
    return result, tuple(said)


def _check_points(runs: Mapping[str, Any], conditioned: bool) -> None:
    if not runs:
        raise DataError("compare_models got no models; give at least one.")
    _, place = _GROUPS[conditioned]
    targets = {name: group(idata, place)["y"].values for name, idata in runs.items()}
    first = next(iter(targets))
    for name, target in targets.items():
        if not np.array_equal(target, targets[first]):
            raise DataError(
                f"{first} and {name} have different points; models compare only on the same ones."
            )


def _stacking(records: Mapping[str, Any]) -> tuple[dict[str, float], tuple[str, ...]]:
    if len(records) < 2:
        return {}, ()
    frame, said = _heard(import_arviz().compare, dict(records), method="stacking")
    return {str(name): float(weight) for name, weight in frame["weight"].items()}, said


def _rows(found: Mapping[str, Elpd], weights: Mapping[str, float]) -> list[dict[str, Any]]:
    order = sorted(found, key=lambda name: -found[name].elpd)
    rows = []
    for name in order:
        own, best = found[name], found[order[0]]
        with np.errstate(invalid="ignore"):  # two models that both rule a point out
            difference = own.pointwise - best.pointwise
        rows.append(
            {
                "model": name,
                "n_draws": own.n_draws,
                "elpd": own.elpd,
                "se": own.se,
                "difference": 0.0 if name == order[0] else float(difference.sum()),
                "se_difference": 0.0 if name == order[0] else _standard_error(difference),
                "p_loo": None if own.n_bad is None else own.p_loo,
                "bad_k": own.n_bad,
                "weight": weights.get(name),
            }
        )
    return rows
