import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.analysis import aupr, auroc, detection_scores, fpr_at_tpr, roc_curve
from bisnn_pyro.errors import DataError

# Few distinct scores, so that most are tied within and between the sides.
scores = st.lists(st.integers(-3, 3), min_size=1, max_size=25).map(np.array)


def labelled(inside, outside):
    return np.repeat([0, 1], [len(inside), len(outside)]), np.concatenate((inside, outside))


@settings(max_examples=60, deadline=None)
@given(scores, scores)
def test_areas_equal_scikit_learn(inside, outside):
    metrics = pytest.importorskip("sklearn.metrics")
    labels, values = labelled(inside, outside)
    assert auroc(inside, outside) == pytest.approx(metrics.roc_auc_score(labels, values), abs=1e-12)
    out = metrics.average_precision_score(labels, values)
    assert aupr(inside, outside) == pytest.approx(out, abs=1e-12)
    within = metrics.average_precision_score(1 - labels, -values)
    assert aupr(inside, outside, "in") == pytest.approx(within, abs=1e-12)
    fpr, tpr, thresholds = metrics.roc_curve(labels, values, drop_intermediate=False)
    curve = roc_curve(inside, outside)
    np.testing.assert_allclose(curve.fpr, fpr)
    np.testing.assert_allclose(curve.tpr, tpr)
    np.testing.assert_allclose(curve.threshold, thresholds)


@settings(max_examples=60, deadline=None)
@given(scores, scores, st.sampled_from([0.5, 0.8, 0.95]))
def test_counting_pairs_and_thresholds(inside, outside, tpr):
    pairs = [(b > a) + (b == a) / 2 for a in inside for b in outside]
    assert auroc(inside, outside) == pytest.approx(np.mean(pairs))
    assert auroc(outside, inside) == pytest.approx(1 - np.mean(pairs))
    rates = [(np.mean(inside >= t), np.mean(outside >= t)) for t in range(-3, 4)]
    assert fpr_at_tpr(inside, outside, tpr) == min(fpr for fpr, found in rates if found >= tpr)
    rates = [(np.mean(outside <= t), np.mean(inside <= t)) for t in range(-3, 4)]
    assert fpr_at_tpr(inside, outside, tpr, "in") == min(fpr for fpr, found in rates if found >= tpr)
    curve = roc_curve(inside, outside)
    assert np.trapezoid(curve.tpr, curve.fpr) == pytest.approx(np.mean(pairs))


def test_perfect_separation_and_no_information():
    inside, outside = np.arange(3), np.arange(3, 8)
    assert auroc(inside, outside) == aupr(inside, outside) == aupr(inside, outside, "in") == 1.0
    assert fpr_at_tpr(inside, outside) == 0.0
    assert auroc(outside, inside) == 0.0
    same = np.zeros(4)
    assert auroc(same, same[:2]) == 0.5
    assert aupr(same, same[:2]) == pytest.approx(1 / 3)
    assert aupr(same, same[:2], "in") == pytest.approx(2 / 3)
    assert fpr_at_tpr(same, same) == 1.0


def test_ninety_five_of_a_hundred_are_enough():
    outside = np.concatenate((np.full(95, 2.0), np.full(5, 0.0)))
    assert fpr_at_tpr([1.0, 0.0], outside) == 0.0
    assert fpr_at_tpr([1.0, 0.0], outside[1:]) == 1.0  # 94 of 99 are not


def test_infinite_scores_have_their_place():
    assert auroc([0.0, np.inf], [np.inf, 1.0]) == pytest.approx((1 + 0.5 + 1 + 0) / 4)
    assert roc_curve([-np.inf], [np.inf]).tpr.tolist() == [0.0, 1.0, 1.0]


def test_intervals_by_hand(monkeypatch):
    rng = np.random.default_rng(0)
    inside, outside = rng.integers(0, 6, 30), rng.integers(2, 9, 20)
    monkeypatch.setattr("bisnn_pyro.analysis.intervals._MAX_DRAWN", 350)  # blocks of 7 resamples
    found = detection_scores(inside, outside, 0.8, n_resamples=30, seed=5)
    source, drawn = np.random.default_rng(5), []
    high, low = np.sort(outside)[::-1], np.sort(inside)[::-1]
    for k in range(0, 30, 7):
        rows = min(7, 30 - k)
        out = high[source.integers(20, size=(rows, 20))]
        drawn += list(zip(low[source.integers(30, size=(rows, 30))], out, strict=True))
    functions = {"auroc": auroc, "aupr_out": aupr, "fpr95": fpr_at_tpr}
    functions["aupr_in"] = lambda a, b: aupr(a, b, "in")
    assert set(found) == set(functions)
    for name, function in functions.items():
        ends = np.quantile([function(*pair) for pair in drawn], [0.1, 0.9])
        assert (found[name].low, found[name].high) == pytest.approx(tuple(ends))
        assert found[name].mean == pytest.approx(function(inside, outside))
        assert (found[name].n, found[name].level) == (50, 0.8)


def test_an_interval_holds_the_true_area():
    # Normal scores one apart have an area of Phi(1 / sqrt 2); 100 data sets at 0.95 have an sd of 0.022.
    rng, hits = np.random.default_rng(0), 0
    for k in range(100):
        pair = rng.normal(size=60), rng.normal(size=60) + 1
        interval = detection_scores(*pair, n_resamples=200, seed=k)["auroc"]
        hits += interval.low <= 0.760250 <= interval.high
    assert hits / 100 == pytest.approx(0.94, abs=0.07)


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="inside has shape"):
        auroc([], [1.0])
    with pytest.raises(DataError, match=r"outside .* NaN"):
        aupr([0.0], [np.nan])
    with pytest.raises(DataError, match="'out' or 'in'"):
        aupr([0.0], [1.0], "ood")
    with pytest.raises(DataError, match="tpr is 95"):
        fpr_at_tpr([0.0], [1.0], 95)
    with pytest.raises(DataError, match="n_resamples"):
        detection_scores([0.0], [1.0], n_resamples=0)
