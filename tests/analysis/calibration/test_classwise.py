import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.analysis import classwise_calibration_error, expected_calibration_error
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import predictions


def by_loops(probs, labels, n_bins):
    """Kull et al. 2019, eq. 2, with bins (lo, hi] and the first closed."""
    edges, total = np.linspace(0, 1, n_bins + 1), 0.0
    for k in range(probs.shape[1]):
        for b in range(n_bins):
            low = -1 if b == 0 else edges[b]
            inside = [i for i, row in enumerate(probs) if low < row[k] <= edges[b + 1]]
            if inside:
                share = np.mean([labels[i] == k for i in inside])
                total += len(inside) / len(labels) * abs(share - np.mean(probs[inside, k]))
    return total / probs.shape[1]


@settings(max_examples=50, deadline=None)
@given(predictions(), st.integers(1, 12))
def test_it_equals_loops(pair, n_bins):
    ours = classwise_calibration_error(*pair, n_bins)
    assert ours == pytest.approx(by_loops(*pair, n_bins), abs=1e-12)
    assert 0 <= ours <= 1


def test_equal_mass_by_hand():
    # Two points a bin.  Class 0: (0.1 + 0.2) / 2 against 1/2, (0.6 + 0.9) / 2 against 1/2; class 1 mirrors.
    probs = np.array([[0.1, 0.9], [0.2, 0.8], [0.6, 0.4], [0.9, 0.1]])
    error = classwise_calibration_error(probs, [0, 1, 1, 0], 2, "mass")
    assert error == pytest.approx((0.35 + 0.25) / 2)


@pytest.mark.parametrize("scheme", ["width", "mass"])
def test_sure_predictions(scheme):
    assert classwise_calibration_error(np.eye(3), [0, 1, 2], scheme=scheme) == 0.0
    # Every class is once sure and wrong, once ruled out and right to be, once ruled out and wrong.
    shifted = classwise_calibration_error(np.eye(3), [1, 2, 0], 10, "width")
    assert shifted == pytest.approx(1 / 3 * 1 + 2 / 3 * 0.5)


def test_a_single_class():
    probs = np.tile([0.7, 0.3], (5, 1))
    assert classwise_calibration_error(probs, [0] * 5) == pytest.approx(0.3)
    assert expected_calibration_error(probs, [0] * 5) == pytest.approx(0.3)


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="'width' or 'mass'"):
        classwise_calibration_error([[0.5, 0.5]], [0], scheme="size")
