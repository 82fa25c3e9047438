import os
import stat
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from bisnn_pyro.analysis import (
    PredictedPoints,
    group,
    group_names,
    load_idata,
    make_idata,
    run_inference_data,
    save_idata,
    stack_seeds,
    uses_datatree,
)
from bisnn_pyro.analysis.posterior import inference_data
from bisnn_pyro.analysis.posterior.inference_data import import_arviz
from bisnn_pyro.errors import DataError

GROUPS = {
    "posterior": {"w": np.arange(12.0).reshape(1, 4, 3)},
    "sample_stats": {"loss": np.array([[3.0, 2.0, np.nan]])},
    "observed_data": {"y": np.array([0, 1, 1])},
    "constant_data": {},
}
DIMS = {"y": ["point"]}
COORDS = {"chain": [7], "epoch": [1, 2, 3]}


class FakeV1:
    """ArviZ 1.x as far as the module may know it: ``from_dict`` takes ``data``; no InferenceData."""

    @staticmethod
    def from_dict(data, *, name=None, sample_dims=None, coords=None, dims=None, attrs=None):
        raise AssertionError("containers are built by xarray")


@pytest.fixture(params=["installed", "1.x"])
def line(request, monkeypatch):
    """Run a test on the installed ArviZ and on the branch for 1.x."""
    if request.param == "1.x":
        monkeypatch.setattr(inference_data, "import_arviz", lambda: FakeV1)
    return request.param


def test_the_installed_line_is_told_by_a_feature():
    az = inference_data.import_arviz()
    assert uses_datatree() == (not az.__version__.startswith("0."))


def test_native_container(line):
    idata = make_idata(GROUPS, COORDS, DIMS, {"seed": 7})
    if line == "1.x":
        assert isinstance(idata, xr.DataTree)
    else:
        az = inference_data.import_arviz()
        assert isinstance(idata, xr.DataTree if uses_datatree() else az.InferenceData)
    assert group_names(idata) == ["posterior", "sample_stats", "observed_data"]  # empty groups are left out
    assert group(idata, "posterior")["w"].dims == ("chain", "draw", "w_dim_0")
    assert group(idata, "sample_stats")["loss"].dims == ("chain", "epoch")
    assert group(idata, "sample_stats")["epoch"].values.tolist() == [1, 2, 3]
    assert group(idata, "posterior")["chain"].values.tolist() == [7]
    assert group(idata, "observed_data")["y"].dims == ("point",)
    with pytest.raises(DataError, match="no group 'prior'; the groups are posterior"):
        group(idata, "prior")


@pytest.mark.filterwarnings("error")
def test_round_trip(line, tmp_path):
    attrs = {
        "method": "bayes",
        "seed": 7,
        "beta": np.float32(0.5),
        "hard": True,
        "early": None,
        "sizes": [2, 3],
    }
    idata = make_idata(GROUPS, COORDS, DIMS, attrs)
    path = save_idata(idata, tmp_path / "new" / "inference_data.nc")
    again = load_idata(path)
    assert type(again) is type(idata)
    for name in group_names(idata):
        xr.testing.assert_identical(group(again, name), group(idata, name))
    assert again.attrs == {
        "method": "bayes",
        "seed": 7,
        "beta": 0.5,
        "hard": "true",
        "early": "null",
        "sizes": "[2, 3]",
    }
    assert again.attrs == idata.attrs


def test_both_branches_write_the_same_file(tmp_path, monkeypatch):
    save_idata(make_idata(GROUPS, COORDS, DIMS, {"seed": 7}), tmp_path / "a.nc")
    monkeypatch.setattr(inference_data, "import_arviz", lambda: FakeV1)
    save_idata(make_idata(GROUPS, COORDS, DIMS, {"seed": 7}), tmp_path / "b.nc")
    with xr.open_datatree(tmp_path / "a.nc") as a, xr.open_datatree(tmp_path / "b.nc") as b:
        assert a.identical(b)


def test_plain_xarray_and_arviz_read_the_file(tmp_path):
    az = inference_data.import_arviz()
    path = save_idata(make_idata(GROUPS, COORDS, DIMS, {"seed": 7}), tmp_path / "x.nc")
    with xr.open_datatree(path) as tree:
        np.testing.assert_array_equal(tree["posterior"]["w"], GROUPS["posterior"]["w"])
        assert tree.attrs["seed"] == 7
    read = az.from_netcdf(path)
    np.testing.assert_array_equal(read["posterior"]["w"], GROUPS["posterior"]["w"])
    np.testing.assert_array_equal(read["sample_stats"]["loss"], GROUPS["sample_stats"]["loss"])


