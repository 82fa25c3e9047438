import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.analysis import brier_decomposition, brier_score
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import predictions

PARTS = ("reliability", "resolution", "uncertainty", "within_variance", "within_covariance")


def by_loops(f, o, n_bins):
    """Stephenson et al. 2008, eqs. 2 to 6, over bins (lo, hi], the first closed."""
    edges, n = np.linspace(0, 1, n_bins + 1), len(o)
    home = [next(b for b in range(n_bins) if x <= edges[b + 1] or b == n_bins - 1) for x in f]
    parts = dict.fromkeys(PARTS, 0.0)
    parts["uncertainty"] = np.mean(o) * (1 - np.mean(o))
    for b in set(home):
        fs = np.array([x for x, at in zip(f, home, strict=True) if at == b])
        os = np.array([y for y, at in zip(o, home, strict=True) if at == b])
        parts["reliability"] += len(fs) / n * (fs.mean() - os.mean()) ** 2
        parts["resolution"] += len(fs) / n * (os.mean() - np.mean(o)) ** 2
        parts["within_variance"] += sum((fs - fs.mean()) ** 2) / n
        parts["within_covariance"] += 2 * sum((os - os.mean()) * (fs - fs.mean())) / n
    return parts


@settings(max_examples=50, deadline=None)
@given(predictions(), st.integers(1, 12))
def test_it_equals_loops(pair, n_bins):
    probs, labels = pair
    ours = brier_decomposition(probs, labels, n_bins)
    classes = [by_loops(probs[:, k], (labels == k).astype(float), n_bins) for k in range(probs.shape[1])]
    for name in PARTS:
        assert getattr(ours, name) == pytest.approx(sum(part[name] for part in classes), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(predictions(), st.sampled_from(["width", "mass"]), st.integers(1, 20))
def test_the_parts_add_up_to_the_score(pair, scheme, n_bins):
    parts = brier_decomposition(*pair, n_bins, scheme)
    assert parts.score == pytest.approx(brier_score(*pair), abs=1e-12)
    assert min(parts.reliability, parts.resolution, parts.uncertainty, parts.within_variance) >= 0


def test_bins_of_one_probability_hide_nothing():
    probs = np.repeat([[0.25, 0.75], [0.85, 0.15]], 4, axis=0)
    parts = brier_decomposition(probs, [0, 1, 1, 1, 0, 0, 1, 0], 10)
    assert (parts.within_variance, parts.within_covariance) == pytest.approx((0, 0), abs=1e-15)
    # Twice one class: shares 3/4 and 1/4 against 0.75 and 0.15, base rate 1/2.
    assert parts.reliability == pytest.approx(2 * (0.0 + 0.1**2) / 2)
    assert parts.resolution == pytest.approx(2 * 0.25**2)
    assert parts.uncertainty == pytest.approx(2 * 0.25)


def test_sure_predictions_and_a_single_class():
    right = brier_decomposition(np.eye(2), [0, 1])
    assert (right.reliability, right.resolution, right.uncertainty) == (0.0, 0.5, 0.5)
    single = brier_decomposition([[1.0, 0.0], [0.4, 0.6]], [0, 0], 5)
    assert single.uncertainty == single.resolution == 0.0
    assert single.score == pytest.approx(0.36)


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="n_bins"):
        brier_decomposition([[0.5, 0.5]], [0], 0)
