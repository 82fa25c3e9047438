"""What a finished run stores as ArviZ data, and how several seeds become chains.

=====================  ======================  =====================================================
group                  dimensions              holds
=====================  ======================  =====================================================
posterior              chain, draw, ...        functionals of each committee member: always
                                               ``mean_log_likelihood`` (nats per test point); weight
                                               draws where given
posterior_summary      chain, ...              the guide's own parameters: posterior means, natural
                                               parameters, a learned noise scale
posterior_predictive   chain, draw, point, ..  ``y_prob`` (also class) or, in a regression, ``y_mean``
log_likelihood         chain, draw, point      ``y``, nats, one number a test point
observed_data          point                   ``y``
constant_data          point, ...              ``x``, where given
sample_stats           chain, epoch            loss, kl, temperature, ... of each training epoch
=====================  ======================  =====================================================

A chain is a training seed and a draw a committee member, so ``arviz.summary`` of ``posterior`` over
stacked seeds compares committees: r_hat near 1 says that seeds agree.  Closed-form summaries stand
apart from ``posterior`` because ArviZ takes every variable there to have draws.  ``sample_stats`` has
epochs where a sampler has draws: training has no statistic of a single draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.inference_data import from_datasets, group, group_names, make_idata
from bisnn_pyro.analysis.validation import as_probabilities, as_real
from bisnn_pyro.errors import DataError


def run_inference_data(
    *,
    seed: int,
    observed: ArrayLike,
    log_likelihood: ArrayLike,
    probabilities: ArrayLike | None = None,
    mean_draws: ArrayLike | None = None,
    summaries: Mapping[str, ArrayLike] | None = None,
    draws: Mapping[str, ArrayLike] | None = None,
    history: Mapping[str, ArrayLike] | None = None,
    features: ArrayLike | None = None,
    class_names: Sequence[Any] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> Any:
    """Build the container of one finished run from arrays.

    Args:
        seed: the training seed, which becomes the chain's label.
        observed: `[N]` test targets: class indices, or numbers in a regression.
        log_likelihood: `[S, N]` nats; one committee member a row.  -inf is let through.
        probabilities: `[S, N, C]` class probabilities of each member.
        mean_draws: `[S, N]` predicted means of each member of a regression; give one of the two.
        summaries: name -> array of the posterior's own parameters, any shape, such as
            ``{"layers.0.weight_mean": [O, I], "layers.0.weight_natural_parameter": [O, I]}``.
        draws: name -> `[S, ...]` what each member is made of, such as its weights; leave out for large nets.
        history: column -> `[E]`, one value an epoch (NaN where there is none); ``epoch`` labels them.
        features: `[N, ...]` test inputs.
        class_names: the C labels as the user wrote them.
        attrs: of the whole container (experiment, method, beta, ...).

    Returns:
        The container of the installed ArviZ line.

    Raises:
        DataError: shapes that do not fit, NaN, or neither or both of `probabilities` and `mean_draws`.
    """
    loglik = as_real(log_likelihood, "log_likelihood", 2, finite=False)
    if (probabilities is None) == (mean_draws is None):
        raise DataError("Give probabilities (classification) or mean_draws (regression), and not both.")
    if probabilities is not None:
        predictive = {"y_prob": as_probabilities(probabilities, "probabilities", 3)}
    else:
        predictive = {"y_mean": as_real(mean_draws, "mean_draws", 2)}  # type: ignore[arg-type]
    for name, array in predictive.items():
        if array.shape[:2] != loglik.shape:
            raise DataError(f"{name} has shape {array.shape}; log_likelihood {loglik.shape} must agree.")
    posterior = {"mean_log_likelihood": loglik.mean(-1), **(draws or {})}
    training, epochs = _training(history or {})
    coords: dict[str, Any] = {
        "chain": [int(seed)],
        "draw": np.arange(len(loglik)),
        "point": np.arange(loglik.shape[1]),
    }
    coords |= {"epoch": epochs} if training else {}
    coords |= {"class": list(class_names)} if class_names is not None else {}
    return make_idata(
        {
            "posterior": _one_chain(posterior),
            "posterior_summary": _one_chain(summaries or {}),
            "posterior_predictive": _one_chain(predictive),
            "log_likelihood": _one_chain({"y": loglik}),
            "sample_stats": _one_chain(training),
            "observed_data": {"y": observed},
            "constant_data": {} if features is None else {"x": features},
        },
        coords=coords,
        dims={
            "y": ["point"],
            "y_mean": ["point"],
            "y_prob": ["point", "class"],
            "x": ["point", *(f"x_dim_{i}" for i in range(np.ndim(features) - 1))],  # type: ignore[arg-type]
        },
        attrs={"inference_library": "bisnn_pyro", "seed": int(seed), **(attrs or {})},
    )


def stack_seeds(runs: Sequence[Any]) -> Any:
    """Put runs that differ in their training seed into one container, a chain each.

    Runs that stopped at different epochs are filled up with NaN in ``sample_stats``; all else must match.

    Args:
        runs: containers of :func:`run_inference_data`, on the same test points and with as many draws.

    Returns:
        One container; attributes are those on which all runs agree, and ``seeds``.

    Raises:
        DataError: no runs, a seed given twice, other groups, other test points or another number of draws.
    """
    import xarray as xr

    if not runs:
        raise DataError("stack_seeds got no runs; give at least one.")
    names = group_names(runs[0])
    for run in runs[1:]:
        if set(group_names(run)) != set(names):
            raise DataError(f"Runs have other groups: {sorted(names)} and {sorted(group_names(run))}.")
    seeds = [int(seed) for run in runs for seed in group(run, "posterior")["chain"].values]
    if len(set(seeds)) != len(seeds):
        raise DataError(f"The seeds {seeds} are not all different; each seed is one chain.")
    datasets = {}
    for name in names:
        parts = [group(run, name) for run in runs]
        if "chain" not in parts[0].dims:
            if not all(parts[0].equals(part) for part in parts[1:]):
                raise DataError(f"{name} differs between the runs; seeds stack only on the same test points.")
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
                f"expected ({length},) numbers, one an epoch."
            )
    epochs = columns.pop("epoch", np.arange(length))
    return columns, epochs
