"""Several runs in one folder: what is kept, what is refused, and what fails alone."""

import pytest

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.batch import plan, run_experiment
from bisnn_pyro.experiments.folder import RunFolder


def test_batch_over_methods_and_seeds(source, tmp_path):
    configs = plan(source, ["bayes", "straight-through"], [0, 1], ["analysis.figures=false"])
    result = run_experiment(configs, tmp_path / "out")
    assert len(result.runs) == 4
    with pytest.raises(RunFolderError, match="already holds"):
        run_experiment(configs, tmp_path / "out")
    again = run_experiment(configs, tmp_path / "out", resume=True)
    assert again.runs == ()


def test_a_run_that_fails_does_not_take_the_others_along(source, tmp_path):
    overrides = [
        "method.straight-through.rule.name=sgd",
        "method.straight-through.rule.lr=1e38",
        "method.straight-through.rule.weight_decay=10",
    ]
    configs = plan(source, ["bayes", "straight-through"], overrides=[*overrides, "analysis.figures=false"])
    result = run_experiment(configs, tmp_path)
    assert [c.method for c, _ in result.failures] == ["straight-through"]
    assert [made.path.name for made in result.runs] == ["bayes-seed0"]
    assert not (tmp_path / "straight-through-seed0").exists()


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
