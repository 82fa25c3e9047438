"""The cache of binned recordings: leftovers of killed writers go, and all of it on demand."""

import os
import time

import pytest

from bisnn_pyro.cli import app
from bisnn_pyro.data.events.binning import Binning
from bisnn_pyro.data.events.cache import bin_recordings
from bisnn_pyro.data.events.folders import find_classes
from bisnn_pyro.data.events.housekeeping import clear_cache
from tests.data.events.writers import write_class_folders


@pytest.fixture
def binned(tmp_path, user_cache):
    layout = find_classes(write_class_folders(tmp_path / "set", n=1), sensor=(34, 34))

    def make(n_steps):
        bin_recordings("set", layout, Binning(10.0, n_steps))
        return user_cache / "set" / "binned"

    return make


def test_leftovers_go_after_a_day(binned):
    folder = binned(30)
    for name, age in ((".writing-old", 25), (".writing-new", 23), ("other", 99)):
        (folder / name).mkdir()
        (folder / name / "half.spikes").write_bytes(bytes(9))
        then = time.time() - age * 3600
        os.utime(folder / name, (then, then))
    binned(20)
    assert {entry.name for entry in folder.iterdir() if entry.is_dir()} == {".writing-new", "other"}
    assert len(list(folder.glob("*.spikes"))) == 2


def test_clear_cache(binned, user_cache, capsys):
    folder = binned(30)
    (user_cache / "set" / "download.zip").write_bytes(b"keep")
    size = next(folder.iterdir()).stat().st_size
    found = clear_cache(dry_run=True)
    assert (found.folders, found.n_files, found.size) == ((folder,), 1, size)
    with pytest.raises(SystemExit):
        app(["data", "clear-cache", "--dry-run"])
    assert folder.is_dir()
    with pytest.raises(SystemExit):
        app(["data", "clear-cache"])
    assert not folder.exists()
    assert (user_cache / "set" / "download.zip").exists()
    printed = capsys.readouterr().out.split("\n")
    assert printed[:4] == [
        str(folder),
        "0.0 MB in 1 files would be freed",
        str(folder),
        "0.0 MB in 1 files freed",
    ]
    assert clear_cache().n_files == 0
