"""Temperatures at a limit of their fit are named wherever their scores are shown."""

import json
import shutil

import pytest

from bisnn_pyro.analysis import fit_temperature
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.predictors import limit_notes, predictors_at_limit
from bisnn_pyro.results import compare, summarise
from bisnn_pyro.results.report import report
from tests.experiments.study_runs import moons_runs


def test_a_fit_without_mistakes_is_at_a_limit():
    sure = [[0.9, 0.1], [0.2, 0.8]]
    found = fit_temperature(sure, [0, 1], prior_scale=None)
    assert predictors_at_limit([("net", {"mode": found}), ("net", {"mode": 1.0})]) == [
        "net mode (1 of 2 runs)"
    ]
    wrong = fit_temperature(sure, [1, 0], prior_scale=None)
    assert predictors_at_limit([("net", {"mode": wrong, "mean": 0.051})]) == ["net mode (1 of 1 runs)"]
    assert limit_notes([("net", {"mode": 0.7}), ("other", {})]) == []


@pytest.fixture
def runs(tmp_path):
    """A Bayes run whose committee's temperature is at its lower limit; a straight-through one's is not."""
    paths = moons_runs(tmp_path, ["bayes", "straight-through"])
    for path, temperature in zip(paths, (0.05, 1.3), strict=True):
        metrics = json.loads((path / "metrics.json").read_text())
        metrics["temperatures"] = dict.fromkeys(metrics["temperatures"], 1.2)
        metrics["temperatures"][next(iter(metrics["predictors"]))] = temperature
        (path / "metrics.json").write_text(json.dumps(metrics))
        RunFolder(path).seal()
    return paths


def test_who_shows_scores_says_so(runs, tmp_path):
    expected = "bayes committee (1 of 1 runs)"
    (note,) = [note for note in compare(runs).scores.notes if "limit" in note]
    assert note.endswith(f"say little: {expected}")
    summary = summarise(runs[0].parent, [RunFolder(path).read_config() for path in runs])
    assert summary.table.notes[-1] == note
    page = report(runs, tmp_path / "page.html").read_text()
    assert "Temperatures at a limit" in page
    assert expected in page


def test_nothing_is_said_of_temperatures_that_were_found(runs, tmp_path):
    shutil.rmtree(runs[0])
    assert not any("limit" in note for note in compare(runs[1:]).scores.notes)
    assert "Temperatures at a limit" not in report(runs[1:], tmp_path / "page.html").read_text()
