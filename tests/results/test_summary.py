"""`summary/`: tables over seeds and folds, early decisions, figures, and the runs that it leaves out."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr
from scipy import io

from bisnn_pyro.analysis import group, load_idata, mean_interval
from bisnn_pyro.experiments.batch import plan, run_experiment
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.results import summarise
from tests.experiments.numbers import by_predictor, read_rows
from tests.experiments.spikes import spikes_configs
from tests.results.changing import change_config

METHODS = ("bayes", "straight-through")
SMALL = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=1"]


# -- seeds ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """The folder of two methods with two seeds each, and their configs."""
    from tests.experiments.tiny import TINY

    folder = tmp_path_factory.mktemp("batch")
    (folder / "tiny.toml").write_text(TINY)
    changes = ["analysis.figures=false", "train.epochs=1"]
    configs = plan(str(folder / "tiny.toml"), METHODS, [0, 1], changes)
    return run_experiment(configs, folder / "out").out, configs


@pytest.fixture
def copied(batch, tmp_path):
    """A copy of it, to spoil."""
    return shutil.copytree(batch[0], tmp_path / "out"), batch[1]


def test_tables_over_seeds_and_one_container_per_method(batch):
    out, configs = batch
    summary = summarise(out, configs)
    names = {p.name for p in summary.path.iterdir()}
    expected = {f"table.{suffix}" for suffix in ("csv", "md", "tex")} | {f"{m}.nc" for m in METHODS}
    assert names == expected | {"table-noise-0.1.csv", "differences.csv", "manifest.json"}
    predictions = group(load_idata(summary.path / "bayes.nc"), "predictions")
    assert predictions["chain"].values.tolist() == [0, 1]
    *lines, constant = read_rows(summary.path / "table.csv")
    assert (constant["method"], constant["predictor"]) == ("constant", "constant")
    assert read_rows(summary.path / "table-noise-0.1.csv")[-1]["nll"] == constant["nll"]
    for line in lines:
        records = [
            json.loads((out / f"{line['method']}-seed{k}" / "metrics.json").read_text()) for k in (0, 1)
        ]
        own = mean_interval([record["predictors"][line["predictor"]]["nll"] for record in records])
        assert float(line["nll"]) == pytest.approx(own.mean)
        assert float(line["nll_half_width"]) == pytest.approx(own.half_width)
    assert (summary.over, summary.intervals, summary.left_out, summary.early) == ("seed", True, (), None)
    (line,) = read_rows(summary.path / "differences.csv")
    assert line["difference"] == "bayes - straight-through"
    assert list(summary.noise_tables) == ["0.1"]
    assert "committee" in repr(summary)


def test_a_later_batch_does_not_shrink_the_summary(batch):
    out, configs = batch
    summary = summarise(out, configs[2:3])
    assert {line["method"] for line in read_rows(summary.path / "table.csv")} == {*METHODS, "constant"}


def test_runs_with_other_settings_are_left_out(copied):
    out, configs = copied
    change_config(out / "bayes-seed1", rule__lr=0.5)
    summary = summarise(out, configs[:2])
    (reason,) = summary.left_out
    assert "bayes-seed1" in reason
    assert "rule.lr" in reason
    assert {line["n"] for line in read_rows(summary.path / "table.csv") if line["method"] == "bayes"} == {"1"}
    assert summary.differences is None  # the methods share a single seed


def test_figures_side_by_side(copied):
    out, configs = copied
    for config in configs:
        change_config(RunFolder.of(config, out).path, analysis__figures=True)
    names = {p.name for p in summarise(out, configs).path.iterdir()}
    for figure in ("predictive", "reliability", "training"):
        assert {f"{figure}.{suffix}" for suffix in ("png", "pdf", "csv")} <= names


# -- early decisions --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def early(tmp_path_factory):
    """The folder of two methods with two seeds each and early decisions, and their configs."""
    folder = tmp_path_factory.mktemp("early")
    changes = ["analysis.early_decisions=5", "train.epochs=1"]
    configs = spikes_configs(folder, METHODS, changes, seeds=[0, 1])
    return run_experiment(configs, folder / "out").out, configs


def test_early_decisions_over_seeds(early):
    out, configs = early
    summary = summarise(out, configs)
    assert summary.early == out / "summary" / "early_decisions.csv"
    assert [p.name for p in summary.path.glob("early*")] == ["early_decisions.csv"]  # no figures are wanted
    rows = read_rows(summary.early)
    assert list(rows[0])[:6] == ["method", "predictor", "step", "time_fraction", "n", "accuracy"]
    assert len(rows) == 5 * (4 + 1)
    paths = {m: [out / f"{m}-seed{k}" / "figures" / "early_decisions.csv" for k in (0, 1)] for m in METHODS}
    own = {method: [by_predictor(path) for path in both] for method, both in paths.items()}
    for i, row in enumerate(rows):
        for metric in ("accuracy", "nll", "brier", "ece"):
            a, b = (table[row["predictor"]][metric][i % 5] for table in own[row["method"]])
            assert float(row[metric]) == pytest.approx((a + b) / 2)
            # Student t with one degree of freedom has its 97.5 % quantile at tan(0.475 pi).
            half = np.tan(0.475 * np.pi) * abs(a - b) / 2
            assert float(row[f"{metric}_half_width"]) == pytest.approx(half, abs=1e-12)
        assert (row["n"], float(row["step"])) == ("2", own["bayes"][0]["committee"]["step"][i % 5])


def test_pictures_of_early_decisions(early, tmp_path):
    out = shutil.copytree(early[0], tmp_path / "out")
    for k in (0, 1):
        for method in METHODS:
            change_config(out / f"{method}-seed{k}", analysis__figures=True)
        shutil.rmtree(out / f"bayes-seed{k}" / "figures")  # no figure's numbers are read back
    summary = summarise(out, early[1])
    assert {"early_decisions.png", "early_stopping.png"} <= {p.name for p in summary.figures}
    together = by_predictor(out / "summary" / "early_stopping.csv")
    assert list(together) == ["bayes (committee)", "straight-through"]
    own = by_predictor(out / "straight-through-seed0" / "figures" / "early_stopping.csv")
    assert together["straight-through"] == own["mode"]


# -- folds ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    """Two methods, two seeds and two folds of 30 rows, with noise and early decisions, and the configs."""
    from tests.experiments.tiny import TINY

    folder = tmp_path_factory.mktemp("folds")
    (folder / "tiny.toml").write_text(TINY)
    rng = np.random.default_rng(0)
    y = np.where(np.arange(30) % 2, 1, -1)
    x = rng.normal(size=(30, 3)) + np.outer(y, [1.5, 0, 0])
    io.savemat(folder / "words.mat", {"data": x, "labels": y[:, None]})
    changes = [*SMALL, "data.name=mat", f"data.path={folder / 'words.mat'}", "analysis.noise=[0.1]"]
    changes.append("analysis.early_decisions=2")
    configs = plan(str(folder / "tiny.toml"), METHODS, [0, 1], changes, n_folds=2)
    return run_experiment(configs, folder / "out").out, configs


def test_tables_are_over_folds_with_seeds_averaged_within(folds):
    out, configs = folds
    summary = summarise(out, configs)
    assert (summary.over, summary.intervals) == ("fold", True)
    mains = (("bayes", "committee"), ("straight-through", "mode"))
    accuracy = {
        m: [np.mean([_accuracy(out / f"{m}-fold{k}-seed{s}", predictor) for s in (0, 1)]) for k in range(2)]
        for m, predictor in mains
    }
    lines = {(line["method"], line["predictor"]): line for line in read_rows(summary.path / "table.csv")}
    assert lines.pop(("constant", "constant"))["n"] == "2"
    for method, predictor in mains:
        line, expected = lines[method, predictor], mean_interval(accuracy[method])
        assert (line["folds"], line["n"]) == ("0-1 of 2", "2")
        assert float(line["accuracy"]) == pytest.approx(expected.mean)
        assert float(line["accuracy_half_width"]) == pytest.approx(expected.half_width)
    (paired,) = read_rows(summary.path / "differences.csv")
    gap = mean_interval(np.subtract(accuracy["bayes"], accuracy["straight-through"]))
    assert paired["n"] == "2"
    assert float(paired["accuracy"]) == pytest.approx(gap.mean)
    assert float(paired["accuracy_half_width"]) == pytest.approx(gap.half_width)
    assert read_rows(summary.path / "table-noise-0.1.csv")[0]["folds"] == "0-1 of 2"
    with xr.open_datatree(summary.path / "bayes-fold1.nc") as tree:
        assert tree["predictions"]["y_prob"].shape == (2, 4, 15, 2)
    # Decided at the end, so that scores over time are the table's there.
    last = [line for line in read_rows(summary.early) if line["time_fraction"] == "1.0"]
    for column in ("method", "predictor", "folds", "n", "accuracy", "nll_half_width"):
        assert [line[column] for line in last] == [line[column] for line in lines.values()]


def _accuracy(path, predictor):
    return json.loads((path / "metrics.json").read_text())["predictors"][predictor]["accuracy"]


def test_figures_pool_the_folds_or_name_the_one(folds, tmp_path):
    out = shutil.copytree(folds[0], tmp_path / "out")
    change_config(out / "bayes-fold0-seed0", analysis__figures=True)
    summary = summarise(out, folds[1])
    assert {"reliability.png", "training.png", "early_decisions.png"} <= {f.name for f in summary.figures}
    points = {}
    for line in read_rows(summary.path / "reliability.csv"):
        points[line["predictor"]] = points.get(line["predictor"], 0) + int(float(line["count"]))
    # Seed 0 alone, and all 30 rows once.
    assert points == {"bayes (committee), 2 folds": 30, "straight-through, 2 folds": 30}
    stopping = {line["predictor"] for line in read_rows(summary.path / "early_stopping.csv")}
    assert stopping == {"bayes, fold 0 (committee)", "straight-through, fold 0"}
    counts = {line["method"]: line["n"] for line in read_rows(summary.path / "early_decisions.csv")}
    assert counts == {"bayes": "2", "straight-through": "2"}


def test_a_single_split_is_another_test_set(folds, tmp_path):
    out = shutil.copytree(folds[0], tmp_path / "out")
    config = folds[1][0].replace("data.fold", None)
    shutil.copytree(out / "bayes-fold0-seed0", out / "bayes-seed0")
    RunFolder(out / "bayes-seed0").write_config(config)
    RunFolder(out / "bayes-seed0").seal()
    summary = summarise(out, [config])
    assert (summary.over, len(summary.left_out)) == ("seed", 8)
    assert all("only one belongs to a cross-validation" in reason for reason in summary.left_out)
