"""The store of a run: what was said reads back exactly, and ArviZ understands it."""

import numpy as np
import pytest

import bisnn_pyro
from bisnn_pyro.analysis import classification_metrics, fit_temperature, load_idata, regression_metrics
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments import evaluate, predictors
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.predictors import Predictor
from bisnn_pyro.experiments.run import run
from bisnn_pyro.experiments.store import Store
from bisnn_pyro.inference import posterior_draws

QUICK = ["analysis.figures=false", "train.epochs=1"]


@pytest.fixture(scope="module")
def moons(tmp_path_factory):
    """A run with temperatures, noise and early decisions on two moons, and its config."""
    from .tiny import TINY

    folder = tmp_path_factory.mktemp("store")
    (folder / "tiny.toml").write_text(TINY)
    changes = [*QUICK, "analysis.temperature_scaling=true", "analysis.early_decisions=2"]
    (config,) = plan(str(folder / "tiny.toml"), ["bayes"], overrides=changes)
    return config, run(config, folder / "out")


def test_scores_from_the_store_equal_the_metrics(moons):
    config, result = moons
    store = Store.open(result.path)
    assert list(store.predictors) == list(result.metrics["predictors"])
    assert store.shifts == ("0.1",)
    assert store.noise_scale is None
    np.testing.assert_array_equal(store.targets, build_task(config).test.y)
    for name, scores in result.metrics["predictors"].items():
        assert store.votes(name).dtype == np.float64
        assert classification_metrics(store.votes(name), store.targets, 15) == scores
        noisy = classification_metrics(store.shifted("0.1", name), store.targets, 15)
        assert noisy == result.metrics["noise"]["0.1"][name]
    np.testing.assert_array_equal(store.members().mean(0), store.votes())
    assert store.log_likelihood().shape == (4, 30)
    assert list(store.history["epoch"]) == [1]
    assert "committee-scaled" in repr(store)


def test_early_votes_and_grid(moons):
    _, result = moons
    store, fitted = Store.open(result.path), bisnn_pyro.load_run(result.path)
    assert (store.early_steps, store.n_steps, store.step_ms) == ((7, 12), 12, None)
    assert store.early_predictors == store.predictors
    for name in store.predictors:
        np.testing.assert_array_equal(store.early(name)[-1], store.votes(name))
    grid = store.grid()
    x = grid["x"].values
    assert x.shape == (25, 2)
    for name in ("committee", "mode-scaled"):
        expected = fitted.predict_scaled(x, predictor=name).mean
        np.testing.assert_array_equal(store.grid_votes(name), expected)
    found = grid["mutual_information"]
    assert np.isfinite(found.sel(predictor="committee")).all()
    assert np.isnan(found.sel(predictor="mode")).all()
    x, y = store.training_points
    assert (x.shape, y.shape) == ((24, 2), (24,))


def test_a_regression_keeps_the_members_of_each_predictor(tmp_path):
    small = ["data.points_per_unit=4", "encoder.n_steps=12", "network.hidden=[4]", "predict.draws=3"]
    (config,) = plan("curve", ["gaussian"], overrides=[*QUICK, *small])
    result = run(config, tmp_path)
    store = Store.open(result.path)
    assert {name: len(store.votes(name)) for name in store.predictors} == {
        "committee": 3,
        "mode": 1,
        "mean": 1,
    }
    for name, scores in result.metrics["predictors"].items():
        found = regression_metrics(store.votes(name), store.noise_scale, store.targets)
        assert found == {key: scores[key] for key in found}
    assert store.class_names == ()
    assert store.grid()["truth"].shape == (200,)
    assert store.grid_votes("committee").shape == (3, 200)


def test_what_is_missing_or_broken_says_how_to_get_it(moons, spoilt):
    _, result = moons
    with pytest.raises(RunFolderError, match="no votes of 'oracle'"):
        Store.open(result.path).votes("oracle")
    with pytest.raises(RunFolderError, match="no readable nothing"):
        Store.open(result.path).dataset("nothing")
    file = spoilt / "inference_data.nc"
    file.write_bytes(b"nonsense")
    with pytest.raises(RunFolderError, match="bisnn evaluate"):
        Store.open(spoilt)
    file.unlink()
    with pytest.raises(RunFolderError, match="missing; `bisnn evaluate"):
        Store.open(spoilt)


