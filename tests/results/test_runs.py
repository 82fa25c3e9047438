"""Finished runs as a noun: frames, labelled votes, tables, figures, and a predictor of a user's own."""

import json

import numpy as np
import pytest

from bisnn_pyro.analysis import Voting, plot_reliability
from bisnn_pyro.errors import ConfigError, RunFolderError
from bisnn_pyro.experiments import predictors as predictors_module
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.run import run
from bisnn_pyro.inference import posterior_draws
from bisnn_pyro.results import FinishedRun, Runs, compare
from bisnn_pyro.results.studies import energy_study, selective_study, shift_study
from tests.experiments.study_runs import QUIET
from tests.results.changing import change_config


@pytest.fixture(scope="module")
def read(finished):
    return Runs(finished)


def test_scores_are_those_of_the_metrics(read, finished):
    frame = read.scores()
    assert list(frame)[:5] == ["experiment", "method", "seed", "fold", "predictor"]
    assert frame["fold"].isna().all()
    for _, row in frame.iterrows():
        record = json.loads((finished / f"{row['method']}-seed{row['seed']}" / "metrics.json").read_text())
        for metric, value in record["predictors"][row["predictor"]].items():
            assert row[metric] == value
        assert row["weight_bits"] == record["weight_bits"][row["predictor"]]
        assert row["spikes"] == record["spikes_per_inference"][row["predictor"]]
    assert len(frame) == 2 * (8 + 2)


def test_scores_recomputed_from_the_store_are_equal(read, curves):
    for finished_run in [*read, *Runs(curves)]:
        for predictor, stored in finished_run.metrics["predictors"].items():
            points = finished_run.point_scores(predictor)
            for metric in ("accuracy", "nll", "brier"):
                if metric in points:
                    assert points[metric].mean() == pytest.approx(stored[metric], rel=1e-12)
            if "mse" in points:
                assert np.sqrt(points["mse"].mean()) == pytest.approx(stored["rmse"], rel=1e-12)


def test_a_line_knows_its_seeds_predictors_and_names(read):
    bayes, straight = read.lines
    assert (bayes.name, bayes.seeds, straight.predictors) == ("bayes", [0, 1], ["mode", "mode-scaled"])
    assert [bayes.label(name) for name in bayes.main] == ["bayes (committee)", "bayes (committee-scaled)"]
    assert straight.label("mode") == "straight-through"
    assert (bayes.has_committee, straight.has_committee) == (True, False)
    assert list(read.named())[:2] == ["bayes seed 0", "bayes seed 1"]
    assert [(line.name, seed) for line, seed in read.each_seed()][:3] == [
        ("bayes", 0),
        ("bayes", 1),
        ("straight-through", 0),
    ]
    assert (read.kind, read.over, read.folds, read.n_points, len(read)) == (
        "classification",
        "seed",
        0,
        30,
        4,
    )


def test_votes_are_labelled(read, finished, curves):
    assert isinstance(read, Voting)
    votes = read.votes()
    assert list(votes) == ["bayes (committee)", "straight-through"]
    found = votes["bayes (committee)"]
    assert dict(found.sizes) == {"seed": 2, "point": 30, "class": 2}
    store = FinishedRun.read(read[1].folder).store
    np.testing.assert_array_equal(found["probability"].sel(seed=1), store.votes("committee"))
    np.testing.assert_array_equal(found["target"], store.targets)
    assert list(read.votes("mean")) == ["bayes (mean)"]  # which only the posterior has
    with pytest.raises(ConfigError, match="no run has the predictor 'median'; they have committee"):
        read.votes("median")
    members = read.members()["bayes (committee)"]
    np.testing.assert_allclose(members["probability"].mean("draw"), found["probability"])
    regression = Runs(curves).votes()["bayes (committee)"]
    assert regression["mean"].dims == ("seed", "draw", "point")
    assert regression["noise_scale"].dims == ("seed",)
    assert dict(regression.sizes) == {"seed": 1, "draw": 3, "point": 20}


def test_folds_follow_one_another(runs):
    for method in ("bayes", "straight-through"):
        for k in (0, 1):
            change_config(runs / f"{method}-seed{k}", data__fold=k, data__n_folds=2, seed=0)
    read = Runs(runs)
    assert (read.over, read.folds, read.n_folds, read.n_points) == ("fold", 2, 2, 60)
    assert dict(read.votes()["straight-through"].sizes) == {"seed": 1, "point": 60, "class": 2}
    assert read.scores()["fold"].tolist()[0] == 0
    assert "0-1 of 2" in repr(read)


def test_figures_take_runs(read):
    table = plot_reliability(read).table
    assert any(name.startswith("bayes (committee)") for name in table["predictor"])


def test_the_repr_is_the_table_in_every_style(read, finished):
    assert repr(read) == compare(read, n_resamples=5).scores.plain() == read.table()
    assert read.table("markdown") == read._repr_markdown_()
    assert r"\toprule" in read.table("latex")
    assert read.table("csv").startswith("experiment,method,predictor,n,accuracy,")
    with pytest.raises(ConfigError, match="'html' is not known"):
        read.table("html")


def test_differences_are_a_frame(read, finished):
    frame = read.differences(against="straight-through", n_resamples=20)
    assert frame["difference"][0] == "straight-through mode - bayes committee"
    assert {"n_points", "nll", "nll_low", "nll_high"} <= set(frame)
    assert Runs(finished / "straight-through-seed0").differences().empty is False  # its scaled relative


def test_paths_of_any_kind(finished):
    one = Runs(finished / "bayes-seed0")
    several = Runs([str(finished / "bayes-seed0"), finished])
    assert (len(one), len(several)) == (1, 4)
    with pytest.raises(RunFolderError, match="no run folder is given"):
        Runs([])


def test_a_setting_may_vary(runs):
    change_config(runs / "bayes-seed1", train__kl_weight=0.5, seed=0)
    with pytest.raises(RunFolderError, match=r"other settings \(train\.kl_weight\)"):
        Runs([runs / "bayes-seed0", runs / "bayes-seed1"])
    varied = Runs([runs / "bayes-seed0", runs / "bayes-seed1"], varying="train.kl_weight")
    assert [line.name for line in varied.lines] == ["bayes train.kl_weight=1.0", "bayes train.kl_weight=0.5"]


class FirstMember(predictors_module.Predictor):
    """A user's own: the first network that is drawn."""

    name = "first-member"

    def suits(self, guide):
        return not guide.point

    def networks(self, guide, seed):
        return posterior_draws(guide, seed)


def test_a_new_predictor_shows_up_by_itself(source, tmp_path, monkeypatch):
    own = [*predictors_module.PREDICTORS, FirstMember()]
    monkeypatch.setattr(predictors_module, "PREDICTORS", own)
    changes = [*QUIET, "analysis.temperature_scaling=true", "analysis.noise=[]"]
    (config,) = plan(source, ["bayes"], overrides=changes)
    path = run(config, tmp_path).path
    read = Runs(path)
    wanted = {"first-member", "first-member-scaled"}
    assert wanted <= set(read.scores()["predictor"])
    assert any("first-member" in difference for difference in read.differences(n_resamples=5)["difference"])
    assert wanted <= set(shift_study(read, "noise", [0.1]).frame["predictor"])
    assert wanted <= set(selective_study(read, level=0.8).frame["predictor"])
    energy = energy_study(read).frame.set_index("predictor")
    assert energy.loc["first-member", "weight_bits"] == energy.loc["mode", "weight_bits"]
    assert dict(read.votes("first-member")) != {}
