"""Posterior predictive checks of spike statistics, as ArviZ data.

======================  =========================  ====================================================
group                   dimensions                 holds
======================  =========================  ====================================================
posterior_predictive    chain, draw, point, step,  ``y``: trains that each member's outputs draw
                        unit
posterior_predictive    chain, draw, unit          ``rate``, ``interval_mean``, ``interval_cv`` and
                                                   ``fano`` of these
observed_data           as above, without chain    the same of the trains in the data
                        and draw
posterior_predictive    chain, draw,               ``<layer>.rate`` and so on: of hidden spikes, which
                        <layer>.unit               no data speak of
======================  =========================  ====================================================

The names are those of both groups, so that ``arviz.plot_ppc(data, var_names=["rate"])`` (0.x) and
``plot_ppc_dist`` (1.x) put data and predictions side by side.  A unit with too few spikes for a statistic has
NaN, which those plots leave out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.inference_data import make_idata
from bisnn_pyro.analysis.spike_statistics import STATISTICS, train_statistics
from bisnn_pyro.errors import DataError

Statistics = Mapping[str, ArrayLike]


def spike_check_data(
    *,
    seed: int,
    hidden: Mapping[str, Sequence[Statistics]],
    replicated: ArrayLike | None = None,
    observed: ArrayLike | None = None,
    window: int = 10,
    attrs: Mapping[str, Any] | None = None,
) -> Any:
    """Build the container of the spikes of one run's committee.

    Args:
        seed: the training seed, which becomes the chain's label.
        hidden: layer -> for each member what :func:`train_statistics` says of its spikes.
        replicated: `[S, T, B, O]` output trains that each member draws, where outputs are spike trains.
        observed: `[T, B, O]` the data's trains on the same points.
        window: steps of the Fano factor's windows in the output trains.
        attrs: of the whole container.

    Returns:
        The container of the installed ArviZ line.

    Raises:
        DataError: nothing at all, one of `replicated` and `observed` without the other, or other shapes.
    """
    if (replicated is None) != (observed is None):
        raise DataError("Give both replicated and observed trains, or neither.")
    predictive: dict[str, np.ndarray] = {}
    data: dict[str, np.ndarray] = {}
    dims = {name: ["unit"] for name in STATISTICS}
    for layer, members in hidden.items():
        for name in STATISTICS:
            predictive[f"{layer}.{name}"] = np.stack([member[name] for member in members])
            dims[f"{layer}.{name}"] = [f"{layer}.unit"]
    if replicated is not None:
        trains, target = np.asarray(replicated), np.asarray(observed)
        if trains.ndim != 4 or trains.shape[1:] != target.shape:
            raise DataError(
                f"replicated has shape {trains.shape} and observed {target.shape}; expected [S, T, B, O] and "
                "[T, B, O]."
            )
        each = [train_statistics(member, window) for member in trains]
        predictive |= {name: np.stack([one[name] for one in each]) for name in STATISTICS}
        predictive["y"] = trains.transpose(0, 2, 1, 3).astype(np.int8)
        data = {**train_statistics(target, window), "y": target.transpose(1, 0, 2).astype(np.int8)}
        dims["y"] = ["point", "step", "unit"]
    if not predictive:
        raise DataError("There are no spikes to check: give hidden layers, or output trains.")
    groups = {"posterior_predictive": {k: v[None] for k, v in predictive.items()}, "observed_data": data}
    return make_idata(
        groups, coords={"chain": [int(seed)]}, dims=dims, attrs={"seed": int(seed), **(attrs or {})}
    )
