import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.analysis import (
    bin_confidences,
    class_forecasts,
    expected_calibration_error,
    maximum_calibration_error,
    reliability_bins,
    top_label,
    wilson_interval,
)
from bisnn_pyro.analysis.calibration.bins import forecasts
from bisnn_pyro.analysis.validation import as_forecasts
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import predictions

SCHEMES = ("width", "mass")


def brute_force(probs, labels, n_bins):
    """(ECE, MCE) over bins (lo, hi], by a loop over points."""
    bins = [[] for _ in range(n_bins)]
    edges = np.linspace(0, 1, n_bins + 1)
    for row, label in zip(probs, labels, strict=True):
        top = max(range(len(row)), key=lambda c: row[c])
        home = next(b for b in range(n_bins) if row[top] <= edges[b + 1] or b == n_bins - 1)
        bins[home].append((row[top], top == label))
    gaps = [(len(b), abs(np.mean([h for _, h in b]) - np.mean([c for c, _ in b]))) for b in bins if b]
    return sum(n * gap for n, gap in gaps) / len(labels), max(gap for _, gap in gaps)


@pytest.mark.parametrize("n_classes", [2, 3, 10])
@pytest.mark.parametrize("n_bins", [1, 10, 15])
def test_width_errors_equal_a_loop(predictor, n_classes, n_bins):
    probs, labels = predictor(500, n_classes)
    ece, mce = brute_force(probs, labels, n_bins)
    assert expected_calibration_error(probs, labels, n_bins) == pytest.approx(ece, abs=1e-12)
    assert maximum_calibration_error(probs, labels, n_bins) == pytest.approx(mce, abs=1e-12)


@pytest.mark.parametrize("norm", ["l1", "max"])
def test_errors_equal_torchmetrics_away_from_one(predictor, norm):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional")
    probs, labels = predictor(2000, 4)
    assert probs.max() < 1 - 1e-6  # at 1.0 torchmetrics 1.9 has a bin of its own
    theirs = functional.calibration_error(
        torch.tensor(probs), torch.tensor(labels), task="multiclass", num_classes=4, n_bins=15, norm=norm
    )
    ours = expected_calibration_error if norm == "l1" else maximum_calibration_error
    assert ours(probs, labels) == pytest.approx(float(theirs), abs=1e-6)  # theirs is float32


def test_confidence_exactly_one_stays_in_the_last_bin():
    # torchmetrics 1.9 says 0.525 here: (0.95 + 1.0) / 2 against an accuracy of 1/2 is 0.475.
    probs = np.array([[0.05, 0.95], [0.0, 1.0]])
    assert expected_calibration_error(probs, [1, 0], 10) == pytest.approx(0.475)
    assert reliability_bins(probs, [1, 0], 10).count[-1] == 2


@pytest.mark.parametrize(
    ("confidence", "home"), [(0.0, 0), (0.1, 0), (0.5, 4), (np.nextafter(0.5, 1), 5), (1.0, 9)]
)
def test_edges_belong_to_the_bin_below(confidence, home):
    bins = bin_confidences([confidence], [1], n_bins=10)
    assert np.flatnonzero(bins.count).tolist() == [home]
    assert bins.ece == pytest.approx(1 - confidence)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("confidence", [0.0, 0.5, 1.0])
def test_all_points_at_one_confidence(confidence, scheme):
    bins = bin_confidences([confidence] * 4, [1, 1, 1, 0], scheme=scheme)
    assert bins.count.sum() == bins.count.max() == 4
    assert bins.ece == bins.mce == pytest.approx(abs(0.75 - confidence))


def test_sure_and_right_is_calibrated():
    assert expected_calibration_error(np.eye(3), [0, 1, 2]) == 0.0
    assert expected_calibration_error(np.eye(3), [1, 2, 0]) == 1.0


def test_a_tie_between_classes_is_the_first_class():
    assert reliability_bins([[0.5, 0.5]], [0]).accuracy[7] == 1.0
    assert reliability_bins([[0.5, 0.5]], [1]).accuracy[7] == 0.0


