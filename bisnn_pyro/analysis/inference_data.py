"""ArviZ containers that work on both of its lines: InferenceData (0.x) and DataTree (1.x).

This is the only module that tells the two apart, by a feature (1.x's ``from_dict`` takes ``data``), not
by a version.  Data sets are built here with xarray, whose meaning is the same for both, so the groups,
dimensions and files do not depend on the line; see :mod:`bisnn_pyro.analysis.run_data` for what a run
stores in them.
"""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.errors import DataError
from bisnn_pyro.files import atomic_path

if TYPE_CHECKING:
    import xarray as xr

#: The leading dimensions of every variable of a group; a group that is not named here has none.
SAMPLE_DIMS: dict[str, tuple[str, ...]] = {
    "posterior": ("chain", "draw"),
    "posterior_predictive": ("chain", "draw"),
    "log_likelihood": ("chain", "draw"),
    "sample_stats": ("chain", "epoch"),
    "posterior_summary": ("chain",),
}
_ENGINE: Literal["h5netcdf"] = "h5netcdf"
#: Arrays below this many bytes are stored as they are; compressing them gains nothing.
_COMPRESS_FROM = 1 << 14


def import_arviz() -> Any:
    """Import ArviZ without the notice on its coming refactor, which 0.23 shows once a day."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\s*ArviZ is undergoing", category=FutureWarning)
        import arviz
    return arviz


def uses_datatree() -> bool:
    """Whether the installed ArviZ works on :class:`xarray.DataTree` (1.x) and not on InferenceData."""
    return "data" in inspect.signature(import_arviz().from_dict).parameters


def make_idata(
    groups: Mapping[str, Mapping[str, ArrayLike]],
    coords: Mapping[str, Sequence[Any] | np.ndarray] | None = None,
    dims: Mapping[str, Sequence[str]] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> Any:
    """Build the container that the installed ArviZ works on.

    Args:
        groups: group -> variable -> array.  Arrays begin with the dimensions that
            :data:`SAMPLE_DIMS` gives the group.
        coords: dimension -> its labels; dimensions without get 0, 1, ...
        dims: variable -> names of the dimensions after the sample dimensions; a variable without gets
            ``<name>_dim_0`` and so on.
        attrs: of the whole container: numbers and strings as they are, anything else as JSON.

    Returns:
        ``arviz.InferenceData`` on 0.x, ``xarray.DataTree`` on 1.x.

    Raises:
        DataError: an array whose shape does not fit its dimensions or their labels, or a name with "/".
    """
    datasets = {
        name: _dataset(name, variables, coords or {}, dims or {})
        for name, variables in groups.items()
        if variables
    }
    return from_datasets(datasets, attrs)


def from_datasets(datasets: Mapping[str, xr.Dataset], attrs: Mapping[Any, Any] | None = None) -> Any:
    """Put ready data sets into the container that the installed ArviZ works on.

    Args:
        datasets: group -> data set.
        attrs: of the whole container, see :func:`make_idata`.
    """
    plain = {str(key): _plain(value) for key, value in (attrs or {}).items()}
    if uses_datatree():
        return _tree(datasets, plain)
    return import_arviz().InferenceData(attrs=plain, **datasets)


def group(idata: Any, name: str) -> xr.Dataset:
    """One group as a data set, from either kind of container.

    Raises:
        DataError: there is no such group; the message lists those there are.
    """
    names = group_names(idata)
    if name not in names:
        raise DataError(f"There is no group {name!r}; the groups are {', '.join(names)}.")
    found = idata[name]
    return found.to_dataset(inherit=False) if hasattr(found, "to_dataset") else found


def group_names(idata: Any) -> list[str]:
    """Names of the groups, from either kind of container."""
    return list(idata.children) if hasattr(idata, "children") else list(idata.groups())


def save_idata(idata: Any, path: str | os.PathLike[str]) -> Path:
    """Write a container to netCDF, whole or not at all.

    Args:
        idata: a container of either kind.
        path: where to; an older file there is replaced.

    Returns:
        `path`.
    """
    datasets = {name: group(idata, name) for name in group_names(idata)}
    encoding = {
        f"/{name}": {
            str(var): {"zlib": True, "complevel": 4}
            for var, values in dataset.data_vars.items()
            if values.dtype.kind in "fiu" and values.nbytes >= _COMPRESS_FROM
        }
        for name, dataset in datasets.items()
    }
    with atomic_path(path) as temporary:
        _tree(datasets, idata.attrs).to_netcdf(temporary, engine=_ENGINE, encoding=encoding)
    return Path(path)


def load_idata(path: str | os.PathLike[str]) -> Any:
    """Read what :func:`save_idata` (or ArviZ) wrote, into memory; the file is closed again.

    Raises:
        DataError: there is no such file, or it is not netCDF.
    """
    import xarray as xr

    if not Path(path).is_file():
        raise DataError(f"There is no file {path}; give the path of an inference_data.nc.")
    try:
        with xr.open_datatree(path, engine=_ENGINE) as tree:
            tree.load()
            datasets = {str(name): child.to_dataset(inherit=False) for name, child in tree.children.items()}
            return from_datasets(datasets, tree.attrs)
    except OSError as error:
        raise DataError(f"{path} cannot be read as netCDF ({error}); write it anew.") from error


def _dataset(
    group_name: str,
    variables: Mapping[str, ArrayLike],
    coords: Mapping[str, Sequence[Any] | np.ndarray],
    dims: Mapping[str, Sequence[str]],
) -> xr.Dataset:
    import xarray as xr

    sample = SAMPLE_DIMS.get(group_name, ())
    arrays = {}
    for name, values in variables.items():
        array, where = np.asarray(values), f"{group_name}/{name}"
        if "/" in name:
            raise DataError(f"{where}: the variable name {name!r} holds '/', which netCDF reserves; use '.'.")
        rest = dims.get(name, [f"{name}_dim_{i}" for i in range(array.ndim - len(sample))])
        names = (*sample, *rest)
        if len(names) != array.ndim:
            raise DataError(f"{where} has shape {array.shape}; expected the dimensions {names}.")
        arrays[name] = xr.DataArray(array, dims=names)
    sizes: dict[str, int] = {}
    for name, values in arrays.items():
        for dim, size in zip(values.dims, values.shape, strict=True):
            expected = sizes.setdefault(str(dim), len(coords[str(dim)]) if dim in coords else size)
            if size != expected:
                raise DataError(
                    f"{group_name}/{name} has shape {values.shape}; dimension {dim} should be {expected}."
                )
    labels = {dim: np.asarray(coords.get(dim, np.arange(size))) for dim, size in sizes.items()}
    return xr.Dataset(arrays, coords=labels)


def _tree(datasets: Mapping[str, xr.Dataset], attrs: Mapping[str, Any]) -> xr.DataTree:
    import xarray as xr

    tree = xr.DataTree.from_dict({f"/{name}": dataset for name, dataset in datasets.items()})
    tree.attrs = dict(attrs)
    return tree


def _plain(value: Any) -> Any:
    """A value that netCDF takes as an attribute: a string, a number, or else JSON text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, np.ndarray):
        value = value.tolist()
    return json.dumps(value, default=str)
