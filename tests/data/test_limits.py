"""Sizes are refused before anything is allocated, whatever a header claims."""

import gzip
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest
from scipy import io as matlab

from bisnn_pyro import memory
from bisnn_pyro.data import Binning, Events, curve, load_mat, load_npz, load_points, two_moons
from bisnn_pyro.data.events.layouts import Reader, Recording, find_shd
from bisnn_pyro.data.images import read_idx
from bisnn_pyro.data.inspection import inspect_recordings
from bisnn_pyro.data.limits import MAX_BYTES, check_bytes, check_example, enough_memory, gigabytes, max_bytes
from bisnn_pyro.errors import ConfigError, DataError


def header(shape, kind="<f8") -> bytes:
    """A `.npy` file without its values."""
    text = repr({"descr": kind, "fortran_order": False, "shape": shape}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def archive(path, **members: bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(f"{name}.npy", data)
    return path


def saved(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.fixture
def little(monkeypatch):
    """A machine with room for a megabyte."""
    monkeypatch.setenv("BISNN_MAX_BYTES", "1e6")


class TestLimit:
    def test_the_variable_moves_it(self, monkeypatch):
        monkeypatch.delenv("BISNN_MAX_BYTES", raising=False)
        assert 2**28 < max_bytes() <= MAX_BYTES
        monkeypatch.setattr(memory, "_physical", lambda: 64 * 2**30)
        assert max_bytes() == MAX_BYTES
        with pytest.raises(
            DataError, match=r"it would take 9 GB, and the limit is 4\.29 GB: .*BISNN_MAX_BYTES = 9"
        ):
            check_bytes("it", 9 * 10**9)
        monkeypatch.setenv("BISNN_MAX_BYTES", "2e10")
        check_bytes("it", 9 * 10**9)
        with pytest.raises(
            DataError, match=r"would take 9 GB, and the limit is 5 GB.* BISNN_MAX_BYTES = 36000000000"
        ):
            check_bytes("it", 9 * 10**9, share=4)

    @pytest.mark.parametrize("text", ["much", "-1", "nan", "inf", "0"])
    def test_a_wrong_variable(self, monkeypatch, text):
        monkeypatch.setenv("BISNN_MAX_BYTES", text)
        with pytest.raises(ConfigError, match=r"BISNN_MAX_BYTES = .* must be a number of bytes"):
            max_bytes()

    def test_sizes_of_any_length_are_told(self):
        assert gigabytes(10**400).endswith(" GB")
        with pytest.raises(DataError, match="would take"):
            check_example(10**400, 5)

    def test_a_lack_of_memory_is_a_message(self):
        with pytest.raises(DataError, match="the set does not fit into memory"), enough_memory("the set"):
            raise MemoryError


class TestFiles:
    @pytest.mark.parametrize("shape", [(10**9, 5), (2**40, 2**40), (3, 10**15)])
    def test_headers_without_values(self, tmp_path, shape):
        path = archive(tmp_path / "a.npz", x=header(shape), y=header(shape[:1], "<i8"))
        with pytest.raises(DataError, match="cut short or damaged"):
            load_points(path)

    def test_an_archive_that_unpacks_to_more(self, tmp_path, little):
        x = saved(np.zeros((3000, 100)))
        assert len(x) > 2e6
        path = archive(tmp_path / "a.npz", x=x, y=saved(np.zeros(3000)))
        assert path.stat().st_size < 20_000
        tracemalloc.start()
        with pytest.raises(DataError, match=r"the arrays x, y would take 2\.42 MB, and the limit is 1 MB"):
            load_points(path)
        assert tracemalloc.get_traced_memory()[1] < 1e6
        tracemalloc.stop()

    @pytest.mark.parametrize("load", [load_npz, load_points])
    def test_labels_are_counted_before_arrays_are_read(self, tmp_path, load):
        x, y = np.zeros((300_000, 10)), np.zeros(8, int)
        arrays = {"x": x, "y": y, "x_train": x, "y_train": y, "x_test": x, "y_test": y}
        path = archive(tmp_path / "a.npz", **{name: saved(array) for name, array in arrays.items()})
        tracemalloc.start()
        with pytest.raises(DataError, match=r"y.* has shape \(8,\); expected \[N\] with N = 300000"):
            load(path)
        assert tracemalloc.get_traced_memory()[1] < 2e6
        tracemalloc.stop()

    @pytest.mark.parametrize("pack", [bytes, gzip.compress])
    def test_idx(self, tmp_path, little, pack):
        (tmp_path / "a").write_bytes(pack(bytes([0, 0, 8, 3]) + struct.pack(">III", 9000, 28, 28)))
        with pytest.raises(
            DataError, match=r"\[9000, 28, 28\] values would take 28\.2 MB, and the limit is 1 MB"
        ):
            read_idx(tmp_path / "a", 3)

    def test_idx_that_unpacks_to_more_than_it_says(self, tmp_path):
        content = bytes([0, 0, 8, 1]) + struct.pack(">I", 9) + bytes(10**7)
        (tmp_path / "a").write_bytes(gzip.compress(content))
        tracemalloc.start()
        with pytest.raises(DataError, match="holds 10 or more values"):
            read_idx(tmp_path / "a", 1)
        assert tracemalloc.get_traced_memory()[1] < 1e6
        tracemalloc.stop()

    def test_mat_that_unpacks_to_more(self, tmp_path, little):
        x, y = np.zeros((200, 2000)), np.arange(200)[:, None] % 2
        matlab.savemat(tmp_path / "a.mat", {"x": x, "y": y}, do_compression=True)
        assert (tmp_path / "a.mat").stat().st_size < 10_000
        with pytest.raises(DataError, match=r"what it holds would take 3.2 MB, and the limit is 1 MB"):
            load_mat(tmp_path / "a.mat")

    @pytest.mark.parametrize("name", ["a.bin", "a.aedat", "a.npy"])
    def test_recordings(self, tmp_path, little, name):
        data = saved(np.zeros((50_000, 4), np.int64)) if name == "a.npy" else bytes(500_000)
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=rf"{name}: .*would take .* MB, and the limit is 1 MB"):
            Reader()(Recording(tmp_path / name))

    def test_hdf5(self, tmp_path):
        import h5py

        with h5py.File(tmp_path / "shd_train.h5", "w") as file:
            for name in ("times", "units"):
                file.create_dataset(f"spikes/{name}", (10**10,), h5py.vlen_dtype(np.float16), chunks=(100,))
            file.create_dataset("labels", (10**10,), np.uint16, chunks=(100,))
        with pytest.raises(DataError, match="spikes/times would take 160 GB"):
            find_shd(tmp_path)


class TestSensors:
    def far_off(self):
        t, x = np.array([0, 1000, 2000]), np.array([3, 8191, 5])
        return Events(t, x, x, np.ones(3, int))

    @pytest.mark.parametrize("n_steps", [1, 100])
    def test_one_event_far_off(self, n_steps):
        events = self.far_off()
        with pytest.raises(DataError, match=r"8192 x 8192 pixels .one event far off.*data\.sensor"):
            Binning(1.0, n_steps).spikes(events, events.extent)

    def test_so_do_too_many_steps(self):
        with pytest.raises(DataError, match=r"100000000000 steps x 2312 inputs would take .*data.n_steps"):
            Binning(1.0, 10**11).image_shape((34, 34))
        Binning(1.0, 100).image_shape((720, 1280))  # a large camera

    def test_its_picture(self, tmp_path):
        (tmp_path / "a").mkdir()
        e = self.far_off()
        np.save(tmp_path / "a" / "0.npy", np.stack([e.t, e.x, e.y, e.p], 1))
        with pytest.raises(DataError, match="makes the pictures large"):
            inspect_recordings(tmp_path).pictures()

    @pytest.mark.parametrize("value", [1e300, float("inf")])
    def test_times_that_no_clock_has(self, value):
        for settings in ({"time_step": value}, {"time_step": 1.0, "start": value}):
            with pytest.raises(DataError, match=r"expected a number in \[0(\.001)?, 1e\+09\]"):
                Binning(n_steps=5, **settings)


@pytest.mark.parametrize("call", [two_moons, curve])
def test_synthetic_points(call):
    with pytest.raises(DataError, match=r"with so many points \(.*n_test\) would take"):
        call(n_test=10**12)
    with pytest.raises(DataError, match=r"at most 2\^63 - 1"):
        call(n_test=10**5000)
