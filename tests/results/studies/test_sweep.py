"""Scores against one setting: values and seeds in their places, and runs that make no sweep."""

import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from bisnn_pyro.cli import app
from bisnn_pyro.errors import InputError
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.results.studies import sweep_study
from tests.experiments.study_runs import moons_runs, read_csv
from tests.results.changing import change_config

KEY = "train.kl_weight"
WEIGHTS = (2, 0.01)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two weights of the KL, two seeds and two methods each, not in order."""
    found = []
    for weight in WEIGHTS:
        changes = [f"{KEY}={weight}", f"experiment=w{weight:g}"]
        folder = tmp_path_factory.mktemp(f"w{weight:g}")
        found += moons_runs(folder, ["bayes", "full-precision"], (0, 1), changes)
    return found


def _copies(runs, tmp_path):
    return [shutil.copytree(path, tmp_path / f"{path.name}-{k}") for k, path in enumerate(runs)]


@pytest.fixture(scope="module")
def written(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    return folder, sweep_study(runs, KEY, out=folder)


def test_means_are_those_of_the_stored_scores(runs, written):
    folder, study = written
    table = read_csv(folder / f"sweep-{KEY}.csv")
    assert set(table["n"]) == {2}
    for k, weight in enumerate(table[KEY]):
        found = map(RunFolder, runs)
        own = [run for run in found if run.read_config().train.kl_weight == weight]
        scores = [
            run.read_json("metrics.json")["predictors"][table["predictor"][k]]
            for run in own
            if run.read_config().method == table["method"][k]
        ]
        assert table["nll"][k] == pytest.approx(np.mean([score["nll"] for score in scores]), rel=1e-4)
    for method in ("bayes", "full-precision"):
        own = (table["method"] == method) & (table["predictor"] == "mode")
        np.testing.assert_array_equal(table[KEY][own], sorted(WEIGHTS))  # in this order
    assert len(study.frame) == len(read_csv(folder / f"sweep-{KEY}-runs.csv")["nll"])


def test_figures_have_a_curve_a_method(written):
    folder = written[0]
    table = read_csv(folder / f"sweep-{KEY}.csv")
    for score in ("accuracy", "nll", "ece"):
        curves = read_csv(folder / f"sweep-{KEY}-{score}.csv")
        assert {"bayes (committee)", "bayes (committee-scaled)", "full-precision"} <= set(curves["predictor"])
        own = curves["predictor"] == "bayes (committee)"
        np.testing.assert_array_equal(curves["x"][own], sorted(WEIGHTS))
        lines = (table["method"] == "bayes") & (table["predictor"] == "committee")
        expected = [table[score][lines & (table[KEY] == x)][0] for x in sorted(WEIGHTS)]
        np.testing.assert_allclose(curves["mean"][own], expected, rtol=1e-4)
        assert (folder / f"sweep-{KEY}-{score}.pdf").is_file()


def test_other_settings_must_stay(runs, tmp_path):
    copies = _copies(runs, tmp_path)
    change_config(copies[-1], rule__lr=0.5)
    change_config(copies[-3], rule__lr=0.5)
    with pytest.raises(InputError, match=r"same method with other settings \(rule\.lr\)"):
        sweep_study(copies, KEY)


def test_a_seed_that_one_value_lacks(runs, tmp_path):
    message = r"full-precision has no run of seed 1 at train\.kl_weight = 0\.01"
    with pytest.raises(InputError, match=message):
        sweep_study(runs[:-1], KEY, out=tmp_path)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match=message):
        sweep_study(runs[:-1], KEY)


def test_one_value_and_two_runs_at_a_place_are_no_sweep(runs, tmp_path):
    alike = [path for path in runs if RunFolder(path).read_config().train.kl_weight == 2]
    with pytest.raises(InputError, match=r"all runs have train\.kl_weight = 2; a sweep takes two values"):
        sweep_study(alike, KEY)
    (twin,) = _copies(alike[:1], tmp_path)
    change_config(twin, experiment="twin")
    with pytest.raises(InputError, match=r"same method and seed at the same train\.kl_weight"):
        sweep_study([*runs, twin], KEY)


def test_each_row_names_its_run(written):
    experiments = read_csv(written[0] / f"sweep-{KEY}-runs.csv")
    pairs = set(zip(experiments["experiment"], experiments[KEY], strict=True))
    assert pairs == {("w2", 2), ("w0.01", 0.01)}
    assert "experiment" not in read_csv(written[0] / f"sweep-{KEY}.csv")


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("train.kl_weigth", r"not a setting in .*config\.toml; did you mean train\.kl_weight\?"),
        ("kl_weight", r"did you mean train\.kl_weight\?"),
        ("train", r"--key 'train' is not a setting"),
        ("", r"--key '' is not a setting"),
        ("train.epochs.x", r"did you mean train\.epochs\?"),
        ("rule.name", r"rule\.name is 'bayesian'"),
        ("train.restore_best", r"train\.restore_best is True"),
        ("train.input_noise", r"train\.input_noise is 0\.0"),
        ("train.checkpoint_every", "tells the runs of one line apart"),
    ],
)
def test_what_cannot_be_drawn(runs, key, message, tmp_path):
    with pytest.raises(InputError, match=message):
        sweep_study(runs, key, out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command(runs, tmp_path):
    command = ["study", "sweep", *map(str, runs), "--key", KEY, "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0
    assert f"written: {tmp_path / 'out' / f'sweep-{KEY}.csv'}" in done.stdout
    assert "30 test points per run" in done.stdout
