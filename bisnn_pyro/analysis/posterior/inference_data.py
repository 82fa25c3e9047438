"""Runs as ArviZ data: what a finished run stores, how seeds become chains, and files.

==========================  ======================  ====================================================
group                       dimensions              holds
==========================  ======================  ====================================================
posterior                   chain, draw, ...        functionals of each committee member: always
                                                    ``mean_log_likelihood`` (nats per test point);
                                                    weight draws where given
posterior_summary           chain, ...              the guide's own parameters: posterior means, natural
                                                    parameters, a learned noise scale
sample_stats                chain, epoch            loss, kl, temperature, ... of each training epoch
predictions                 chain, draw,            test points: ``y_prob`` (also class) or, in a
                            pred_point, ...         regression, ``y_mean`` and ``noise_scale``; further
                                                    labelled variables such as every predictor's votes
predictions_constant_data   pred_point, ...         test targets ``y``; further labelled constants
predictions_log_likelihood  chain, draw,            test points: ``y``, nats
                            pred_point
observed_data               point                   ``y``, the targets of a subset of the training
                                                    points
posterior_predictive        chain, draw, point,     the same points: ``y_prob`` or ``y_mean``, and ``y``
                            ...                     drawn from them
log_likelihood              chain, draw, point      the same points: ``y``, nats
==========================  ======================  ====================================================

The groups mean what ArviZ takes them to mean: the posterior was conditioned on ``observed_data``, so that
``az.loo``, ``az.compare`` and ``az.plot_ppc`` speak of training points, and ``predictions`` are of points
that it never saw.

A chain is a training seed and a draw a committee member, so ``arviz.summary`` of ``posterior`` over stacked
seeds compares committees: r_hat near 1 says that seeds agree.  Closed-form summaries stand apart from
``posterior`` because ArviZ takes every variable there to have draws.  ``sample_stats`` has epochs where a
sampler has draws: training has no statistic of a single draw.

The containers work on both lines of ArviZ, InferenceData (0.x) and DataTree (1.x).  This is the only module
that tells the two apart, by a feature (``from_dict`` of 1.x takes ``data``) and not by a version.  Datasets
are built here with xarray, so that groups, dimensions and files do not depend on the line.
"""

from __future__ import annotations

import inspect
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.validation import FloatArray, as_probabilities, as_real
from bisnn_pyro.errors import DataError
from bisnn_pyro.files import write_whole

if TYPE_CHECKING:
    import xarray as xr

#: The leading dimensions of every variable of a group; a group that is not named here has none.
SAMPLE_DIMS: dict[str, tuple[str, ...]] = {
    "posterior": ("chain", "draw"),
    "posterior_predictive": ("chain", "draw"),
    "log_likelihood": ("chain", "draw"),
    "predictions": ("chain", "draw"),
    "predictions_log_likelihood": ("chain", "draw"),
    "sample_stats": ("chain", "epoch"),
    "posterior_summary": ("chain",),
}
_ENGINE: Literal["h5netcdf"] = "h5netcdf"
#: Arrays below this many bytes are stored as they are; compressing them gains nothing.
_COMPRESS_FROM = 1 << 14


