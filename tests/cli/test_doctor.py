"""``bisnn doctor``: every file of a run, or this machine."""

from bisnn_pyro import diagnosis
from bisnn_pyro.diagnosis import Report


def test_each_problem_is_a_line(spoilt, bisnn):
    done = bisnn("doctor", spoilt)
    assert (done.returncode, done.stdout) == (0, f"{spoilt}: 7 files checked, all as they were written\n")
    (spoilt / "notes.txt").write_text("mine")
    (spoilt / "mode.bisnn").write_bytes(b"BISNNBIT")
    (spoilt / ".writing-0-1-x").mkdir()
    (spoilt / "history.csv").unlink()
    done = bisnn("doctor", spoilt)
    assert done.returncode == 2
    lines = done.stdout.splitlines()
    assert f"{spoilt / 'history.csv'} is missing" in lines
    assert f"{spoilt / 'notes.txt'} is not part of the run" in lines
    assert any("mode.bisnn" in line for line in lines)
    assert any(".writing-0-1-x was left by a process" in line for line in lines)
    assert lines[-1].endswith("3 problems")


def test_folders_of_runs_and_others(spoilt, bisnn, tmp_path):
    done = bisnn("doctor", spoilt.parent)
    assert (done.returncode, done.stdout.count("all as they were written")) == (0, 1)
    (spoilt / "manifest.json").unlink()
    assert "has no manifest.json" in bisnn("doctor", spoilt.parent).stdout
    for other in (tmp_path / "nothing", tmp_path):
        done = bisnn("doctor", other)
        assert done.returncode == 2
        assert str(other) in done.stderr


def test_without_a_run_it_is_this_machine(monkeypatch, bisnn):
    for ok, status in ((True, 0), (False, 1)):
        monkeypatch.setattr(diagnosis, "environment_report", lambda ok=ok: Report(("python", "numpy"), ok))
        done = bisnn("doctor")
        assert (done.returncode, done.stdout) == (status, "python\nnumpy\n")
