"""Sizes and SHA-256 of files: every change is named."""

import random

import pytest

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.storage import manifest
from bisnn_pyro.storage.manifest import NAME, Manifest


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "figures").mkdir()
    for name in ("config.toml", "figures/a b.csv", "empty"):
        (tmp_path / name).write_text("" if name == "empty" else f"what {name} holds\n" * 3)
    Manifest.of(tmp_path, [p for p in tmp_path.rglob("*") if p.is_file()]).write(tmp_path)
    return tmp_path


def test_files_as_they_were_written(folder):
    found = Manifest.read(folder)
    assert set(found.files) == {"config.toml", "figures/a b.csv", "empty"}
    assert found.problems(folder) == []
    assert Manifest.read(folder / "figures") is None


def test_every_change_is_named(folder):
    found = Manifest.read(folder)
    (folder / "config.toml").write_bytes((folder / "config.toml").read_bytes()[:-1])
    (folder / "figures/a b.csv").unlink()
    (folder / "empty").write_text("no more")
    lines = found.problems(folder)
    assert len(lines) == 3
    assert any("config.toml was edited or damaged" in line for line in lines)
    assert any("a b.csv is missing" in line for line in lines)
    assert "does not list" in found.problem(folder, "other.json")


def test_each_flipped_bit_of_the_manifest_itself_is_noticed(folder):
    path = folder / NAME
    content = path.read_bytes()
    rng = random.Random(0)
    for _ in range(300):
        place, bit = rng.randrange(len(content)), rng.randrange(8)
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        with pytest.raises(RunFolderError, match=NAME):
            Manifest.read(folder)
    for other in (content[:-1], content + b"\n", b"", b"[]", b"{}", b'{"files": 3}', b"[" * 100_000, b"\xff"):
        path.write_bytes(other)
        with pytest.raises(RunFolderError, match=NAME):
            Manifest.read(folder)


def test_large_files_are_hashed_again_once_they_change(folder, monkeypatch):
    monkeypatch.setattr(manifest, "LARGE", 0)
    path = folder / "config.toml"
    found = Manifest.of(folder, [path])
    assert found.problems(folder) == []
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    assert len(found.problems(folder)) == 1


def test_changes_are_accepted_within_a_block_alone():
    assert not manifest.accepting()
    with manifest.accept_changed():
        assert manifest.accepting()
        with manifest.accept_changed(False):  # an inner call that does not say so
            assert manifest.accepting()
    assert not manifest.accepting()


def test_a_replaced_folder_keeps_what_others_laid_into_it(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, names in ((old, ["table.csv", "gone.csv"]), (new, ["table.csv"])):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(folder.name)
    manifest.keep_others(tmp_path / "none", old)
    (old / "mine").mkdir()
    (old / "mine" / "notes.txt").write_text("kept")
    manifest.keep_others(old, new)
    found = {path.relative_to(new).as_posix(): path.read_text() for path in manifest.files_below(new)}
    assert found.pop("mine/notes.txt") == "kept"
    assert found.keys() == {"table.csv", manifest.NAME}
    assert found["table.csv"] == "new"
    assert set(manifest.Manifest.read(new).files) == {"table.csv"}
