"""Readers against files written byte by byte, a naive reading of them, and the publishers' own."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bisnn_pyro.data.events.formats import Events, read_aedat, read_array, read_bin
from bisnn_pyro.data.events.layouts import Reader, Recording
from bisnn_pyro.errors import DataError
from tests.data.events.writers import AEDAT2, AEDAT3, aedat2_bytes, aedat3_bytes, bin_bytes, make_events
from tests.real_data import DATA, needs

quick = settings(deadline=None, max_examples=40)


def same(found, expected):
    for column in "txyp":
        assert np.array_equal(getattr(found, column), getattr(expected, column)), column


def some_events(side, longest):
    """Events on a square sensor with rising times."""
    one = st.tuples(
        st.integers(0, longest), st.integers(0, side - 1), st.integers(0, side - 1), st.integers(0, 1)
    )
    return st.lists(one, min_size=1, max_size=30).map(
        lambda rows: Events(*np.array(sorted(rows, key=lambda row: row[0]), dtype=np.int64).T)
    )


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def scratch(tmp_path_factory):
    return tmp_path_factory.mktemp("scratch")


class TestBin:
    def test_bytes_of_one_event(self, tmp_path):
        """x = 3, y = 5, ON, t = 0x012345 = 74565."""
        events = read_bin(written(tmp_path, "a.bin", bytes([3, 5, 0x81, 0x23, 0x45])))
        assert (events.x.tolist(), events.y.tolist(), events.p.tolist()) == ([3], [5], [1])
        assert events.t.tolist() == [0x012345]
        assert events.t.dtype == np.int64

    def test_overflow_events_are_no_events_and_add_to_all_later_times(self, tmp_path):
        content = bytes([1, 2, 0, 0, 9]) + 2 * bytes([0, 240, 0, 0, 10]) + bytes([1, 2, 0x80, 0, 11])
        events = read_bin(written(tmp_path, "a.bin", content))
        assert events.t.tolist() == [9, 11 + 2 * 2**13]
        assert events.p.tolist() == [0, 1]

    @given(events=some_events(34, 2**23 + 3 * 2**13))
    @quick
    def test_round_trip(self, events, scratch):
        same(read_bin(written(scratch, "a.bin", bin_bytes(events))), events)

    @needs("nmnist_small")
    def test_against_a_loop_over_a_published_recording(self):
        path = DATA / "nmnist_small" / "Train" / "5" / "00001.bin"
        raw = path.read_bytes()
        expected = [
            (int.from_bytes(raw[i + 2 : i + 5], "big") & 0x7FFFFF, raw[i], raw[i + 1], raw[i + 2] >> 7)
            for i in range(0, len(raw), 5)
        ]
        events = read_bin(path)
        assert len(events) == len(expected)
        same(events, Events(*np.array(expected).T))


class TestAedat2:
    def test_bytes_of_one_event(self, tmp_path):
        """Address 0x0506: y = 5, x = 3, and bit 0 clear, which is ON to jAER and to the camera's driver."""
        content = AEDAT2 + struct.pack(">II", 0x0506, 42)
        events = read_aedat(written(tmp_path, "a.aedat", content))
        assert (events.t, events.x, events.y, events.p) == (42, 3, 5, 1)
        assert events.sensor == (128, 128)

    @given(events=some_events(128, 2**31 - 1), begin=st.integers(0, 2**32 - 1))
    @quick
    def test_round_trip_whenever_the_clock_wraps(self, events, begin, scratch):
        shifted = Events(events.t - events.t[0] + begin, events.x, events.y, events.p)
        same(read_aedat(written(scratch, "a.aedat", aedat2_bytes(shifted))), shifted)

    def test_a_small_step_back_is_a_step_back(self, tmp_path):
        events = Events(np.array([2**32 - 1, 2**32 + 5, 2**32 + 3]), *np.zeros((3, 3), np.int64))
        found = read_aedat(written(tmp_path, "a.aedat", aedat2_bytes(events)))
        assert (found.t - found.t[0]).tolist() == [0, 6, 4]

    def test_a_set_polarity_bit_is_off(self, tmp_path):
        events = read_aedat(written(tmp_path, "a.aedat", AEDAT2 + struct.pack(">II", 0x0507, 42)))
        assert events.p.tolist() == [0]

    def test_external_events_are_left_out(self, tmp_path):
        content = AEDAT2 + struct.pack(">IIII", 0x8000, 1, 0x0102, 2)
        events = read_aedat(written(tmp_path, "a.aedat", content))
        assert (events.t.tolist(), events.y.tolist()) == ([2], [1])

    @needs("mnist_dvs_samples")
    @pytest.mark.parametrize(
        ("name", "n", "last"),
        [("mnist_0_scale04_0001", 15744, 2210588), ("mnist_0_scale16_0001_qt1", 11209, 196604)],
    )
    def test_published_recordings(self, name, n, last):
        events = read_aedat(DATA / "mnist_dvs_samples" / f"{name}.aedat")
        assert len(events) == n
        assert (int(events.t[0]), int(events.t[-1])) == (0, last)
        # A digit in the middle of the sensor.
        assert 55 < np.median(events.x) < 72
        assert 55 < np.median(events.y) < 72


