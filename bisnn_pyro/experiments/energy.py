"""What an inference costs each predictor of a run, beside nets of the same size with 32-bit weights.

Spikes are counted on some test points, everything else follows from them and from the network's shape; how,
and what is left out, says :mod:`bisnn_pyro.analysis.energy`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from typing import Any

from bisnn_pyro.analysis import (
    HOROWITZ_45NM,
    WORD,
    OperationEnergies,
    PrintedTable,
    Work,
    average_seeds,
    check_suffix,
    non_spiking_inference,
    printed_table,
    spiking_inference,
)
from bisnn_pyro.errors import ConfigError, InputError
from bisnn_pyro.experiments.activity import check_countable, layer_activity
from bisnn_pyro.experiments.comparable import FinishedRun, finished_runs
from bisnn_pyro.experiments.costs import MAX_POINTS, for_some_networks, some_points, weight_bits
from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.experiments.folds import n_folds_of
from bisnn_pyro.experiments.reopen import reopen
from bisnn_pyro.models import SignNetwork

WIDE, NON_SPIKING = "(32-bit weights)", "(32-bit, no spikes)"
"""What stands in the place of a predictor: the mode, were its weights real, and a net without spikes."""

DIGITS = {"weight_bits": 0, "spikes": 1, "synaptic_ops": 0, "unit_updates": 0, "memory_accesses": 0}


def energy(
    paths: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str] | None = None,
    *,
    energies: OperationEnergies = HOROWITZ_45NM,
    data_dir: str | os.PathLike[str] | None = None,
) -> PrintedTable:
    """Return the cost of an inference for each predictor of finished runs, and of its 32-bit relatives.

    Args:
        paths: run folders, or folders that hold them.
        out: file for the table, .csv, .md or .tex.
        energies: of single operations.
        data_dir: where the data are now, in place of the configs' ``data.path``.

    Raises:
        InputError: if a run cannot be read or counted, or the suffix is unknown.
    """
    target = None if out is None else check_suffix(out)
    runs = finished_runs(paths)
    _check_networks(runs)
    rows = [row for run in runs for row in _rows(run, energies, data_dir)]
    if len({run.config.experiment for run in runs}) == 1:
        rows = [{name: value for name, value in row.items() if name != "experiment"} for row in rows]
    if runs[0].config.fold is not None:
        rows = average_seeds(rows)
    table = printed_table(rows, digits=DIGITS)
    note = f"of one inference, mean over at most {MAX_POINTS} test points; energies in nJ"
    table = replace(table, notes=[*table.notes, note])
    if target is not None:
        table.write(target)
    return table


def _check_networks(runs: Sequence[FinishedRun]) -> None:
    """Refuse to average seeds over different networks."""
    first: dict[tuple[str, str], FinishedRun] = {}
    for run in runs:
        other = first.setdefault((run.config.experiment, run.config.method), run)
        for name in ("network", "encoder", "prior", "predict"):
            if getattr(run.config, name) != getattr(other.config, name):
                raise InputError(
                    f"[{name}] of {run.folder.path} differs from that of {other.folder.path}, of the same "
                    "experiment and method, so that no line can stand for both; count them one at a time"
                )


def parse_energies(texts: Iterable[str]) -> OperationEnergies:
    """Return energies in picojoule of ``operation=number`` strings, Horowitz's where nothing is said.

    Raises:
        ConfigError: if a string has another form, or there is no such operation.
    """
    known = [field.name for field in fields(OperationEnergies)]
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise ConfigError(
                f"--pj {text!r} is not of the form operation=picojoule, memory_bit=0.3"
            ) from None
    wrong = [name for name in found if name not in known]
    if wrong:
        raise ConfigError(f"--pj: there is no operation {wrong[0]!r}; they are {', '.join(known)}")
    return replace(HOROWITZ_45NM, **found)


def inference_work(fitted: FittedRun, x: Any) -> dict[str, Work]:
    """Return the work of one inference by predictor, those of the 32-bit relatives last.

    A committee of S does S times a member's, as the first few members are seen to do it; analytic predictors
    are left out.

    Args:
        fitted: the posterior.
        x: scaled test inputs ``[N, ...]``, of which at most 250 are looked at.

    Raises:
        ModelError: for a network or a neuron of one's own, whose operations nobody knows.
    """
    model = fitted.model
    check_countable(model)
    chosen = some_points(x)
    n_steps = fitted.encoder.n_steps
    seen = for_some_networks(fitted, chosen, lambda runs: layer_activity(model, runs, len(chosen), n_steps))
    result = {}
    for predictor, networks in seen.items():
        if networks:
            bits = 1 if fitted.guide.binary and predictor in ("mode", "committee") else WORD
            total = sum((spiking_inference(layers, bits) for layers in networks), Work())
            result[predictor] = total * (fitted.n_members(predictor) / len(networks))
    (mode,) = seen["mode"]
    if fitted.guide.binary:
        result[WIDE] = spiking_inference(mode, WORD)
    result[NON_SPIKING] = non_spiking_inference(mode, n_steps)
    return result


def _rows(
    run: FinishedRun, energies: OperationEnergies, data_dir: str | os.PathLike[str] | None
) -> list[dict[str, Any]]:
    fitted, task = reopen(run.folder.path, data_dir)
    bits, signs = _all_bits(fitted), isinstance(fitted.model, SignNetwork)
    fold = {} if run.config.fold is None else {"fold": run.config.fold, "n_folds": n_folds_of(run.config)}
    return [
        {
            "experiment": run.config.experiment,
            "method": run.config.method,
            "predictor": predictor,
            "seed": run.config.seed,
            **fold,
            "weight_bits": bits[predictor],
            "spikes": None if predictor == NON_SPIKING or signs else work.spikes,
            "synaptic_ops": work.synaptic_ops,
            "unit_updates": work.unit_updates,
            "memory_accesses": work.memory_accesses,
            "compute_nj": work.compute_energy(energies),
            "memory_nj": work.memory_energy(energies),
            "energy_nj": work.compute_energy(energies) + work.memory_energy(energies),
        }
        for predictor, work in inference_work(fitted, task.test.x).items()
    ]


def _all_bits(fitted: FittedRun) -> dict[str, int]:
    own = weight_bits(fitted)
    synapses = sum(w.numel() for w in fitted.guide.mode().values())
    wide = own["mode"] + (WORD - 1) * synapses if fitted.guide.binary else own["mode"]
    return {**own, WIDE: wide, NON_SPIKING: wide}
