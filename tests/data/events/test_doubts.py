"""Recordings that are read as something else than was meant: a note or a refusal."""

import re

import numpy as np
import pytest

from bisnn_pyro.data import Binning, Events, event_folder, inspect_recordings
from bisnn_pyro.data.events.formats import read_aedat, read_array
from bisnn_pyro.data.events.layouts import find_classes, find_gestures
from bisnn_pyro.errors import DataError, DataWarning
from tests.data.events.writers import AEDAT3, aedat3_bytes, make_events, write_class_folders, write_gestures


def columns(events):
    return {name: getattr(events, name) for name in "txyp"}


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class TestColumns:
    @pytest.mark.parametrize("order", ["xytp", "xypt", "ptxy", "xtyp"])
    def test_without_names_in_another_order(self, tmp_path, order):
        held = columns(make_events(80))
        np.save(tmp_path / "a.npy", np.stack([held[name] for name in order], 1))
        with pytest.raises(DataError, match=rf"column {order.index('t')} of the array ascends like times"):
            read_array(tmp_path / "a.npy")

    def test_times_that_jump_back_now_and_then_are_times(self, tmp_path):
        held = columns(make_events(200))
        held["t"][50:52] = held["t"][51:49:-1]
        np.save(tmp_path / "a.npy", np.stack([held[name] for name in "txyp"], 1))
        assert len(read_array(tmp_path / "a.npy")) == 200

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_few_events(self, tmp_path, n):
        held = columns(make_events(n))
        np.save(tmp_path / "a.npy", np.stack([held[name] for name in "txyp"], 1))
        assert len(read_array(tmp_path / "a.npy")) == n

    def test_names_are_believed(self, tmp_path):
        held = columns(make_events(80))
        np.savez(tmp_path / "a.npz", **{name: held[name] for name in "xytp"})
        assert np.array_equal(read_array(tmp_path / "a.npz").t, held["t"])


@pytest.mark.parametrize(("one", "other"), [(0, -1), (1, -1), (0, 1)])
def test_two_conventions_of_polarity_in_one_recording(tmp_path, one, other):
    e = make_events(80)
    p = np.where(np.arange(80) % 2, one, other)
    np.save(tmp_path / "a.npy", np.stack([e.t, e.x, e.y, p], 1))
    if (one, other) == (0, -1):
        with pytest.raises(DataError, match="polarities are both -1 and 0; expected 0 and 1, or -1 and 1"):
            read_array(tmp_path / "a.npy")
    else:
        assert np.array_equal(read_array(tmp_path / "a.npy").p, p == 1)


@pytest.mark.parametrize("name", ["Compressed", "Serial-TS", "PNG Compressed,Serial-TS"])
def test_aedat_of_another_format(tmp_path, name):
    header = AEDAT3.replace(b"RAW", name.encode())
    (tmp_path / "a.aedat").write_bytes(aedat3_bytes(make_events(20), header))
    with pytest.raises(
        DataError, match=rf"its #Format is {re.escape(name)}, which is not supported; expected RAW"
    ):
        read_aedat(tmp_path / "a.aedat")


def write(root, unit=1.0, begin=0, n=6):
    """Two classes of recordings of 0.3 s, whose times are in a unit of so many microseconds."""
    for k in "ab":
        (root / k).mkdir(parents=True)
        for i in range(n):
            e = make_events(80, seed=i, duration=300_000)
            t = np.floor((e.t + begin) / unit).astype(np.int64)
            np.save(root / k / f"{i}.npy", np.stack([t, e.x, e.y, e.p], 1))
    return root


class TestUnits:
    @pytest.mark.parametrize(
        ("unit", "note", "inspected"),
        [
            (1.0, None, None),
            (
                1000.0,
                "no event falls after step 1 of 30; recordings last up to 0.29",
                "or less, .*count milliseconds",
            ),
            (0.001, r"1\.\d+% of the events fall within the 300 ms", "or more, .* count nanoseconds"),
        ],
    )
    def test_a_note_in_a_run_and_an_inspection(self, tmp_path, unit, note, inspected):
        root = write(tmp_path / "set", unit)
        task = event_folder(path=root, time_step=10.0, n_steps=30, cache=False)
        found = inspect_recordings(root)
        if note is None:
            assert task.notes == ()
            assert found.doubts == []
        else:
            assert re.search(note, "; ".join(task.notes))
            assert re.search(inspected, found.summary())

    def test_the_clock_begins_elsewhere(self, tmp_path):
        root = write(tmp_path / "set", begin=5_000_000)
        assert event_folder(path=root, time_step=10.0, n_steps=30, cache=False).notes == ()
        with pytest.raises(DataError, match=r"no recording .* times count from the clock"):
            event_folder(path=root, time_step=10.0, n_steps=30, zero="clock", cache=False)
        assert "begin after 500" in inspect_recordings(root).summary()

    def test_silent_recordings_are_counted(self, tmp_path):
        root = write(tmp_path / "set", n=8)
        e = make_events(80)
        np.save(root / "a" / "0.npy", np.stack([e.t + 10**7, e.x, e.y, e.p], 1))
        task = event_folder(path=root, time_step=10.0, n_steps=30, zero="clock")
        assert task.notes == ("1 of 16 recordings have no spike in the time steps",)
        again = event_folder(path=root, time_step=10.0, n_steps=30, zero="clock")  # from the cache
        assert again.notes == task.notes


class TestNewRecordings:
    binning = Binning(10.0, 30)

    def test_none_of_its_events_is_within_the_steps(self):
        e = make_events(300)
        with pytest.raises(
            DataError, match=r"no event of new\.bin falls within the 300 ms .* 300 events lie between 5"
        ):
            self.binning.new_spikes(Events(e.t + 5_000_000, e.x, e.y, e.p), (34, 34), "new.bin")
        with pytest.raises(DataError, match="its 0 events lie between 0 and 0"):
            self.binning.new_spikes(Events(*(c[:0] for c in (e.t, e.x, e.y, e.p))), (34, 34))

    @pytest.mark.parametrize(
        ("factor", "words"), [(0.001, "no event falls after step 1"), (1000, r"0\.\d+% of")]
    )
    def test_another_unit(self, factor, words):
        e = make_events(2000, duration=290_000)
        with pytest.warns(DataWarning, match=words):
            self.binning.new_spikes(Events((e.t * factor).astype(np.int64), e.x, e.y, e.p), (34, 34))

    def test_one_like_those_of_the_training(self):
        e = make_events(300)
        assert np.array_equal(self.binning.new_spikes(e, (34, 34)), self.binning.spikes(e, (34, 34)))


def test_folders_whose_files_nobody_reads(tmp_path):
    write_class_folders(tmp_path, parts=("Train", "Test"), n=2)
    for part in ("Train", "Test"):
        (tmp_path / part / "2").mkdir()
        for i in range(3):
            (tmp_path / part / "2" / f"{i}.dat").write_bytes(b"...")
    (tmp_path / "Train" / "0" / "notes.txt").write_text("fine", encoding="utf-8")
    (note,) = find_classes(tmp_path).notes
    assert note.startswith("folders with files that are not recordings: 2/ (3 of 3 files: .dat), 2/")
    assert "read are .aedat, .bin, .npy, .npz" in note


def test_a_table_with_a_mark_of_its_encoding(tmp_path):
    write_gestures(tmp_path)
    expected = find_gestures(tmp_path)
    for table in tmp_path.glob("*.csv"):
        table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())
    assert find_gestures(tmp_path) == expected