class TestAedat3:
    def test_bytes_of_one_event(self, tmp_path):
        """x = 3, y = 5, ON, valid; the high bits of its time stand in the packet."""
        packet = struct.pack("<hhiiiiii", 1, 1, 8, 4, 2, 1, 1, 1)
        event = struct.pack("<Ii", 3 << 17 | 5 << 2 | 0b11, 42)
        events = read_aedat(written(tmp_path, "a.aedat", AEDAT3 + packet + event))
        assert (events.t, events.x, events.y, events.p) == (2 * 2**31 + 42, 3, 5, 1)
        assert events.sensor == (128, 128)

    @given(events=some_events(128, 2**33), per_packet=st.integers(1, 7))
    @quick
    def test_round_trip_over_packets_and_overflows(self, events, per_packet, scratch):
        same(read_aedat(written(scratch, "a.aedat", aedat3_bytes(events, per_packet=per_packet))), events)

    def test_invalid_events_are_left_out_where_the_header_counts_them(self, tmp_path):
        events = make_events(10, (128, 128))
        found = read_aedat(written(tmp_path, "a.aedat", aedat3_bytes(events, invalid={2, 7})))
        assert found.t.tolist() == np.delete(events.t, [2, 7]).tolist()

    def test_an_unknown_camera_leaves_the_sensor_open(self, tmp_path):
        content = aedat3_bytes(make_events(5, (128, 128)), AEDAT3.replace(b"DVS128", b"DAVIS346"))
        assert read_aedat(written(tmp_path, "a.aedat", content)).sensor is None


class TestArrays:
    events = make_events(50)

    @given(events=some_events(35, 2**40), signed=st.booleans(), kind=st.sampled_from(["i8", "u8", "f8"]))
    @quick
    def test_round_trip_of_plain_columns(self, events, signed, kind, scratch):
        p = np.where(events.p == 0, -1, 1) if signed and kind != "u8" else events.p
        np.save(scratch / "a.npy", np.stack([events.t, events.x, events.y, p], 1).astype(kind))
        same(read_array(scratch / "a.npy"), events)

    @pytest.mark.parametrize("names", ["txyp", ["x", "y", "p", "t"], ["timestamp", "X", "Y", "polarity"]])
    def test_structured_arrays_and_archives(self, names, tmp_path):
        e = self.events
        by_letter = {"t": e.t, "x": e.x, "y": e.y, "p": e.p.astype(bool)}
        columns = {name: by_letter[name[0].lower()] for name in names}
        array = np.empty(len(e), [(name, column.dtype) for name, column in columns.items()])
        for name, column in columns.items():
            array[name] = column
        np.save(tmp_path / "a.npy", array)
        np.savez(tmp_path / "b.npz", events=array)
        np.savez_compressed(tmp_path / "c.npz", **columns)
        for name in ("a.npy", "b.npz", "c.npz"):
            same(read_array(tmp_path / name), e)

    @needs("poker_dvs")
    def test_a_published_recording(self):
        path = DATA / "poker_dvs" / "POKERDVS" / "pips_train" / "cl" / "0.npy"
        events = read_array(path)
        assert np.array_equal(np.stack([events.t, events.x, events.y, events.p], 1), np.load(path))

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"t": np.zeros(3), "x": np.zeros(3), "y": np.zeros(3)}, "holds t, x, y; expected the columns"),
            ({"a": np.zeros((3, 3))}, r"shape \(3, 3\)"),
            ({"a": np.array([[0, 0, 0, 2]])}, "polarities range from 2 to 2"),
            ({"a": np.array([[0, 0, 0, np.nan]])}, "column p .* finite"),
            ({"t": np.zeros(3), "x": np.zeros(3), "y": np.zeros(3), "p": np.zeros(2)}, "expected one"),
            ({"a": np.array([[0, -1, 0, 1]])}, "x from -1 to -1"),
            (
                {"a": np.array([[0.0, 0, 0, 1], [0.73, 0, 0, 1]])},
                "t holds 0.73; .* times in microseconds",
            ),
            ({"a": np.array([[0, 0.9, 0, 1]])}, "x holds 0.9; expected whole numbers"),
            ({"a": np.array([[0, 0, 0, 0.6]])}, "p holds 0.6; expected whole numbers"),
            ({"a": np.array([[2**63 + 5, 0, 0, 1]], np.uint64)}, "t ranges from 9223372036854775813"),
            ({"a": np.array([[1e30, 0, 0, 1]])}, "t ranges from 1e"),
            ({"a": np.array([{}], dtype=object)}, "array a holds Python objects"),
        ],
    )
    def test_wrong_arrays(self, arrays, message, tmp_path):
        np.savez(tmp_path / "a.npz", **arrays, allow_pickle=True)
        with pytest.raises(DataError, match=message):
            read_array(tmp_path / "a.npz")


