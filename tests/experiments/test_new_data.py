"""A finished run on new data, against its own evaluation on its test set."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from bisnn_pyro.errors import DataError, DataWarning, InputError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.evaluate import evaluate_data
from bisnn_pyro.experiments.fitted import load_run
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


class TestInputs:
    """Any container predicts alike, and what lies outside the training range is counted."""

    @pytest.fixture
    def fitted(self, tiny_run):
        return load_run(tiny_run.path)

    @pytest.fixture
    def x(self, fitted):
        """Points within the range of the training data."""
        scaler = fitted.preprocessing.scaler
        return scaler.low + np.random.default_rng(0).random((9, 2)) * (scaler.high - scaler.low)

    def test_containers(self, fitted, x):
        expected = fitted.predict(x).draws
        for given in (x.tolist(), torch.tensor(x), pd.DataFrame(x), sparse.csr_array(x)):
            assert np.array_equal(fitted.predict(given).draws, expected)
        votes = fitted.predict(x > 0).draws
        assert np.array_equal(votes, fitted.predict((x > 0).astype(int)).draws)

    def test_what_is_no_input_is_refused(self, fitted, x):
        for given in (x.astype(object), x.astype(complex), x[0], x[:, :1], x.reshape(9, 2, 1), "x", None):
            with pytest.raises(DataError, match=r"^x (has|is)"):
                fitted.predict(given)

    def test_out_of_range(self, fitted, x):
        assert fitted.predict(x).out_of_range == 0
        with pytest.warns(
            DataWarning, match=r" % of the input values lie outside .* \(.*far outside\) and are clipped"
        ):
            clipped = fitted.predict(x * 100)
        assert clipped.out_of_range > 0.5
        assert "of the inputs out of range" in repr(clipped)
        with pytest.warns(DataWarning):
            fitted.predict_early(x * 100, [12])
        with pytest.warns(DataWarning, match="used as they are"):
            passed = fitted.predict(x * 100, on_out_of_range="pass")
        assert not np.array_equal(passed.draws, clipped.draws)
        with pytest.raises(DataError, match="outside the training range"):
            fitted.predict(x * 100, on_out_of_range="refuse")
        slightly = np.vstack([x] * 10)
        slightly[0, 0] += 10
        assert fitted.predict(slightly).out_of_range == pytest.approx(1 / 180)  # and no warning

    def test_of_a_file(self, tiny_run, x, tmp_path, bisnn):
        np.savez(tmp_path / "new.npz", x=x * 1.5, y=np.arange(9) % 2)
        done = bisnn("evaluate", str(tiny_run.path), "--data", str(tmp_path / "new.npz"))
        assert "of the input values lie outside the range of the training set" in done.stdout
        more = ["--data", str(tmp_path / "new.npz"), "--on-out-of-range"]
        done = bisnn("evaluate", str(tiny_run.path), *more, "refuse")
        assert done.returncode == 2
        assert "outside the training range" in done.stderr
        assert bisnn("evaluate", str(tiny_run.path), *more, "drop").returncode == 2

    def test_of_the_test_set(self, tiny_run):
        outside = tiny_run.metrics["out_of_range"]
        assert set(outside) <= {"val", "test"}
        assert all(0 < share < 0.2 for share in outside.values())

    def test_a_wrong_key(self, source):
        with pytest.raises(InputError, match=r"predict\.on_out_of_range = 'drop'; expected 'clip' or"):
            plan(source, ["bayes"], overrides=["predict.on_out_of_range=drop"])


def test_ready_spikes_of_any_type(tmp_path):
    (config,) = spikes_configs(tmp_path)
    fitted = load_run(run(config, tmp_path / "runs").path)
    with np.load(tmp_path / "spikes.npz") as file:
        x = file["x_test"]
    expected = fitted.predict(x).draws
    frozen = x.copy()
    frozen.flags.writeable = False
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    others = [x.astype(kind) for kind in (bool, int, np.float16, np.float32, float)]
    for given in (*others, frozen, mapped, torch.tensor(x), np.moveaxis(x, 2, -1), x.reshape(21, 12, -1)):
        assert np.array_equal(fitted.predict(given).draws, expected)
    for wrong in (x - 1.0, x.astype(object), np.where(x, np.nan, 0), x[:, :5]):
        with pytest.raises(DataError, match=r"^x "):
            fitted.predict(wrong)
