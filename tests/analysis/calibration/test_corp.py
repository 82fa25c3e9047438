import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bisnn_pyro.analysis import brier_score, corp_decomposition, isotonic_curve, top_label
from bisnn_pyro.errors import DataError
from tests.analysis.strategies import predictions
from tests.analysis.test_isotonic import max_of_min


def by_loops(p, y):
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
    classes = [by_loops(probs[:, k].tolist(), (labels == k).tolist()) for k in range(probs.shape[1])]
    found = (ours.miscalibration, ours.discrimination, ours.uncertainty)
    assert found == pytest.approx(tuple(np.sum(classes, axis=0)), abs=1e-9)
    assert ours.score == pytest.approx(brier_score(probs, labels), abs=1e-9)
    confidence, hits = top_label(probs, labels)
    top = corp_decomposition(probs, labels, "top-label")
    found = (top.miscalibration, top.discrimination, top.uncertainty)
    assert found == pytest.approx(by_loops(confidence.tolist(), hits.tolist()), abs=1e-9)
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


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="form is"):
        corp_decomposition([[0.5, 0.5]], [0], "binary")
