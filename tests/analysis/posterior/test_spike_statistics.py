import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bisnn_pyro.analysis import (
    fano_factor,
    firing_rate,
    interval_counts,
    interval_moments,
    train_statistics,
)
from bisnn_pyro.errors import DataError

trains = hnp.arrays(np.bool_, st.tuples(st.integers(4, 12), st.integers(1, 4), st.integers(1, 3)))


@given(trains, st.integers(1, 2))
def test_against_loops(spikes, window):
    found = train_statistics(spikes, window)
    n_steps, n_trains, n_units = spikes.shape
    n_windows = n_steps // window
    for u in range(n_units):
        intervals, variances, means = [], [], []
        for b in range(n_trains):
            intervals += list(np.diff(np.flatnonzero(spikes[:, b, u])))
            counts = [spikes[k * window : (k + 1) * window, b, u].sum() for k in range(n_windows)]
            variances.append(np.var(counts, ddof=1))
            means.append(np.mean(counts))
        expected = {
            "rate": spikes[:, :, u].mean(),
            "interval_mean": np.mean(intervals) if intervals else np.nan,
            "interval_cv": np.std(intervals, ddof=1) / np.mean(intervals) if len(intervals) > 1 else np.nan,
            "fano": np.mean(variances) / np.mean(means) if np.sum(means) else np.nan,
        }
        for name, value in expected.items():
            assert found[name][u] == pytest.approx(value, nan_ok=True), name
        counted = interval_counts(spikes)[:, u]
        assert counted.tolist() == np.bincount(np.asarray(intervals, int), minlength=n_steps).tolist()


@pytest.mark.parametrize("p", [0.1, 0.4, 0.8])
def test_a_bernoulli_process(p):
    # Tolerances are 5 standard errors or so of 200,000 steps.
    spikes = np.random.default_rng(1).random((10_000, 20, 2)) < p
    found = train_statistics(spikes, window=20)
    n_spikes = spikes[:, :, 0].sum()
    assert found["rate"] == pytest.approx(p, abs=5 * np.sqrt(p * (1 - p) / 2e5))
    assert found["interval_mean"] == pytest.approx(1 / p, abs=5 * np.sqrt((1 - p) / n_spikes) / p)
    assert found["interval_cv"] == pytest.approx(np.sqrt(1 - p), abs=0.015)
    assert found["fano"] == pytest.approx(1 - p, abs=5 * (1 - p) * np.sqrt(2 / 1e4) + 0.005)
    counts = interval_counts(spikes).sum(1)
    k = np.arange(1, 6)
    assert counts[k] / counts.sum() == pytest.approx(p * (1 - p) ** (k - 1), abs=5 / np.sqrt(n_spikes))


def test_a_clock_is_regular():
    spikes = np.zeros((30, 2, 2), np.uint8)
    spikes[::3, :, 0] = 1
    found = train_statistics(spikes, window=6)
    assert found["rate"].tolist() == [1 / 3, 0]
    assert found["interval_mean"][0] == 3
    assert found["interval_cv"][0] == found["fano"][0] == 0
    assert np.isnan([found[name][1] for name in ("interval_mean", "interval_cv", "fano")]).all()


def test_trains_of_different_inputs_do_not_widen_the_fano_factor():
    spikes = np.zeros((20, 2, 1))
    spikes[:, 0] = 1  # always, and never
    assert fano_factor(spikes, 5).tolist() == [0]
    assert firing_rate(spikes).tolist() == [0.5]


def test_an_interval_ends_with_its_train():
    spikes = np.zeros((5, 2, 1))
    spikes[4, 0] = spikes[0, 1] = 1
    assert interval_counts(spikes).sum() == 0
    mean, cv = interval_moments(np.array([[0], [0], [1]]))
    assert (mean[0], np.isnan(cv[0])) == (2, True)


@pytest.mark.parametrize(
    ("spikes", "words"),
    [
        (np.zeros((4, 2)), "expected"),
        (np.zeros((4, 0, 2)), "no axis empty"),
        (np.full((4, 1, 1), 2), "other values"),
        (np.full((4, 1, 1), np.nan), "other values"),
        (np.full((4, 1, 1), -1.0), "signs"),
        (np.full((4, 1, 1), "1"), "other values"),
    ],
)
def test_bad_spikes(spikes, words):
    with pytest.raises(DataError, match=words):
        firing_rate(spikes)


@pytest.mark.parametrize("window", [0, 3])
def test_bad_window(window):
    with pytest.raises(DataError, match="1 to 2 steps"):
        fano_factor(np.zeros((5, 1, 1)), window)
