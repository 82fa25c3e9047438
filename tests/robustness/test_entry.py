"""Where the command begins: other people's files, folders, locales and signals."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments import parts

HOME = Path(__file__).parents[2]
EVIL = "import pathlib; pathlib.Path(__file__).with_name('pwned').touch()"
NAMES = ("tomllib", "json", "torch", "typer", "numpy", "shlex", "pyro", "random", "tests", "matplotlib")
SCRIPT = "import sys; from bisnn_pyro.__main__ import main; sys.argv[0] = 'bisnn'; main()"
OWN = ("PYTHONPATH", "PYTHONUTF8", "LC_ALL", "LANG", "MPLBACKEND", "PYTHONIOENCODING")


def command(*words, cwd, script=False, **variables):
    """Run bisnn in a process; the package is on the path as an installed one is."""
    start = ["-P", "-c", SCRIPT] if script else ["-m", "bisnn_pyro"]
    environment = {key: value for key, value in os.environ.items() if key not in OWN}
    environment |= {"PYTHONPATH": str(HOME), **variables}
    done = [sys.executable, *start, *map(str, words)]
    return subprocess.run(done, cwd=cwd, env=environment, capture_output=True, timeout=300)


@pytest.mark.parametrize("script", [False, True])
@pytest.mark.parametrize("words", [("list",), pytest.param(("evaluate", "nowhere"), marks=pytest.mark.slow)])
def test_modules_of_the_current_folder_are_not_imported(tmp_path, script, words):
    for name in NAMES:
        (tmp_path / f"{name}.py").write_text(EVIL)
    done = command(*words, cwd=tmp_path, script=script)
    assert done.returncode == (0 if words == ("list",) else 2), done.stderr
    assert not (tmp_path / "pwned").exists()


LEAVE = """
import os, sys
os.mkdir("x")
os.chdir("x")
os.rmdir("../x")
os.execv(sys.executable, [sys.executable, "-m", "bisnn_pyro", "run", "two-moons"])
"""


def test_a_folder_that_was_deleted_is_said(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    words = [sys.executable, "-c", LEAVE]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2
    assert "the current folder does not exist any more" in done.stderr
    assert "MKL" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.5, 1.0, 2.0, 4.0])
def test_ctrl_c_while_it_imports_is_said(tmp_path, delay):
    words = [sys.executable, "-m", "bisnn_pyro", "run", "two-moons", "--set", "train.epochs=100000"]
    environment = {**os.environ, "PYTHONPATH": str(HOME)}
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stderr=-1, stdout=-1, text=True) as running:
        time.sleep(0.15 + delay)
        running.send_signal(signal.SIGINT)
        time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=200)
    assert running.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said


TOML = """
experiment = "u"
description = "für Zwei"
methods = ["straight-through"]
[data]
name = "two-moons"
n_train = 12
n_val = 8
n_test = 8
[encoder]
n_steps = 12
[network]
hidden = [4]
burn_in = 2
[train]
epochs = 1
[analysis]
resolution = 3
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"},
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "no such backend"},
        {"PYTHONWARNDEFAULTENCODING": "1", "PYTHONWARNINGS": "error::EncodingWarning:bisnn_pyro"},
    ],
)
def test_a_run_in_another_environment(tmp_path, variables):
    (tmp_path / "u.toml").write_text(TOML, "utf-8")
    done = command("run", "u.toml", cwd=tmp_path, **variables)
    assert done.returncode == 0, done.stderr.decode()
    folder = tmp_path / "runs" / "u" / "straight-through-seed0"
    assert "für" in (folder / "config.toml").read_text("utf-8")
    assert (folder / "figures").is_dir()
    assert command("evaluate", folder, cwd=tmp_path, **variables).returncode == 0


def test_an_unknown_backend_of_a_notebook_is_forgotten(monkeypatch):
    from bisnn_pyro import analysis

    monkeypatch.setenv("MPLBACKEND", "module://no_such_notebook.backend_inline")
    analysis._leave_unknown_backend()
    assert "MPLBACKEND" not in os.environ
    monkeypatch.setenv("MPLBACKEND", "module://json")
    analysis._leave_unknown_backend()
    assert os.environ["MPLBACKEND"] == "module://json"


STORED = ("encoder", "network", "guide", "rule", "prior", "likelihood", "data")


class TestTheUsersOwnCode:
    """Which names are imported, from where, and what stays behind."""

    def test_the_path_is_as_before_after_an_error(self, tmp_path, monkeypatch):
        (tmp_path / "broken_part.py").write_text("import sys; sys.path.insert(0, 'x'); raise KeyError('no')")
        monkeypatch.chdir(tmp_path)
        before = sys.path.copy()
        with pytest.raises(ConfigError, match="cannot be imported: KeyError"):
            parts.find("neuron", "broken_part:Neuron", trust=True)
        assert sys.path == before

    @pytest.mark.parametrize("kind", parts.BASES)
    @pytest.mark.parametrize("name", ["subprocess:Popen", "os:system", "builtins:eval", "json:JSONDecoder"])
    def test_what_is_trusted_is_of_the_right_type_before_it_is_called(self, kind, name):
        with pytest.raises(ConfigError, match="it must be a subclass of"):
            parts.make(kind, {"name": name}, trust=True)

    def test_a_library_wins_over_a_file_of_its_name(self, tmp_path, monkeypatch):
        (tmp_path / "sqlite3.py").write_text(EVIL)
        monkeypatch.chdir(tmp_path)
        monkeypatch.delitem(sys.modules, "sqlite3", raising=False)
        with pytest.raises(ConfigError):
            parts.find("neuron", "sqlite3:Neuron", trust=True)
        assert not (tmp_path / "pwned").exists()

    @pytest.mark.parametrize(
        "table", ["guide", *(pytest.param(t, marks=pytest.mark.slow) for t in STORED if t != "guide")]
    )
    def test_stored_runs_import_nothing(self, table, spoilt, bisnn, tmp_path, monkeypatch):
        (tmp_path / "evil_part.py").write_text(EVIL)
        monkeypatch.syspath_prepend(str(tmp_path))
        config = spoilt / "config.toml"
        lines = config.read_text("utf-8").splitlines()
        at = lines.index(f"[{table}]")
        lines[at + 1] = 'name = "evil_part:Part"'
        config.write_text("\n".join(lines), "utf-8")
        for words in (
            ("evaluate", spoilt),
            ("export", spoilt),
            ("energy", spoilt),
            ("certify", spoilt),
            ("distil", spoilt),
            ("merge", spoilt, spoilt, "--out", tmp_path / "out"),
            ("study", "shift", spoilt, "--kind", "noise"),
            ("report", spoilt, "--out", tmp_path / "page.html"),
            ("run", config),
        ):
            bisnn(*words, cwd=tmp_path)
            assert not (tmp_path / "pwned").exists(), words
