"""`bisnn tune`: the same points for shared keys, successive halving, and searches that go on."""

import json
import math
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bisnn_pyro.errors import ConfigError, DivergenceError, RunFolderError
from bisnn_pyro.experiments import tune as module
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.tune import Rungs, Trial, best_trials, propose, tune
from tests.experiments.numbers import read_rows
from tests.experiments.tiny import TINY

SHARED = """
"network.gain" = { low = 1.0, high = 4.0 }
"train.epochs" = { low = 4, high = 12, integer = true }
[method.bayes.tune]
"train.kl_weight" = { low = 0.01, high = 1.0, log = true }
"""
METHODS = ["bayes", "straight-through"]


@pytest.fixture
def shared(tmp_path: Path) -> str:
    path = tmp_path / "shared.toml"
    path.write_text(TINY + SHARED)
    return str(path)


@pytest.fixture
def scored(monkeypatch):
    """Replace training by a score of the trial; the trials that were run are collected."""
    ran: list[Trial] = []

    def use(score):
        def run(work):
            trial = replace(work[1], val_nll=score(work[1]), seconds=1.0)
            ran.append(trial)
            return trial

        monkeypatch.setattr(module, "_run_trial", run)
        return ran

    return use


def test_shared_keys_have_the_same_points_in_all_methods(shared):
    found = propose(plan(shared, METHODS), 16)
    bayes, point = found["bayes"], found["straight-through"]
    assert list(bayes[0]) == ["rule.lr", "network.gain", "train.epochs", "train.kl_weight"]
    assert point == [{key: one[key] for key in ("rule.lr", "network.gain", "train.epochs")} for one in bayes]
    assert {type(one["train.epochs"]) for one in bayes} == {int}
    # A Sobol sequence: 16 points have one in each sixteenth of the range.
    places = np.sort([(one["network.gain"] - 1.0) / 3.0 for one in bayes])
    assert (np.abs(places - (np.arange(16) + 0.5) / 16) <= 0.5 / 16 + 0.002).all()
    assert found == propose(plan(shared, METHODS), 16)
    assert found != propose(plan(shared, METHODS), 16, seed=1)


def test_the_best_third_goes_on_to_all_epochs(shared, scored, tmp_path):
    # The score is the number of the trial in the first rung, and turned round in the second.
    ran = scored(lambda t: float(t.number) if t.rung == 0 else 10.0 - t.number)
    out = tune(shared, 7, tmp_path / "out", methods=METHODS, rungs=Rungs(2))
    first, second = ([t for t in ran if t.rung == rung] for rung in (0, 1))
    assert [(t.number, t.method) for t in first] == [(k, m) for k in range(7) for m in METHODS]
    assert [(t.number, t.method) for t in second] == [(k, m) for k in range(3) for m in METHODS]
    for trial in ran:
        own = trial.setting["train.epochs"]
        assert trial.epochs == (own if trial.rung else max(1, round(own / 4)))
    rows = read_rows(out / "trials.csv")
    assert list(rows[0])[:4] == ["method", "trial", "rung", "epochs"]
    assert len(rows) == 20
    # The tuned setting is the best of the last rung, with its epochs of the full training.
    tuned = tomllib.loads((out / "tuned.toml").read_text())["method"]
    for method in METHODS:
        assert tuned[method]["train"]["epochs"] == second[4].setting["train.epochs"]
        assert tuned[method]["network"]["gain"] == second[4].setting["network.gain"]


@pytest.mark.parametrize(("number", "shares"), [(1, [1.0]), (2, [0.04, 1.0]), (3, [0.04, 0.2, 1.0])])
def test_rungs_grow_by_a_constant_factor(number, shares):
    assert Rungs(number, first_share=0.04).shares() == pytest.approx(shares)


def test_survivors_are_rounded_up_and_exact():
    assert [Rungs(2).survivors(n) for n in (1, 3, 4, 24, 25)] == [1, 1, 2, 8, 9]


@pytest.mark.parametrize("settings", [{"number": 0}, {"keep": 0.0}, {"keep": 1.0}, {"first_share": 1.5}])
def test_rungs_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match="shares between 0 and 1"):
        Rungs(**settings)


def test_ties_go_to_the_first_trial_in_whatever_order_they_finish(shared):
    trials = [Trial("bayes", k, {}, val_nll=nll) for k, nll in enumerate([0.3, 0.2, 0.2, math.inf])]
    for order in (trials, trials[::-1]):
        assert best_trials(order)["bayes"].number == 1
        assert [t.number for t in module._survivors(order, Rungs(2, keep=0.5))] == [1, 2]


