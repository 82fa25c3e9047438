import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.analysis import mixture_cdf, mixture_log_density, mixture_quantile
from bisnn_pyro.errors import DataError


def random_mixture(seed, s=6, n=9):
    rng = np.random.default_rng(seed)
    return 3 * rng.normal(size=(s, n)), rng.uniform(0.05, 2, size=(s, n))


@pytest.mark.parametrize("q", [0.001, 0.05, 0.5, 0.95])
def test_quantile_equals_brent(q):
    means, scales = random_mixture(0)
    expected = [
        scipy.optimize.brentq(
            lambda y, j=j: scipy.stats.norm.cdf(y, means[:, j], scales[:, j]).mean() - q, -30, 30, xtol=1e-13
        )
        for j in range(means.shape[1])
    ]
    np.testing.assert_allclose(mixture_quantile(q, means, scales), expected, atol=1e-9)


@pytest.mark.parametrize("q", [0.05, 0.5, 0.95])
def test_one_component_is_a_gaussian(q):
    np.testing.assert_allclose(
        mixture_quantile(q, [[1.0, -2.0]], 0.5), scipy.stats.norm.ppf(q, [1.0, -2.0], 0.5), rtol=1e-14
    )


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-4, 1 - 1e-4))
def test_cdf_undoes_quantile(seed, q):
    means, scales = random_mixture(seed)
    y = mixture_quantile(q, means, scales)
    np.testing.assert_allclose(mixture_cdf(y, means, scales), q, atol=1e-12)


def test_density_equals_scipy_and_scale_forms_agree():
    means, _ = random_mixture(1)
    y = np.linspace(-4, 4, means.shape[1])
    scale = np.linspace(0.2, 1.0, len(means))
    expected = np.log(scipy.stats.norm.pdf(y, means, scale[:, None]).mean(0))
    np.testing.assert_allclose(mixture_log_density(y, means, scale), expected)
    np.testing.assert_array_equal(
        mixture_cdf(y, means, scale), mixture_cdf(y, means, np.repeat(scale[:, None], len(y), 1))
    )


def test_a_quantile_between_far_components():
    # The median of two far, narrow components lies anywhere between; the 0.25 quantile in the middle of one.
    assert mixture_quantile(0.25, [[-100.0], [100.0]], 1.0) == pytest.approx(-100, abs=1e-6)


@pytest.mark.parametrize("q", [0.0, 1.0, -1, np.nan])
def test_wrong_q(q):
    with pytest.raises(DataError, match="strictly between"):
        mixture_quantile(q, [[0.0]], 1.0)


def test_wrong_y():
    with pytest.raises(DataError, match=r"y has shape \(3,\)"):
        mixture_cdf([0.0, 0.0, 0.0], [[0.0, 0.0]], 1.0)
