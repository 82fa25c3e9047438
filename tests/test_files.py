"""Files that are whole or not there, and what is said where they cannot be written."""

import errno
import shutil

import pytest

from bisnn_pyro.errors import DataError
from bisnn_pyro.files import atomic_path


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


def _write_half(path):
    path.write_text("half")
    raise KeyError("x")
