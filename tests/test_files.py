"""Files that are whole or not there, and what is said where they cannot be written."""

import errno
import os
import shutil

import pytest

from bisnn_pyro.errors import DataError
from bisnn_pyro.files import PREFIX, _host, atomic_folder, atomic_path, remove_leftovers


def test_a_block_that_raises_leaves_the_older_file(tmp_path):
    path = tmp_path / "a" / "numbers.csv"
    with atomic_path(path) as temporary:
        temporary.write_text("old")
    with pytest.raises(KeyError), atomic_path(path) as temporary:
        _write_half(temporary)
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_of_the_system_names_the_file(tmp_path):
    path = tmp_path / "page.html"
    with pytest.raises(OSError, match=r"page\.html") as caught, atomic_path(path):
        raise OSError(errno.EIO, "Input/output error")
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(path))
    with pytest.raises(FileNotFoundError) as missing, atomic_path(path):
        (tmp_path / "other").read_text()
    assert missing.value.filename == str(tmp_path / "other")  # which is not the one to be written
    with pytest.raises(OSError, match="reset by peer") as foreign, atomic_path(path):
        raise ConnectionResetError(errno.ECONNRESET, "reset by peer")  # which says nothing of the file
    assert foreign.value.filename is None
    assert not list(tmp_path.iterdir())


def test_whatever_a_library_says_of_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    with pytest.raises(OSError, match=r"last\.pt") as caught, atomic_path(path):
        raise RuntimeError("unexpected pos 11712 vs 11664")
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(DataError, match="columns"), atomic_path(path):
        raise DataError("columns of unlike length")


def test_what_killed_processes_left_is_removed(tmp_path):
    gone, own, other = (f"{PREFIX}{_host()}-{pid}-x" for pid in (2**22 + 1, os.getpid(), os.getppid()))
    foreign, old = f"{PREFIX}00000000-1-x", f"{PREFIX}earlier"
    for name in (gone, own, other, foreign, old):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / old, (0, 0))
    remove_leftovers(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {own, other, foreign}
    remove_leftovers(tmp_path, ours=True)
    assert {path.name for path in tmp_path.iterdir()} == {own, other}


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path):
    for text in ("first", "second"):
        with atomic_folder(tmp_path / "summary") as fresh:
            (fresh / f"{text}.csv").write_text(text)
    with pytest.raises(KeyError), atomic_folder(tmp_path / "summary") as fresh:
        _write_half(fresh / "third.csv")
    assert [path.name for path in tmp_path.rglob("*")] == ["summary", "second.csv"]


def _write_half(path):
    path.write_text("half")
    raise KeyError("x")
