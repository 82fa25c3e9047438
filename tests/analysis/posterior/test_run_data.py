import numpy as np
import pytest
import xarray as xr

from bisnn_pyro.analysis import group, group_names, load_idata, run_inference_data, save_idata, stack_seeds
from bisnn_pyro.analysis.inference_data import import_arviz
from bisnn_pyro.errors import DataError

S, N, C = 200, 12, 3


def make_run(seed=0, epochs=4, regression=False, **changes):
    """The container of a small run; y depends on nothing but N, so that runs share their test points."""
    rng = np.random.default_rng(seed)
    labels = np.arange(N) % C
    probs = rng.dirichlet([60.0] * C, size=(S, N))
    loglik = np.log(np.take_along_axis(probs, labels[None, :, None], -1)[..., 0])
    arguments = {
        "seed": seed,
        "observed": np.linspace(-1, 1, N) if regression else labels,
        "log_likelihood": loglik,
        "summaries": {"layers.0.weight_mean": rng.uniform(-1, 1, size=(5, 2))},
        "history": {
            "epoch": np.arange(1, epochs + 1),
            "loss": rng.uniform(size=epochs),
            "kl": np.arange(epochs),
        },
        "attrs": {"method": "bayes", "beta": 1.0},
    }
    arguments |= {"mean_draws": rng.normal(size=(S, N))} if regression else {"probabilities": probs}
    return run_inference_data(**{**arguments, **changes})


def test_groups_and_dimensions():
    run = make_run(3, class_names=["a", "b", "c"], features=np.zeros((N, 2)), draws={"w": np.ones((S, 2))})
    dims = {
        ("posterior", "mean_log_likelihood"): ("chain", "draw"),
        ("posterior", "w"): ("chain", "draw", "w_dim_0"),
        ("posterior_summary", "layers.0.weight_mean"): (
            "chain",
            "layers.0.weight_mean_dim_0",
            "layers.0.weight_mean_dim_1",
        ),
        ("posterior_predictive", "y_prob"): ("chain", "draw", "point", "class"),
        ("log_likelihood", "y"): ("chain", "draw", "point"),
        ("observed_data", "y"): ("point",),
        ("constant_data", "x"): ("point", "x_dim_0"),
        ("sample_stats", "kl"): ("chain", "epoch"),
    }
    for (name, variable), expected in dims.items():
        assert group(run, name)[variable].dims == expected
    assert set(group_names(run)) == {name for name, _ in dims}
    np.testing.assert_allclose(
        group(run, "posterior")["mean_log_likelihood"][0], group(run, "log_likelihood")["y"][0].mean("point")
    )
    assert group(run, "posterior_predictive")["class"].values.tolist() == ["a", "b", "c"]
    assert group(run, "log_likelihood")["chain"].values.tolist() == [3]
    assert group(run, "sample_stats")["epoch"].values.tolist() == [1, 2, 3, 4]
    assert "epoch" not in group(run, "sample_stats").data_vars
    assert run.attrs == {"inference_library": "bisnn_pyro", "seed": 3, "method": "bayes", "beta": 1.0}


def test_regression_holds_means():
    predictive = group(make_run(regression=True), "posterior_predictive")
    assert list(predictive.data_vars) == ["y_mean"]
    assert predictive["y_mean"].dims == ("chain", "draw", "point")


def test_what_is_not_given_has_no_group():
    names = group_names(make_run(summaries=None, history=None))
    assert set(names) == {"posterior", "posterior_predictive", "log_likelihood", "observed_data"}


def test_file_comes_back_through_arviz_and_xarray(tmp_path):
    run = make_run(class_names=["a", "b", "c"], features=np.zeros((N, 2)))
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
    for name in ("posterior", "posterior_summary", "posterior_predictive", "log_likelihood", "sample_stats"):
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
        (lambda: [make_run(1), make_run(2, history=None)], "other groups"),
        (lambda: [make_run(1), make_run(2, observed=np.zeros(N, int))], "observed_data differs"),
        (
            lambda: [
                make_run(1),
                make_run(2, log_likelihood=np.zeros((2, N)), probabilities=np.full((2, N, C), 1 / C)),
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
        ({"probabilities": None}, "not both"),
        ({"mean_draws": np.zeros((S, N))}, "not both"),
        ({"log_likelihood": np.zeros((S, N + 1))}, "must agree"),
        ({"log_likelihood": np.full((S, N), np.nan)}, "NaN"),
        ({"observed": np.zeros(N + 1)}, "observed_data/y"),
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
    loglik = np.full((2, N), -np.inf)
    probs = np.full((2, N, C), 1 / C)
    run = make_run(log_likelihood=loglik, probabilities=probs)
    assert np.isneginf(group(run, "posterior")["mean_log_likelihood"]).all()
