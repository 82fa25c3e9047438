"""Several runs in one folder: what is summarised, what is left out, and what fails alone."""

import pytest
import xarray as xr

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.batch import plan, run_experiment
from bisnn_pyro.experiments.folder import RunFolder


def test_batch_over_methods_and_seeds_with_summary(source, tmp_path):
    configs = plan(source, ["bayes", "straight-through"], [0, 1], ["analysis.figures=false"])
    result = run_experiment(configs, tmp_path / "out")
    assert len(result.runs) == 4
    summary = result.summary.path
    names = {p.name for p in summary.iterdir()}
    assert {"table.csv", "table.md", "table.tex", "table-noise-0.1.csv"} <= names
    assert {f"{m}.nc" for m in ("bayes", "straight-through")} <= names
    with xr.open_datatree(summary / "bayes.nc") as tree:
        assert tree["posterior_predictive"]["chain"].values.tolist() == [0, 1]
    assert "committee" in result.summary.table
    assert "bayes - straight-through" in result.summary.differences
    with pytest.raises(RunFolderError, match="already holds"):
        run_experiment(configs, tmp_path / "out")
    (other,) = plan(source, ["bayes"], [2], ["analysis.figures=false"])
    wider = run_experiment([other], tmp_path / "out").summary
    assert "straight-through" in wider.table  # a later, smaller batch does not shrink the summary
    again = run_experiment(configs, tmp_path / "out", resume=True)
    assert again.runs == ()
    assert sorted(again.summary.table.splitlines()) == sorted(wider.table.splitlines())


def test_figures_of_runs_and_across_them(source, tmp_path):
    result = run_experiment(plan(source, ["bayes", "straight-through"]), tmp_path / "out")
    for folder in (result.runs[0].path / "figures", result.summary.path):
        names = {p.name for p in folder.iterdir()}
        for figure in ("predictive", "reliability", "training"):
            assert {f"{figure}.{suffix}" for suffix in ("png", "pdf", "csv")} <= names


def test_a_run_that_fails_does_not_take_the_others_along(source, tmp_path):
    overrides = ["method.straight-through.rule.name=sgd", "method.straight-through.rule.lr=1e38"]
    configs = plan(source, ["bayes", "straight-through"], overrides=[*overrides, "analysis.figures=false"])
    result = run_experiment(configs, tmp_path)
    assert [c.method for c, _ in result.failures] == ["straight-through"]
    assert "committee" in result.summary.table
    assert not (tmp_path / "straight-through-seed0").exists()


def test_runs_with_other_settings_stay_out_of_the_table(source, tmp_path):
    small = ["analysis.figures=false", "analysis.noise=[]"]
    run_experiment(plan(source, ["bayes"], [0], small), tmp_path)
    result = run_experiment(plan(source, ["bayes"], [1], [*small, "rule.lr=0.5"]), tmp_path)
    assert not result.summary.intervals
    (reason,) = result.left_out
    assert "bayes-seed0" in reason
    assert "rule.lr" in reason


def test_resume_of_a_finished_run_refuses_other_settings(source, tmp_path):
    small = ["analysis.figures=false", "analysis.noise=[]"]
    run_experiment(plan(source, ["bayes"], [0], small), tmp_path)
    with pytest.raises(RunFolderError, match=r"different: train\.epochs"):
        run_experiment(plan(source, ["bayes"], [0], [*small, "train.epochs=5"]), tmp_path, resume=True)


def test_jobs_give_the_same_bits(source, tmp_path):
    overrides = ["analysis.figures=false", "train.threads=1"]
    configs = plan(source, ["bayes", "straight-through"], overrides=overrides)
    one = run_experiment(configs, tmp_path / "one", jobs=1)
    two = run_experiment(configs, tmp_path / "two", jobs=2)
    for config in configs:
        paths = [RunFolder.of(config, r.out).posterior_path for r in (one, two)]
        assert paths[0].read_bytes() == paths[1].read_bytes()
