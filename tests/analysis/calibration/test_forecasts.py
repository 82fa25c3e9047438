import numpy as np
import pytest

from bisnn_pyro.analysis import class_forecasts, top_label
from bisnn_pyro.analysis.forecasts import as_forecasts, forecasts
from bisnn_pyro.errors import DataError


def test_two_classes_mirror_each_other(predictor):
    probs, labels = predictor(50, 2)
    (p0, y0), (p1, y1) = class_forecasts(probs, labels)
    np.testing.assert_allclose(p0 + p1, 1)
    np.testing.assert_array_equal(y0 + y1, 1)
    np.testing.assert_array_equal(y1, labels)


def test_a_class_without_points_has_a_pair_too():
    pairs = class_forecasts([[0.2, 0.3, 0.5]] * 4, [2, 2, 2, 2])
    assert [y.sum() for _, y in pairs] == [0, 0, 4]


def test_rounding_above_one_counts_as_one():
    probs = np.array([[1.00005, 0.0]])
    assert class_forecasts(probs, [0])[0][0] == 1.0
    assert top_label(probs, [0])[0] == 1.0


def test_forms(predictor):
    probs, labels = predictor(20, 3)
    assert len(forecasts(probs, labels, "marginal")) == 3
    ((confidence, correct),) = forecasts(probs, labels, "top-label")
    np.testing.assert_array_equal(confidence, probs.max(-1))
    np.testing.assert_array_equal(correct, probs.argmax(-1) == labels)
    with pytest.raises(DataError, match="'top-label' or 'marginal'"):
        forecasts(probs, labels, "top")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        (([1.2], [1]), r"\[1.2, 1.2\]"),
        (([0.5, 0.5], [1]), "must agree"),
        (([0.5], [2]), "other than 0 and 1"),
        (([np.nan], [1]), "NaN"),
        (([[0.5]], [1]), "expected 1 axes"),
    ],
)
def test_wrong_pairs_are_named(pair, message):
    with pytest.raises(DataError, match=message):
        as_forecasts(*pair)
