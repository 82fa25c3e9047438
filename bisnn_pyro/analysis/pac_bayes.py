"""PAC-Bayes bounds on the risk of a randomised classifier, and what finitely many draws add to them.

The Gibbs classifier draws a network from the posterior for each example.  Its risk is the probability of a
mistake on a new example.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bisnn_pyro.errors import DataError


def binary_kl(q: float, p: float) -> float:
    r"""Return :math:`\mathrm{kl}(q\,\|\,p)=q\log\frac qp+(1-q)\log\frac{1-q}{1-p}`, in nats.

    Args:
        q: probability, in [0, 1].
        p: probability, in [0, 1]; the result is infinite where p is 0 or 1 and q is not.

    Example:
        >>> binary_kl(0.0, 0.5) == math.log(2)
        True
    """
    for name, value in (("q", q), ("p", p)):
        if not 0 <= value <= 1:
            raise DataError(f"{name} is {value!r}; expected a probability in [0, 1].")
    total = 0.0
    for a, b in ((q, p), (1 - q, 1 - p)):
        if a > 0:
            total += a * math.log(a / b) if b > 0 else math.inf
    return max(total, 0.0)  # rounding may leave -1e-17 at q = p


def invert_kl(q: float, budget: float) -> float:
    r"""Return :math:`\mathrm{kl}^{-1}(q\mid c)`, the largest p with ``binary_kl(q, p) <= budget``.

    By bisection, rounded upwards; at a budget near 0 the rounding of :func:`binary_kl` leaves 1e-8.

    Args:
        q: an observed share of mistakes, in [0, 1].
        budget: c, at least 0; infinite gives 1.

    Raises:
        DataError: if an argument is out of its range.

    Example:
        >>> round(invert_kl(0.0, 0.1), 6) == round(1 - math.exp(-0.1), 6)
        True
    """
    if not budget >= 0:
        raise DataError(f"budget is {budget!r}; expected a number of nats, at least 0.")
    if not 0 <= q <= 1:
        raise DataError(f"q is {q!r}; expected a probability in [0, 1].")
    low, high = q, 1.0
    while high - low > 1e-15:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        low, high = (middle, high) if binary_kl(q, middle) <= budget else (low, middle)
    return high


@dataclass(frozen=True)
class PacBayesBound:
    r"""A bound on the risk of a Gibbs classifier, and its parts.

    Attributes:
        bound: no more than this with probability ``1 - delta``.
        empirical_risk: mean mistake of the draws on the n examples.
        risk_bound: the posterior's empirical risk is at most this, given that it was estimated from draws.
        kl: KL(q || p), nats.
        n: examples.
        draws: independent draws M behind ``empirical_risk``; None where it is exact.
        delta: probability of being wrong, all parts together.
        delta_draws: its share for the estimate from draws.
    """

    bound: float
    empirical_risk: float
    risk_bound: float
    kl: float
    n: int
    draws: int | None
    delta: float
    delta_draws: float


def pac_bayes_bound(
    empirical_risk: float, kl: float, n: int, *, draws: int | None = None, delta: float = 0.05
) -> PacBayesBound:
    r"""Bound the risk of a Gibbs classifier from its risk on n examples.

    With probability :math:`1-\delta'` over the draws the posterior's empirical risk is at most
    :math:`\bar r=\mathrm{kl}^{-1}(\hat r_M\mid\log(2/\delta')/M)`, and with probability
    :math:`1-(\delta-\delta')` over the examples the risk of *every* posterior is at most

    .. math:: \mathrm{kl}^{-1}\Bigl(\bar r\mid
              \frac{\mathrm{KL}(q\,\|\,p)+\log(2\sqrt n/(\delta-\delta'))}{n}\Bigr)

    (Langford and Seeger 2001, Maurer 2004; finitely many draws as in Langford and Caruana 2001 and
    Perez-Ortiz et al. 2021, arXiv 2007.12911).  A fifth of ``delta`` is for the draws.

    .. warning::
        Assumes n independent examples of one distribution, a prior (and everything else that defines the
        classifier given its weights) that does not depend on them, and M independent averages in [0, 1] of
        equal expected weight behind ``empirical_risk``.  The posterior may depend on anything.  Nothing in
        the numbers shows that the prior has seen the examples: the bound is then simply false.

    Args:
        empirical_risk: the share of mistakes, in [0, 1].
        kl: KL of posterior and prior, nats.
        n: examples, at least 1.
        draws: M; None if ``empirical_risk`` is exact (all of ``delta`` is then for the examples).
        delta: probability of being wrong, in (0, 1).

    Raises:
        DataError: if an argument is out of its range.

    Example:
        >>> certificate = pac_bayes_bound(0.02, kl=300.0, n=30_000, draws=10_000)
        >>> round(certificate.risk_bound, 4), round(certificate.bound, 4)
        (0.0249, 0.0541)
    """
    _check(n, draws, delta)
    if not kl >= 0:
        raise DataError(f"kl is {kl!r}; expected nats, at least 0.")
    risk, delta_draws = _risk_of_all_draws(empirical_risk, draws, delta)
    budget = (kl + math.log(2 * math.sqrt(n) / (delta - delta_draws))) / n
    return PacBayesBound(
        invert_kl(risk, budget), empirical_risk, risk, float(kl), n, draws, delta, delta_draws
    )


def held_out_bound(
    empirical_risk: float, n: int, *, draws: int | None = None, delta: float = 0.05
) -> PacBayesBound:
    r"""Bound the risk of a Gibbs classifier that has not seen the n examples at all, as a test set does.

    Each example's expected mistake is then an independent number in [0, 1], so that
    :math:`\mathrm{kl}^{-1}(\bar r\mid\log(1/(\delta-\delta'))/n)` bounds the risk (Chernoff; Langford 2005):
    a PAC-Bayes bound with KL = 0 and less to pay.  It is what a certificate of a prior from other data has
    to beat.

    Args:
        empirical_risk: as for :func:`pac_bayes_bound`.
        n: examples, at least 1.
        draws: as for :func:`pac_bayes_bound`.
        delta: probability of being wrong, in (0, 1).

    Raises:
        DataError: if an argument is out of its range.

    Example:
        >>> round(held_out_bound(0.0, 100).bound, 4)  # 1 - delta^(1/n)
        0.0295
    """
    _check(n, draws, delta)
    risk, delta_draws = _risk_of_all_draws(empirical_risk, draws, delta)
    bound = invert_kl(risk, -math.log(delta - delta_draws) / n)
    return PacBayesBound(bound, empirical_risk, risk, 0.0, n, draws, delta, delta_draws)


def _risk_of_all_draws(empirical_risk: float, draws: int | None, delta: float) -> tuple[float, float]:
    """Return the bound on the posterior's empirical risk, and the share of delta that it takes."""
    if draws is None:
        return empirical_risk, 0.0
    delta_draws = delta / 5
    return invert_kl(empirical_risk, math.log(2 / delta_draws) / draws), delta_draws


def _check(n: int, draws: int | None, delta: float) -> None:
    if n < 1 or (draws is not None and draws < 1):
        raise DataError(f"n is {n} and draws is {draws}; a bound needs at least 1 of each.")
    if not 0 < delta < 1:
        raise DataError(f"delta is {delta!r}; expected a probability between 0 and 1.")
