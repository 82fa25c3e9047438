import hashlib
import json
import struct

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from bisnn_pyro.errors import ConfigError, DataError
from bisnn_pyro.exports.format import read_file, write_file
from bisnn_pyro.exports.writing import export

signs = hnp.arrays(
    np.int8, st.tuples(st.integers(0, 5), st.integers(1, 19)), elements=st.sampled_from([-1, 1])
)
floats = hnp.arrays(np.float32, st.integers(0, 5), elements=st.floats(-9, 9, width=32))


@given(st.lists(signs, max_size=3), st.lists(floats, max_size=3))
def test_what_is_written_is_read(tmp_path_factory, packed, constants):
    path = tmp_path_factory.mktemp("export") / "a.bisnn"
    named = {f"w{k}": values for k, values in enumerate(packed)}
    others = {f"c{k}": values for k, values in enumerate(constants)}
    write_file(path, {"classes": ["ä", "b"]}, named, others)
    header, arrays = read_file(path)
    assert header["classes"] == ["ä", "b"]
    assert list(arrays) == [*named, *others]
    for name, values in {**named, **others}.items():
        np.testing.assert_array_equal(arrays[name], values)
        assert arrays[name].dtype == values.dtype


def test_the_bytes_are_those_of_the_format(tmp_path):
    weights = np.array([[1, -1, 1, 1, -1], [-1, -1, -1, 1, 1]])
    path = write_file(tmp_path / "a.bisnn", {"n": 1}, {"w": weights}, {"c": np.array([1.5])})
    data = path.read_bytes()
    assert data[:8] == b"BISNNBIT"
    version, length = struct.unpack("<II", data[8:16])
    assert version == 1
    assert data[16:48] == hashlib.sha256(data[48:]).digest()
    assert json.loads(data[48 : 48 + length]) == {
        "n": 1,
        "arrays": [
            {"name": "w", "dtype": "bit", "shape": [2, 5]},
            {"name": "c", "dtype": "float32", "shape": [1]},
        ],
    }
    # Synapses 0 to 7 are + - + + - - - -, 8 and 9 are + +.
    assert data[48 + length :] == bytes([0b00001101, 0b00000011]) + struct.pack("<f", 1.5)


@pytest.fixture
def path(tmp_path):
    return write_file(tmp_path / "a.bisnn", {"n": 1}, {"w": np.ones((3, 5))}, {"c": np.arange(3)})


def test_every_changed_byte_is_noticed(path):
    data = path.read_bytes()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 4
        path.write_bytes(changed)
        with pytest.raises(DataError, match=r"a\.bisnn"):
            read_file(path)


def test_every_cut_is_noticed(path):
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(DataError, match=r"a\.bisnn"):
            read_file(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(DataError, match="damaged"):
        read_file(path)


def signed(header, payload=b""):
    body = json.dumps(header).encode() if isinstance(header, dict) else header
    length = len(body)
    return (
        struct.pack("<8sII32s", b"BISNNBIT", 1, length, hashlib.sha256(body + payload).digest())
        + body
        + payload
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PK\3\4 and so on, longer than the fixed part of an exported network", "not an exported network"),
        (struct.pack("<8sII32s", b"BISNNBIT", 2, 0, b""), "version 2"),
        (signed(b"{"), "not as the format says"),
        (signed({"n": 1}), "arrays"),
        (signed({"arrays": [{"name": "w", "dtype": "int8", "shape": [1]}]}, b"\0"), "'int8'"),
        (signed({"arrays": [{"name": "w", "dtype": "bit", "shape": [9]}]}, b"\0"), "ends within the array w"),
        (signed({"arrays": [{"name": "w", "dtype": "bit", "shape": [1]}]}, b"\0\0"), "1 bytes follow"),
    ],
)
def test_files_by_somebody_else(tmp_path, data, words):
    path = tmp_path / "odd.bisnn"
    path.write_bytes(data)
    with pytest.raises(DataError, match=words):
        read_file(path)


def test_what_is_not_there_or_no_sign(tmp_path):
    with pytest.raises(DataError, match="no-such"):
        read_file(tmp_path / "no-such.bisnn")
    with pytest.raises(DataError, match=r"\+1 and -1"):
        write_file(tmp_path / "a.bisnn", {}, {"w": np.array([1.0, 0.5])}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        export(tmp_path / "run", tmp_path)
