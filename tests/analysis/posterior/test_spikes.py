import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bisnn_pyro.analysis import (
    fano_factor,
    firing_rate,
    group,
    group_names,
    interval_counts,
    interval_moments,
    load_idata,
    save_idata,
    spike_check_data,
    train_statistics,
)
from bisnn_pyro.analysis.posterior.inference_data import import_arviz
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


S, T, B, C = 6, 24, 5, 3


def trains_spike_checks(*shape, p=0.3, seed=0):
    return (np.random.default_rng(seed).random(shape) < p).astype(np.float32)


def make(**changes):
    hidden = [train_statistics(trains_spike_checks(T, B, 4, seed=s), 4) for s in range(S)]
    arguments = {
        "seed": 7,
        "hidden": {"layers.0": hidden},
        "replicated": trains_spike_checks(S, T, B, C),
        "observed": trains_spike_checks(T, B, C, seed=1),
        "window": 4,
    }
    return spike_check_data(**{**arguments, **changes})


def test_groups_hold_the_statistics_of_each_member(tmp_path):
    replicated, observed = trains_spike_checks(S, T, B, C), trains_spike_checks(T, B, C, seed=1)
    idata = load_idata(save_idata(make(attrs={"method": "bayes"}), tmp_path / "a.nc"))
    predictive, data = group(idata, "posterior_predictive"), group(idata, "observed_data")
    assert predictive["y"].dims == ("chain", "draw", "point", "step", "unit")
    assert data["y"].dims == ("point", "step", "unit")
    assert predictive["layers.0.rate"].dims == ("chain", "draw", "layers.0.unit")
    assert predictive["chain"].values.tolist() == [7]
    assert idata.attrs["method"] == "bayes"
    for name, expected in train_statistics(observed, 4).items():
        np.testing.assert_allclose(data[name], expected)
        assert data[name].dims == ("unit",)
        for s in range(S):
            np.testing.assert_allclose(predictive[name][0, s], train_statistics(replicated[s], 4)[name])
    np.testing.assert_array_equal(predictive["y"][0, 2, 3], replicated[2, :, 3])


def test_hidden_spikes_alone():
    idata = make(replicated=None, observed=None)
    assert group_names(idata) == ["posterior_predictive"]
    assert "rate" not in group(idata, "posterior_predictive")


def test_arviz_plots_predictions_beside_the_data():
    import matplotlib.pyplot as plt

    az, idata = import_arviz(), make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ArviZ's own with the newest matplotlib
        for name in ("rate", "fano"):
            if hasattr(az, "plot_ppc"):
                assert az.plot_ppc(idata, var_names=[name]) is not None
            else:
                assert az.plot_ppc_dist(idata, var_names=[name]) is not None
    plt.close("all")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"observed": None}, "both"),
        ({"observed": trains_spike_checks(T, B, 2)}, "expected"),
        ({"hidden": {}, "replicated": None, "observed": None}, "no spikes"),
        ({"window": 20}, "window"),
    ],
)
def test_bad_input(changes, words):
    with pytest.raises(DataError, match=words):
        make(**changes)
