"""Finding recordings: every layout, partial copies, and where a set is looked for."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bisnn_pyro.data import EventSet, dvs_gesture, location, mnist_dvs, nmnist, poker_dvs, shd
from bisnn_pyro.data.events.layouts import (
    Reader,
    Recording,
    find_classes,
    find_flat,
    find_gestures,
    find_layout,
    find_mnist_dvs,
    find_shd,
)
from bisnn_pyro.errors import DataError
from tests.data.events.writers import (
    aedat2_bytes,
    make_events,
    write_bin,
    write_class_folders,
    write_gestures,
    write_mnist_dvs,
    write_shd,
)
from tests.real_data import DATA, needs


def found(layout, root):
    return [(r.path.relative_to(root).as_posix(), r.label, r.part) for r in layout.recordings]


class TestFolders:
    @pytest.mark.parametrize(
        "parts", [("Train", "Test"), ("train", "test"), ("pips_train", "pips_test"), ("Training", "Testing")]
    )
    def test_parts(self, tmp_path, parts):
        layout = find_classes(write_class_folders(tmp_path, parts=parts, n=1))
        assert found(layout, tmp_path) == [
            (f"{folder}/{k}/00000.bin", k, part)
            for folder, part in zip(parts, ("train", "test"), strict=True)
            for k in "01"
        ]

    def test_classes_without_parts_and_what_is_passed_over(self, tmp_path):
        write_class_folders(tmp_path, classes=("b", "a"), parts=(".",), n=1)
        (tmp_path / "a" / "README.txt").write_text("not a recording")
        (tmp_path / "a" / ".hidden.bin").write_bytes(b"")
        (tmp_path / ".git").mkdir()
        write_bin(tmp_path / "stray.bin", make_events(3))
        layout = find_classes(tmp_path)
        assert found(layout, tmp_path) == [("a/00000.bin", "a", ""), ("b/00000.bin", "b", "")]
        assert find_classes(tmp_path, suffixes=(".npy",)) is None
        assert found(find_flat(tmp_path), tmp_path) == [("stray.bin", "", "")]
        assert find_flat(tmp_path / ".git") is None

    def test_a_class_may_be_called_something_with_train(self, tmp_path):
        write_class_folders(tmp_path, classes=("strain", "rest"), parts=(".",), n=1)
        assert [r.label for r in find_classes(tmp_path).recordings] == ["rest", "strain"]

    def test_a_class_may_be_called_train(self, tmp_path):
        write_class_folders(tmp_path, classes=("train", "car"), parts=(".",), n=1)
        layout = find_classes(tmp_path)
        assert [(r.label, r.part) for r in layout.recordings] == [("car", ""), ("train", "")]
        assert layout.notes == ()

    def test_what_is_passed_over_is_named(self, tmp_path):
        write_class_folders(tmp_path, parts=("train", "test", "val"), n=1)
        (tmp_path / "docs").mkdir()
        layout = find_classes(tmp_path)
        assert {r.part for r in layout.recordings} == {"train", "test"}
        (note,) = layout.notes
        assert "not read: val/; only train and test are read (data.n_val" in note
        write_class_folders(tmp_path / "plain", parts=(".", "deep"), n=1)
        write_bin(tmp_path / "plain" / "stray.bin", make_events(3))
        (note,) = find_classes(tmp_path / "plain").notes
        assert "not read: stray.bin, deep/; they are not in the folder of a class" in note

    def test_a_name_that_is_no_text(self, tmp_path):
        try:
            write_bin(Path(os.fsdecode(os.fsencode(tmp_path) + b"/b\xf6se/1.bin")), make_events(3))
        except OSError:
            pytest.skip("the file system takes no such name")
        with pytest.raises(DataError, match=r"b\\xf6se/1.bin' is not UTF-8; rename it"):
            find_classes(tmp_path)


class TestGestures:
    def test_each_gesture_is_its_span(self, tmp_path):
        held = write_gestures(tmp_path)
        layout = find_gestures(tmp_path)
        assert [(r.path.stem, r.label, r.part) for r in layout.recordings] == [
            (name, str(k), part)
            for name, part in (("user01_led", "train"), ("user24_led", "test"))
            for k in (1, 2, 3)
        ]
        read = Reader(layout.sensor)
        for recording in layout.recordings:
            expected = held[recording.path.stem][int(recording.label) - 1]
            events = read(recording)
            assert np.array_equal(events.t, expected.t - recording.span[0])
            assert np.array_equal(events.y, expected.y)

    def test_the_published_lists_come_first(self, tmp_path):
        write_gestures(tmp_path, lists=True)  # they swap the two subjects
        parts = {r.path.stem: r.part for r in find_gestures(tmp_path).recordings}
        assert parts == {"user01_led": "test", "user24_led": "train"}

    def test_partial_copies(self, tmp_path):
        write_gestures(tmp_path)
        (tmp_path / "user01_led.aedat").unlink()
        assert {r.path.stem for r in find_gestures(tmp_path).recordings} == {"user24_led"}
        (tmp_path / "user24_led_labels.csv").unlink()
        assert find_gestures(tmp_path) is None

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("a,b,c\n1,2,3\n", "does not begin with class,startTime_usec"),
            ("", "does not begin"),
            ("class,startTime_usec,endTime_usec\n1,2\n", "holds the row 1,2"),
            ("class,startTime_usec,endTime_usec\n1,x,3\n", "holds the row 1,x,3"),
        ],
    )
    def test_damaged_tables(self, tmp_path, text, message):
        write_gestures(tmp_path)
        (tmp_path / "user01_led_labels.csv").write_text(text)
        with pytest.raises(DataError, match=rf"user01_led_labels.csv {message}"):
            find_gestures(tmp_path)

    def test_a_damaged_list(self, tmp_path):
        write_gestures(tmp_path, lists=True)
        (tmp_path / "trials_to_train.txt").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match=r"trials_to_train.txt cannot be read"):
            find_gestures(tmp_path)

    def test_a_gesture_without_events_is_named(self, tmp_path):
        write_gestures(tmp_path)
        gesture = Recording(tmp_path / "user01_led.aedat", "1", "train", (5, 6))
        with pytest.raises(DataError, match=r"user01_led.aedat \(5 to 6 us\): it holds no event"):
            Reader()(gesture)


class TestMnistDvs:
    def test_digits_and_scales(self, tmp_path):
        write_mnist_dvs(tmp_path, n=2)
        write_mnist_dvs(tmp_path, n=1, scale=16)
        assert [r.label for r in find_mnist_dvs(tmp_path, 4).recordings] == ["0", "0", "1", "1"]
        assert len(find_mnist_dvs(tmp_path).recordings) == 6
        assert find_mnist_dvs(tmp_path, 8) is None
        assert len(find_mnist_dvs(tmp_path / "grabbed_data1" / "scale4").recordings) == 2

    def test_cuts_beside_the_whole_recording_are_passed_over(self, tmp_path):
        write_mnist_dvs(tmp_path, n=2)
        (folder,) = tmp_path.glob("*0/scale4")
        for name in ("mnist_0_scale04_0001_qt1", "mnist_0_scale04_0001_qt2", "mnist_0_scale04_0009_qt1"):
            (folder / f"{name}.aedat").write_bytes(aedat2_bytes(make_events(5)))
        names = [r.path.stem for r in find_mnist_dvs(tmp_path, 4).recordings if r.label == "0"]
        assert names == ["mnist_0_scale04_0001", "mnist_0_scale04_0002", "mnist_0_scale04_0009_qt1"]

    def test_the_order_is_that_of_the_paths(self, tmp_path):
        for copy in ("b", "a", "c"):
            write_mnist_dvs(tmp_path / copy, digits=(0,), n=1)
        paths = [r.path for r in find_mnist_dvs(tmp_path / "a").recordings]
        flat = tmp_path / "flat"
        for copy in ("b", "a", "c"):
            (flat / copy).mkdir(parents=True)
            (flat / copy / paths[0].name).write_bytes(paths[0].read_bytes())
        assert [r.path.parent.name for r in find_mnist_dvs(flat).recordings] == ["a", "b", "c"]

    @needs("mnist_dvs_samples")
    def test_published_samples(self):
        assert len(find_mnist_dvs(DATA / "mnist_dvs_samples").recordings) == 3


class TestShd:
    def test_rows_are_recordings(self, tmp_path):
        rows = write_shd(tmp_path / "shd_train.h5", [3, 0, 19])
        layout = find_shd(tmp_path)
        assert [(r.label, r.part, r.row) for r in layout.recordings] == [
            ("3", "train", 0),
            ("0", "train", 1),
            ("19", "train", 2),
        ]
        read = Reader(layout.sensor)
        for recording, (times, units) in zip(layout.recordings, rows, strict=True):
            events = read(recording)
            # A float16 below 1 is a whole number of 2^-24: seconds to microseconds in exact arithmetic.
            exact = [round(int(float(s) * 2**24) * 1_000_000 / 2**24) for s in times]
            assert events.t.tolist() == exact
            assert events.x.tolist() == units.tolist()
            assert set(events.y.tolist()) == {0}

    @pytest.mark.parametrize(
        ("content", "message"), [(b"", "not complete"), (b"\x89HDF\r\n\x1a\n", "not complete")]
    )
    def test_damaged_files(self, tmp_path, content, message):
        (tmp_path / "shd_test.h5").write_bytes(content)
        with pytest.raises(DataError, match=rf"shd_test.h5: the HDF5 file is {message}"):
            find_shd(tmp_path)

    def test_times_that_are_no_numbers(self, tmp_path):
        import h5py

        write_shd(tmp_path / "shd_train.h5", [3, 0])
        with h5py.File(tmp_path / "shd_train.h5", "r+") as file:
            file["spikes/times"][1] = np.array(
                [0.1, np.nan] * (len(file["spikes/times"][1]) // 2), np.float16
            )
        layout = find_shd(tmp_path)
        with pytest.raises(DataError, match=r"row 1\): spikes/times holds NaN"):
            Reader(layout.sensor)(layout.recordings[1])

    def test_other_hdf5_files(self, tmp_path):
        import h5py

        with h5py.File(tmp_path / "shd_test.h5", "w") as file:
            file["labels"] = [1, 2]
        with pytest.raises(DataError, match="it has no array spikes/times and no spikes/units"):
            find_shd(tmp_path)


class TestPlace:
    @pytest.mark.parametrize("below", ["", "nmnist", "N-MNIST", "nmnist_small", "NMNIST/N_MNIST"])
    @pytest.mark.parametrize("way", ["path", "variable"])
    def test_the_folder_or_its_parent(self, tmp_path, monkeypatch, below, way):
        root = tmp_path / "data"
        write_class_folders(root / below)
        (root / "another").mkdir()
        if way == "variable":
            monkeypatch.setenv("BISNN_DATA", str(root))
        layout = nmnist.locate(root if way == "path" else None)
        assert layout.root == root / below
        assert layout.sensor == (34, 34)

    def test_nothing_there(self, tmp_path, monkeypatch):
        with pytest.raises(DataError, match=r"data.path = .*gone does not exist.*--data-dir"):
            nmnist.locate(tmp_path / "gone")
        (tmp_path / "file").write_text("")
        with pytest.raises(DataError, match=r"file is a file; expected a folder"):
            nmnist.locate(tmp_path / "file")
        with pytest.raises(DataError, match=r"for Train/<digit>.*it holds file\. .*garrickorchard"):
            nmnist.locate(tmp_path)
        monkeypatch.setenv("BISNN_DATA", str(tmp_path / "gone"))
        with pytest.raises(DataError, match=r"BISNN_DATA is .*not a folder"):
            nmnist.locate()

    @pytest.mark.parametrize("wanted", [mnist_dvs, dvs_gesture])
    def test_sets_without_a_download_say_where_to_get_them(self, wanted):
        with pytest.raises(DataError, match=rf"no recordings of {wanted.name}: .* no download.*https?://"):
            wanted.locate()

    @pytest.mark.parametrize("wanted", [nmnist, poker_dvs, shd])
    def test_a_download_that_fails_says_so(self, wanted, monkeypatch):
        def refuse(name, url, md5):
            assert all(len(checksum) == 32 for checksum in md5.values())
            raise OSError("no connection to the publisher")

        monkeypatch.setattr(location, "download", refuse)
        with pytest.raises(DataError, match=rf"download of https://.*no connection.*{wanted.name}"):
            wanted.locate()

    def test_archives_are_fetched_once_and_unpacked_whole(self, tmp_path, monkeypatch, user_cache):
        published = write_class_folders(tmp_path / "published")
        fetched = []

        def download(name, url, md5):
            (file,) = md5
            fetched.append(file)
            part = file.removesuffix(".zip")
            with zipfile.ZipFile(tmp_path / file, "w") as archive:
                for entry in (published / part).rglob("*.bin"):
                    archive.write(entry, entry.relative_to(published))
            return [tmp_path / file]

        monkeypatch.setattr(location, "download", download)
        md5 = {"Train.zip": "0" * 32, "Test.zip": "1" * 32}
        where = ("Nowhere.", ("tiny",), "https://x/", md5)
        wanted = EventSet("tiny", "A set.", find_classes, "recordings", *where)
        for _ in range(2):
            layout = wanted.locate()
            assert layout.root == user_cache / "tiny" / "unpacked"
            assert len(layout.recordings) == 12
        assert fetched == ["Train.zip", "Test.zip"]
        names = {entry.name for entry in layout.root.iterdir()}
        assert names == {"Train", "Test", f".{'0' * 32}", f".{'1' * 32}"}

    def test_a_damaged_archive(self, tmp_path, monkeypatch):
        (tmp_path / "a.tar.gz").write_bytes(b"no archive")
        monkeypatch.setattr(location, "download", lambda *_: [tmp_path / "a.tar.gz"])
        with pytest.raises(DataError, match="cannot be unpacked"):
            poker_dvs.locate()

    @needs("poker_dvs")
    def test_the_published_archives_of_poker_dvs(self, monkeypatch):
        import hashlib

        folder = DATA / "poker_dvs" / "POKERDVS"
        for file, checksum in poker_dvs.md5.items():
            assert hashlib.md5((folder / file).read_bytes()).hexdigest() == checksum
        monkeypatch.setattr(location, "download", lambda name, url, md5: [folder / next(iter(md5))])
        parts = [r.part for r in poker_dvs.locate().recordings]
        assert (parts.count("train"), parts.count("test")) == (48, 20)


class TestSurvey:
    @pytest.mark.parametrize(
        ("write", "kind"),
        [
            (write_class_folders, "Train and Test, one folder per class"),
            (write_gestures, "DVS128 Gesture"),
            (write_mnist_dvs, "MNIST-DVS"),
            (lambda root: write_bin(root / "a.bin", make_events(3)), "a flat folder, no classes"),
        ],
    )
    @pytest.mark.parametrize("below", ["", "inner"])
    def test_finds_the_layout_here_or_one_folder_down(self, tmp_path, write, kind, below):
        write(tmp_path / "set" / below)
        layout = find_layout(tmp_path / "set")
        if kind.startswith("a flat") and below:
            assert layout.kind == "one folder per class"  # one class, by the name of its folder
        else:
            assert layout.kind == kind

    def test_shd(self, tmp_path):
        write_shd(tmp_path / "shd_train.h5", [0, 1])
        assert find_layout(tmp_path).kind == "Spiking Heidelberg Digits"
        with pytest.raises(DataError, match="give the folder that contains"):
            find_layout(tmp_path / "shd_train.h5")

    def test_one_file(self, tmp_path):
        layout = find_layout(write_bin(tmp_path / "a.bin", make_events(3)))
        assert (layout.kind, len(layout.recordings)) == ("one recording", 1)

    def test_several_sets(self, tmp_path):
        write_class_folders(tmp_path / "one" / "x")
        write_class_folders(tmp_path / "one" / "y")
        with pytest.raises(DataError, match="holds several sets of recordings: x, y; name one"):
            find_layout(tmp_path / "one")

    def test_a_published_set_beside_others_hides_none(self, tmp_path):
        write_mnist_dvs(tmp_path / "mnist-dvs", n=1)
        assert find_layout(tmp_path).kind == "MNIST-DVS"
        write_class_folders(tmp_path / "nmnist", n=1)
        write_class_folders(tmp_path / "poker" / "inner", n=1)
        with pytest.raises(DataError, match="several sets of recordings: mnist-dvs, nmnist, poker; name one"):
            find_layout(tmp_path)
        write_gestures(tmp_path / "two" / "gestures")
        write_class_folders(tmp_path / "two" / "nmnist", n=1)
        with pytest.raises(DataError, match="several sets of recordings: gestures, nmnist; name one"):
            find_layout(tmp_path / "two")

    @pytest.mark.parametrize("name", ["gone", "text.txt", "empty"])
    def test_nothing_to_find(self, tmp_path, name):
        (tmp_path / "text.txt").write_text("")
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=name):
            find_layout(Path(tmp_path) / name)