@dataclass(frozen=True)
class PredictedPoints:
    """What the members of a committee said about labelled points.

    Attributes:
        observed: `[N]` targets: class indices, or numbers in a regression.
        log_likelihood: `[S, N]` nats of each member; -inf is accepted.
        probabilities: `[S, N, C]` class probabilities of each member of a classification.
        means: `[S, N]` predicted means of each member of a regression; give one of the two.
        noise_scale: standard deviation of a regression's noise: a number, `[S]` or `[S, N]`.
        index: `[N]` labels of the points, such as their rows in the training set; 0, 1, ... by default.
    """

    observed: ArrayLike
    log_likelihood: ArrayLike
    probabilities: ArrayLike | None = None
    means: ArrayLike | None = None
    noise_scale: ArrayLike | None = None
    index: ArrayLike | None = None

    def checked(self) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Return the log-likelihoods `[S, N]`, and ``y_prob``, or ``y_mean`` and ``noise_scale``.

        Raises:
            DataError: shapes that do not fit, NaN, or neither or both of `probabilities` and `means`.
        """
        loglik = as_real(self.log_likelihood, "log_likelihood", 2, finite=False)
        if (self.probabilities is None) == (self.means is None):
            raise DataError("Give probabilities (classification) or means (regression), and not both.")
        if self.probabilities is not None:
            found = {"y_prob": as_probabilities(self.probabilities, "probabilities", 3)}
        else:
            found = {"y_mean": as_real(self.means, "means", 2)}  # type: ignore[arg-type]
        for name, array in found.items():
            if array.shape[:2] != loglik.shape:
                raise DataError(f"{name} has shape {array.shape}; log_likelihood {loglik.shape} must agree.")
        if self.noise_scale is not None:
            scale = as_real(self.noise_scale, "noise_scale")
            shape = loglik.shape if scale.ndim == 2 else loglik.shape[:1]
            if scale.ndim and scale.shape != shape:
                raise DataError(
                    f"noise_scale has shape {scale.shape}; log_likelihood {loglik.shape} must agree."
                )
            found["noise_scale"] = np.broadcast_to(scale, shape)
        return loglik, found


def run_inference_data(
    *,
    seed: int,
    test: PredictedPoints | None = None,
    train: PredictedPoints | None = None,
    votes: Mapping[str, xr.DataArray] | None = None,
    constants: Mapping[str, xr.DataArray] | None = None,
    summaries: Mapping[str, ArrayLike] | None = None,
    draws: Mapping[str, ArrayLike] | None = None,
    history: Mapping[str, ArrayLike] | None = None,
    class_names: Sequence[Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> Any:
    """Build the container of one finished run from arrays; the module says which group holds what.

    Example:
        >>> points = PredictedPoints([0, 1], [[-0.1, -0.7]], probabilities=[[[0.9, 0.1], [0.5, 0.5]]])
        >>> run = run_inference_data(seed=3, test=points, attrs={"method": "bayes"})
        >>> sorted(group_names(run))
        ['posterior', 'predictions', 'predictions_constant_data', 'predictions_log_likelihood']
        >>> dict(group(run, "predictions")["y_prob"].sizes)
        {'chain': 1, 'draw': 1, 'pred_point': 2, 'class': 2}

    Args:
        seed: the training seed, which becomes the chain's label and seeds the draws of ``y``.
        test: the committee on the test points.
        train: the committee on a subset of the training points; the same members in the same order.
        votes: further variables of ``predictions``, such as every predictor's votes (predictor, pred_point,
            class), votes before the end (predictor, step, pred_point, class) or on shifted inputs.  Each is a
            labelled array without ``chain``, whose coordinates become those of the group.
        constants: further variables of ``predictions_constant_data``, labelled as well.
        summaries: name -> array of the posterior's own parameters, any shape, such as
            ``{"layers.0.weight_mean": [O, I], "layers.0.weight_natural_parameter": [O, I]}``.
        draws: name -> `[S, ...]` what each member is made of, such as its weights; leave out for large
            networks.
        history: column -> `[E]`, one value per epoch (NaN where missing); ``epoch`` labels them.
        class_names: the C labels as the user wrote them.
        attrs: attributes of the whole container (experiment, method, beta, ...).

    Returns:
        The container of the installed ArviZ line.

    Raises:
        DataError: neither test nor training points, shapes that do not fit, or NaN.
    """
    main = test or train
    if main is None:
        raise DataError("Give the committee's predictions on test points, on training points, or on both.")
    loglik, _ = main.checked()
    training, epochs = _training(history or {})
    coords: dict[str, Any] = {"chain": [int(seed)], "draw": np.arange(len(loglik))}
    dims = {"predictions_constant_data/y": ["pred_point"], "observed_data/y": ["point"]}
    coords |= {"epoch": epochs} if training else {}
    coords |= {"class": list(class_names)} if class_names is not None else {}
    groups: dict[str, dict[str, Any]] = {
        "posterior": _one_chain({"mean_log_likelihood": loglik.mean(-1), **(draws or {})}),
        "posterior_summary": _one_chain(summaries or {}),
        "sample_stats": _one_chain(training),
    }
    if test is not None:
        loglik, found = test.checked()
        coords["pred_point"] = _index(test, loglik)
        dims |= _dims("pred_point", found, "predictions", "predictions_log_likelihood")
        further = {name: array.expand_dims("chain") for name, array in (votes or {}).items()}
        groups |= {
            "predictions": _one_chain(found) | further,
            "predictions_log_likelihood": _one_chain({"y": loglik}),
            "predictions_constant_data": {"y": test.observed, **(constants or {})},
        }
    if train is not None:
        loglik, found = train.checked()
        coords["point"] = _index(train, loglik)
        found = {"y": _drawn(found, np.random.default_rng([int(seed), 1])), **found}
        dims |= _dims("point", found, "posterior_predictive", "log_likelihood")
        groups |= {
            "observed_data": {"y": train.observed},
            "posterior_predictive": _one_chain(found),
            "log_likelihood": _one_chain({"y": loglik}),
        }
    known = {"inference_library": "bisnn_pyro", "seed": int(seed)}
    return make_idata(groups, coords, dims, {**known, **(attrs or {})})


def stack_seeds(runs: Sequence[Any]) -> Any:
    """Put runs that differ in their training seed into one container, with one chain per seed.

    Runs that stopped at different epochs are filled up with NaN in ``sample_stats``; all else must match.

    Args:
        runs: containers of :func:`run_inference_data`, on the same points and with equally many draws.

    Returns:
        One container; attributes are those on which all runs agree, and ``seeds``.

    Raises:
        DataError: no runs, a seed given twice, or runs that differ in groups, points or draws.
    """
    import xarray as xr

    if not runs:
        raise DataError("stack_seeds got no runs; give at least one.")
    names = group_names(runs[0])
    for run in runs[1:]:
        if set(group_names(run)) != set(names):
            raise DataError(
                f"The runs have different groups: {sorted(names)} and {sorted(group_names(run))}."
            )
    seeds = [int(seed) for run in runs for seed in group(run, "posterior")["chain"].values]
    if len(set(seeds)) != len(seeds):
        raise DataError(f"The seeds {seeds} are not all different; each seed is one chain.")
    datasets = {}
    for name in names:
        parts = [group(run, name) for run in runs]
        if "chain" not in parts[0].dims:
            if not all(parts[0].equals(part) for part in parts[1:]):
                raise DataError(f"{name} differs between the runs; seeds stack only on the same points.")
            datasets[name] = parts[0]
            continue
        join: Literal["outer", "exact"] = "outer" if name == "sample_stats" else "exact"
        try:
            datasets[name] = xr.concat(parts, dim="chain", join=join, combine_attrs="drop_conflicts")
        except ValueError as error:
            raise DataError(f"{name} cannot be stacked over seeds: {error}") from error
    attrs = {
        key: value
        for key, value in runs[0].attrs.items()
        if key != "seed" and all(run.attrs.get(key) == value for run in runs[1:])
    }
    return from_datasets(datasets, {**attrs, "seeds": seeds})


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
        groups: group -> variable -> array.  Arrays begin with the dimensions that :data:`SAMPLE_DIMS` gives
            the group; a labelled array (``xarray.DataArray``) has its own dimensions and coordinates.
        coords: dimension -> its labels; dimensions without get 0, 1, ...
        dims: ``variable`` or ``group/variable`` -> names of the dimensions after the sample dimensions; a
            variable without gets ``<name>_dim_0`` and so on.
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
    """Put datasets into the container that the installed ArviZ works on.

    Args:
        datasets: group -> dataset.
        attrs: of the whole container, see :func:`make_idata`.
    """
    plain = {str(key): _plain(value) for key, value in (attrs or {}).items()}
    if uses_datatree():
        return _tree(datasets, plain)
    return import_arviz().InferenceData(attrs=plain, **datasets)


def group(idata: Any, name: str) -> xr.Dataset:
    """One group as a dataset, from either kind of container.

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
    # In memory: HDF5 ends the process where a disk is full.
    content = _tree(datasets, idata.attrs).to_netcdf(engine=_ENGINE, encoding=encoding)
    return write_whole(path, content)


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


