r"""Expected log predictive densities (elpd), on held-out points or by leaving points out.

The elpd of N points is :math:`\sum_n \log p(y_n \mid \text{data without } n)`, in nats (Vehtari, Gelman and
Gabry, Statistics and Computing 27, 2017).  There are two ways to it; the points say which is right.

held out
    Test points, on which nothing was conditioned: the elpd is the plain sum of
    :math:`\log \frac1S \sum_s p(y_n \mid w_s)`.  To leave a point out again would take away information
    that never was there.
conditioned
    Training points: each is left out in turn by Pareto-smoothed importance sampling (``arviz.loo``).

A run's ``log_likelihood`` is that of its observed site.  A per-step likelihood's are means over steps, no
normalised probabilities: they compare models with the same likelihood alone.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.inference_data import group, import_arviz
from bisnn_pyro.analysis.validation import FloatArray, as_real
from bisnn_pyro.errors import DataError

#: With fewer draws there is no tail to smooth.
MIN_DRAWS = 5

POINT = (
    "LOO is not defined for a point estimate: with one draw there is nothing to reweight, and the result "
    "would be the likelihood of the points that it was fitted to. Compare held-out points "
    "(conditioned=False)."
)


@dataclass(frozen=True)
class Elpd:
    """An estimate of the elpd of one model.

    Attributes:
        pointwise: `[N]` nats.
        n_draws: S.
        p_loo: effective number of parameters, of LOO alone.
        pareto_k: `[N]` shape of each point's importance weights, of LOO alone.
        good_k: up to which they are reliable at this S.
        warnings: what ArviZ had to say.
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
        return standard_error(self.pointwise)

    @property
    def n_bad(self) -> int | None:
        """Points whose importance weights are not reliable; None where there are none."""
        return None if self.pareto_k is None else int((~(self.pareto_k <= self.good_k)).sum())


def held_out_elpd(log_likelihood: ArrayLike) -> Elpd:
    r"""Return the elpd of points on which nothing was conditioned: :math:`\log \frac1S \sum_s p(y_n|w_s)`.

    Unbiased for the committee of these S members, of a point estimate (S = 1) as well.  A larger committee
    has a larger elpd on average (Jensen), so compare committees of one size.

    Args:
        log_likelihood: `[S, N]` nats, a draw a row; -inf is let through.

    Raises:
        DataError: another shape, or NaN.
    """
    from scipy.special import logsumexp

    values = as_real(log_likelihood, "log_likelihood", 2, finite=False)
    with np.errstate(divide="ignore"):
        pointwise = logsumexp(values, axis=0) - np.log(len(values))
    return Elpd(np.asarray(pointwise), len(values))


def loo_elpd(idata: Any, var_name: str = "y") -> Elpd:
    """Return the PSIS-LOO elpd of points that the posterior was conditioned on (``arviz.loo``).

    *Assumes* that the draws are independent ones of the posterior, as a committee's are (the relative
    efficiency is set to 1).  A variational posterior is not the posterior, and one with another weight on
    the KL than 1 is one of a tempered likelihood: the result is then that of the approximation, as a rule
    too good.
    *Fails* where single points pull at the posterior, and with few draws.  One notices as ``pareto_k`` above
    ``good_k``, which is 0.7, or less for fewer than 2,200 draws; ArviZ's warning is kept in ``warnings``.

    Args:
        idata: a container whose ``log_likelihood`` is of training points.
        var_name: which variable of it.

    Raises:
        DataError: no such variable, NaN, infinite values, or fewer than 5 draws.
    """
    return loo_record(idata, var_name)[0]


def log_likelihood_of(idata: Any, var_name: str = "y") -> FloatArray:
    """Return the draws of all chains, `[S, N]` nats.

    Raises:
        DataError: no such variable, or NaN.
    """
    values = group(idata, "log_likelihood")
    if var_name not in values:
        raise DataError(f"log_likelihood holds {', '.join(map(str, values))}; there is no {var_name!r}.")
    array = np.asarray(values[var_name].transpose("chain", "draw", ...))
    flat = array.reshape(array.shape[0] * array.shape[1], -1)
    return as_real(flat, f"log_likelihood {var_name}", 2, finite=False)


def loo_record(idata: Any, var_name: str) -> tuple[Elpd, Any]:
    """Return the estimate, and ArviZ's own record of it."""
    values = log_likelihood_of(idata, var_name)
    if len(values) == 1:
        raise DataError(POINT)
    if len(values) < MIN_DRAWS:
        raise DataError(f"LOO fits a tail to the weights of at least {MIN_DRAWS} draws, not {len(values)}.")
    if not np.isfinite(values).all():
        raise DataError(
            "LOO is not defined with a log-likelihood of -inf: a draw that rules a point out has an infinite "
            "weight once the point is left out. Compare held-out points (conditioned=False)."
        )
    record, said = heard(import_arviz().loo, idata, pointwise=True, var_name=var_name, reff=1.0)
    each = record.elpd_i if hasattr(record, "elpd_i") else record.loo_i  # 1.x and 0.x
    pointwise = np.asarray(each, dtype=np.float64).ravel()
    p_loo = held_out_elpd(values).elpd - float(pointwise.sum())
    pareto_k = np.asarray(record.pareto_k, dtype=np.float64).ravel()
    return Elpd(pointwise, len(values), p_loo, pareto_k, float(record.good_k), said), record


def standard_error(values: FloatArray) -> float:
    """Return the standard error of a sum over random points; NaN of one point, or with infinities."""
    if len(values) < 2 or not np.isfinite(values).all():
        return float("nan")
    return float(np.sqrt(len(values) * values.var(ddof=1)))


def heard(call: Any, *arguments: Any, **settings: Any) -> tuple[Any, tuple[str, ...]]:
    """Return what a call returns, and what it warned of, but for notices of a library's own future."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call(*arguments, **settings)
    future = (DeprecationWarning, FutureWarning, PendingDeprecationWarning)
    said = dict.fromkeys(str(w.message).strip() for w in caught if not issubclass(w.category, future))
    return result, tuple(said)
