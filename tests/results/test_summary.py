"""Early decisions across runs: means and intervals over seeds and folds, and the pictures."""

import shutil

import numpy as np
import pytest
from bisnn_pyro.experiments.summary import summarise_runs

from bisnn_pyro.experiments import early_summary
from bisnn_pyro.experiments.batch import run_experiment
from bisnn_pyro.experiments.folder import RunFolder
from tests.experiments.numbers import by_predictor, read_rows
from tests.experiments.pictures import ask_for_figures
from tests.experiments.spikes import spikes_configs

METHODS = ("bayes", "straight-through")
CHANGES = ["analysis.early_decisions=5", "train.epochs=1"]


@pytest.fixture(scope="module")
def summarised(tmp_path_factory):
    """The folder of two methods with two seeds each, and their summary."""
    folder = tmp_path_factory.mktemp("summary")
    configs = spikes_configs(folder, METHODS, CHANGES, seeds=[0, 1])
    return folder / "out", run_experiment(configs, folder / "out").summary


def test_means_and_intervals_over_seeds(summarised):
    out, summary = summarised
    assert summary.early == out / "summary" / "early_decisions.csv"
    rows = read_rows(summary.early)
    assert list(rows[0])[:6] == ["method", "predictor", "step", "time_fraction", "n", "accuracy"]
    assert len(rows) == 5 * (3 + 1)
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


def test_no_figures_means_no_figures(summarised):
    _, summary = summarised
    assert [p.name for p in summary.path.glob("early*")] == ["early_decisions.csv"]


@pytest.fixture
def finished(summarised, tmp_path):
    """A copy of each method's first run."""
    shutil.copytree(summarised[0], tmp_path / "out")
    return [RunFolder(tmp_path / "out" / f"{method}-seed0") for method in METHODS]


def test_pictures_from_finished_runs(finished):
    ask_for_figures(finished[0])
    out = finished[0].path.parent
    names = {p.name for p in summarise_runs(out, finished).figures}
    assert {"early_decisions.png", "early_stopping.png"} <= names
    assert (out / "summary" / "early_decisions.pdf").is_file()
    assert {row["accuracy_half_width"] for row in read_rows(out / "summary" / "early_decisions.csv")} == {""}
    together = by_predictor(out / "summary" / "early_stopping.csv")
    assert list(together) == ["bayes (committee)", "straight-through"]
    own = by_predictor(finished[0].figures / "early_stopping.csv")
    assert together["bayes (committee)"] == own["committee"]


def test_runs_without_the_file(finished):
    ask_for_figures(finished[0])
    for folder in finished:
        shutil.rmtree(folder.figures)
    summary = summarise_runs(finished[0].path.parent, finished)
    assert summary.early is None
    assert not list(summary.path.glob("early*"))


def test_the_picture_shows_means_over_folds_and_all_their_points(tmp_path, monkeypatch):
    rows = [
        {"method": "m", "predictor": "mode", "step": str(step), "time_ms": str(step * 5.0), "folds": "both"}
        | {"fold": fold, "n_points": 14 + fold}
        | {"accuracy": (step + fold) / 10, "nll": 1.0, "brier": 0.5, "ece": 0.1}
        for fold in (0, 1)
        for step in (2, 9)
    ]
    pictures = []
    monkeypatch.setattr(early_summary, "save_figure", lambda figure, *rest: pictures.append(figure))
    early_summary.write_early_summary(tmp_path, rows, figures=True)
    ax = pictures[0].axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("elapsed time (ms)", "accuracy (n = 29)")
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[10, 0.25], [45, 0.95]])
