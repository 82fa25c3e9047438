"""Every reader of data on damaged files: a result or an `InputError`, within bounded memory.

Each trial starts from a valid file of a few hundred bytes, see `damage`.  A false alarm is impossible: no
statistics are involved.  The quick trials always draw the same damage, `--full` draws anew.
"""

import gzip
import io
import resource
import signal
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from scipy import io as matlab, sparse

from bisnn_pyro.data import Binning, load_mat, load_npz, load_points
from bisnn_pyro.data.events.layouts import Reader, Recording, find_gestures
from bisnn_pyro.data.events.spikes import SpikeFile, write_spikes
from bisnn_pyro.data.images import read_idx
from bisnn_pyro.errors import InputError
from tests.data.events.writers import aedat2_bytes, aedat3_bytes, bin_bytes, make_events, write_shd
from tests.data.idx_files import idx_bytes
from tests.robustness.damage import damaged

ROOM = 1 << 30
"""Bytes of address space that a reader may add; what it may hold is set to far less."""
LIMIT = 50_000_000


# --- valid files ------------------------------------------------------------------------------------------


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(members: dict[str, bytes], method=zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return stream.getvalue()


def task_arrays(x=None) -> dict[str, np.ndarray]:
    x = np.linspace(0, 1, 36).reshape(12, 3) if x is None else x
    y = np.arange(12) % 2
    return {"x_train": x, "y_train": y, "x_test": x[:4], "y_test": y[:4]}


def mat(**options) -> bytes:
    stream = io.BytesIO()
    x = np.arange(24.0).reshape(12, 2)
    x = sparse.csc_matrix(x) if options.pop("sparse", False) else x
    matlab.savemat(stream, {"data": x, "labels": np.arange(12.0)[:, None] % 2}, **options)
    return stream.getvalue()


def spikes() -> bytes:
    stream = io.BytesIO()
    write_spikes(stream, [np.packbits(np.arange(40) % 3 == 0), None], {"image_shape": [1, 2, 4]})
    return stream.getvalue()


EVENTS = make_events(60, (20, 20), 50_000)
COLUMNS = np.stack([EVENTS.t, EVENTS.x, EVENTS.y, EVENTS.p], 1)
RECORDS = np.zeros(60, [("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "u1")])
for _name, _column in zip("txyp", COLUMNS.T, strict=True):
    RECORDS[_name] = _column


# --- readers ----------------------------------------------------------------------------------------------


def read_events(path: Path) -> None:
    events = Reader()(Recording(path))
    sensor = events.sensor or events.extent
    for zero in ("clock", "first-event"):
        Binning(10.0, 5, zero=zero).spikes(events, sensor)


def read_spikes(path: Path) -> None:
    file = SpikeFile.at(path)
    file.read(0, 40)  # the second recording was left out


def read_gestures(path: Path) -> None:
    layout = find_gestures(path.parent)
    read = Reader((20, 20))
    for recording in () if layout is None else layout.recordings[:2]:
        read(recording)


def points(path: Path) -> None:
    load_points(path)


def folds(path: Path) -> None:
    load_mat(path, n_folds=3)


CASES = {
    "npz": ("a.npz", npz({k: npy(a) for k, a in task_arrays().items()}), load_npz),
    "npz stored": ("a.npz", npz({k: npy(a) for k, a in task_arrays().items()}, zipfile.ZIP_STORED), load_npz),
    "points": ("a.npz", npz({"x": npy(np.ones((3, 2))), "y": npy(np.arange(3))}), points),
    "mat 5": ("a.mat", mat(), folds),
    "mat 5 compressed": ("a.mat", mat(do_compression=True), folds),
    "mat 5 sparse": ("a.mat", mat(sparse=True), folds),
    "mat 4": ("a.mat", mat(format="4"), folds),
    "idx": ("a", idx_bytes(np.zeros((3, 4, 4))), lambda path: read_idx(path, 3)),
    "idx gzip": (
        "a.gz",
        gzip.compress(idx_bytes(np.zeros((3, 4, 4))), mtime=0),
        lambda path: read_idx(path, 3),
    ),
    "bin": ("a.bin", bin_bytes(EVENTS), read_events),
    "aedat 2": ("a.aedat", aedat2_bytes(EVENTS), read_events),
    "aedat 3": ("a.aedat", aedat3_bytes(EVENTS), read_events),
    "event array": ("a.npy", npy(COLUMNS), read_events),
    "event records": ("a.npy", npy(RECORDS), read_events),
    "event archive": ("a.npz", npz({name: npy(RECORDS[name]) for name in "txyp"}), read_events),
    "gesture table": (
        "user01_led_labels.csv",
        b"class,startTime_usec,endTime_usec\r\n1,0,20000\r\n2,20000,40000\r\n",
        read_gestures,
    ),
    "binned spikes": ("a.spikes", spikes(), read_spikes),
}

INSIDE = {
    "npz array": ("a.npz", npy(task_arrays()["x_train"]), load_npz),
    "npz targets": ("a.npz", npy(np.arange(12) % 2), load_npz),
    "npz text": ("a.npz", npy(np.array(["a", "bc"] * 6)), load_npz),
    "idx values": ("a.gz", idx_bytes(np.zeros((3, 4, 4))), lambda path: read_idx(path, 3)),
    "event values": ("a.npz", npy(COLUMNS), read_events),
}
"""Files in a container, whose content is damaged and whose checksums are right."""


def packed(name: str, data: bytes) -> bytes:
    members = {key: npy(array) for key, array in task_arrays().items()}
    if name == "idx values":
        return gzip.compress(data, mtime=0)
    if name == "event values":
        return npz({"events": data})
    if name == "npz text":
        members["y_test"] = npy(np.array(["a", "bc"] * 2))
    return npz(members | {"x_train" if name == "npz array" else "y_train": data})


@pytest.fixture(autouse=True)
def limits(monkeypatch):
    """A low limit of the package's own, and of the system's."""
    monkeypatch.setenv("BISNN_MAX_BYTES", str(LIMIT))
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def attempt(read, path: Path) -> None:
    """Read; anything but a result or a refusal fails, and so does a lack of memory."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read(path)
    except InputError as error:
        text = str(error)
        assert "does not fit into memory" not in text
        assert not any(word in text.lower() for word in ("pickle=", "unsafely", "traceback"))


def trial(folder: Path, case, n: int, anew: bool, wrap=lambda data: data) -> None:
    name, valid, read = case
    if read is read_gestures:
        (folder / "user01_led.aedat").write_bytes(aedat3_bytes(EVENTS))
    (folder / name).write_bytes(wrap(valid))
    read(folder / name)  # it is valid

    @settings(
        max_examples=n,
        deadline=None,
        database=None,
        derandomize=not anew,
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged(valid))
    def run(data: bytes) -> None:
        (folder / name).write_bytes(wrap(data))
        attempt(read, folder / name)

    run()


@pytest.mark.parametrize("name", CASES)
def test_damaged_files(tmp_path, name):
    trial(tmp_path, CASES[name], 15, anew=False)


@pytest.mark.parametrize("name", INSIDE)
def test_damaged_content(tmp_path, name):
    trial(tmp_path, INSIDE[name], 15, anew=False, wrap=lambda data: packed(name, data))


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CASES, *INSIDE])
def test_damage_at_length(tmp_path, name, full):
    case, wrap = CASES.get(name), lambda data: data
    if case is None:
        case, wrap = INSIDE[name], lambda data: packed(name, data)
    trial(tmp_path, case, 1000 if full else 150, anew=full, wrap=wrap)


# --- HDF5, whose library may end the process -----------------------------------------------------------


def hdf5_files(folder: Path, n: int, seed: int) -> list[str]:
    """Files of the Spiking Heidelberg Digits with one to three changed bytes, or cut short."""
    write_shd(folder / "valid" / "shd_train.h5", [0, 1, 2])
    valid = (folder / "valid" / "shd_train.h5").read_bytes()
    rng = np.random.default_rng(seed)
    folders = [str(folder / "valid")]
    for k in range(n):
        data = bytearray(valid)
        for at in rng.integers(0, len(data), rng.integers(1, 4)):
            data[at] = rng.choice([0, 1, 127, 255, data[at] ^ 1 << rng.integers(8)])
        (folder / str(k)).mkdir()
        cut = int(rng.integers(1, len(data))) if k % 5 == 0 else len(data)
        (folder / str(k) / "shd_train.h5").write_bytes(data[:cut])
        folders.append(str(folder / str(k)))
    return folders


@pytest.mark.slow
def test_damaged_hdf5(tmp_path, full):
    folders = hdf5_files(tmp_path, 1000 if full else 100, seed=0)
    answers: list[str] = []
    while len(answers) < len(folders):
        command = [sys.executable, "-m", "tests.robustness.read_hdf5", *folders[len(answers) :]]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        answers += done.stdout.split()
        if done.returncode != 0:
            assert done.returncode == -signal.SIGALRM, f"{folders[len(answers)]}: {done.stderr[-2000:]}"
            answers.append("endless")
    assert answers[0] == "read"
    assert set(answers) <= {"read", "refused", "endless"}
    assert answers.count("refused") > len(folders) // 10
    # The library itself never ends on some damaged heaps; nothing here can stop it.
    assert answers.count("endless") <= len(folders) // 100
