"""A folder that takes the place of another, killed at each of its steps."""

import contextlib
import shutil
from pathlib import Path

import pytest

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.storage import replacing
from bisnn_pyro.storage.manifest import Manifest


class Killed(BaseException):
    """The process ends here."""


def complete(path, text):
    path.mkdir()
    (path / "config.toml").write_text(text)
    (path / "metrics.json").write_text("{}")
    Manifest.of(path, [path / "config.toml", path / "metrics.json"]).write(path)


def kill_at(patch, step):
    """Let the step-th renaming or removal, counted from 0, be the last thing that does not happen."""
    left = [step]

    def counted(original):
        def call(*arguments, **settings):
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            return original(*arguments, **settings)

        return call

    patch.setattr(Path, "rename", counted(Path.rename))
    patch.setattr(replacing.shutil, "rmtree", counted(shutil.rmtree))


@pytest.mark.parametrize("step", range(6))
@pytest.mark.parametrize("reader", [False, True])
def test_the_old_one_or_the_new_one_is_there(tmp_path, monkeypatch, step, reader):
    target = tmp_path / "run"
    complete(target, "old")
    complete(replacing.beside(target), "new")
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with contextlib.suppress(Killed):
            replacing.take_over(replacing.beside(target), target)
    if reader:
        replacing.settle(target)
        assert (target / "config.toml").read_text() in ("old", "new")
    with replacing.held(target):
        assert (target / "config.toml").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def make_half(target):
    with replacing.made_anew(target) as new:
        (new / "config.toml").write_text("half")
        raise KeyError


@pytest.mark.parametrize("step", range(7))
def test_a_folder_made_anew(tmp_path, monkeypatch, step):
    target = tmp_path / "run"
    complete(target, "old")
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        try:
            with replacing.made_anew(target, copy=True) as new:
                assert not (new / "manifest.json").exists()
                (new / "config.toml").unlink()
                (new / "config.toml").write_text("new")
        except Killed:
            pass
    replacing.settle_all(tmp_path)
    assert (target / "config.toml").read_text() in ("old", "new")
    with replacing.held(target):
        assert (target / "config.toml").read_text() in ("old", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_block_that_raises_leaves_the_old_one(tmp_path):
    target = tmp_path / "run"
    complete(target, "old")
    with pytest.raises(KeyError):
        make_half(target)
    assert (target / "config.toml").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_an_unfinished_one_beside_takes_nobodys_place(tmp_path):
    target = tmp_path / "run"
    complete(target, "old")
    new = replacing.beside(target)
    complete(new, "new")
    (new / "checkpoint").mkdir()
    with replacing.held(target):
        pass
    assert (target / "config.toml").read_text() == "old"
    assert new.is_dir()


def test_the_folder_and_the_one_beside_it_have_one_lock(tmp_path):
    target = tmp_path / "run"
    refused = pytest.raises(RunFolderError, match="is being written by")
    with replacing.held(target), refused, replacing.held(replacing.beside(target)):
        pytest.fail("both are held")


@pytest.mark.parametrize("step", range(3))
def test_a_discarded_folder_is_whole_or_gone(tmp_path, monkeypatch, step):
    target = tmp_path / "run"
    complete(target, "old")
    with monkeypatch.context() as patch, contextlib.suppress(Killed):
        kill_at(patch, step)
        replacing.discard(target)
    assert not target.exists() or len(list(target.iterdir())) == 3
    replacing.settle_all(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} <= {"run"}


def test_who_reads_removes_what_a_killed_process_left(tmp_path):
    target = tmp_path / "run"
    complete(target, "old")
    (tmp_path / ".making-run").mkdir()
    (target / "figures" / ".writing-0-1-x").mkdir(parents=True)
    with replacing.locked(target):
        replacing.settle(target)  # another process writes: nothing is touched
        assert (tmp_path / ".making-run").is_dir()
    replacing.settle(target)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert [*target.glob("**/.writing*")] == []


def test_leftovers_are_removed_at_any_depth(tmp_path):
    target = tmp_path / "run"
    complete(target, "old")
    for place in (target, target / "figures", replacing.beside(target)):
        (place / ".writing-0-1-x").mkdir(parents=True)
    with replacing.held(target):
        assert [*tmp_path.glob("**/.writing*")] == []


def test_only_a_whole_and_finished_folder_takes_over(tmp_path):
    target = tmp_path / "run"
    new = replacing.beside(target)
    for spoil in ("metrics.json", "config.toml", "manifest.json"):
        complete(target, "old")
        complete(new, "new")
        (new / spoil).write_text("x")
        with replacing.held(target):
            assert (target / "config.toml").read_text() == "old"
        assert new.is_dir()
        shutil.rmtree(target)
        shutil.rmtree(new)
    complete(target, "old")
    new.mkdir()
    (new / "config.toml").write_text("cut off, and without a checkpoint")
    Manifest.of(new, [new / "config.toml"]).write(new)
    with replacing.held(target):
        assert (target / "config.toml").read_text() == "old"


def test_a_file_that_cannot_be_copied_is_named(tmp_path):
    target = tmp_path / "run"
    complete(target, "old")
    (target / "loop").symlink_to("loop")
    refused = pytest.raises(RunFolderError, match=r"cannot copy .*run/loop: .*remove it")
    with refused, replacing.made_anew(target, copy=True):
        pytest.fail("it was copied")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("name", ["loop", "a\0b", "x" * 300])
def test_what_is_not_a_path_is_said(tmp_path, name):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(RunFolderError, match="cannot be used as a path"):
        replacing.settle(tmp_path / name)
    with pytest.raises(RunFolderError, match="cannot be used as a path"), replacing.held(tmp_path / name):
        pytest.fail("it was held")
