"""bisnn data inspect: what it says, draws and writes, and what it says of what is not there."""

import os
import subprocess
import sys

import numpy as np
import pytest

from bisnn_pyro.data import inspect_recordings, published_size
from bisnn_pyro.errors import DataError
from tests.data.events.writers import make_events, write_bin, write_class_folders, write_gestures, write_shd
from tests.data.idx_files import write_set
from tests.real_data import DATA, needs


@pytest.fixture
def folder(tmp_path):
    root = write_class_folders(tmp_path / "set", classes=("a", "b"), n=3)
    (root / "Train" / "a" / "00001.bin").write_bytes(b"abc")
    return root


def test_summary_counts_every_recording(folder):
    found = inspect_recordings(folder)
    text = found.summary()
    assert text.startswith(f"{folder}: Train and Test, one folder per class\n")
    assert "recordings: 11 (11 .bin), refused: 1" in text
    assert "events lie within 34 x 6 pixels" in text
    table = {line.split()[0]: line.split() for line in text.splitlines() if line[:3] in ("a  ", "b  ", "all")}
    assert table["a"][1:9] == ["5", "2", "3", "120", "/", "120", "/", "120"]
    assert table["b"][1:4] == ["6", "3", "3"]
    assert table["all"][1:4] == ["11", "5", "6"]
    assert "refused (1):" in text
    assert "00001.bin: 3 bytes are not a whole number of 5-byte events" in text


def test_numbers_of_one_recording(tmp_path):
    events = make_events(501, duration=250_000, seed=3)
    found = inspect_recordings(write_bin(tmp_path / "a.bin", events))
    (fact,) = found.facts
    assert (fact.n_events, fact.duration) == (501, int(events.t[-1] - events.t[0]))
    assert fact.rate == pytest.approx(501 / fact.duration * 1e6)
    assert fact.on_share == pytest.approx(events.p.mean())
    assert list(found.examples) == ["(none)"]


def test_the_heading_names_the_file_and_what_was_passed_over(folder, tmp_path):
    file = write_bin(tmp_path / "b" / "a.bin", make_events(5))
    assert inspect_recordings(file).summary().startswith(f"{file}: one recording\n")
    write_class_folders(folder, classes=("a",), parts=("val",), n=1)
    assert "\nnote: recordings in" in inspect_recordings(folder).summary()
    assert "not read: val/;" in inspect_recordings(folder).summary()


def test_the_frame_and_the_pictures(folder):
    found = inspect_recordings(folder)
    frame = found.frame()
    assert (len(frame), set(frame["part"]), frame["events"].sum()) == (11, {"train", "test"}, 11 * 120)
    pictures = found.pictures()
    assert pictures.extent is None
    for (label, (fact, events)), (title, caption, counts) in zip(
        found.examples.items(), pictures.panels, strict=True
    ):
        expected = np.zeros(found.sensor, int)
        np.add.at(expected, (events.y, events.x), 1)
        assert np.array_equal(counts, expected)
        assert title == f"class {label}"
        assert caption.startswith(f"{fact.n_events} events")


def test_gestures_and_single_rows_of_units(tmp_path):
    write_gestures(tmp_path / "gestures")
    found = inspect_recordings(tmp_path / "gestures")
    assert found.sensor == (128, 128)
    assert "sensor: 128 x 128 pixels" in found.summary()
    write_shd(tmp_path / "shd" / "shd_test.h5", [0, 3, 3])
    spoken = inspect_recordings(tmp_path / "shd")
    pictures = spoken.pictures()
    assert pictures.axis_names == ("time (ms)", "unit")
    # Label k has the units 30 k to 30 k + 29 of 700, which are drawn as 100 rows.
    for label, (_, _, counts) in zip((0, 3), pictures.panels, strict=True):
        drawn = np.flatnonzero(counts.sum(1))
        assert drawn.min() >= 30 * label // 7
        assert drawn.max() <= (30 * label + 29) // 7


def test_a_row_of_units_over_centuries(tmp_path):
    t = np.array([0, 2**60, 2**61])
    np.save(tmp_path / "a.npy", np.stack([t, np.arange(3), np.zeros(3, int), np.ones(3, int)], 1))
    found = inspect_recordings(tmp_path)
    assert "count nanoseconds" in found.summary()
    ((_, _, counts),) = found.pictures().panels
    assert np.argwhere(counts).tolist() == [[0, 0], [1, 50], [2, 99]]


def test_nothing_readable(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    with pytest.raises(DataError, match=r"none of the 1 recordings .*a.bin: 3 bytes"):
        inspect_recordings(tmp_path)


def test_the_command(folder, bisnn, tmp_path):
    done = bisnn("data", "inspect", folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "--out DIR" in done.stdout
    done = bisnn("data", "inspect", folder, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "pictures.png" in done.stdout
    assert (tmp_path / "out" / "pictures.png").read_bytes().startswith(b"\x89PNG")
    assert {f.name for f in (tmp_path / "out").iterdir()} == {
        *(f"pictures.{suffix}" for suffix in ("csv", "pdf", "png")),
        "recordings.csv",
    }
    listed = (tmp_path / "out" / "recordings.csv").read_text().splitlines()
    assert listed[0].startswith("recording,class,part,events,duration_us")
    assert len(listed) == 1 + 11


@pytest.mark.parametrize("name", ["gone", "empty", "text.txt", "broken.bin"])
def test_bad_paths_exit_with_2_and_no_traceback(name, bisnn, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("no recording")
    (tmp_path / "broken.bin").write_bytes(b"abc")
    done = bisnn("data", "inspect", name, "--out", "out", cwd=tmp_path)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_needs_no_torch(folder):
    code = (
        "import sys, bisnn_pyro.cli as c\n"
        f"sys.argv = ['bisnn', 'data', 'inspect', {os.fspath(folder)!r}]\n"
        "try: c.main()\n"
        "except SystemExit as e: assert e.code == 0, e.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@needs("nmnist_small")
def test_published_recordings():
    found = inspect_recordings(DATA / "nmnist_small")
    assert (len(found.facts), found.refused) == (1100, [])
    assert sum(fact.n_events for fact in found.facts) == 4518827
    assert found.sensor == (34, 34)


def test_the_size_of_a_published_set(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("BISNN_DATA", raising=False)
    assert published_size("nmnist") == 0
    write_class_folders(tmp_path / "data" / "nmnist", n=2)
    write_class_folders(tmp_path / "single" / "nmnist", classes=("3",), n=2)
    assert published_size("nmnist", tmp_path / "data") == 8
    assert published_size("nmnist", tmp_path / "single") == published_size("mnist", tmp_path / "data") == 0
    monkeypatch.setenv("BISNN_DATA", str(tmp_path / "data"))
    assert published_size("nmnist") == 8
    write_set(tmp_path / "data" / "mnist")
    assert published_size("mnist") == 4