def test_equal_mass_counts_differ_by_one_at_most(predictor):
    probs, labels = predictor(1007, 3)
    counts = reliability_bins(probs, labels, 15, "mass").count
    assert len(counts) == 15
    assert counts.max() - counts.min() <= 1


def test_equal_mass_never_splits_ties_and_drops_empty_bins():
    confidence = np.array([0.6] * 7 + [0.9] * 2 + [1.0] * 11)
    bins = bin_confidences(confidence, np.ones(20), n_bins=4, scheme="mass")
    assert bins.count.tolist() == [7, 2, 11]
    np.testing.assert_array_equal(bins.edges, [0, 0.6, 0.9, 1])
    np.testing.assert_allclose(bins.confidence, [0.6, 0.9, 1.0])


def test_fewer_points_than_bins(predictor):
    probs, labels = predictor(4, 3)
    assert reliability_bins(probs, labels, 15, "mass").count.tolist() == [1, 1, 1, 1]
    conf, hit = probs.max(-1), probs.argmax(-1) == labels
    for scheme in SCHEMES:
        if scheme == "mass":
            assert expected_calibration_error(probs, labels, 15, scheme) == pytest.approx(
                np.abs(conf - hit).mean()
            )
        assert reliability_bins(probs, labels, 15, scheme).count.sum() == 4


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize(("k", "n"), [(0, 1), (1, 1), (0, 10), (3, 10), (10, 10), (871, 1000)])
def test_wilson_equals_scipy(k, n, level):
    theirs = scipy.stats.binomtest(k, n).proportion_ci(level, method="wilson")
    low, high = wilson_interval(k, n, level)
    assert (float(low), float(high)) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_empty_bins_are_nan(predictor):
    bins = reliability_bins(*predictor(50, 2))
    empty = bins.count == 0
    assert empty.any()
    for column in (bins.confidence, bins.accuracy, bins.lower, bins.upper):
        np.testing.assert_array_equal(np.isnan(column), empty)


@settings(max_examples=60, deadline=None)
@given(predictions(), st.sampled_from(SCHEMES), st.integers(1, 20))
def test_bounds_and_bins(pair, scheme, n_bins):
    probs, labels = pair
    bins = reliability_bins(probs, labels, n_bins, scheme)
    conf = probs.max(-1)
    assert 0 <= bins.ece <= bins.mce <= 1
    assert bins.count.sum() == len(labels)
    assert (np.diff(bins.edges) >= 0).all()
    assert (bins.edges[0], bins.edges[-1]) == (0, 1)
    home = np.searchsorted(bins.edges[1:-1], conf)
    np.testing.assert_array_equal(np.bincount(home, minlength=len(bins.count)), bins.count)
    filled = bins.count > 0
    assert (bins.lower[filled] <= bins.accuracy[filled] + 1e-12).all()
    assert (bins.accuracy[filled] <= bins.upper[filled] + 1e-12).all()
    if scheme == "mass":
        assert filled.all()


@settings(max_examples=40, deadline=None)
@given(predictions(), st.sampled_from(SCHEMES), st.integers(0, 2**32 - 1))
def test_order_of_points_does_not_matter(pair, scheme, seed):
    probs, labels = pair
    order = np.random.default_rng(seed).permutation(len(labels))
    again = expected_calibration_error(probs[order], labels[order], scheme=scheme)
    assert again == pytest.approx(expected_calibration_error(probs, labels, scheme=scheme), abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.2], [1]), r"\[1.2, 1.2\]"),
        (([0.5, 0.5], [1]), "must agree"),
        (([0.5], [2]), "other than 0 and 1"),
        (([0.5], [1], 0), "n_bins"),
        (([0.5], [1], 15, "size"), "'width' or 'mass'"),
        (([0.5], [1], 15, "width", 1.0), "level"),
    ],
)
def test_wrong_input_is_named(arguments, message):
    with pytest.raises(DataError, match=message):
        bin_confidences(*arguments)


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
