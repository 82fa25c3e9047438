"""Recordings on disk: what is written is read, half a file is refused, and memory stays bounded."""

import copy
import os
import pickle
import threading
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bisnn_pyro.cli import app
from bisnn_pyro.data.events import binning
from bisnn_pyro.data.events.binning import Binning, bin_recordings, cache_key, clear_cache
from bisnn_pyro.data.events.formats import READERS, read_bin
from bisnn_pyro.data.events.layouts import Reader, find_classes
from bisnn_pyro.data.events.spikes import Recordings, SpikeFile, write_spikes
from bisnn_pyro.errors import DataError
from tests.data.events.writers import make_events, write_bin, write_class_folders

N, T, INPUTS = 7, 5, 11


def save(path, arrays, **header):
    with path.open("wb") as stream:
        write_spikes(stream, (None if a is None else np.packbits(a) for a in arrays), header)
    return path


@pytest.fixture
def dense():
    return (np.random.default_rng(0).random((N, T, INPUTS)) < 0.3).astype(np.uint8)


@pytest.fixture
def recordings(dense, tmp_path):
    file = SpikeFile(save(tmp_path / "a.spikes", dense).open("rb"), "a")
    return Recordings(file, np.arange(N), T, INPUTS)


class TestRecordings:
    @given(data=st.data())
    @settings(deadline=None, max_examples=50)
    def test_an_index_gives_what_it_gives_on_an_array(self, data, tmp_path_factory):
        dense = (np.random.default_rng(1).random((N, T, INPUTS)) < 0.3).astype(np.uint8)
        file = SpikeFile(save(tmp_path_factory.mktemp("s") / "a", dense).open("rb"), "a")
        recordings = Recordings(file, np.arange(N), T, INPUTS)
        one = st.integers(-N, N - 1)
        index = data.draw(
            one
            | st.slices(N)
            | st.lists(one, max_size=9).map(lambda rows: np.array(rows, dtype=np.int64))
            | st.lists(st.booleans(), min_size=N, max_size=N).map(np.array)
        )
        found, expected = recordings[index], dense[index]
        assert found.dtype == np.uint8
        assert found.shape == expected.shape
        assert np.array_equal(found, expected)

    def test_looks_like_an_array(self, recordings, dense):
        assert (recordings.shape, recordings.ndim, recordings.dtype) == ((N, T, INPUTS), 3, np.uint8)
        assert (len(recordings), recordings.size) == (N, N * T * INPUTS)
        assert np.array_equal(np.asarray(recordings), dense)
        assert np.asarray(recordings, dtype=np.float32).dtype == np.float32
        assert repr(recordings) == "Recordings(shape=(7, 5, 11), file='a')"
        some = recordings.take(np.array([5, 0]))
        assert np.array_equal(some[:], dense[[5, 0]])
        assert recordings.take(np.zeros(0, np.int64))[:].shape == (0, T, INPUTS)

    @pytest.mark.parametrize("index", [(0, 1), None, ..., np.zeros((2, 2), np.int64), N, -N - 1])
    def test_other_indices_are_refused(self, recordings, index):
        with pytest.raises(IndexError):
            recordings[index]

    def test_threads_share_it(self, recordings, dense):
        wrong = []

        def read(seed):
            for row in np.random.default_rng(seed).integers(0, N, 200):
                if not np.array_equal(recordings[int(row)], dense[row]):
                    wrong.append(row)

        threads = [threading.Thread(target=read, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


class TestSpikeFile:
    def test_header_and_gaps(self, dense, tmp_path):
        file = SpikeFile(save(tmp_path / "a", [dense[0], None, dense[1]], steps=5).open("rb"), "a")
        assert (len(file), file.header) == (3, {"steps": 5})
        assert np.array_equal(file.read(2, T * INPUTS), dense[1].ravel())

    def test_no_part_of_a_file_is_read_as_whole(self, dense, tmp_path):
        content = save(tmp_path / "a", dense).read_bytes()
        for size in range(len(content)):
            (tmp_path / "b").write_bytes(content[:size])
            with pytest.raises(DataError, match="not a complete file of spikes"):
                SpikeFile((tmp_path / "b").open("rb"), "b")

    @pytest.mark.parametrize("part", ["header", "offsets"])
    def test_any_damage_of_header_and_offsets_is_found(self, part, dense, tmp_path):
        content = save(tmp_path / "a", dense, steps=5).read_bytes()
        begin = content.index(b'{"steps"')
        end = content.index(b"}", begin) + 1
        for at in range(begin, end) if part == "header" else range(end, end + 8 * (N + 1)):
            damaged = bytearray(content)
            damaged[at] ^= 0x01
            (tmp_path / "b").write_bytes(damaged)
            with pytest.raises(DataError, match="not a complete file of spikes"):
                SpikeFile((tmp_path / "b").open("rb"), "b")

    def test_copies_and_pickles_read_the_same_file(self, dense, tmp_path):
        file = SpikeFile.at(save(tmp_path / "a", dense))
        recordings = Recordings(file, np.arange(N)[::2], T, INPUTS)
        for other in (copy.deepcopy(recordings), pickle.loads(pickle.dumps(recordings))):
            assert np.array_equal(other[:], dense[::2])
        assert copy.deepcopy(file) is file
        unnamed = SpikeFile((tmp_path / "a").open("rb"), "the temporary file")
        assert copy.deepcopy(unnamed) is unnamed
        with pytest.raises(DataError, match=r"data.cache = true"):
            pickle.dumps(unnamed)

    def test_damage_is_found(self, dense, tmp_path):
        content = bytearray(save(tmp_path / "a", dense).read_bytes())
        content[5] ^= 0xFF
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(DataError, match=r"a is damaged .* delete it"):
            SpikeFile((tmp_path / "a").open("rb"), "a").read(0, T * INPUTS)


@pytest.fixture
def layout(tmp_path):
    return find_classes(write_class_folders(tmp_path / "set"), sensor=(34, 34))


BINNING = Binning(10.0, 30)


def reads(monkeypatch):
    """Count the recordings that are read from here on."""
    count = []
    original = Reader.__call__
    monkeypatch.setattr(Reader, "__call__", lambda self, r: count.append(r) or original(self, r))
    return count


class TestCache:
    def test_is_what_binning_gives_and_is_read_once(self, layout, user_cache, monkeypatch):
        count = reads(monkeypatch)
        first = bin_recordings("set", layout, BINNING)
        assert len(count) == len(layout.recordings) == 12
        second = bin_recordings("set", layout, BINNING)
        assert len(count) == 12
        expected = [BINNING.spikes(Reader((34, 34))(r), (34, 34)) for r in layout.recordings]
        for binned in (first, second):
            assert np.array_equal(binned.spikes[:], expected)
            assert binned.image_shape == (2, 34, 34)
            assert binned.rows.tolist() == list(range(12))
        assert [p.suffix for p in (user_cache / "set" / "binned").iterdir()] == [".spikes"]

    def test_any_change_of_settings_or_sources_makes_another_file(self, layout):
        keys = {cache_key(layout, b) for b in (BINNING, Binning(10, 30), Binning(5.0, 30))}
        assert len(keys) == 2
        path = layout.recordings[0].path
        os.utime(path, ns=(0, 1))
        keys.add(cache_key(layout, BINNING))
        write_bin(path, make_events(7))
        keys.add(cache_key(layout, BINNING))
        path.unlink()
        keys.add(cache_key(find_classes(layout.root, sensor=(34, 34)), BINNING))
        assert len(keys) == 5

    def test_a_copy_in_another_place_is_another_set(self, tmp_path):
        """The same names, sizes and times of change, as unpacking archives may leave them."""
        keys = set()
        for k, place in enumerate(("v1", "v2")):
            root = write_class_folders(tmp_path / place / "rec", n=1)
            for file in sorted(root.rglob("*.bin")):
                write_bin(file, make_events(50, seed=k))
                os.utime(file, (10**9, 10**9))
            keys.add(cache_key(find_classes(root, sensor=(34, 34)), BINNING))
        (tmp_path / "link").symlink_to(tmp_path / "v1")
        keys.add(cache_key(find_classes(tmp_path / "link" / "rec", sensor=(34, 34)), BINNING))
        assert len(keys) == 2

    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
    def test_an_interrupted_run_leaves_nothing_to_be_read(self, layout, user_cache, monkeypatch, error):
        def interrupted(self, recording):
            if recording == layout.recordings[5]:
                raise error
            return original(self, recording)

        original = Reader.__call__
        with monkeypatch.context() as patch:
            patch.setattr(Reader, "__call__", interrupted)
            with pytest.raises(error):
                bin_recordings("set", layout, BINNING)
        assert list((user_cache / "set" / "binned").iterdir()) == []
        count = reads(monkeypatch)
        bin_recordings("set", layout, BINNING)
        assert len(count) == 12

    def test_a_killed_run_or_a_damaged_file_is_made_anew(self, layout, user_cache, monkeypatch):
        whole = bin_recordings("set", layout, BINNING).spikes[:]
        (file,) = (user_cache / "set" / "binned").iterdir()
        file.write_bytes(file.read_bytes()[:-40])
        count = reads(monkeypatch)
        assert np.array_equal(bin_recordings("set", layout, BINNING).spikes[:], whole)
        assert len(count) == 12

    @pytest.mark.parametrize("way", ["off", "unwritable"])
    def test_without_a_cache(self, layout, user_cache, way):
        if way == "unwritable":
            user_cache.parent.mkdir(parents=True)
            user_cache.write_text("in the way of the folder")
        binned = bin_recordings("set", layout, BINNING, cache=way != "off")
        expected = [BINNING.spikes(Reader((34, 34))(r), (34, 34)) for r in layout.recordings]
        assert np.array_equal(binned.spikes[:], expected)
        assert not (user_cache / "set").exists()

    def test_the_sensor_is_measured_where_nothing_says(self, layout, monkeypatch):
        count = reads(monkeypatch)
        open_layout = find_classes(layout.root)
        binned = bin_recordings("set", open_layout, BINNING)
        reach = np.max([Reader()(r).extent for r in layout.recordings], axis=0)
        assert binned.image_shape == (2, *reach)
        assert len(count) == 2 * 12 + 12
        bin_recordings("set", open_layout, BINNING)
        assert len(count) == 36

    def test_memory_holds_one_recording_at_a_time(self, tmp_path):
        root = write_class_folders(tmp_path / "many", n=25)
        layout = find_classes(root, sensor=(34, 34))
        binning = Binning(1.0, 300)
        bin_recordings("many", find_classes(root / "Test", sensor=(34, 34)), binning)  # imports, once
        tracemalloc.start()
        binned = bin_recordings("many", layout, binning)
        for rows in np.arange(100).reshape(-1, 4):
            binned.spikes[rows]
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        one = 300 * 2 * 34 * 34
        assert binned.spikes.size == 100 * one
        assert peak < 10 * one


class TestRefused:
    @pytest.fixture
    def broken(self, layout):
        (layout.root / "Train" / "0" / "00001.bin").write_bytes(b"abc")
        (layout.root / "Test" / "1" / "00002.bin").write_bytes(b"")
        return layout

    def test_raises_with_the_name(self, broken):
        with pytest.raises(DataError, match=r"Train/0/00001.bin: 3 bytes .*data.on_error = 'skip'"):
            bin_recordings("set", broken, BINNING)

    def test_skips_and_counts_them(self, broken):
        binned = bin_recordings("set", broken, BINNING, on_error="skip")
        assert binned.rows.tolist() == [0, *range(2, 11)]
        assert [Path(text.split(":")[0]).name for text in binned.refused] == ["00001.bin", "00002.bin"]
        kept = [broken.recordings[row] for row in binned.rows]
        expected = [BINNING.spikes(Reader((34, 34))(r), (34, 34)) for r in kept]
        assert np.array_equal(binned.spikes[:], expected)
        # The spikes are cached now; a strict reader still refuses.
        assert bin_recordings("set", broken, BINNING, on_error="skip").refused == binned.refused
        with pytest.raises(DataError, match=r"00001.bin"):
            bin_recordings("set", broken, BINNING)

    @pytest.mark.parametrize("measured", [False, True])
    def test_what_the_system_could_not_read_is_tried_anew(self, layout, measured, monkeypatch):
        if measured:
            layout = find_classes(layout.root)

        def fails(path):
            if path == layout.recordings[0].path:
                raise OSError(5, "Input/output error")
            return read_bin(path)

        with monkeypatch.context() as patch:
            patch.setitem(READERS, ".bin", fails)
            binned = bin_recordings("set", layout, BINNING, on_error="skip")
            assert binned.refused == (f"{layout.recordings[0]}: it cannot be read: Input/output error",)
        count = reads(monkeypatch)
        assert bin_recordings("set", layout, BINNING, on_error="skip").refused == ()
        assert bin_recordings("set", layout, BINNING).rows.tolist() == list(range(12))
        assert len(count) == (24 if measured else 12)

    def test_measuring_says_how_to_skip(self, broken):
        with pytest.raises(DataError, match=r"00001.bin: 3 bytes .*data.on_error = 'skip'"):
            bin_recordings("set", find_classes(broken.root), BINNING)

    def test_nothing_readable(self, layout):
        for recording in layout.recordings:
            recording.path.write_bytes(b"abc")
        with pytest.raises(DataError, match="none of the 12 recordings"):
            bin_recordings("set", layout, BINNING, on_error="skip")

    def test_steps_that_no_event_falls_in(self, layout):
        with pytest.raises(DataError, match=r"no recording .* event in the 0.01 ms .*in milliseconds"):
            bin_recordings("set", layout, Binning(0.001, 10))

    @pytest.mark.parametrize(("key", "value"), [("on_error", "ignore"), ("cache", "no")])
    def test_wrong_settings(self, layout, key, value):
        with pytest.raises(DataError, match=f"data.{key} is {value!r}"):
            bin_recordings("set", layout, BINNING, **{key: value})


def test_the_bar_is_silent_without_a_terminal(layout, capfd, monkeypatch):
    monkeypatch.setattr(binning, "_QUIET_SECONDS", 0.0)
    bin_recordings("set", layout, BINNING)
    assert capfd.readouterr() == ("", "")


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
