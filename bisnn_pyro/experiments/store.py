"""The store of a run, ``inference_data.nc``: what every predictor said, labelled.

To the groups that ArviZ users know, see :func:`bisnn_pyro.analysis.run_inference_data`, a run adds, in
``predictions``:

=========  ===========================================  ==========================
variable   dimensions                                   holds
=========  ===========================================  ==========================
``vote``   chain, predictor, pred_point, class          votes on the test points
``early``  chain, predictor, step, pred_point, class    the same before the end
``shift``  chain, noise, predictor, pred_point, class   the same on noisy points
=========  ===========================================  ==========================

and the group ``grid``, with the votes over the plane of two features or the axis of one.  Votes are mean
probabilities in float64: scores computed from them equal those in ``metrics.json``.  In a regression, votes
are the members' means instead, ``[..., predictor, member, pred_point]``, and NaN where a predictor has fewer
members than others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bisnn_pyro.analysis import (
    PredictedPoints,
    from_datasets,
    group,
    group_names,
    mutual_information,
    run_inference_data,
    save_idata,
)
from bisnn_pyro.data import Task
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.evaluate import UNITS, Evaluation, step_ms
from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.inference import History, Prediction

if TYPE_CHECKING:
    import xarray as xr

MAX_STORED_SYNAPSES = 100_000
"""Posterior summaries of larger networks stay in posterior.safetensors alone."""


def write_store(
    folder: RunFolder, fitted: FittedRun, task: Task, evaluation: Evaluation, history: History
) -> None:
    """Write ``inference_data.nc`` of a run, whole or not at all."""
    import xarray as xr

    idata = _arviz_groups(fitted, task, evaluation, history)
    groups = {name: group(idata, name) for name in group_names(idata)}
    train, grid = evaluation.training, _grid(task, evaluation)
    if grid is not None:
        groups["grid"] = grid.expand_dims(chain=[fitted.config.seed])
        groups["constant_data"] = xr.Dataset({"x": (("point", "feature"), train.x)}, {"point": train.index})
    save_idata(from_datasets(groups, idata.attrs), folder.idata_path)


def _arviz_groups(fitted: FittedRun, task: Task, evaluation: Evaluation, history: History) -> Any:
    config, train = fitted.config, evaluation.training
    first = next(iter(evaluation.predictions.values()))
    return run_inference_data(
        seed=config.seed,
        test=_points(task.test.y, first),
        train=replace(_points(train.y, train.votes), index=train.index),
        votes=_votes(evaluation),
        summaries=_summaries(fitted),
        history={name: history.column(name) for name in history.columns},
        class_names=list(task.classes) if task.kind == "classification" else None,
        attrs={
            "experiment": config.experiment,
            "method": config.method,
            "kl_weight": config.value("train.kl_weight"),
            "log_likelihood": "of the observed site; its mean over steps for per-step likelihoods. "
            "The NLL in metrics.json is that of the probabilities",
            "n_steps": fitted.encoder.n_steps,
            **({} if (length := step_ms(config)) is None else {"step_ms": length}),
            **_units(task, first),
        },
    )


def _points(y: np.ndarray, prediction: Prediction) -> PredictedPoints:
    draws, scale, loglik = prediction.draws, prediction.noise_scale, prediction.log_likelihood
    assert loglik is not None
    if scale is None:
        return PredictedPoints(y, loglik, probabilities=draws)
    return PredictedPoints(y, loglik, means=draws, noise_scale=scale)


def _votes(evaluation: Evaluation) -> dict[str, xr.DataArray]:
    import xarray as xr

    found = {"vote": _stacked(evaluation.predictions)}
    if evaluation.noisy:
        noise = pd.Index(list(evaluation.noisy), name="noise")
        found["shift"] = xr.concat([_stacked(votes) for votes in evaluation.noisy.values()], noise)
    if evaluation.early:
        coords = {"predictor": list(evaluation.early), "step": list(evaluation.early_steps)}
        dims = ("predictor", "step", "pred_point", "class")
        early = xr.DataArray(np.stack(list(evaluation.early.values())), coords, dims)
        found["early"] = early.reindex(predictor=list(evaluation.predictions))  # the others get NaN
    return found


def _grid(task: Task, evaluation: Evaluation) -> xr.Dataset | None:
    import xarray as xr

    if evaluation.grid is None:
        return None
    points, votes = evaluation.grid, evaluation.grid_votes
    found = {"vote": _stacked(votes, "grid_point")}
    several = {name: vote for name, vote in votes.items() if vote.noise_scale is None and len(vote.draws) > 1}
    if several:
        values = np.stack([mutual_information(vote.draws) for vote in several.values()])
        coords = {"predictor": list(several)}
        unsure = xr.DataArray(values, coords, ("predictor", "grid_point"))
        found["mutual_information"] = unsure.reindex(predictor=list(votes))  # NaN for single networks
    labels: dict[str, Any] = {"x": (("grid_point", "feature"), points.x)}
    labels |= {} if points.truth is None else {"truth": ("grid_point", points.truth)}
    labels |= {"class": list(task.classes)} if task.kind == "classification" else {}
    return xr.Dataset(found, labels)


def _stacked(votes: Mapping[str, Prediction], point: str = "pred_point") -> xr.DataArray:
    """Put the votes of all predictors into one array, members of a regression padded with NaN."""
    import xarray as xr

    names, predictions = list(votes), list(votes.values())
    if predictions[0].noise_scale is None:
        means = np.stack([p.mean for p in predictions])
        return xr.DataArray(means, {"predictor": names}, ("predictor", point, "class"))
    most = max(len(p.draws) for p in predictions)
    padded = [
        np.pad(p.draws, ((0, most - len(p.draws)), (0, 0)), constant_values=np.nan) for p in predictions
    ]
    return xr.DataArray(np.stack(padded), {"predictor": names}, ("predictor", "member", point))


def _units(task: Task, prediction: Prediction) -> dict[str, Any]:
    """Return what a reader of a regression needs to go back to the original units."""
    if prediction.noise_scale is None:
        return {}
    scaler = task.target_scaler
    span = {} if scaler is None else {"target_low": float(scaler.low), "target_high": float(scaler.high)}
    return {"noise_scale": prediction.noise_scale, "units": UNITS, **span}


def _summaries(fitted: FittedRun) -> dict[str, np.ndarray]:
    mean = fitted.mean()
    if sum(w.numel() for w in mean.values()) > MAX_STORED_SYNAPSES:
        return {}
    result = {f"{name}_mean": w.numpy() for name, w in mean.items()}
    if not fitted.guide.point and (fitted.guide.binary or not fitted.others):
        result |= {f"{n}_natural_parameter": v.numpy() for n, v in fitted.natural_parameters().items()}
    return result


class Store:
    """What the predictors of a finished run said; each array is read when it is first asked for.

    Example::

        store = Store.open("runs/two-moons/bayes-seed0")
        store.predictors                # ('committee', 'mode', 'mean', 'pruned')
        store.votes("mode")             # probabilities [N, C]
        store.shifted("0.1", "mode")    # the same on noisy test points
        store.dataset("posterior")      # a group of the file, an xarray.Dataset

    Args:
        folder: the run folder.

    Raises:
        RunFolderError: if the file is missing, broken or from an earlier release.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder, self.path = folder, folder.idata_path
        self._read: dict[tuple[str, str | None], xr.Dataset] = {}
        self._votes = self.dataset("predictions", "vote")["vote"][0]

    @classmethod
    def open(cls, folder: RunFolder | str | os.PathLike[str]) -> Store:
        """Open the store of a run folder, given as such or by its path."""
        return cls(RunFolder.at(folder))

    def __repr__(self) -> str:
        """Where it is, and what is in it."""
        parts = [f"predictors: {', '.join(self.predictors)}", f"test points: {len(self.targets)}"]
        parts += [f"noise: {', '.join(self.shifts)}"] if self.shifts else []
        parts += [f"early steps: {len(self.early_steps)}"] if self.early_steps else []
        return "\n  ".join([f"Store({str(self.path)!r})", *parts])

    def dataset(self, name: str, variable: str | None = None) -> xr.Dataset:
        """Return a group of the file, or one variable of it with its labels.

        Raises:
            RunFolderError: if it is not there, or the file cannot be read.
        """
        import xarray as xr

        key = (name, variable)
        if key not in self._read:
            file = self._checked()
            try:
                with xr.open_dataset(file, group=name, engine="h5netcdf") as found:
                    self._read[key] = (found if variable is None else found[[variable]]).load()
            except (OSError, KeyError, ValueError) as error:
                what = name if variable is None else f"{name}/{variable}"
                raise RunFolderError(
                    f"{self.path} has no readable {what} ({error}); `bisnn evaluate {self.folder.path}` "
                    "writes it again"
                ) from error
        return self._read[key]

    def _checked(self) -> Path:
        """Return the path of the file, which is as the run wrote it."""
        return self.folder.checked(self.path.name, f"`bisnn evaluate {self.folder.path}` writes it again")

    @cached_property
    def _content(self) -> dict[str, set[str]]:
        """The variables of each group."""
        import xarray as xr

        with xr.open_datatree(self._checked(), engine="h5netcdf") as tree:
            return {name: {str(v) for v in child.data_vars} for name, child in tree.children.items()}

    @cached_property
    def attrs(self) -> Mapping[str, Any]:
        """What holds of the whole run: experiment, method, seed, KL weight, units."""
        import xarray as xr

        with xr.open_dataset(self._checked(), engine="h5netcdf") as found:
            return dict(found.attrs)

    @property
    def predictors(self) -> tuple[str, ...]:
        """Names of the predictors; the first is the run's default."""
        return tuple(map(str, self._votes["predictor"].values))

    @property
    def targets(self) -> np.ndarray:
        """Class indices of the test points, or rescaled targets, ``[N]``."""
        return self.dataset("predictions_constant_data", "y")["y"].values

    @property
    def noise_scale(self) -> float | None:
        """Standard deviation of a regression's noise, None for a classification."""
        return self.attrs.get("noise_scale")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes as the user wrote them; empty for a regression."""
        return tuple(map(str, self._votes["class"].values)) if "class" in self._votes.dims else ()

    def votes(self, predictor: str | None = None) -> np.ndarray:
        """Return a predictor's votes on the test points, float64; the first predictor's by default.

        Returns:
            Probabilities ``[N, C]``, or of a regression the members' means ``[S, N]``.
        """
        return _of(self._votes, predictor or self.predictors[0], self.path)

    def members(self) -> np.ndarray:
        """Return the members of the first predictor: ``[S, N, C]``, or ``[S, N]``."""
        name = "y_prob" if self.noise_scale is None else "y_mean"
        return self.dataset("predictions", name)[name].values[0]

    def log_likelihood(self) -> np.ndarray:
        """Return the log-likelihood of the test targets under each :meth:`members`, ``[S, N]`` nats."""
        return self.dataset("predictions_log_likelihood", "y")["y"].values[0]

    @property
    def shifts(self) -> tuple[str, ...]:
        """The standard deviations of ``analysis.noise``, as they stand in ``metrics.json``."""
        if "shift" not in self._content["predictions"]:
            return ()
        return tuple(map(str, self.dataset("predictions", "shift")["noise"].values))

    def shifted(self, label: str, predictor: str | None = None) -> np.ndarray:
        """Return the votes on noisy test points; the arguments are one of :attr:`shifts` and a predictor."""
        found = self.dataset("predictions", "shift")["shift"][0].sel(noise=label)
        return _of(found, predictor or self.predictors[0], self.path)

    @property
    def early_steps(self) -> tuple[int, ...]:
        """The numbers of elapsed steps at which the test points were also decided."""
        if "early" not in self._content["predictions"]:
            return ()
        return tuple(map(int, self.dataset("predictions", "early")["step"].values))

    @property
    def early_predictors(self) -> tuple[str, ...]:
        """The predictors that have early votes: those whose networks run in time."""
        names = self.dataset("predictions", "early")["early"].dropna("predictor")["predictor"].values
        return tuple(map(str, names))

    @property
    def n_steps(self) -> int:
        """T."""
        return int(self.attrs["n_steps"])

    @property
    def step_ms(self) -> float | None:
        """Length of a step in milliseconds, None where the data do not say."""
        return self.attrs.get("step_ms")

    def early(self, predictor: str | None = None) -> np.ndarray:
        """Return the votes ``[K, N, C]`` at the K :attr:`early_steps`."""
        found = self.dataset("predictions", "early")["early"][0]
        return _of(found, predictor or self.predictors[0], self.path)

    def grid(self) -> xr.Dataset | None:
        """Return the votes over the inputs' range; None unless there are two features, or one.

        ``vote`` is labelled like that of the test points, with ``grid_point`` for ``pred_point`` and the
        coordinate ``x``; of committees also ``mutual_information``, of a known curve ``truth``.
        """
        return self.dataset("grid").isel(chain=0) if "grid" in self._content else None

    def grid_votes(self, predictor: str | None = None) -> np.ndarray:
        """Return a predictor's votes on the grid, shaped like :meth:`votes`."""
        grid = self.grid()
        if grid is None:
            raise RunFolderError(f"{self.path} has no grid: its inputs have more than two features")
        return _of(grid["vote"], predictor or self.predictors[0], self.path)

    @property
    def training_points(self) -> tuple[np.ndarray, np.ndarray]:
        """Scaled features ``[N, F]`` (F = 1 or 2) and targets ``[N]`` of at most 2,000 training points."""
        return self.dataset("constant_data")["x"].values, self.dataset("observed_data")["y"].values

    @property
    def history(self) -> pd.DataFrame:
        """The training: loss, KL, validation NLL ..., one row per epoch."""
        columns = self.dataset("sample_stats").isel(chain=0, drop=True)
        return columns.to_dataframe().reset_index()


def _of(votes: xr.DataArray, predictor: str, path: Path) -> np.ndarray:
    """Return the votes of one predictor, without the members that it does not have."""
    names = list(map(str, votes["predictor"].values))
    if predictor not in names:
        raise RunFolderError(f"{path} has no votes of {predictor!r}; it has {', '.join(names)}")
    found = votes[names.index(predictor)] if votes.dims[0] == "predictor" else votes.sel(predictor=predictor)
    values = found.values
    return values if "member" not in found.dims else values[~np.isnan(values).all(-1)]
