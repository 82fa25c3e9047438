import numpy as np
import pytest

from bisnn_pyro.analysis import calibrated_outcomes
from bisnn_pyro.analysis.resampling import blocks, resample_counts
from bisnn_pyro.errors import DataError


def test_counts_are_those_of_the_points_drawn():
    groups = np.array([2, 0, 1, 0])
    counts = resample_counts(groups, 3, 5, np.random.default_rng(7))
    drawn = np.random.default_rng(7).integers(4, size=(5, 4))
    for row, points in zip(counts, drawn, strict=True):
        assert row.tolist() == [sum(groups[i] == g for i in points) for g in range(3)]


def test_outcomes_follow_the_confidences():
    confidence = np.array([0.0, 0.3, 1.0])
    drawn = np.concatenate(list(calibrated_outcomes(confidence, 20_000, seed=1)))
    assert drawn.shape == (20_000, 3)
    assert not drawn[:, 0].any()
    assert drawn[:, 2].all()
    # Standard error 0.0032; 4.5 of them.
    assert drawn[:, 1].mean() == pytest.approx(0.3, abs=0.015)
    again = np.concatenate(list(calibrated_outcomes(confidence, 20_000, seed=1)))
    np.testing.assert_array_equal(again, drawn)


def test_blocks_bound_the_memory(monkeypatch):
    monkeypatch.setattr("bisnn_pyro.analysis.resampling._MAX_DRAWN", 10)
    assert list(blocks(7, 4)) == [2, 2, 2, 1]
    assert list(blocks(2, 100)) == [1, 1]
    assert [len(block) for block in calibrated_outcomes(np.full(5, 0.5), 5)] == [2, 2, 1]


def test_wrong_input_is_named():
    with pytest.raises(DataError, match="n_resamples is 0"):
        next(calibrated_outcomes([0.5], 0))
    with pytest.raises(DataError, match="confidence has values"):
        next(calibrated_outcomes([1.5], 3))
