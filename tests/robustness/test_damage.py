"""Damaged files of run folders: none is accepted by the command that reads it, nor by ``bisnn doctor``.

``--full`` tries 200 random places, else 30.
"""

import random
import shutil

import pytest

import bisnn_pyro
from bisnn_pyro.errors import BisnnError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.run import evaluate_folder, run
from bisnn_pyro.experiments.store import Store
from bisnn_pyro.results.report.setup import _recorded
from bisnn_pyro.storage.examination import examine
from bisnn_pyro.storage.manifest import files_below
from tests.experiments.interrupting import interrupt_after
from tests.experiments.tiny import TINY

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    source = tmp_path_factory.mktemp("source") / "tiny.toml"
    source.write_text(TINY)
    return plan(str(source), ["bayes"], overrides=["train.checkpoint_every=1", "train.threads=1"])[0]


@pytest.fixture(scope="module")
def folders(config, tmp_path_factory):
    """A finished run with an exported network, and an interrupted one."""
    finished = run(config, tmp_path_factory.mktemp("finished")).path
    bisnn_pyro.export(finished)
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(patch, 2)
        cut = run(config, tmp_path_factory.mktemp("cut"))
    assert cut.interrupted
    return finished, cut.path


def damage(file, rng):
    """Damage a file in one of six ways, and say which."""
    content = file.read_bytes()
    place = rng.randrange(len(content))
    way = rng.choice(["flip", "flip", "flip", "cut", "replace", "delete", "append", "zeros"])
    damaged = bytearray(content)
    if way == "flip":
        damaged[place] ^= 1 << rng.randrange(8)
    elif way == "cut":
        del damaged[place:]
    elif way == "replace":
        damaged[:] = rng.randbytes(len(content))
    elif way == "append":
        damaged += rng.randbytes(3)
    elif way == "zeros":
        damaged[place : place + 512] = bytes(len(damaged[place : place + 512]))
    if way == "delete":
        file.unlink()
    elif bytes(damaged) == content:  # zeros that were there
        return damage(file, rng)
    else:
        file.write_bytes(damaged)
    return way


def readers(name, config, folder):
    """Return what reads a file of this name, as functions."""
    path = folder.path
    known = {
        "config.toml": [lambda: bisnn_pyro.load_run(path), lambda: bisnn_pyro.export(path)],
        "preprocessing.json": [lambda: bisnn_pyro.load_run(path), lambda: evaluate_folder(path)],
        "posterior.safetensors": [lambda: bisnn_pyro.load_run(path), lambda: evaluate_folder(path)],
        "history.csv": [folder.read_history, lambda: evaluate_folder(path)],
    }
    if folder.finished:
        known |= {
            "metrics.json": [lambda: bisnn_pyro.Runs(path), lambda: bisnn_pyro.load_run(path)],
            "inference_data.nc": [lambda: bisnn_pyro.Runs(path)[0].store, lambda: Store.open(path)],
            "environment.json": [lambda: _recorded(bisnn_pyro.Runs(path)[0])],
            "manifest.json": [lambda: bisnn_pyro.Runs(path), lambda: bisnn_pyro.load_run(path)],
            "mode.bisnn": [lambda: bisnn_pyro.read_export(path / "mode.bisnn")],
        }
        resumed = [lambda: resume(config, path)] if name not in ("mode.bisnn",) else []
        return known.get(name, []) + resumed
    known["state.safetensors"] = [lambda: run(config, path.parent, resume=True)]
    return known.get(name, [])


def resume(config, path):
    """Resume a finished run, as ``bisnn run --resume`` does."""
    from bisnn_pyro.experiments.run import finished_alike

    if not finished_alike(RunFolder(path), config):
        run(config, path.parent, resume=True)


def test_no_damage_is_accepted(config, folders, tmp_path, full):
    rng, accepted = random.Random(0), []
    for k in range(200 if full else 30):
        original = folders[k % 4 == 0]
        path = shutil.copytree(original, tmp_path / str(k) / original.name)
        file = rng.choice(sorted(files_below(path)))
        way = damage(file, rng)
        if way == "delete" and file.parent.name == "checkpoint":
            file.write_bytes(b"")  # a run whose last checkpoint is gone goes on from the one before it
        if way == "delete" and file.suffix == ".bisnn":
            continue  # an export is the user's own
        if way == "delete" and file.name == "manifest.json" and RunFolder(path).resumable:
            continue  # an unfinished run may lack one
        where = f"{way} in {file.relative_to(path.parent.parent)}"
        for number, read in enumerate(readers(file.name, config, RunFolder(path))):
            try:
                read()
            except BisnnError as error:
                said = str(error)
            else:
                said = ""
            if str(path) not in said:
                accepted.append(f"{where}, reader {number}: {said}")
        found = examine(path)
        if not found.problems and file.suffix != ".bisnn":
            accepted.append(f"{where}, doctor")
        shutil.rmtree(path)
    assert accepted == []


def test_an_undamaged_folder_is_accepted_by_all(config, folders, tmp_path):
    for original in folders:
        path = shutil.copytree(original, tmp_path / original.parent.name / original.name)
        assert examine(path).problems == ()
        names = {file.name for file in files_below(path)}
        for name in sorted(names):
            for read in readers(name, config, RunFolder(path)):
                read()


def test_the_command_line_names_what_is_damaged(folders, tmp_path, bisnn):
    path = shutil.copytree(folders[0], tmp_path / "run")
    assert bisnn("doctor", path).returncode == 0
    (path / "notes.txt").write_text("mine")
    (path / "figures" / "reliability.csv").write_text("bin,count\n1,1000\n")
    done = bisnn("doctor", path)
    assert done.returncode == 2
    assert "figures/reliability.csv was edited or damaged" in done.stdout
    assert "notes.txt is not part of the run" in done.stdout
    (path / "config.toml").write_text((path / "config.toml").read_text().replace("draws = 4", "draws = 3"))
    for command in (["evaluate", path], ["export", path], ["compare", path], ["certify", path]):
        done = bisnn(*command)
        assert done.returncode == 2
        assert "config.toml was edited or damaged" in done.stderr
    assert bisnn("export", path, "--accept-changed").returncode == 0
    assert bisnn("export", path).returncode == 2  # it was accepted once, not for good
    assert bisnn("evaluate", path, "--accept-changed").returncode == 0
    assert bisnn("export", path).returncode == 0
    assert bisnn("doctor", path).returncode == 0
