import math
import tracemalloc

import numpy as np
import pytest

import bisnn_pyro.analysis as analysis
from bisnn_pyro.analysis import calibration_metrics


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
