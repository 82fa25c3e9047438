"""Finished runs under shift: severity 0 is the run itself, and the shifts are what they say."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from bisnn_pyro.data.shifts import chosen_signs, rotate
from bisnn_pyro.errors import ConfigError, DataError, InputError, RunFolderError
from bisnn_pyro.experiments.fitted import load_run, reopen
from bisnn_pyro.results.studies import shift_study
from bisnn_pyro.results.studies.shift import SHIFTS, check_severities, shifted, with_flipped_synapses
from tests.experiments.study_runs import contents, moons_runs, read_csv


@pytest.fixture(scope="module")
def moons(all_moons):
    return all_moons


def rows_of(study):
    """The numbers of every run, row by row."""
    return study.frame.to_dict("records")


def scores_at(rows, severity, folder):
    """Stored metrics of a run and those of a study, of the same predictors."""
    record = json.loads((folder / "metrics.json").read_text())
    own = [r for r in rows if (r["method"], r["seed"]) == (record["method"], record["seed"])]
    found = {row["predictor"]: row for row in own if row["severity"] == severity}
    assert list(found) == list(record["predictors"])
    return record, found


@pytest.mark.parametrize("kind", ["noise", "drop", "jitter", "flipped"])
def test_severity_0_is_the_run_bit_for_bit(moons, kind):
    before = [contents(path) for path in moons]
    rows = rows_of(shift_study(moons, kind, [0, {"noise": 0.1, "jitter": 2}.get(kind, 0.3)]))
    for path in moons:
        record, found = scores_at(rows, "0", path)
        for name, stored in record["predictors"].items():
            assert {metric: found[name][metric] for metric in stored} == stored
    assert [contents(path) for path in moons] == before
    if kind == "noise":  # the seed of the study is that of the run's own noise
        for path in moons:
            record, found = scores_at(rows, "0.1", path)
            for name, stored in record["noise"]["0.1"].items():
                assert {metric: found[name][metric] for metric in stored} == stored


@pytest.mark.parametrize("kind", ["rotation", "drop", "flipped"])
def test_severity_0_of_images(digits, kind):
    rows = rows_of(shift_study([digits], kind, [0, 0.5]))
    record, found = scores_at(rows, "0", digits)
    for name, stored in record["predictors"].items():
        assert {metric: found[name][metric] for metric in stored} == stored


def test_scores_are_those_of_points_shifted_by_hand(digits):
    rows = rows_of(shift_study([digits], "rotation", [30]))
    fitted, task = reopen(digits)
    for row in rows:
        votes = fitted.predict_scaled(rotate(task.test.x, 30, (1, 8, 8)), predictor=row["predictor"]).mean
        assert row["accuracy"] == (votes.argmax(-1) == task.test.y).mean()
        assert row["confidence"] == pytest.approx(votes.max(-1).mean())
        logs = np.log(np.where(votes > 0, votes, 1.0))
        assert row["entropy"] == pytest.approx(-(votes * logs).sum(-1).mean())


def test_all_runs_get_the_same_points(moons):
    for kind, severity in (("noise", 0.2), ("drop", 0.3), ("jitter", 3)):
        seen = []
        for path in moons:
            _, blocks = shifted(*reopen(path), kind, severity, seed=5)
            seen.append(torch.cat(list(blocks), dim=1))
            assert torch.equal(torch.cat(list(blocks), dim=1), seen[-1])  # and each time anew
        assert all(torch.equal(seen[0], other) for other in seen[1:])
        _, others = shifted(*reopen(moons[0]), kind, severity, seed=6)
        assert not torch.equal(torch.cat(list(others), dim=1), seen[0])


def test_dropped_spikes(moons, spikes):
    for path in (moons[0], spikes):
        fitted, task = reopen(path)
        whole = torch.cat(list(fitted.encode(task.test.x)), dim=1).float()
        parts = [torch.cat(list(shifted(fitted, task, "drop", p)[1]), dim=1).float() for p in (0.2, 0.5)]
        assert bool((parts[0] <= whole).all())
        assert bool((parts[1] <= parts[0]).all())  # what is missing stays missing
        for p, left in zip((0.2, 0.5), parts, strict=True):
            n = float(whole.sum())
            assert abs(float(left.sum()) - (1 - p) * n) < 4 * np.sqrt(n * p * (1 - p))


def test_jittered_spikes_keep_their_inputs(spikes):
    fitted, task = reopen(spikes)
    alone = task.test.x[:1] * 0
    alone[0, 6, 4] = 1
    (block,) = shifted(fitted, _with_test(task, alone), "jitter", 2)[1]
    (place,) = block.nonzero().tolist()
    assert place[1:] == [0, 4]
    assert abs(place[0] - 6) <= 2


def _with_test(task, x):
    return replace(task, test=replace(task.test, x=x, y=task.test.y[: len(x)]))


def test_rotated_recordings(spikes):
    fitted, task = reopen(spikes)
    (block,) = shifted(fitted, task, "rotation", 180)[1]
    images = task.test.x.reshape(-1, 12, 2, 4, 3)
    expected = np.rot90(images, 2, (-2, -1)).reshape(task.test.x.shape)
    np.testing.assert_array_equal(block.numpy().swapaxes(0, 1), expected)


@pytest.mark.parametrize("fraction", [0.1, 0.5, 1.0])
def test_flipped_synapses(moons, fraction):
    for path in moons[::2]:  # of each method
        guide = load_run(path).guide
        faulty = with_flipped_synapses(guide, fraction, seed=3)
        assert not faulty.training
        for stream, (name, mode) in enumerate(sorted(guide.mode().items())):
            signs = torch.from_numpy(chosen_signs(tuple(mode.shape), fraction, 3, stream))
            assert int((signs < 0).sum()) == round(fraction * mode.numel())
            assert torch.equal(faulty.mode()[name], mode * signs)
            assert torch.equal(faulty.mean()[name], guide.mean()[name] * signs)
            drawn, others = (g.sample_posterior(200, seed=0)[name] for g in (guide, faulty))
            same = signs > 0
            assert torch.equal(drawn[:, same], others[:, same])
            if guide.binary and not guide.point:
                p = torch.sigmoid(2 * guide.natural_parameters()[name])[~same]
                share = (others[:, ~same] < 0).float().mean(0)
                assert bool(((share - p).abs() < 5 * (p * (1 - p) / 200).sqrt() + 1e-6).all())


def test_flipped_synapses_of_sign_units(ebp):
    rows = rows_of(shift_study([ebp], "flipped", [0, 0.5]))
    assert {row["predictor"] for row in rows} == {"moments", "mode", "committee", "pruned"}
    moments = [row["nll"] for row in rows if row["predictor"] == "moments"]
    assert moments[0] != moments[1]
    with pytest.raises(ConfigError, match="feeds currents"):
        shift_study([ebp], "drop", [0.1])


def test_table_and_files(moons, tmp_path):
    study = shift_study(moons, "flipped", [0, 0.2], out=tmp_path / "out")
    table = read_csv(tmp_path / "out" / "shift-flipped.csv")
    every = read_csv(tmp_path / "out" / "shift-flipped-runs.csv")
    assert set(table["n"]) == {2}
    assert list(table["severity"][:2]) == [0.0, 0.2]
    for k, method in enumerate(table["method"]):
        own = (every["method"] == method) & (every["predictor"] == table["predictor"][k])
        own &= every["severity"] == table["severity"][k]
        assert own.sum() == 2
        assert table["nll"][k] == pytest.approx(every["nll"][own].mean())
    assert "experiment" not in table
    for words in ("Student t", "wrong sign", "30 test points"):
        assert words in study.table.plain()
    names = {path.name for path in study.files}
    assert {p.name for p in (tmp_path / "out").iterdir()} == names
    for score in ("accuracy", "nll", "ece"):
        assert {f"shift-flipped-{score}.{end}" for end in ("pdf", "png", "csv")} <= names
    drawn = read_csv(tmp_path / "out" / "shift-flipped-nll.csv")
    assert list(dict.fromkeys(drawn["method"])) == [
        f"{method}{end}"
        for method, ends in (
            ("bayes", (" (committee)", " (committee-scaled)")),
            ("straight-through", ("", " (scaled)")),
            ("full-precision", ("", " (scaled)")),
        )
        for end in ends
    ]
    own = (table["method"] == "bayes") & (table["predictor"] == "committee")
    np.testing.assert_allclose(drawn["mean"][:2], table["nll"][own])


def test_a_regression(curves):
    rows = rows_of(shift_study(curves[:1], "noise", [0, 0.2]))
    stored = json.loads((curves[0] / "metrics.json").read_text())["predictors"]["committee"]
    assert {k: rows[0][k] for k in ("rmse", "nll", "coverage90")} == {
        k: stored[k] for k in ("rmse", "nll", "coverage90")
    }
    assert "confidence" not in rows[0]


def test_shifts_that_do_not_suit(moons, digits, spikes, tmp_path):
    for path, kind, words in (
        (moons[0], "rotation", "image shape is None"),
        (spikes, "noise", "ready spikes"),
    ):
        with pytest.raises(ConfigError, match=words):
            shift_study([path], kind)
    with pytest.raises(RunFolderError, match="cannot stand in one table"):
        shift_study([moons[0], digits], "flipped")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="give a folder"):
        shift_study(moons, "noise", out=tmp_path / "file")
    (seeded,) = moons_runs(tmp_path, ["bayes"], overrides=["predict.seed=1", "experiment=other"])
    with pytest.raises(RunFolderError, match=r"differ in predict\.seed"):
        shift_study([moons[0], seeded], "noise")


@pytest.mark.parametrize(
    ("kind", "severities", "words"),
    [
        ("rotate", None, "did you mean 'rotation'"),
        ("noise", [-0.1], "standard deviation"),
        ("drop", [1.0], "share of spikes"),
        ("jitter", [0.5], "whole number"),
        ("flipped", [2.0], "wrong sign"),
        ("rotation", [float("nan")], "angle"),
        ("noise", [0.1, 0.1], "each once"),
        ("noise", [], "one or more"),
    ],
)
def test_severities_that_cannot_be(kind, severities, words):
    with pytest.raises(InputError, match=words):
        check_severities(kind, severities)


def test_default_severities_are_valid():
    for kind in SHIFTS:
        assert check_severities(kind, None)[0] == 0
    with pytest.raises(DataError, match="fraction"):
        chosen_signs((3,), -1.0, 0)
