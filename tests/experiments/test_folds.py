"""`--folds K`: one run per fold, resumable, and tables whose intervals are over folds."""

import numpy as np
import pytest
import xarray as xr
from scipy import io

from bisnn_pyro.errors import ConfigError, RunFolderError
from bisnn_pyro.experiments.batch import plan, run_experiment
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.run import evaluate_folder, run
from bisnn_pyro.experiments.tune import tune
from tests.real_data import DATA, needs

METHODS = ["bayes", "straight-through"]
SMALL = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=1"]


@pytest.fixture
def words(tmp_path):
    """A file of 30 rows, whose class is nearly a matter of the first feature."""
    rng = np.random.default_rng(0)
    y = np.where(np.arange(30) % 2, 1, -1)
    x = rng.normal(size=(30, 3)) + np.outer(y, [1.5, 0, 0])
    io.savemat(tmp_path / "words.mat", {"data": x, "labels": y[:, None]})
    return tmp_path / "words.mat"


@pytest.fixture
def settings(words):
    return [*SMALL, "data.name=mat", f"data.path={words}"]


def test_a_config_a_fold_method_and_seed(source, settings, tmp_path):
    configs = plan(source, METHODS, [0, 1], settings, n_folds=3)
    assert [(c.seed, c.fold, c.method) for c in configs] == [
        (s, k, m) for s in (0, 1) for k in range(3) for m in METHODS
    ]
    assert {c.n_folds for c in configs} == {3}
    assert len({RunFolder.of(c, tmp_path).path for c in configs}) == 12
    assert RunFolder.of(configs[-1], tmp_path).path.name == "straight-through-fold2-seed1"


@pytest.mark.parametrize(
    ("overrides", "n_folds", "message"),
    [
        (["data.name=two-moons"], 3, "'two-moons' has a fixed test set and no folds"),
        (["data.name=mat", "data.fold=1"], 3, "leave them out of --set"),
        (["data.name=mat", "data.n_folds=3"], 3, "leave them out of --set"),
        (["data.name=mat"], 1, "at least 2"),
        (["data=3"], 3, r"\[data\] is a table"),
    ],
)
def test_folds_that_cannot_be(source, overrides, n_folds, message):
    with pytest.raises(ConfigError, match=message):
        plan(source, ["bayes"], overrides=overrides, n_folds=n_folds)


def test_more_folds_than_rows_write_nothing(source, settings, tmp_path):
    with pytest.raises(ValueError, match=r"data\.n_folds is 31, but there are 30"):
        run_experiment(plan(source, ["bayes"], overrides=settings, n_folds=31), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_needs_validation_examples_says_so(source, settings, tmp_path):
    with pytest.raises(ConfigError, match=r"no validation examples to tune on; set data\.n_val"):
        tune(source, 1, tmp_path / "tune", methods=["bayes"], overrides=settings)
    scaled = [*settings, "analysis.temperature_scaling=true"]
    with pytest.raises(ConfigError, match=r"needs validation examples.*data\.n_val"):
        run(plan(source, ["bayes"], overrides=scaled)[0], tmp_path / "out")
    metrics = run(plan(source, ["bayes"], overrides=[*scaled, "data.n_val=6"])[0], tmp_path / "out").metrics
    assert "committee-scaled" in metrics["predictors"]
    assert "val_nll" in metrics


def test_every_row_is_tested_once_and_the_test_points_are_the_folds(source, settings, tmp_path):
    result = run_experiment(plan(source, ["bayes"], overrides=settings, n_folds=3), tmp_path / "out")
    tested = []
    for made in result.runs:
        with xr.open_datatree(made.path / "inference_data.nc") as tree:
            tested += tree["predictions_constant_data"]["y"].values.tolist()
    assert tested == (np.arange(30) % 2).tolist()
    metrics = evaluate_folder(result.runs[1].path)
    assert metrics["predictors"] == result.runs[1].metrics["predictors"]


def test_finished_folds_are_kept_and_others_made_up_for(source, settings, tmp_path):
    out = tmp_path / "out"
    configs = plan(source, ["bayes"], overrides=settings, n_folds=3)
    run(configs[1], out)
    with pytest.raises(RunFolderError, match="bayes-fold1-seed0"):
        run_experiment(configs, out)
    result = run_experiment(configs, out, resume=True)
    assert sorted(r.path.name for r in result.runs) == ["bayes-fold0-seed0", "bayes-fold2-seed0"]


def test_the_command_line(source, words, bisnn, tmp_path):
    flags = [flag for key in (*SMALL, "data.name=mat") for flag in ("--set", key)]
    both = ["-m", "bayes", "-m", "straight-through", "--data-dir", words.parent, "--folds", "2"]
    done = bisnn("run", source, *flags, *both, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    for text in ("0-1 of 2", "over n folds", "paired by fold", "bayes-fold1-seed0"):
        assert text in done.stdout


@needs("ebp_text")
def test_the_text_preset_learns_at_reduced_size(tmp_path):
    # 250 test points, seed chosen before looking: 0.5 + 4 standard errors of a coin's accuracy is 0.63.
    small = ["data.file=reuters_I654_I65", f"data.path={DATA}", "data.n_train=2000", "train.epochs=2"]
    for config in plan("text-ebp", overrides=[*small, "analysis.figures=false"]):
        result = run(config, tmp_path)
        assert result.path.name == f"{config.method}-seed0"
        assert result.metrics["n_test"] == 250
        assert set(result.metrics["predictors"]) == {"moments", "mode", "committee"}
        for scores in result.metrics["predictors"].values():
            assert scores["accuracy"] > 0.63
