"""Selective prediction and conformal sets of finished runs, recomputed by hand; and `bisnn study`."""

import math

import numpy as np
import pytest

from bisnn_pyro.errors import ConfigError, RunFolderError
from bisnn_pyro.experiments.fitted import reopen
from bisnn_pyro.results.studies import selective_study
from tests.experiments.study_runs import contents, moons_runs, read_csv


def test_scores_by_hand(digits):
    path = digits
    before = contents(path)
    rows = selective_study([path], level=0.8).frame.to_dict("records")
    fitted, task = reopen(path)
    assert [row["predictor"] for row in rows] == ["committee", "mode", "mean", "pruned"]
    for row in rows:
        val, test = (
            fitted.predict_scaled(part.x, predictor=row["predictor"]).mean for part in (task.val, task.test)
        )
        right = test.argmax(-1) == task.test.y
        order = np.argsort(-test.max(-1), kind="stable")
        assert row["accuracy@1"] == pytest.approx(right.mean())
        if len(np.unique(test.max(-1))) == len(test):  # without ties
            kept = right[order[: math.ceil(len(right) / 2)]]
            assert row["accuracy@0.5"] == pytest.approx(kept.mean())
            risks = 1 - np.cumsum(right[order]) / np.arange(1, len(right) + 1)
            assert row["aurc"] == pytest.approx(risks.mean())
        scores = np.sort(1 - val[np.arange(len(val)), task.val.y])
        threshold = scores[math.ceil((len(val) + 1) * 0.8) - 1]
        sets = 1 - test <= threshold
        assert row["lac_coverage"] == pytest.approx(sets[np.arange(len(test)), task.test.y].mean())
        assert row["lac_size"] == pytest.approx(sets.sum(1).mean())
        # Both keep their promise on 599 points, calibrated on 240: 5 standard deviations.
        for method in ("lac", "aps"):
            assert row[f"{method}_coverage"] > 0.8 - 5 * np.sqrt(0.16 / 240 + 0.16 / 599)
    assert contents(path) == before


def test_table_over_seeds_and_files(moons, tmp_path):
    study = selective_study(moons, out=tmp_path)
    table, every = read_csv(tmp_path / "selective.csv"), read_csv(tmp_path / "selective-runs.csv")
    assert set(table["n"]) == {2}
    for k, method in enumerate(table["method"]):
        own = (every["method"] == method) & (every["predictor"] == table["predictor"][k])
        for column in ("aurc", "accuracy@0.8", "lac_coverage", "aps_size"):
            assert table[column][k] == pytest.approx(every[column][own].mean())
    curves = read_csv(tmp_path / "selective-risk.csv")
    first = (curves["predictor"] == "bayes (committee)") & (curves["coverage"] == 1.0)
    own = (every["predictor"] == "committee") & (every["seed"] == 0)
    assert 1 - curves["risk"][first] == pytest.approx(every["accuracy@1"][own])
    assert {p.name for p in tmp_path.iterdir()} == {path.name for path in study.files}
    assert "promise 0.9" in study.table.plain()


def test_two_experiments_are_told_apart(moons, tmp_path):
    others = moons_runs(tmp_path, ["bayes"], overrides=["experiment=other"])
    selective_study([moons[0], *others], out=tmp_path / "out")
    names = set(read_csv(tmp_path / "out" / "selective-risk.csv")["predictor"])
    assert {"tiny bayes (committee)", "other bayes (committee)"} <= names


def test_studies_that_cannot_be(moons, curves):
    with pytest.raises(ConfigError, match="16 calibration points are too few"):
        selective_study(moons, level=0.99)
    with pytest.raises(ConfigError, match="level in"):
        selective_study(moons, level=1.0)
    with pytest.raises(RunFolderError, match="is a regression"):
        selective_study(curves)


def test_the_command(moons, bisnn, tmp_path):
    done, wrong = (
        bisnn("study", command, moons[0], "--against", what, "--out", out, cwd=tmp_path)
        for command, what, out in (
            ("out-of-distribution", "noise", "new"),
            ("outside", "rotated", "other"),  # its former name
        )
    )
    assert done.returncode == 0, done.stderr
    for word in ("committee", "information", "auroc", "bootstrap", "out-of-distribution-noise.csv"):
        assert word in done.stdout
    assert wrong.returncode == 2, (wrong.stdout, wrong.stderr)
    assert "image shape is None" in wrong.stderr
    assert "Traceback" not in wrong.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["shift", "RUN", "--kind", "noise", "--severities", "0,0.2"], 0, "severity of noise"),
        (["shift", "RUN", "--kind", "stuck", "--severities", "0.1"], 0, "severity of flipped"),
        (["selective", "RUN"], 0, "promise 0.9"),
        (["shift", "RUN", "--kind", "noise", "--severities", "0,x"], 2, "--severities '0,x'"),
        (["shift", "RUN", "--kind", "noisy"], 2, "did you mean 'noise'"),
        (["selective", "nowhere"], 2, "nowhere is not a folder"),
        (["selective", "RUN", "--level", "1"], 2, "level in (0, 1)"),
    ],
)
def test_status_and_words(moons, arguments, status, words, bisnn):
    done = bisnn("study", *[moons[0] if a == "RUN" else a for a in arguments])
    assert done.returncode == status
    assert words in (done.stderr if status else done.stdout)