def _index(points: PredictedPoints, loglik: FloatArray) -> np.ndarray:
    return np.arange(loglik.shape[1]) if points.index is None else np.asarray(points.index)


def _dims(point: str, variables: Mapping[str, FloatArray], *groups: str) -> dict[str, list[str]]:
    """Dimensions after chain and draw of the variables of one group, and of the log-likelihood in another."""
    predictive, log_likelihood = groups
    names = {f"{predictive}/{name}": [point, "class"][: array.ndim - 1] for name, array in variables.items()}
    return {**names, f"{log_likelihood}/y": [point]}


def _drawn(found: Mapping[str, FloatArray], rng: np.random.Generator) -> np.ndarray:
    """Draw a label or a value `[S, N]` from what each member predicts."""
    if "y_prob" in found:
        cumulative = np.cumsum(found["y_prob"], -1)
        below = rng.random((*cumulative.shape[:2], 1)) * cumulative[..., -1:] >= cumulative
        return np.minimum(below.sum(-1), cumulative.shape[-1] - 1)
    means = found["y_mean"]
    scale = found.get("noise_scale", np.zeros(len(means)))
    return means + (scale[:, None] if scale.ndim == 1 else scale) * rng.standard_normal(means.shape)


def _one_chain(variables: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    return {name: np.asarray(values)[None] for name, values in variables.items()}


def _training(history: Mapping[str, ArrayLike]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Split the epochs' labels from the statistics, checking that all columns are as long."""
    columns = {name: np.asarray(values) for name, values in history.items()}
    if not columns:
        return {}, np.arange(0)
    length = len(next(iter(columns.values())))
    for name, column in columns.items():
        if column.shape != (length,) or column.dtype.kind not in "biuf":
            raise DataError(
                f"history column {name!r} has shape {column.shape} and dtype {column.dtype}; "
                f"expected ({length},) numbers, one per epoch."
            )
    epochs = columns.pop("epoch", np.arange(length))
    return columns, epochs


def _dataset(
    group_name: str,
    variables: Mapping[str, ArrayLike],
    coords: Mapping[str, Sequence[Any] | np.ndarray],
    dims: Mapping[str, Sequence[str]],
) -> xr.Dataset:
    import xarray as xr

    sample = SAMPLE_DIMS.get(group_name, ())
    arrays: dict[str, xr.Variable] = {}
    coords = dict(coords)
    for name, values in variables.items():
        array, where = np.asarray(values), f"{group_name}/{name}"
        if "/" in name:
            raise DataError(f"{where}: the variable name {name!r} holds '/', which netCDF reserves; use '.'.")
        if isinstance(values, xr.DataArray):
            arrays[name] = values.variable
            own = {str(dim): values[dim].values for dim in values.dims if dim in values.coords}
            clash = [k for k in own if k in coords and not np.array_equal(own[k], np.asarray(coords[k]))]
            if clash:
                raise DataError(f"{where} has other labels along {clash[0]} than the rest of the group.")
            coords |= own
            continue
        plain = [f"{name}_dim_{i}" for i in range(array.ndim - len(sample))]
        rest = dims.get(where, dims.get(name, plain))
        names = (*sample, *rest)
        if len(names) != array.ndim:
            raise DataError(f"{where} has shape {array.shape}; expected the dimensions {names}.")
        arrays[name] = xr.Variable(names, array)
    sizes: dict[str, int] = {}
    for name, variable in arrays.items():
        for dim, size in zip(variable.dims, variable.shape, strict=True):
            expected = sizes.setdefault(str(dim), len(coords[str(dim)]) if dim in coords else size)
            if size != expected:
                raise DataError(
                    f"{group_name}/{name} has shape {variable.shape}; dimension {dim} should be {expected}."
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
