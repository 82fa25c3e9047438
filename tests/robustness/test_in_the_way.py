"""Folders of runs in which something else stands where a run is to be, or was edited since."""

import json
import os

import pytest

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.run import evaluate_folder
from bisnn_pyro.files import atomic_folder


@pytest.mark.parametrize("make", [lambda p: p.write_text("mine"), os.mkfifo, lambda p: p.symlink_to("none")])
@pytest.mark.parametrize("name", ["bayes-seed0", "bayes-seed0.next"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_not_a_folder_is_left_alone(tmp_path, make, name, overwrite, source, bisnn):
    make(tmp_path / name)
    words = ["run", source, "-m", "bayes", "--out", tmp_path, *["--overwrite"] * overwrite]
    done = bisnn(*words)
    assert done.returncode == 2
    assert f"{name} cannot be a run folder" in done.stderr
    assert os.path.lexists(tmp_path / name)


@pytest.mark.parametrize("finished", [False, True])
def test_a_folder_of_the_users_own_is_never_removed(tmp_path, finished):
    mine = tmp_path / "bayes-seed0.next" / "thesis.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    folder = RunFolder(tmp_path / "bayes-seed0")
    if finished:
        folder.path.mkdir()
        for name in ("config.toml", "metrics.json"):
            (folder.path / name).write_text("{}")
    with pytest.raises(RunFolderError, match="is not a run folder"):
        folder.prepare(overwrite=True)
    assert mine.read_text() == "mine"


def test_a_file_named_summary_is_left_alone(tmp_path):
    (tmp_path / "summary").write_text("mine")
    with pytest.raises(RunFolderError, match="not a folder"), atomic_folder(tmp_path / "summary"):
        pytest.fail("it would be replaced")
    assert (tmp_path / "summary").read_text() == "mine"


def test_an_evaluation_does_not_take_over_what_was_edited(spoilt):
    path = spoilt / "environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"python": "2.7"}))
    with pytest.raises(RunFolderError, match=r"environment\.json was edited or damaged"):
        evaluate_folder(spoilt)
    path.unlink()
    with pytest.raises(RunFolderError, match=r"environment\.json is missing"):
        evaluate_folder(spoilt)
    assert (spoilt / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--out", "loop"], "cannot be used as a path"),
        (["--out", "x" * 300], "cannot be used as a path"),
        (["--set", "distil.teacher=loop"], "cannot be used as a path"),
        (["--set", 'prior={ name = "posterior", run = "a\\u0000" }'], "cannot be used as a path"),
        (["--set", "data.name=npz", "--data-dir", "~nobody_of_this_name/x"], "~nobody_of_this_name"),
        (["--out", "/proc/x"], "cannot make the run folder /proc/x/bayes-seed0"),
    ],
)
def test_names_that_are_not_paths(tmp_path, source, bisnn, words, said):
    (tmp_path / "loop").symlink_to("loop")
    done = bisnn("run", source, "-m", "bayes", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