def test_large_arrays_are_compressed_without_loss(tmp_path):
    values = np.zeros((1, 50, 1000))
    values[0, 3, 5] = 1 / 3
    path = save_idata(make_idata({"posterior": {"w": values}}), tmp_path / "big.nc")
    assert path.stat().st_size < values.nbytes / 10
    np.testing.assert_array_equal(group(load_idata(path), "posterior")["w"], values)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = save_idata(make_idata(GROUPS, COORDS, DIMS), tmp_path / "x.nc")
    before = path.read_bytes()

    def fail(self, content):
        with self.open("wb") as stream:
            stream.write(bytes(content)[:4])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        save_idata(make_idata(GROUPS, COORDS, DIMS), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_loaded_file_can_be_replaced_and_has_usual_rights(tmp_path):
    idata = make_idata(GROUPS, COORDS, DIMS)
    path = save_idata(idata, tmp_path / "x.nc")
    loaded = load_idata(path)
    save_idata(loaded, path)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_wrong_files_are_named(tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        load_idata(tmp_path / "none.nc")
    (tmp_path / "text.nc").write_text("not netCDF")
    with pytest.raises(DataError, match="cannot be read as netCDF"):
        load_idata(tmp_path / "text.nc")


@pytest.mark.parametrize(
    ("groups", "coords", "message"),
    [
        ({"posterior": {"w": np.zeros(3)}}, {}, r"posterior/w has shape \(3,\); expected the dimensions"),
        ({"observed_data": {"y": np.zeros((2, 2))}}, {}, r"observed_data/y has shape \(2, 2\)"),
        ({"observed_data": {"y": np.zeros(2)}}, {"point": [1, 2, 3]}, "dimension point should be 3"),
        ({"observed_data": {"a/b": np.zeros(2)}}, {}, "reserves"),
    ],
)
def test_wrong_shapes_are_named(groups, coords, message):
    with pytest.raises(DataError, match=message):
        make_idata(groups, coords, DIMS)


S, N, C = 200, 12, 3


def make_points(rng, target, regression=False, **changes):
    probs = rng.dirichlet([60.0] * C, size=(S, N))
    labels = np.arange(N) % C
    said = {"log_likelihood": np.log(np.take_along_axis(probs, labels[None, :, None], -1)[..., 0])}
    if regression:
        said |= {"means": rng.normal(size=(S, N)), "noise_scale": np.linspace(0.1, 0.3, S)}
    else:
        said |= {"probabilities": probs}
    return PredictedPoints(**{"observed": target, **said, **changes})


def two_members(log_likelihood=None):
    values = np.zeros((2, N)) if log_likelihood is None else log_likelihood
    return PredictedPoints(np.arange(N) % C, values, probabilities=np.full((2, N, C), 1 / C))


def make_run(seed=0, epochs=4, regression=False, points=None, **changes):
    """The container of a small run; y depends on nothing but N, so that runs share their points."""
    rng = np.random.default_rng(seed)
    target = np.linspace(-1, 1, N) if regression else np.arange(N) % C
    arguments = {
        "seed": seed,
        "test": make_points(rng, target, regression, **(points or {})),
        "train": make_points(rng, target, regression, index=np.arange(0, 3 * N, 3)),
        "summaries": {"layers.0.weight_mean": rng.uniform(-1, 1, size=(5, 2))},
        "history": {
            "epoch": np.arange(1, epochs + 1),
            "loss": rng.uniform(size=epochs),
            "kl": np.arange(epochs),
        },
        "attrs": {"method": "bayes", "beta": 1.0},
    }
    return run_inference_data(**{**arguments, **changes})


def test_groups_and_dimensions():
    votes = xr.DataArray(np.full((2, N, C), 1 / 3), dims=("predictor", "pred_point", "class"))
    run = make_run(
        3,
        class_names=["a", "b", "c"],
        draws={"w": np.ones((S, 2))},
        votes={"vote": votes.assign_coords(predictor=["committee", "mode"])},
        constants={"step": xr.DataArray([1, 2], dims="elapsed")},
    )
    dims = {
        ("posterior", "mean_log_likelihood"): ("chain", "draw"),
        ("posterior", "w"): ("chain", "draw", "w_dim_0"),
        ("posterior_summary", "layers.0.weight_mean"): (
            "chain",
            "layers.0.weight_mean_dim_0",
            "layers.0.weight_mean_dim_1",
        ),
        ("predictions", "y_prob"): ("chain", "draw", "pred_point", "class"),
        ("predictions", "vote"): ("chain", "predictor", "pred_point", "class"),
        ("predictions_log_likelihood", "y"): ("chain", "draw", "pred_point"),
        ("predictions_constant_data", "y"): ("pred_point",),
        ("predictions_constant_data", "step"): ("elapsed",),
        ("posterior_predictive", "y_prob"): ("chain", "draw", "point", "class"),
        ("posterior_predictive", "y"): ("chain", "draw", "point"),
        ("log_likelihood", "y"): ("chain", "draw", "point"),
        ("observed_data", "y"): ("point",),
        ("sample_stats", "kl"): ("chain", "epoch"),
    }
    for (name, variable), expected in dims.items():
        assert group(run, name)[variable].dims == expected
    assert set(group_names(run)) == {name for name, _ in dims}
    stored = group(run, "predictions_log_likelihood")["y"][0].mean("pred_point")
    np.testing.assert_allclose(group(run, "posterior")["mean_log_likelihood"][0], stored)
    assert group(run, "predictions")["class"].values.tolist() == ["a", "b", "c"]
    assert group(run, "predictions")["predictor"].values.tolist() == ["committee", "mode"]
    assert group(run, "log_likelihood")["chain"].values.tolist() == [3]
    assert group(run, "log_likelihood")["point"].values.tolist() == list(range(0, 3 * N, 3))
    assert group(run, "sample_stats")["epoch"].values.tolist() == [1, 2, 3, 4]
    assert "epoch" not in group(run, "sample_stats").data_vars
    assert run.attrs == {"inference_library": "bisnn_pyro", "seed": 3, "method": "bayes", "beta": 1.0}


def test_labels_are_drawn_from_the_members_probabilities():
    # Share of each class among N draws of S members; probabilities vary little: 4 sd of 2400 draws are 0.04.
    predictive = group(make_run(2), "posterior_predictive")
    shares = [(predictive["y"] == k).mean().item() for k in range(C)]
    np.testing.assert_allclose(shares, predictive["y_prob"].mean(("chain", "draw", "point")), atol=0.04)
    again = group(make_run(2), "posterior_predictive")["y"]
    xr.testing.assert_equal(again, predictive["y"])


def test_regression_holds_means_and_values():
    run = make_run(regression=True)
    predictive = group(run, "posterior_predictive")
    assert set(predictive.data_vars) == {"y", "y_mean", "noise_scale"}
    assert predictive["y_mean"].dims == ("chain", "draw", "point")
    assert predictive["noise_scale"].dims == ("chain", "draw")
    z = (predictive["y"] - predictive["y_mean"]) / predictive["noise_scale"]
    assert z.std().item() == pytest.approx(1, abs=0.06)  # 2400 draws: 4 sd
    exact = make_run(
        regression=True, train=make_points(np.random.default_rng(0), np.zeros(N), True, noise_scale=None)
    )
    xr.testing.assert_equal(
        group(exact, "posterior_predictive")["y"], group(exact, "posterior_predictive")["y_mean"]
    )
    by_point = make_points(np.random.default_rng(0), np.zeros(N), True, noise_scale=np.ones((S, N)))
    assert group(make_run(regression=True, train=by_point), "posterior_predictive")["noise_scale"].ndim == 3


def test_what_is_not_given_has_no_group():
    names = group_names(make_run(summaries=None, history=None, train=None))
    test = {"predictions", "predictions_log_likelihood", "predictions_constant_data"}
    assert set(names) == {"posterior", *test}
    names = group_names(make_run(summaries=None, history=None, test=None))
    assert set(names) == {"posterior", "observed_data", "posterior_predictive", "log_likelihood"}
    with pytest.raises(DataError, match="test points, on training points"):
        run_inference_data(seed=0)


def test_plot_ppc_takes_training_points():
    import matplotlib.pyplot as plt

    az, run = import_arviz(), make_run()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ArviZ's own, with the newest matplotlib
        old = hasattr(az, "plot_ppc")  # ArviZ 0.x
        plot = az.plot_ppc(run, num_pp_samples=3) if old else az.plot_ppc_dist(run, var_names="y")
    assert plot is not None
    plt.close("all")


def test_file_comes_back_through_arviz_and_xarray(tmp_path):
    run = make_run(class_names=["a", "b", "c"])
    path = save_idata(run, tmp_path / "inference_data.nc")
    for name in group_names(run):
        xr.testing.assert_identical(group(load_idata(path), name), group(run, name))
    with xr.open_datatree(path) as tree:
        xr.testing.assert_equal(tree["log_likelihood"].to_dataset(), group(run, "log_likelihood"))
    read = import_arviz().from_netcdf(path)
    np.testing.assert_array_equal(read["log_likelihood"]["y"], group(run, "log_likelihood")["y"])


def elpd(loo):
    return loo.elpd_loo if hasattr(loo, "elpd_loo") else loo.elpd  # ArviZ 0.x, 1.x


def test_loo_and_summary_work_over_seeds():
    az = import_arviz()
    both = stack_seeds([make_run(0), make_run(1)])
    loo = az.loo(both)
    loglik = group(both, "log_likelihood")["y"].values.reshape(-1, N)
    in_sample = np.log(np.exp(loglik).mean(0)).sum()
    assert elpd(loo) < in_sample
    assert elpd(loo) == pytest.approx(in_sample, abs=2)
    assert loo.n_samples == 2 * S
    assert list(az.summary(both).index) == ["mean_log_likelihood"]


def test_loo_works_on_one_run():
    assert np.isfinite(elpd(import_arviz().loo(make_run())))


def test_stack_makes_chains_of_seeds_and_fills_epochs(tmp_path):
    runs = [make_run(5, epochs=4), make_run(2, epochs=3)]
    both = stack_seeds(runs)
    for name in ("posterior", "posterior_summary", "predictions", "log_likelihood", "sample_stats"):
        assert group(both, name)["chain"].values.tolist() == [5, 2]
    for chain, run in zip((5, 2), runs, strict=True):
        one = group(both, "log_likelihood").sel(chain=[chain])
        xr.testing.assert_equal(one, group(run, "log_likelihood"))
    kl = group(both, "sample_stats")["kl"].values
    np.testing.assert_array_equal(kl, [[0, 1, 2, 3], [0, 1, 2, np.nan]])
    assert "chain" not in group(both, "observed_data").dims
    assert both.attrs == {
        "inference_library": "bisnn_pyro",
        "method": "bayes",
        "beta": 1.0,
        "seeds": "[5, 2]",
    }
    save_idata(both, tmp_path / "summary.nc")
    xr.testing.assert_identical(
        group(load_idata(tmp_path / "summary.nc"), "posterior"), group(both, "posterior")
    )
    assert group(stack_seeds([both, make_run(9)]), "posterior").sizes["chain"] == 3


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        (lambda: [], "no runs"),
        (lambda: [make_run(1), make_run(1)], "not all different"),
        (lambda: [make_run(1), make_run(2, history=None)], "different groups"),
        (lambda: [make_run(1), make_run(2, points={"observed": np.zeros(N, int)})], "constant_data differs"),
        (
            lambda: [
                make_run(1, train=None),
                make_run(2, train=None, test=two_members()),
            ],
            "cannot be stacked",
        ),
    ],
)
def test_runs_that_do_not_stack(runs, message):
    with pytest.raises(DataError, match=message):
        stack_seeds(runs())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": {"probabilities": None}}, "not both"),
        ({"points": {"means": np.zeros((S, N))}}, "not both"),
        ({"points": {"log_likelihood": np.zeros((S, N + 1))}}, "must agree"),
        ({"points": {"log_likelihood": np.full((S, N), np.nan)}}, "NaN"),
        ({"points": {"observed": np.zeros(N + 1)}}, "constant_data/y"),
        ({"points": {"noise_scale": np.ones(3)}}, "noise_scale has shape"),
        ({"votes": {"v": xr.DataArray(np.ones(3), {"pred_point": [0, 1, 2]}, "pred_point")}}, "other labels"),
        ({"history": {"loss": [1.0, 2.0], "kl": [1.0]}}, "history column 'kl'"),
        ({"history": {"loss": ["a"]}}, "history column 'loss'"),
        ({"class_names": ["a"]}, "dimension class"),
        ({"draws": {"w": np.ones((S - 1, 2))}}, "dimension draw"),
    ],
)
def test_wrong_runs_are_named(changes, message):
    with pytest.raises(DataError, match=message):
        make_run(**changes)


def test_impossible_label_is_kept():
    run = make_run(test=two_members(np.full((2, N), -np.inf)), train=None)
    assert np.isneginf(group(run, "posterior")["mean_log_likelihood"]).all()
