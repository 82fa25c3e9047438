"""Commands on finished runs: export, energy, and evaluation on new data."""

import numpy as np
import pytest
from typer.testing import CliRunner

import bisnn_pyro
from bisnn_pyro.cli import app
from bisnn_pyro.errors import InputError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.run import run
from tests.experiments.tiny import TINY

QUIET = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=1"]


def bisnn(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("tiny")
    (place / "tiny.toml").write_text(TINY)
    return run(plan(str(place / "tiny.toml"), ["bayes"], overrides=QUIET)[0], place / "runs").path


def test_commands_on_a_run(folder, tmp_path):
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    done = bisnn("export", folder, "--member", 2, "--out", tmp_path / "net.bisnn")
    assert done.exit_code == 0, done.output
    assert "net.bisnn (" in done.stdout
    fitted = bisnn_pyro.load_run(folder)
    how = fitted.config.predict
    weights = fitted.guide.sample_posterior(3, seed=how.seed, scheme="latin-hypercube", of=how.draws)
    found = bisnn_pyro.read_export(tmp_path / "net.bisnn").weights
    assert all(np.array_equal(found[name], w[2].numpy()) for name, w in weights.items())

    done = bisnn("energy", folder, "--pj", "memory_bit=0", "--pj", "add_int=0.03", "--out", tmp_path / "e.md")
    assert done.exit_code == 0, done.output
    for word in ("committee", "(32-bit, no spikes)", "synaptic_ops", "energy_nj", "e.md"):
        assert word in done.stdout
    assert (tmp_path / "e.md").read_text().startswith("| method |")

    np.savez(tmp_path / "new.npz", x=np.random.default_rng(0).normal(size=(9, 2)), y=np.arange(9) % 2)
    done = bisnn("evaluate", folder, "--data", tmp_path / "new.npz", "--out", tmp_path / "new.csv")
    assert done.exit_code == 0, done.output
    assert "9 points of" in done.stdout
    assert (tmp_path / "new.csv").is_file()
    assert before == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    done = bisnn("export", folder)
    assert done.exit_code == 0
    assert (folder / "mode.bisnn").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "RUN", "--member", "1", "--mode"], "not both"),
        (["export", "RUN", "--member", "4"], "--member 0 to 3"),
        (["energy", "RUN", "--pj", "add_int"], "operation=picojoule"),
        (["energy", "RUN", "--pj", "add=1"], "no operation 'add'"),
        (["energy", "RUN", "--pj", "add_int=-1"], "add_int"),
        (["energy", "RUN", "--out", "a.txt"], "suffix"),
        (["evaluate", "RUN", "--out", "a.csv"], "--out is for --data"),
        (["evaluate", "RUN", "--data", "no.npz", "--noise", "0.1"], "leave them out"),
        (["evaluate", "RUN", "--data", "no.npz"], "no.npz"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(arguments, words, folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.rglob("*"))
    done = bisnn(*[folder if a == "RUN" else a for a in arguments])
    assert isinstance(done.exception, InputError)  # which main() turns into a message and status 2
    assert words in str(done.exception)
    assert set(tmp_path.rglob("*")) == before
