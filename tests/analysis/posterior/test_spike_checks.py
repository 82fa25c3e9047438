import warnings

import numpy as np
import pytest

from bisnn_pyro.analysis import group, group_names, load_idata, save_idata, spike_check_data, train_statistics
from bisnn_pyro.analysis.inference_data import import_arviz
from bisnn_pyro.errors import DataError

S, T, B, C = 6, 24, 5, 3


def trains(*shape, p=0.3, seed=0):
    return (np.random.default_rng(seed).random(shape) < p).astype(np.float32)


def make(**changes):
    hidden = [train_statistics(trains(T, B, 4, seed=s), 4) for s in range(S)]
    arguments = {
        "seed": 7,
        "hidden": {"layers.0": hidden},
        "replicated": trains(S, T, B, C),
        "observed": trains(T, B, C, seed=1),
        "window": 4,
    }
    return spike_check_data(**{**arguments, **changes})


def test_groups_hold_the_statistics_of_each_member(tmp_path):
    replicated, observed = trains(S, T, B, C), trains(T, B, C, seed=1)
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
        ({"observed": trains(T, B, 2)}, "expected"),
        ({"hidden": {}, "replicated": None, "observed": None}, "no spikes"),
        ({"window": 20}, "window"),
    ],
)
def test_bad_input(changes, words):
    with pytest.raises(DataError, match=words):
        make(**changes)
