"""The folders that a user names: data.path and $BISNN_DATA."""

import pytest

from bisnn_pyro.data import (
    event_folder,
    inspect_recordings,
    load_mat,
    load_npz,
    load_points,
    mnist,
    nmnist,
)
from bisnn_pyro.data.location import FOLDER_VARIABLE, shared_folder, user_folder
from bisnn_pyro.errors import DataError


def test_user_folder_is_absolute_and_has_a_name(tmp_path, monkeypatch):
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in (".", folder, "~/mine", "../mine", folder / "..", "../mine/"):
        found = user_folder(path)
        assert found.is_absolute()
        assert found.resolve() == (tmp_path if path == folder / ".." else folder).resolve()
        assert found.name not in ("", "..")


@pytest.mark.parametrize(
    ("path", "words"),
    [("", "data.path is ''"), (3, "data.path is 3"), ("none", "does not exist"), ("f", "is a file")],
)
def test_no_user_folder(tmp_path, monkeypatch, path, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f").touch()
    with pytest.raises(DataError, match=f"{words}; expected a folder"):
        user_folder(path)


def test_shared_folder(tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    assert shared_folder("mnist") is None
    monkeypatch.setenv(FOLDER_VARIABLE, "")
    assert shared_folder("mnist") is None
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert shared_folder("mnist") == tmp_path
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(DataError, match=r"BISNN_DATA is .*none., which is not a folder; .*none/mnist"):
        shared_folder("mnist")


@pytest.mark.parametrize(
    "load", [load_npz, load_points, load_mat, inspect_recordings, mnist, nmnist, event_folder]
)
@pytest.mark.parametrize("path", ["a" * 5000, "a\0b", "~nobody-of-this-name/x", 3, ["a"], "", "\udcff"])
def test_paths_that_no_file_can_have(load, path):
    with pytest.raises(DataError) as caught:
        load(path=path)
    assert len(str(caught.value)) < 1000
