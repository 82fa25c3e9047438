"""PAC-Bayes bounds: closed forms, brute force, and their coverage on a problem that can be enumerated."""

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import rel_entr
from scipy.stats import binom, binomtest

from bisnn_pyro.analysis import binary_kl, held_out_bound, invert_kl, pac_bayes_bound
from bisnn_pyro.errors import DataError

shares = st.floats(0, 1)


@given(shares, st.floats(1e-6, 1 - 1e-6))
def test_binary_kl(q, p):
    expected = rel_entr(q, p) + rel_entr(1 - q, 1 - p)
    assert binary_kl(q, p) == pytest.approx(max(expected, 0), rel=1e-9, abs=1e-12)


@given(shares, st.floats(0, 50))
def test_the_inverse_is_the_largest_with_that_kl(q, budget):
    p = invert_kl(q, budget)
    assert q <= p <= 1
    assert p == 1 or binary_kl(q, min(p + 1e-9, 1)) >= budget * (1 - 1e-6) - 1e-15
    assert binary_kl(q, max(q, p - 1e-12)) <= budget * (1 + 1e-6) + 1e-9


@pytest.mark.parametrize("budget", [0.0, 1e-9, 0.01, 1.0, 30.0])
def test_closed_forms(budget):
    assert invert_kl(0, budget) == pytest.approx(-math.expm1(-budget), rel=1e-9, abs=1e-14)
    assert invert_kl(1, budget) == 1
    assert invert_kl(0.3, 0) == pytest.approx(0.3, abs=1e-7)
    assert invert_kl(0.3, math.inf) == 1


def test_the_inverse_against_a_grid():
    grid = np.linspace(0, 1, 200_001)
    for q, budget in ((0.02, 0.01), (0.5, 0.2), (0.9, 0.001)):
        kl = rel_entr(q, grid) + rel_entr(1 - q, 1 - grid)
        assert invert_kl(q, budget) == pytest.approx(grid[kl <= budget].max(), abs=1e-5)


def test_the_bound_is_made_of_its_parts():
    found = pac_bayes_bound(0.1, 20.0, 1000, draws=500, delta=0.05)
    assert found.delta_draws == pytest.approx(0.01)
    assert binary_kl(0.1, found.risk_bound) * 500 == pytest.approx(math.log(2 / 0.01))
    paid = binary_kl(found.risk_bound, found.bound) * 1000
    assert paid == pytest.approx(20 + math.log(2 * math.sqrt(1000) / 0.04))
    exact = pac_bayes_bound(0.1, 20.0, 1000, delta=0.05)
    assert exact.risk_bound == 0.1
    assert exact.bound < found.bound
    assert pac_bayes_bound(0.1, 21.0, 1000).bound > exact.bound > pac_bayes_bound(0.1, 20.0, 1100).bound


def test_held_out_bound_is_near_the_exact_binomial_one():
    """Chernoff is above Clopper-Pearson, and not by much."""
    for mistakes in (0, 3, 20):
        exact = binomtest(mistakes, 200).proportion_ci(0.90, "exact").high  # one-sided 95 %
        found = held_out_bound(mistakes / 200, 200, delta=0.05).bound
        assert exact <= found + 1e-12
        assert found < exact + 0.025


def test_maurers_constant():
    """xi(n) = sum_k B(k; n, k/n) is at most 2 sqrt(n), which the bound's logarithm rests on."""
    for n in (1, 2, 5, 8, 30, 200, 2000):
        k = np.arange(n + 1)
        assert binom.pmf(k, n, k / n).sum() <= 2 * math.sqrt(n)


def test_coverage_on_a_problem_that_can_be_enumerated():
    """64 classifiers with known risks, a Gibbs posterior fitted to each sample, risk and KL exact.

    The bounds may fail in a share delta = 0.1 of the samples.  With 2,000 samples more than 240 failures
    would have a probability below 0.003 at exactly that rate, and the seed is fixed.
    """
    rng = np.random.default_rng(0)
    n, delta, draws, repeats = 60, 0.1, 40, 2000
    risks = rng.uniform(0.02, 0.6, 64)
    failures = {"exact": 0, "draws": 0, "held-out": 0}
    for _ in range(repeats):
        seen = rng.binomial(n, risks) / n
        q = np.exp(-n * (seen - seen.min()))
        q /= q.sum()
        kl, risk = rel_entr(q, 1 / 64).sum(), q @ risks
        failures["exact"] += risk > pac_bayes_bound(q @ seen, kl, n, delta=delta).bound
        drawn = rng.choice(seen, draws, p=q).mean()
        failures["draws"] += risk > pac_bayes_bound(drawn, kl, n, draws=draws, delta=delta).bound
        failures["held-out"] += risks.mean() > held_out_bound(seen.mean(), n, delta=delta).bound
    assert max(failures.values()) <= 240, failures


def test_a_prior_that_has_seen_the_examples_is_not_covered():
    """The check above would notice: with the best of 64 fair coins as the prior, the bound is false."""
    rng = np.random.default_rng(1)
    seen = rng.binomial(60, 0.5, (500, 64)).min(1) / 60
    false = sum(held_out_bound(r, 60, delta=0.1).bound < 0.5 for r in seen)
    assert false > 100


@pytest.mark.parametrize(
    "arguments",
    [
        {"empirical_risk": -0.1},
        {"empirical_risk": math.nan},
        {"kl": -1.0},
        {"kl": math.nan},
        {"n": 0},
        {"draws": 0},
        {"delta": 0.0},
        {"delta": 1.0},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(DataError, match=r"expected|at least"):
        pac_bayes_bound(**{"empirical_risk": 0.1, "kl": 1.0, "n": 10, **arguments})
