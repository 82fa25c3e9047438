import os
import stat

import numpy as np
import pytest
import xarray as xr

from bisnn_pyro.analysis import (
    group,
    group_names,
    inference_data,
    load_idata,
    make_idata,
    save_idata,
    uses_datatree,
)
from bisnn_pyro.errors import DataError

GROUPS = {
    "posterior": {"w": np.arange(12.0).reshape(1, 4, 3)},
    "sample_stats": {"loss": np.array([[3.0, 2.0, np.nan]])},
    "observed_data": {"y": np.array([0, 1, 1])},
    "constant_data": {},
}
DIMS = {"y": ["point"]}
COORDS = {"chain": [7], "epoch": [1, 2, 3]}


class FakeV1:
    """ArviZ 1.x as far as the module may know it: ``from_dict`` takes ``data``; no InferenceData."""

    @staticmethod
    def from_dict(data, *, name=None, sample_dims=None, coords=None, dims=None, attrs=None):
        raise AssertionError("containers are built by xarray")


@pytest.fixture(params=["installed", "1.x"])
def line(request, monkeypatch):
    """Run a test on the installed ArviZ and on the branch for 1.x."""
    if request.param == "1.x":
        monkeypatch.setattr(inference_data, "import_arviz", lambda: FakeV1)
    return request.param


def test_the_installed_line_is_told_by_a_feature():
    az = inference_data.import_arviz()
    assert uses_datatree() == (not az.__version__.startswith("0."))


def test_native_container(line):
    idata = make_idata(GROUPS, COORDS, DIMS, {"seed": 7})
    if line == "1.x":
        assert isinstance(idata, xr.DataTree)
    else:
        az = inference_data.import_arviz()
        assert isinstance(idata, xr.DataTree if uses_datatree() else az.InferenceData)
    assert group_names(idata) == ["posterior", "sample_stats", "observed_data"]  # empty groups are left out
    assert group(idata, "posterior")["w"].dims == ("chain", "draw", "w_dim_0")
    assert group(idata, "sample_stats")["loss"].dims == ("chain", "epoch")
    assert group(idata, "sample_stats")["epoch"].values.tolist() == [1, 2, 3]
    assert group(idata, "posterior")["chain"].values.tolist() == [7]
    assert group(idata, "observed_data")["y"].dims == ("point",)
    with pytest.raises(DataError, match="no group 'prior'; the groups are posterior"):
        group(idata, "prior")


@pytest.mark.filterwarnings("error")
def test_round_trip(line, tmp_path):
    attrs = {
        "method": "bayes",
        "seed": 7,
        "beta": np.float32(0.5),
        "hard": True,
        "early": None,
        "sizes": [2, 3],
    }
    idata = make_idata(GROUPS, COORDS, DIMS, attrs)
    path = save_idata(idata, tmp_path / "new" / "inference_data.nc")
    again = load_idata(path)
    assert type(again) is type(idata)
    for name in group_names(idata):
        xr.testing.assert_identical(group(again, name), group(idata, name))
    assert again.attrs == {
        "method": "bayes",
        "seed": 7,
        "beta": 0.5,
        "hard": "true",
        "early": "null",
        "sizes": "[2, 3]",
    }
    assert again.attrs == idata.attrs


def test_both_branches_write_the_same_file(tmp_path, monkeypatch):
    save_idata(make_idata(GROUPS, COORDS, DIMS, {"seed": 7}), tmp_path / "a.nc")
    monkeypatch.setattr(inference_data, "import_arviz", lambda: FakeV1)
    save_idata(make_idata(GROUPS, COORDS, DIMS, {"seed": 7}), tmp_path / "b.nc")
    with xr.open_datatree(tmp_path / "a.nc") as a, xr.open_datatree(tmp_path / "b.nc") as b:
        assert a.identical(b)


def test_plain_xarray_and_arviz_read_the_file(tmp_path):
    az = inference_data.import_arviz()
    path = save_idata(make_idata(GROUPS, COORDS, DIMS, {"seed": 7}), tmp_path / "x.nc")
    with xr.open_datatree(path) as tree:
        np.testing.assert_array_equal(tree["posterior"]["w"], GROUPS["posterior"]["w"])
        assert tree.attrs["seed"] == 7
    read = az.from_netcdf(path)
    np.testing.assert_array_equal(read["posterior"]["w"], GROUPS["posterior"]["w"])
    np.testing.assert_array_equal(read["sample_stats"]["loss"], GROUPS["sample_stats"]["loss"])


def test_large_arrays_are_compressed_without_loss(tmp_path):
    values = np.zeros((1, 50, 1000))
    values[0, 3, 5] = 1 / 3
    path = save_idata(make_idata({"posterior": {"w": values}}), tmp_path / "big.nc")
    assert path.stat().st_size < values.nbytes / 10
    np.testing.assert_array_equal(group(load_idata(path), "posterior")["w"], values)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = save_idata(make_idata(GROUPS, COORDS, DIMS), tmp_path / "x.nc")
    before = path.read_bytes()

    def fail(self, target, **_):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", fail)
    with pytest.raises(OSError, match="disk full"):
        save_idata(make_idata(GROUPS, COORDS, DIMS), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_loaded_file_can_be_replaced_and_has_usual_rights(tmp_path):
    idata = make_idata(GROUPS, COORDS, DIMS)
    path = save_idata(idata, tmp_path / "x.nc")
    loaded = load_idata(path)
    save_idata(loaded, path)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_wrong_files_are_named(tmp_path):
    with pytest.raises(DataError, match="There is no file"):
        load_idata(tmp_path / "none.nc")
    (tmp_path / "text.nc").write_text("not netCDF")
    with pytest.raises(DataError, match="cannot be read as netCDF"):
        load_idata(tmp_path / "text.nc")


@pytest.mark.parametrize(
    ("groups", "coords", "message"),
    [
        ({"posterior": {"w": np.zeros(3)}}, {}, r"posterior/w has shape \(3,\); expected the dimensions"),
        ({"observed_data": {"y": np.zeros((2, 2))}}, {}, r"observed_data/y has shape \(2, 2\)"),
        ({"observed_data": {"y": np.zeros(2)}}, {"point": [1, 2, 3]}, "dimension point should be 3"),
        ({"observed_data": {"a/b": np.zeros(2)}}, {}, "reserves"),
    ],
)
def test_wrong_shapes_are_named(groups, coords, message):
    with pytest.raises(DataError, match=message):
        make_idata(groups, coords, DIMS)
