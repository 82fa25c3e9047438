"""Whether training seeds agree: R-hat and rank histograms, with seeds as chains and members as draws.

A committee's members are independent draws, so there is no chain to converge.  What R-hat compares here is
the spread between seeds with that within them: near 1, another seed would have given another sample of the
same committee; well above, training ended somewhere else, and one seed's committee is too narrow.  Weights
themselves are no subject for it: units can be swapped, and seeds that agree in every vote have other weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.posterior.inference_data import group, import_arviz
from bisnn_pyro.analysis.tables import PrintedTable, plain_table
from bisnn_pyro.analysis.validation import FloatArray, as_real
from bisnn_pyro.errors import DataError

#: ArviZ splits each chain in two, and a half needs a variance.
MIN_DRAWS = 4


@dataclass(frozen=True)
class SeedAgreement:
    """R-hat over training seeds.

    Attributes:
        r_hat: rank-normalised split R-hat (Vehtari et al., Bayesian Analysis 16, 2021); NaN where it means
            nothing.
        n_seeds: chains.
        n_draws: of each.
        why_not: why it means nothing; empty where it does.
    """

    r_hat: float
    n_seeds: int
    n_draws: int
    why_not: str = ""


def compare_seeds(values: ArrayLike, name: str = "values") -> SeedAgreement:
    """Return R-hat of a number that each member of each seed has, or why it is undefined.

    With few seeds it is a noisy number: of two, agreement may be luck.

    Args:
        values: `[K, S]`, one row per seed, such as each member's mean log-likelihood of the test points.
        name: what a message calls them.

    Raises:
        DataError: another shape, NaN or infinity.
    """
    array = as_real(values, name, 2)
    n_seeds, n_draws = array.shape
    why_not = _why_not(array)
    if why_not:
        return SeedAgreement(float("nan"), n_seeds, n_draws, why_not)
    return SeedAgreement(float(import_arviz().rhat(array)), n_seeds, n_draws)


def seed_agreement_table(idata: Any, var_names: Sequence[str] | None = None) -> PrintedTable:
    """Return R-hat of each variable of ``posterior``, with a note on each that has none.

    Args:
        idata: seeds in one container, from :func:`~bisnn_pyro.analysis.stack_seeds`.
        var_names: variables of ``posterior`` with one number per draw; all such by default.

    Raises:
        DataError: no such variable, or one with several numbers a draw.
    """
    posterior = group(idata, "posterior")
    scalars = [str(name) for name, values in posterior.data_vars.items() if values.ndim == 2]
    names = scalars if var_names is None else list(var_names)
    for name in names:
        if name not in scalars:
            raise DataError(f"posterior has no {name!r} with one number per draw; it has {scalars}.")
    found = {name: compare_seeds(posterior[name].transpose("chain", "draw").values, name) for name in names}
    rows = [
        {"variable": k, "seeds": v.n_seeds, "draws": v.n_draws, "r_hat": None if v.why_not else v.r_hat}
        for k, v in found.items()
    ]
    notes = [f"{name}: {one.why_not}" for name, one in found.items() if one.why_not]
    return plain_table(rows, digits=3, notes=notes)


def rank_counts(values: ArrayLike, n_bins: int = 20) -> FloatArray:
    """Return how the ranks of each seed's draws among all draws spread over equal bins.

    Seeds that agree have about S / n_bins in each; a seed whose counts pile up at one end is better or worse
    than the others as a whole, one whose counts pile up at both is wider.

    Args:
        values: `[K, S]`, one row per seed; draws alike share their mean rank.
        n_bins: number of bins.

    Returns:
        `[K, n_bins]` counts.

    Raises:
        DataError: another shape, NaN or infinity, no bins, or all values alike (which have no ranks).
    """
    from scipy.stats import rankdata

    array = as_real(values, "values", 2)
    if n_bins < 1:
        raise DataError(f"n_bins is {n_bins}; expected at least 1.")
    if np.ptp(array) == 0:
        raise DataError(
            f"values (shape {array.shape}) are all {array.flat[0]:g}; equal numbers have no ranks."
        )
    ranks = rankdata(array).reshape(array.shape)
    edges = np.linspace(0.5, array.size + 0.5, n_bins + 1)
    return np.stack([np.histogram(row, edges)[0] for row in ranks]).astype(np.float64)


def _why_not(values: FloatArray) -> str:
    n_seeds, n_draws = values.shape
    if n_seeds < 2:
        return "one training seed has no other to agree with; run several, for example --seeds 0-4"
    if n_draws < MIN_DRAWS:
        return (
            f"{n_draws} draw(s) per seed: a point estimate or a tiny committee has no spread within a seed "
            "to compare with; compare the seeds' scores instead"
        )
    if np.ptp(values) == 0:
        return "constant: all draws of all seeds are alike, and there is no spread to compare"
    if (np.ptp(values, axis=1) == 0).all():
        return "the draws of each seed are all equal, and the seeds differ: R-hat is infinite"
    return ""
