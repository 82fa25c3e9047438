"""What one inference costs each predictor of a run, and networks of the same size with 32-bit weights.

Spikes are counted on some test points; everything else follows from them and from the network's shape.
:mod:`bisnn_pyro.analysis.energy` describes the accounting, and what it leaves out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

from bisnn_pyro.analysis import (
    HOROWITZ_45NM,
    WORD,
    OperationEnergies,
    Work,
    check_suffix,
    non_spiking_inference,
    spiking_inference,
)
from bisnn_pyro.derived.activity import check_countable, layer_activity
from bisnn_pyro.errors import ConfigError, InputError
from bisnn_pyro.experiments.costs import MAX_POINTS, for_some_networks, some_points, weight_bits
from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.models import SignNetwork
from bisnn_pyro.results.finished import FinishedRun, Paths, read_runs
from bisnn_pyro.results.runs import Runs, as_frame, line_table
from bisnn_pyro.results.studies.study import Folder, Study

WIDE, NON_SPIKING = "(32-bit weights)", "(32-bit, no spikes)"
"""Rows in the place of a predictor: the mode with real weights, and a network without spikes."""

DIGITS = {"weight_bits": 0, "spikes": 1, "synaptic_ops": 0, "unit_updates": 0, "memory_accesses": 0}


def energy_study(
    runs: Runs | Paths,
    out: str | os.PathLike[str] | None = None,
    *,
    energies: OperationEnergies = HOROWITZ_45NM,
    data_dir: Folder = None,
    trust: bool = False,
) -> Study:
    """Return the cost of one inference for each predictor of finished runs, and of its 32-bit relatives.

    Args:
        runs: the runs, or their folders; they may be of several data sets.
        out: file for the table, .csv, .md or .tex.
        energies: of single operations.
        data_dir: where the data are now, instead of the configs' ``data.path``.
        trust: whether classes of a user's own that a config names may be imported.

    Raises:
        InputError: if a run cannot be read or counted, or the suffix is unknown.
    """
    target = None if out is None else check_suffix(out)
    found = list(runs) if isinstance(runs, Runs) else read_runs(runs, trust=trust)
    _check_networks(found)
    frame = as_frame([row for run in found for row in _rows(run, energies, data_dir)])
    shown = frame.drop(columns="experiment") if frame["experiment"].nunique() == 1 else frame
    note = f"for one inference, mean over at most {MAX_POINTS} test points; energies in nJ"
    n_folds = None if found[0].fold is None else found[0].config.n_folds
    table = line_table(shown, None, n_folds, notes=[note], digits=DIGITS)
    return Study(table, frame, () if target is None else (table.write(target),))


def _check_networks(runs: Sequence[FinishedRun]) -> None:
    """Refuse to average seeds over different networks."""
    first: dict[tuple[str, str], FinishedRun] = {}
    for run in runs:
        other = first.setdefault((run.experiment, run.method), run)
        for name in ("network", "encoder", "prior", "predict"):
            if getattr(run.config, name) != getattr(other.config, name):
                raise InputError(
                    f"[{name}] of {run.folder.path} differs from that of {other.folder.path}, of the same "
                    "experiment and method, so one line cannot stand for both; give them one at a time"
                )


def parse_energies(texts: Iterable[str]) -> OperationEnergies:
    """Return energies in picojoule of ``operation=number`` strings, Horowitz's for the other operations.

    Raises:
        ConfigError: if a string has another form, or there is no such operation.

    Example:
        >>> parse_energies(["memory_bit=0.3"]).memory_bit
        0.3
    """
    known = [field.name for field in fields(OperationEnergies)]
    found: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise ConfigError(
                f"--pj {text!r} is not of the form operation=picojoule, such as memory_bit=0.3"
            ) from None
    wrong = [name for name in found if name not in known]
    if wrong:
        raise ConfigError(f"--pj: there is no operation {wrong[0]!r}; choose from {', '.join(known)}")
    return replace(HOROWITZ_45NM, **found)


def inference_work(fitted: FittedRun, x: Any) -> dict[str, Work]:
    """Return the work of one inference by predictor, that of the 32-bit relatives last.

    Args:
        fitted: the posterior.
        x: scaled test inputs ``[N, ...]``, of which at most 250 are used.

    Raises:
        ModelError: for a network or a neuron of a user's own, whose operations are not known.
    """
    model, n_steps = fitted.model, fitted.encoder.n_steps
    check_countable(model)
    chosen = some_points(x)
    count = partial(layer_activity, model, n_points=len(chosen), n_steps=n_steps)
    seen = for_some_networks(fitted, chosen, count)
    result = {}
    for name, networks in seen.items():
        if networks:
            predictor = fitted.predictors[name]
            bits = predictor.bits_per_synapse(fitted.guide)
            total = sum((spiking_inference(layers, bits) for layers in networks), Work())
            result[name] = total * (fitted.n_members(name) / len(networks))
    mode, n = seen["mode"], fitted.n_members("mode")  # one network, or one per component of a mixture
    if fitted.guide.binary:
        total = sum((spiking_inference(layers, WORD) for layers in mode), Work())
        result[WIDE] = total * (n / len(mode))
    result[NON_SPIKING] = non_spiking_inference(mode[0], n_steps) * n
    return result


def _rows(run: FinishedRun, energies: OperationEnergies, data_dir: Folder) -> list[dict[str, Any]]:
    fitted, task = run.open(data_dir)
    bits, signs = _all_bits(fitted), isinstance(fitted.model, SignNetwork)
    return [
        run.row(
            predictor,
            weight_bits=bits[predictor],
            spikes=None if predictor == NON_SPIKING or signs else work.spikes,
            synaptic_ops=work.synaptic_ops,
            unit_updates=work.unit_updates,
            memory_accesses=work.memory_accesses,
            compute_nj=work.compute_energy(energies),
            memory_nj=work.memory_energy(energies),
            energy_nj=work.compute_energy(energies) + work.memory_energy(energies),
        )
        for predictor, work in inference_work(fitted, task.test.x).items()
    ]


def _all_bits(fitted: FittedRun) -> dict[str, int]:
    own = weight_bits(fitted)
    synapses = fitted.n_members("mode") * sum(w.numel() for w in fitted.guide.mode().values())
    wide = own["mode"] + (WORD - 1) * synapses if fitted.guide.binary else own["mode"]
    return {**own, WIDE: wide, NON_SPIKING: wide}