def test_inputs_with_more_features_have_no_grid(spikes):
    store = Store.open(spikes)
    assert store.grid() is None
    assert store.shifts == store.early_steps == ()
    with pytest.raises(RunFolderError, match="more than two features"):
        store.grid_votes()


@pytest.mark.filterwarnings("ignore")  # four members are few for Pareto smoothing
def test_arviz_reads_training_points(moons):
    """``az.loo``, ``az.compare`` and ``az.plot_ppc`` take the groups as they are."""
    import arviz as az
    import matplotlib.pyplot as plt

    config, result = moons
    idata = load_idata(result.path / "inference_data.nc")
    np.testing.assert_array_equal(idata["observed_data"]["y"], build_task(config).train.y)
    loo = az.loo(idata, pointwise=True)
    assert loo.n_data_points == 24
    table = az.compare({"one": idata, "two": idata})
    assert set(table.index) == {"one", "two"}
    assert az.plot_ppc(idata, kind="cumulative") is not None
    plt.close("all")


def test_training_points_are_bounded_and_the_test_does_not_notice(moons, monkeypatch, tmp_path):
    config, result = moons
    monkeypatch.setattr(evaluate, "MAX_TRAINING_POINTS", 5)
    fewer = run(config, tmp_path)
    assert fewer.metrics["predictors"] == result.metrics["predictors"]
    point = Store.open(fewer.path).dataset("observed_data")["point"]
    assert point.values.tolist() == [0, 6, 12, 17, 23]


class FirstMembers(Predictor):
    """Two members of the committee, a predictor that the package does not have."""

    name = "first-two"

    def suits(self, guide):
        return not guide.point

    def n_members(self, draws):
        return 2

    def networks(self, guide, seed):
        return posterior_draws(guide, seed)


def test_a_new_predictor_shows_up_everywhere(moons, monkeypatch, tmp_path):
    config, result = moons
    config = config.replace("predict.scheme", "independent")  # as its own members are
    monkeypatch.setattr(predictors, "PREDICTORS", [*predictors.PREDICTORS, FirstMembers()])
    new = run(config, tmp_path)
    assert {"first-two", "first-two-scaled"} <= new.metrics["predictors"].keys()
    bits = new.metrics["weight_bits"]
    assert bits["first-two"] == bits["first-two-scaled"] == 2 * bits["mode"]
    assert new.metrics["spikes_per_inference"]["first-two"] > 0
    assert new.metrics["predictors"]["mode"] == result.metrics["predictors"]["mode"]
    store = Store.open(new.path)
    np.testing.assert_array_equal(store.votes("first-two"), store.members()[:2].mean(0))
    assert store.early("first-two-scaled").shape == (2, 30, 2)
    assert bisnn_pyro.load_run(new.path).predict(np.zeros((1, 2)), predictor="first-two").draws.shape == (
        2,
        1,
        2,
    )
    assert "first-two" in bisnn_pyro.Runs(new.path).scores()["predictor"].tolist()
    assert predictors.legend("bayes", "first-two") == "bayes (first-two)"


def test_a_fit_without_mistakes_is_at_a_limit():
    sure = [[0.9, 0.1], [0.2, 0.8]]
    found = fit_temperature(sure, [0, 1], prior_scale=None)
    assert predictors.predictors_at_limit([("net", {"mode": found}), ("net", {"mode": 1.0})]) == [
        "net mode (1 of 2 runs)"
    ]
    wrong = fit_temperature(sure, [1, 0], prior_scale=None)
    assert predictors.predictors_at_limit([("net", {"mode": wrong, "mean": 0.051})]) == [
        "net mode (1 of 1 runs)"
    ]
    assert predictors.limit_notes([("net", {"mode": 0.7}), ("other", {})]) == []
