import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bisnn_pyro.analysis as analysis
from bisnn_pyro.analysis import (
    brier_decomposition,
    brier_score,
    calibration_metrics,
    corp_decomposition,
    isotonic_curve,
    top_label,
)
from bisnn_pyro.errors import DataError
from tests.analysis.calibration.test_curves import max_of_min
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


def by_loops_corp(p, y):
    """(MCB, DSC, UNC) of one forecast, from a recalibrated probability for every point."""
    curve = dict(zip(sorted(set(p)), max_of_min(p, y), strict=True))
    stated, recalibrated, constant = (
        np.mean([(q - o) ** 2 for q, o in zip(qs, y, strict=True)])
        for qs in (p, [curve[q] for q in p], [np.mean(y)] * len(y))
    )
    return stated - recalibrated, constant - recalibrated, constant


@settings(max_examples=40, deadline=None)
@given(predictions(max_points=12, max_classes=4))
def test_it_equals_loops_and_adds_up_to_the_score(pair):
    probs, labels = pair
    ours = corp_decomposition(probs, labels)
    classes = [by_loops_corp(probs[:, k].tolist(), (labels == k).tolist()) for k in range(probs.shape[1])]
    found = (ours.miscalibration, ours.discrimination, ours.uncertainty)
    assert found == pytest.approx(tuple(np.sum(classes, axis=0)), abs=1e-9)
    assert ours.score == pytest.approx(brier_score(probs, labels), abs=1e-9)
    confidence, hits = top_label(probs, labels)
    top = corp_decomposition(probs, labels, "top-label")
    found = (top.miscalibration, top.discrimination, top.uncertainty)
    assert found == pytest.approx(by_loops_corp(confidence.tolist(), hits.tolist()), abs=1e-9)
    assert top.score == pytest.approx(((confidence - hits) ** 2).mean(), abs=1e-9)
    assert min(found) >= 0


def test_recalibrated_probabilities_have_no_miscalibration(predictor):
    probs, labels = predictor(300, 2)
    curve = isotonic_curve(probs[:, 1], labels)
    again = curve.calibrated[np.searchsorted(curve.confidence, probs[:, 1])]
    parts = corp_decomposition(np.stack([1 - again, again], 1), labels)
    before = corp_decomposition(probs, labels)
    assert parts.miscalibration == pytest.approx(0, abs=1e-12)
    assert (parts.discrimination, parts.uncertainty) == pytest.approx(
        (before.discrimination, before.uncertainty)
    )
    assert before.miscalibration > 0


def test_sure_predictions():
    right = corp_decomposition(np.eye(2), [0, 1])
    assert (right.miscalibration, right.discrimination, right.uncertainty) == (0.0, 0.5, 0.5)
    # Of each class: always 1/2 is the best monotone answer, and scores 1/4 in place of 1.
    wrong = corp_decomposition(np.eye(2), [1, 0])
    assert (wrong.miscalibration, wrong.discrimination, wrong.uncertainty) == (1.5, 0.0, 0.5)


@given(st.floats(0, 1))
def test_one_confidence_and_a_single_class(p):
    parts = corp_decomposition([[1 - p, p]] * 3, [1, 1, 1])
    assert parts.uncertainty == parts.discrimination == 0.0
    assert parts.miscalibration == pytest.approx(2 * (1 - p) ** 2)


def test_wrong_input_is_named_of_corp():
    with pytest.raises(DataError, match="form is"):
        corp_decomposition([[0.5, 0.5]], [0], "binary")


def test_each_is_the_score_of_its_name(predictor):
    probs, labels = predictor(200, 3)
    scores = calibration_metrics(probs, labels, 10, seed=2)
    plain = analysis.classification_metrics(probs, labels, 10)
    assert {name: scores[name] for name in ("ece", "ece_mass")} == {k: plain[k] for k in ("ece", "ece_mass")}
    baseline = analysis.ece_of_calibrated(probs, 10, seed=2)
    assert (scores["ece_calibrated"], scores["ece_calibrated_high"]) == (baseline.mean, baseline.high)
    assert scores["classwise_ece"] == analysis.classwise_calibration_error(probs, labels, 10)
    assert scores["classwise_ece_mass"] == analysis.classwise_calibration_error(probs, labels, 10, "mass")
    assert scores["smooth_ece"] == analysis.smooth_calibration_error(probs, labels)
    assert scores["debiased_l2_square"] == analysis.debiased_calibration_error(probs, labels, 10, root=False)
    assert scores["brier"] == pytest.approx(plain["brier"])
    for parts in (("reliability", "resolution"), ("miscalibration", "discrimination")):
        total = scores[parts[0]] - scores[parts[1]] + scores["uncertainty"]
        assert total == pytest.approx(plain["brier"])


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], [0, 1, 0]])
@pytest.mark.parametrize("rows", [np.eye(2)[[0, 1, 0]], np.full((3, 2), 0.5), [[0.9, 0.1]] * 3])
def test_two_classes_one_of_them_empty(rows, labels):
    assert all(math.isfinite(score) for score in calibration_metrics(rows, labels).values())


def analyse_everything(draws, outside, labels):
    """Every analysis of a committee's draws [S, N, C], as a report would ask for them."""
    probs, half = draws.mean(0), len(labels) // 2
    confidence, correct = analysis.top_label(probs, labels)
    information = analysis.mutual_information(draws)
    threshold = analysis.conformal_threshold(probs[:half], labels[:half])
    return [
        analysis.classification_metrics(probs, labels),
        calibration_metrics(probs, labels),
        analysis.ece_interval(probs, labels),
        analysis.bin_consistency(confidence),
        analysis.isotonic_curve(confidence, correct),
        analysis.isotonic_consistency(confidence),
        analysis.predictive_entropy(draws),
        analysis.expected_entropy(draws),
        analysis.disagreement(draws),
        analysis.predictive_variance(draws),
        analysis.vote_variance(draws),
        analysis.detection_scores(information, analysis.mutual_information(outside)),
        analysis.selective_accuracy(probs, labels, -information),
        analysis.set_coverage(analysis.conformal_sets(probs[half:], threshold), labels[half:]),
        analysis.committee_size_scores(draws, labels),
    ]


def random_committee(n_members, n_points, n_classes):
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(n_points, n_classes)).astype(np.float32)
    votes = np.exp(logits + rng.normal(size=(n_members, n_points, n_classes)).astype(np.float32))
    return votes / votes.sum(-1, keepdims=True), (logits + rng.gumbel(size=logits.shape)).argmax(-1)


@pytest.mark.parametrize("n_classes", [2, 10])
def test_everything_on_one_committee(n_classes):
    draws, labels = random_committee(12, 300, n_classes)
    outside = random_committee(12, 100, n_classes)[0]
    assert len(analyse_everything(draws, outside, labels)) == 15


@pytest.mark.slow
def test_everything_at_full_size_stays_below_two_gigabytes():
    draws, labels = random_committee(100, 10_000, 10)
    tracemalloc.start()
    try:
        analyse_everything(draws, draws[:, ::2], labels)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2e9
