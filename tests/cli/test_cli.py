"""The command line: what it prints, the status it exits with, and what takes a process to see."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.experiments.interrupting import interrupt_after


def process(*arguments):
    command = [sys.executable, "-m", "bisnn_pyro", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_help_list_and_show_need_no_torch():
    code = (
        "import sys, bisnn_pyro.cli as c\n"
        "sys.argv = ['bisnn', 'list']\n"
        "try: c.main()\n"
        "except SystemExit as e: assert e.code == 0, e.code\n"
        "assert 'torch' not in sys.modules and 'pyro' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "two-moons-scarce" in done.stdout
    assert "run" in process("--help").stdout


def test_show_prints_a_preset_that_runs_as_a_file(bisnn, tmp_path):
    shown = bisnn("show", "two-moons")
    path = tmp_path / "mine.toml"
    path.write_text(shown.stdout)
    tiny = ["data.n_train=20", "data.n_test=20", "encoder.n_steps=12", "network.hidden=[8]", "train.epochs=1"]
    tiny += ["network.burn_in=2", "analysis.figures=false", "data.n_val=20"]
    flags = [flag for key in tiny for flag in ("--set", key)]
    done = bisnn("run", path, "-m", "bayes", "--out", tmp_path / "out", *flags)
    assert done.returncode == 0, done.stderr
    assert "committee" in done.stdout
    metrics = json.loads((tmp_path / "out" / "bayes-seed0" / "metrics.json").read_text())
    assert metrics["experiment"] == "two-moons"


def test_a_run_its_table_and_its_evaluation(source, bisnn, tmp_path):
    out = tmp_path / "out"
    flags = ["-m", "bayes", "-m", "straight-through", "--seeds", "0-1", "--set", "analysis.figures=false"]
    done = process("run", source, "--out", out, *flags)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for word in ("bayes", "committee", "straight-through", "accuracy", "nll", "brier", "ece", "±"):
        assert word in done.stdout
    assert "with input noise of standard deviation 0.1" in done.stdout
    recorded = json.loads((out / "bayes-seed1" / "environment.json").read_text())["command"]
    assert recorded == f"bisnn run {source} --out {out} {' '.join(flags)}"
    again = bisnn("run", source, "--out", out)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr
    evaluated = bisnn("evaluate", out / "bayes-seed0", "--noise", "0.2")
    assert evaluated.returncode == 0, evaluated.stderr
    assert "0.2" in evaluated.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "two-moon"], "did you mean 'two-moons'?"),
        (["run", "two-moons", "--set", "train.epoch=1"], "did you mean 'epochs'?"),
        (["run", "two-moons", "--method", "bays"], "did you mean 'bayes'?"),
        (["run", "two-moons", "--set", "data.name=npz"], "needs the key 'path'"),
        (["run", "two-moons", "--set", "data.name=npz", "--set", "data.path=no.npz"], "no.npz"),
        (["run", "two-moons", "--seeds", "x"], "--seeds"),
        (["run", "nowhere.toml"], "nowhere.toml"),
        (["show", "digit"], "did you mean 'digits'?"),
        (["evaluate", "nowhere"], "not a run folder"),
        (["tune", "two-moons"], "--trials"),
        (["fly"], "No such command"),
    ],
)
def test_bad_input_exits_with_2_and_a_message(arguments, words, bisnn, tmp_path):
    done = bisnn(*arguments, cwd=tmp_path)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_diverging_run_exits_with_1_and_leaves_nothing(source, bisnn, tmp_path):
    flags = ["--set", "rule.name=sgd", "--set", "rule.lr=1e38"]
    done = bisnn("run", source, "-m", "full-precision", "--out", tmp_path / "out", *flags)
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "rule.lr" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "full-precision-seed0").exists()


def check_interrupted(status, stderr, folders, bisnn):
    assert status == 130, stderr
    assert "--resume" in stderr
    assert "Traceback" not in stderr
    for folder in folders:
        assert (folder / "posterior.safetensors").exists()
        assert (folder / "history.csv").exists()
        assert not (folder / "metrics.json").exists()
        assert bisnn("evaluate", folder).returncode == 0


def test_ctrl_c_leaves_a_valid_folder_and_exits_with_130(source, bisnn, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        quick = ["--set", "train.checkpoint_every=1", "--set", "analysis.figures=false"]
        done = bisnn("run", source, "--out", out, *quick)
    assert [path.name for path in out.iterdir()] == ["bayes-seed0"]  # the other methods are not begun
    check_interrupted(done.returncode, done.stderr, [out / "bayes-seed0"], bisnn)


def test_ctrl_c_is_passed_on_to_the_jobs(source, bisnn, tmp_path):
    out = tmp_path / "out"
    command = [sys.executable, "-m", "bisnn_pyro", "run", source, "--out", str(out), "--jobs", "2"]
    flags = ["--set", "train.epochs=100000", "--set", "train.checkpoint_every=1"]
    flags += ["--set", "analysis.figures=false"]
    running = subprocess.Popen(
        [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    folders = [out / f"{method}-seed0" for method in ("bayes", "straight-through")]
    wanted = [folder / "checkpoint" / "state.safetensors" for folder in folders]
    give_up = time.monotonic() + 120
    while not all(p.exists() for p in wanted) and running.poll() is None and time.monotonic() < give_up:
        time.sleep(0.1)
    os.kill(running.pid, signal.SIGINT)
    _, stderr = running.communicate(timeout=120)
    check_interrupted(running.returncode, stderr, folders, bisnn)


def test_tune_saves_all_trials_and_a_config_that_runs(source, bisnn, tmp_path):
    out = tmp_path / "tune"
    done = bisnn("tune", source, "--trials", "2", "--out", out, "-m", "bayes", "-m", "straight-through")
    assert done.returncode == 0, done.stderr
    lines = (out / "trials.csv").read_text().splitlines()
    assert lines[0] == "method,trial,rung,epochs,rule.lr,val_nll,seconds"
    assert len(lines) == 5
    best = min((line.split(",") for line in lines if line.startswith("bayes")), key=lambda c: float(c[5]))
    from bisnn_pyro.experiments.batch import plan

    (config,) = plan(str(out / "tuned.toml"), ["bayes"])
    assert config.rule.lr == float(best[4])


def test_a_folder_that_cannot_be_written(source, bisnn, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    done = bisnn("run", source, "--out", Path(blocked) / "out")
    assert done.returncode == 2
    assert "cannot make the run folder" in done.stderr
