"""The report on an installation, and the self-check that notices a changed result."""

import json

import pytest
import torch

from bisnn_pyro import diagnosis
from bisnn_pyro.diagnosis import STORED, Check, environment_report, self_check
from bisnn_pyro.inference import BayesianLearningRule


def test_the_self_check_passes_and_leaves_the_random_state_alone():
    before = torch.get_rng_state()
    checks = self_check()
    assert torch.equal(torch.get_rng_state(), before)
    stored = json.loads(STORED.read_text(encoding="utf-8"))["numbers"]
    assert [check.name for check in checks] == list(stored)
    assert all(check.ok for check in checks), [str(check) for check in checks if not check.ok]
    losses = {check.name: check.found for check in checks}
    for method in ("bayes", "full-precision"):  # numbers of networks that have learned something
        assert losses[f"{method} last loss"] < losses[f"{method} first loss"] - 0.2
        assert losses[f"{method} accuracy"] > 0.85


def test_a_changed_rule_is_noticed(monkeypatch):
    half = BayesianLearningRule._move
    monkeypatch.setattr(
        BayesianLearningRule, "_move", lambda self, p, group: half(self, p, group | {"lr": group["lr"] / 2})
    )
    report = environment_report()
    assert not report.ok
    wrong = [line for line in report.lines if "self-check: bayes" in line]
    assert any("bayes entropy" in line and "differs by" in line for line in wrong)
    assert not any("full-precision" in line for line in wrong)
    assert "self-check failed" in report.lines[-1]


def test_what_differs_is_said_with_both_numbers():
    assert str(Check("bayes last loss", 0.25, 0.24, 0.05)) == "bayes last loss 0.250000"
    wrong = Check("bayes last loss", 0.35, 0.24, 0.05)
    assert not wrong.ok
    assert "0.350000 differs by 0.11, more than 0.05, from the stored 0.240000" in str(wrong)
    assert not Check("x", float("nan"), 0.24, 0.05).ok


def test_the_report_names_versions_threads_disk_and_encoding(monkeypatch):
    report = environment_report(check=False)
    assert report.ok
    text = "\n".join(report.lines)
    for name in (
        f"torch {torch.__version__}",
        "pyro-ppl 1.",
        "threads: torch ",
        "BLAS",
        "GiB free",
        "encoding: ",
    ):
        assert name in text
    monkeypatch.setattr(diagnosis, "PACKAGES", ("torch", "not-a-package"))
    lacking = environment_report(check=False)
    assert not lacking.ok
    assert "not-a-package is missing" in lacking.lines


def test_a_nearly_full_disk_and_a_deleted_folder_are_not_ok(monkeypatch, tmp_path):
    monkeypatch.setattr(diagnosis, "LEAST_FREE", 1 << 70)
    report = environment_report(check=False)
    assert not report.ok
    assert any("too little" in line for line in report.lines)
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert any(
        "the working directory cannot be read" in line for line in environment_report(check=False).lines
    )


@pytest.mark.parametrize(("found", "status"), [(0.26, 0), (0.5, 1)])
def test_the_command_says_ok_or_which_number_differs(found, status, bisnn, monkeypatch):
    check = Check("bayes entropy", found, 0.25, 0.03)
    monkeypatch.setattr(diagnosis, "self_check", lambda: [check])
    done = bisnn("doctor")
    assert done.returncode == status, done.stderr
    assert f"torch {torch.__version__}" in done.stdout
    last = "self-check: ok (1 numbers as stored)" if status == 0 else "self-check failed: this installation"
    assert done.stdout.splitlines()[-1].startswith(last)
    assert ("bayes entropy 0.500000 differs by 0.25" in done.stdout) == bool(status)


@pytest.mark.parametrize("name", ["numbers", "versions"])
def test_the_stored_file_is_complete(name):
    record = json.loads(STORED.read_text(encoding="utf-8"))
    assert len(record[name]) >= 4


def test_a_maintainer_stores_new_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(diagnosis, "_numbers", lambda: [("bayes entropy", 0.25)])
    path = diagnosis.write_stored(tmp_path / "new.json")
    assert json.loads(path.read_text(encoding="utf-8"))["numbers"] == {"bayes entropy": 0.25}
    monkeypatch.setattr(diagnosis, "STORED", path)
    assert self_check() == [Check("bayes entropy", 0.25, 0.25, 0.03)]
