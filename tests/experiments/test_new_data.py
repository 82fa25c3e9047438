"""A finished run on new data, against its own evaluation on its test set."""

import numpy as np
import pytest

from bisnn_pyro.errors import DataError, InputError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.evaluate import evaluate_data
from bisnn_pyro.experiments.run import run
from tests.experiments.spikes import spikes_configs

QUIET = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=1"]


def raw(task, split):
    """Undo the scaling of features."""
    return split.x * (task.scaler.high - task.scaler.low) + task.scaler.low


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_on_its_own_test_points_a_run_scores_as_it_did(source, tmp_path):
    (config,) = plan(source, ["bayes"], overrides=[*QUIET, "analysis.temperature_scaling=true"])
    result = run(config, tmp_path / "runs")
    task = build_task(config)
    np.savez(tmp_path / "test.npz", x=raw(task, task.test), y=task.test.y)
    before = contents(result.path)
    table = evaluate_data(result.path, tmp_path / "test.npz", tmp_path / "out" / "scores.csv")
    rows = {row["predictor"]: row for row in table.numbers}
    assert list(rows) == [*result.metrics["predictors"], "constant"]
    assert "mean-scaled" in rows
    constant = {"constant": result.metrics["constant"]}
    for name, scores in (result.metrics["predictors"] | constant).items():
        for metric, value in scores.items():
            assert rows[name][metric] == pytest.approx(value, abs=1e-5), (name, metric)
    assert "30 points of" in table.plain()
    assert (tmp_path / "out" / "scores.csv").read_text().startswith("predictor,n,accuracy")
    assert contents(result.path) == before


def test_a_regression_in_its_own_units(tmp_path):
    small = ["network.hidden=[8]", "encoder.n_steps=20", "train.epochs=1", "predict.draws=3"]
    (config,) = plan("curve", ["bayes"], overrides=["analysis.figures=false", *small])
    result = run(config, tmp_path)
    task = build_task(config)
    y = task.target_scaler.inverse(task.test.y)
    np.savez(tmp_path / "test.npz", x=raw(task, task.test), y=y)
    table = evaluate_data(result.path, tmp_path / "test.npz")
    scores = {**result.metrics["predictors"], "constant": result.metrics["constant"]}
    assert [row["predictor"] for row in table.numbers] == list(scores)
    for row in table.numbers:
        for metric in ("rmse", "nll", "coverage90", "width90"):
            expected = scores[row["predictor"]][metric]
            assert row[metric] == pytest.approx(expected, abs=1e-4)
    assert "rescaled" in table.plain()
    np.savez(tmp_path / "words.npz", x=raw(task, task.test), y=y.astype(str))
    with pytest.raises(DataError, match=r"words\.npz does not suit the run .*regression"):
        evaluate_data(result.path, tmp_path / "words.npz")


def test_ready_spikes_and_labels_in_words(tmp_path):
    (config,) = spikes_configs(tmp_path)
    result = run(config, tmp_path / "runs")
    with np.load(tmp_path / "spikes.npz") as file:
        x, y = file["x_test"], file["y_test"]
    expected = result.metrics["predictors"]["committee"]["nll"]
    for given in (x, x.astype(bool), x.astype(float), x.reshape(*x.shape[:2], -1)):
        np.savez(tmp_path / "new.npz", x=given, y=y)
        rows = evaluate_data(result.path, tmp_path / "new.npz").numbers
        assert rows[0]["nll"] == pytest.approx(expected)
    for wrong, words in (
        ({"x": x[:, :5]}, "expected spikes"),
        ({"y": y + 1}, "unknown label 3"),
        ({"x": x - 1.0}, "0 or more"),
    ):
        np.savez(tmp_path / "new.npz", **{"x": x, "y": y, **wrong})
        with pytest.raises(InputError, match=words):
            evaluate_data(result.path, tmp_path / "new.npz")


def test_input_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match="suffix"):
        evaluate_data(tmp_path, tmp_path / "a.npz", tmp_path / "a.txt")
    with pytest.raises(InputError, match="not a run folder"):
        evaluate_data(tmp_path, tmp_path / "a.npz")