class TestBadFiles:
    @pytest.mark.parametrize(
        ("name", "content", "message"),
        [
            ("a.bin", bin_bytes(make_events(4))[:-1], "19 bytes are not a whole number of 5-byte events"),
            ("a.bin", b"", "it holds no event"),
            ("a.bin", bytes([34, 0, 0, 0, 0]), "x from 34 to 34 .* outside the sensor of 34 x 34"),
            ("a.aedat", aedat2_bytes(make_events(4))[:-3], "not a whole number of 8-byte events"),
            ("a.aedat", AEDAT2, "it holds no event"),
            ("a.aedat", b"", "does not begin with '#!AER-DAT'"),
            ("a.aedat", b"#!AER-DAT2.0", "the header does not end"),
            ("a.aedat", b"#!AER-DAT4.0\r\n", "AEDAT 4.0 is not supported"),
            ("a.aedat", AEDAT2 + struct.pack(">II", 1 << 20, 0), "0x100000, beyond the 16 bits of a DVS128"),
            ("a.aedat", AEDAT2 + b"# AEChip: a.b.DAVIS240C\r\n", "the camera is a.b.DAVIS240C"),
            ("a.aedat", aedat3_bytes(make_events(4))[:-1], "at byte .* the file is cut short"),
            ("a.aedat", AEDAT3 + bytes(12), "incomplete header"),
            ("a.aedat", AEDAT3 + struct.pack("<hhiiiiii", 1, 1, 16, 4, 0, 1, 1, 1), "the file is damaged"),
            ("a.npy", b"\x93NUMPY\x01\x00", "the header of it is damaged"),
            ("a.npz", b"PK", "it is not in numpy's format"),
            ("a.txt", b"1 2 3 4", "the suffix '.txt' is not supported"),
        ],
    )
    def test_are_named_and_refused(self, name, content, message, tmp_path):
        path = written(tmp_path, name, content)
        sensor = (34, 34) if name == "a.bin" else None
        with pytest.raises(DataError, match=message) as caught:
            Reader(sensor)(Recording(path))
        assert str(caught.value).startswith(f"{path}: ")

    def test_missing_and_unreadable(self, tmp_path):
        with pytest.raises(DataError, match=r"gone.bin: it cannot be read: No such file"):
            Reader()(Recording(tmp_path / "gone.bin"))
        (tmp_path / "folder.bin").mkdir()
        with pytest.raises(DataError, match=r"folder.bin: it cannot be read"):
            Reader()(Recording(tmp_path / "folder.bin"))

    def test_columns_in_another_order_are_no_giant_sensor(self, tmp_path):
        np.save(tmp_path / "a.npy", np.array([[3, 4, 100_000, 1], [5, 6, 100_010, 0]]))
        with pytest.raises(
            DataError, match=r"a.npy: .* y = 100010, .* t, x, y, p in this order .data.sensor"
        ):
            Reader()(Recording(tmp_path / "a.npy"))
        with pytest.raises(DataError, match="outside the sensor of 34 x 34"):
            Reader((34, 34))(Recording(tmp_path / "a.npy"))

    @pytest.mark.parametrize("cut", range(1, 60, 7))
    def test_a_numpy_file_cut_anywhere_is_refused(self, cut, tmp_path):
        np.save(tmp_path / "a.npy", np.zeros((20, 4), np.int64))
        content = (tmp_path / "a.npy").read_bytes()
        path = written(tmp_path, "b.npy", content[:-cut])
        with pytest.raises(DataError, match=r"b\.npy"):
            Reader()(Recording(path))


def test_against_tonic(tmp_path):
    """Where the library is installed: the same events from the same file (its AEDAT readers fail, 1.7)."""
    io = pytest.importorskip("tonic.io")
    path = written(tmp_path, "a.bin", bin_bytes(make_events(500, duration=2**23 + 5000)))
    theirs = io.read_mnist_file(str(path), np.dtype([(c, int) for c in "xytp"]))
    same(read_bin(path), Events(*(theirs[c] for c in "txyp")))
