"""Which place wins where several set one key: defaults, tables, methods, ``--set``, options, trials."""

import itertools
import tomllib

import pytest

from bisnn_pyro.derived.distil import student
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.resolve import apply_overrides, load_source
from bisnn_pyro.experiments.tune import Trial, _of_rung, _values, tune
from bisnn_pyro.toml import parse_overrides

BASE = """
experiment = "order"
methods = ["bayes"]
{top}
[data]
name = "two-moons"
{table}
{method}
"""

PLACES = ("default", "table", "method", "set", "set-method")
"""From the weakest to the strongest."""
RATES = {"default": 0.1, "table": 1.0, "method": 2.0, "set": 3.0, "set-method": 4.0}


def rate(tmp_path, places, method="bayes"):
    """Return rule.lr where these places set it."""
    table = "[rule]\nname = 'bayesian'\n" + ("lr = 1.0\n" if "table" in places else "")
    own = "[method.bayes.rule]\nlr = 2.0\n" if "method" in places else ""
    path = tmp_path / "order.toml"
    path.write_text(BASE.format(top="", table=table, method=own))
    texts = {"set": "rule.lr=3.0", "set-method": "method.bayes.rule.lr=4.0"}
    changes = [text for place, text in texts.items() if place in places]
    orders = itertools.permutations(changes)
    found = {plan(str(path), [method], overrides=order)[0].rule.lr for order in orders}
    assert len(found) == 1, "the order of --set does not matter between different keys"
    return found.pop()


@pytest.mark.parametrize(("weak", "strong"), list(itertools.combinations(PLACES, 2)))
def test_of_every_two_places_the_stronger_wins(tmp_path, weak, strong):
    assert rate(tmp_path, {weak, strong}) == RATES[strong]


def test_of_all_places_the_strongest_wins(tmp_path):
    assert rate(tmp_path, set(PLACES)) == RATES["set-method"]


@pytest.mark.parametrize(
    ("top", "changes", "seed", "expected"),
    [
        ("", [], None, 0),
        ("seed = 3", [], None, 3),
        ("seed = 3", ["seed=5"], None, 5),
        ("seed = 3", ["seed=5"], 7, 7),
        ("seed = 3", [], 0, 0),
    ],
)
def test_the_option_for_the_seed_wins_over_set_and_set_over_the_file(tmp_path, top, changes, seed, expected):
    path = tmp_path / "order.toml"
    path.write_text(BASE.format(top=top, table="", method=""))
    (config,) = plan(str(path), seeds=[seed], overrides=changes)
    assert config.seed == expected


def test_the_option_for_the_folder_of_the_data_wins_over_set(bisnn, tmp_path):
    flags = ["--set", "data.name=npz", "--set", f"data.path={tmp_path / 'of-set.npz'}"]
    done = bisnn("run", "two-moons", *flags, "--data-dir", tmp_path / "of-option.npz", cwd=tmp_path)
    assert done.returncode == 2
    assert "of-option.npz" in done.stderr
    assert "of-set" not in done.stderr


SEARCH = ["method.bayes.rule.lr=9.0", "method.bayes.train.epochs=90", "rule.lr=8.0"]


def test_a_trial_wins_over_everything(source):
    trial = Trial("bayes", 0, {"rule.lr": 0.25})
    (config,) = plan(source, ["bayes"], overrides=_values(trial, SEARCH, **{"train.epochs": 2}))
    assert (config.rule.lr, config.train.epochs) == (0.25, 2)
    assert _of_rung(trial, 0, 0.1, source, SEARCH, False).epochs == 9


def test_what_is_tuned_is_written_with_the_overrides_of_the_method(source):
    changes = parse_overrides(["method.bayes.rule.lr=0.5", "rule.lr=0.7", "train.epochs=2"])
    tables = apply_overrides(load_source(source), changes)
    assert tables["method"]["bayes"]["rule"]["lr"] == 0.5
    assert tables["method"]["straight-through"]["rule"]["lr"] == 0.7
    assert tables["train"]["epochs"] == 2


def test_the_tuned_file_has_the_best_setting(source, tmp_path):
    quick = ["train.epochs=1", "analysis.figures=false", "method.bayes.rule.lr=0.9"]
    folder = tune(source, 1, tmp_path, methods=["bayes"], overrides=quick)
    best = tomllib.loads((folder / "tuned.toml").read_text("utf-8"))["method"]["bayes"]["rule"]["lr"]
    assert best != 0.9
    (config,) = plan(str(folder / "tuned.toml"), ["bayes"])
    assert config.rule.lr == best


def test_the_options_of_a_student_win_over_set(tiny_run):
    chosen = parse_overrides(["distil.mix=0.25", "distil.teacher=elsewhere"])
    own = student(tiny_run.path, overrides=chosen, mix=0.75)
    assert own.distil.mix == 0.75
    assert own.distil.teacher == str(tiny_run.path)
    assert student(tiny_run.path, overrides=chosen).distil.mix == 0.25
    assert student(tiny_run.path).distil.mix == 1.0
