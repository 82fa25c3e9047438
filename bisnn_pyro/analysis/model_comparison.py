"""Models side by side by their expected log predictive density, and how sure their order is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bisnn_pyro.analysis.elpd import Elpd, heard, held_out_elpd, log_likelihood_of, loo_record, standard_error
from bisnn_pyro.analysis.inference_data import group, import_arviz
from bisnn_pyro.analysis.printing import MISSING, PrintedTable
from bisnn_pyro.errors import DataError

_COLUMNS = ("elpd", "se", "difference", "se_difference", "p_loo", "bad_k", "weight")


def compare_models(runs: Mapping[str, Any], *, conditioned: bool, var_name: str = "y") -> PrintedTable:
    """Compare the elpd of several models on the same points.

    Args:
        runs: model -> container of its run.  Several seeds in one container are one mixture of their draws.
        conditioned: whether ``log_likelihood`` is of points that the posteriors were conditioned on.  Those
            of a run's ``inference_data.nc`` are test points: False.
        var_name: the variable of ``log_likelihood``.

    Returns:
        A line a model, best first, those without an estimate last.  ``difference`` is the elpd less the
        best one's, at most 0, with the standard error of the *paired* difference, which is too small for
        fewer than 100 points or models much alike (Sivula et al., arXiv 2008.10296).  Of LOO also ``p_loo``,
        ``bad_k`` (points whose Pareto k is too large) and ``weight`` (``arviz.compare``, stacking).  The
        notes say why a model has no estimate, and repeat what ArviZ warned of.

    Raises:
        DataError: no models, other points, no such variable, NaN.
    """
    _check_points(runs, var_name)
    found: dict[str, Elpd] = {}
    loos: dict[str, Any] = {}
    lacking: dict[str, int] = {}
    notes = [_meaning(conditioned, next(iter(runs.values())), var_name)]
    for name, idata in runs.items():
        values = log_likelihood_of(idata, var_name)
        try:
            if conditioned:
                found[name], loos[name] = loo_record(idata, var_name)
            else:
                found[name] = held_out_elpd(values)
        except DataError as error:
            lacking[name] = len(values)
            notes.append(f"{name}: {error}")
    weights, said = _stacking(loos)
    notes += [f"{name}: ArviZ: {text}" for name, one in found.items() for text in one.warnings]
    notes += [f"weights: ArviZ: {text}" for text in said]
    rows = [*_rows(found, weights), *({"model": name, "n_draws": n} for name, n in lacking.items())]
    return _table(rows, notes)


def _check_points(runs: Mapping[str, Any], var_name: str) -> None:
    if not runs:
        raise DataError("compare_models got no models; give at least one.")
    (first, one), *others = runs.items()
    observed = group(one, "observed_data")[var_name].values
    for name, other in others:
        if not np.array_equal(group(other, "observed_data")[var_name].values, observed):
            raise DataError(f"{first} and {name} have other points; models compare on the same ones alone.")


def _stacking(records: Mapping[str, Any]) -> tuple[dict[str, float], tuple[str, ...]]:
    if len(records) < 2:
        return {}, ()
    frame, said = heard(import_arviz().compare, dict(records), method="stacking")
    return {str(name): float(weight) for name, weight in frame["weight"].items()}, said


def _rows(found: Mapping[str, Elpd], weights: Mapping[str, float]) -> list[dict[str, Any]]:
    order = sorted(found, key=lambda name: -found[name].elpd)
    rows = []
    for name in order:
        own, best = found[name], found[order[0]]
        with np.errstate(invalid="ignore"):  # two models that both rule a point out
            difference = own.pointwise - best.pointwise
        rows.append(
            {
                "model": name,
                "n_draws": own.n_draws,
                "elpd": own.elpd,
                "se": own.se,
                "difference": 0.0 if name == order[0] else float(difference.sum()),
                "se_difference": 0.0 if name == order[0] else standard_error(difference),
                "p_loo": None if own.n_bad is None else own.p_loo,
                "bad_k": own.n_bad,
                "weight": weights.get(name),
            }
        )
    return rows


def _table(rows: list[dict[str, Any]], notes: list[str]) -> PrintedTable:
    header = ["model", "n_draws", *(c for c in _COLUMNS if any(row.get(c) is not None for row in rows))]
    body = [[_cell(row.get(name)) for name in header] for row in rows]
    numbers = [{name: row.get(name) for name in header} for row in rows]
    return PrintedTable(header, body, [name != "model" for name in header], notes, numbers)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return MISSING
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _meaning(conditioned: bool, idata: Any, var_name: str) -> str:
    n_points = log_likelihood_of(idata, var_name).shape[1]
    how = "each left out in turn (PSIS-LOO)" if conditioned else "on which nothing was conditioned"
    return f"elpd in nats over {n_points} points, {how}; difference to the best, paired by point"