def test_diverged_trials_never_go_on(shared, scored, tmp_path):
    ran = scored(lambda t: math.inf if t.method == "bayes" and t.number else 1.0)
    tune(shared, 6, tmp_path / "out", methods=METHODS, rungs=Rungs(2))
    assert [(t.method, t.number) for t in ran if t.rung] == [
        ("bayes", 0),
        ("straight-through", 0),
        ("straight-through", 1),
    ]
    scored(lambda t: math.inf if t.method == "bayes" else 1.0)
    with pytest.raises(DivergenceError, match="every trial of 'bayes' diverged"):
        tune(shared, 2, tmp_path / "other", methods=METHODS)
    assert len(read_rows(tmp_path / "other" / "trials.csv")) == 4


@pytest.mark.parametrize("n_done", [1, 5, 9])
def test_an_interrupted_search_ends_as_if_nothing_had_happened(shared, scored, tmp_path, n_done):
    def score(trial):
        if len(ran) == n_done:
            raise KeyboardInterrupt
        return round(math.sin(7 * trial.number + len(trial.method) + trial.rung), 6)

    ran = scored(score)
    with pytest.raises(KeyboardInterrupt):
        tune(shared, 4, tmp_path / "cut", methods=METHODS, rungs=Rungs(2, keep=0.5))
    done = {trial.key for trial in ran}
    assert len(read_rows(tmp_path / "cut" / "trials.csv")) == len(done) == n_done
    n_done = -1
    with pytest.raises(RunFolderError, match="--resume to go on"):
        tune(shared, 4, tmp_path / "cut", methods=METHODS, rungs=Rungs(2, keep=0.5))
    ran.clear()
    tune(shared, 4, tmp_path / "cut", methods=METHODS, rungs=Rungs(2, keep=0.5), resume=True)
    assert not done & {trial.key for trial in ran}
    assert len(ran) + len(done) == 12
    tune(shared, 4, tmp_path / "whole", methods=METHODS, rungs=Rungs(2, keep=0.5))
    for name in ("trials.csv", "tuned.toml", "plan.json"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_seeds": 2}, "different: seeds"),
        ({"rungs": Rungs(2, keep=0.4)}, r"rungs\.keep"),
        ({"overrides": ["network.burn_in=3"]}, r"methods\.bayes\.network\.burn_in"),
        ({"n_trials": 3}, r"settings\.bayes"),
        ({"methods": ["bayes"]}, r"methods\.straight-through"),
    ],
)
def test_another_search_is_not_gone_on_with(shared, scored, tmp_path, changes, words):
    scored(lambda t: 1.0)
    settings = {"n_trials": 2, "methods": METHODS, "rungs": Rungs(2), "out": tmp_path / "out"}
    tune(shared, **settings)
    before = (tmp_path / "out" / "trials.csv").read_bytes()
    with pytest.raises(RunFolderError, match="another search") as refused:
        tune(shared, **settings | changes, resume=True)
    if "more)" not in str(refused.value):
        assert refused.match(words)
    assert (tmp_path / "out" / "trials.csv").read_bytes() == before
    tune(shared, **settings | changes, overwrite=True)
    assert json.loads((tmp_path / "out" / "plan.json").read_text())["seeds"] == changes.get("n_seeds", 1)


def test_a_damaged_table_is_refused(shared, scored, tmp_path):
    scored(lambda t: 1.0)
    out = tune(shared, 2, tmp_path / "out", methods=METHODS)
    (out / "trials.csv").write_text("method,trial\nbayes,0\n")
    with pytest.raises(RunFolderError, match=r"trials\.csv cannot be read"):
        tune(shared, 2, out, methods=METHODS, resume=True)


def test_the_command_trains_both_rungs(shared, bisnn, tmp_path):
    words = [
        "--trials",
        "2",
        "-m",
        "straight-through",
        "--rungs",
        "2",
        "--keep",
        "0.5",
        "--out",
        tmp_path / "t",
    ]
    done = bisnn("tune", shared, *words)
    assert done.returncode == 0, done.stderr
    rows = read_rows(tmp_path / "t" / "trials.csv")
    assert [row["rung"] for row in rows] == ["0", "0", "1"]
    assert all(float(row["val_nll"]) > 0 and int(row["epochs"]) >= 1 for row in rows)
    assert rows[2]["epochs"] == rows[2]["train.epochs"]
    again = bisnn("tune", shared, *words, "--resume")
    assert again.returncode == 0, again.stderr
    assert "straight-through trial" not in again.stdout
    assert bisnn("tune", shared, *words, "--resume", "--keep", "2").returncode == 2
