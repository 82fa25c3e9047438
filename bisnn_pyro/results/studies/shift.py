"""Finished runs on shifted test points, or with flipped synapses: scores against severity."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from bisnn_pyro.analysis import plot_shift, predictive_entropy
from bisnn_pyro.data import ChangedRows, SpikeAugmentation, Task, chosen_signs, gaussian_noise, rotate
from bisnn_pyro.data.checks import check_choice
from bisnn_pyro.errors import ConfigError, DataError, ModelError
from bisnn_pyro.experiments.evaluate import score
from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.inference import (
    AutoRankOneMixture,
    EncodedBlocks,
    SynapticGuide,
    as_inputs,
    encode_all,
    generator,
)
from bisnn_pyro.results.finished import Paths
from bisnn_pyro.results.runs import Runs
from bisnn_pyro.results.studies.study import (
    Folder,
    Study,
    check_out,
    finish,
    opened,
    score_curves,
    study_runs,
)

CLASSIFICATION = ("accuracy", "nll", "brier", "ece", "confidence", "entropy")
REGRESSION = ("rmse", "nll", "coverage90", "width90")
DRAWN = {"accuracy": "accuracy", "rmse": "RMSE", "nll": "NLL (nats)", "ece": "ECE"}
"""Scores with a figure."""

Shifted = tuple[FittedRun, EncodedBlocks]


@dataclass(frozen=True)
class Shift:
    """A way in which a test can differ from the training.

    Attributes:
        axis: what the severity is, for an axis.
        severities: the defaults of a study.
        low: the smallest severity.
        high: the largest severity.
        whole: whether it is a whole number.
        apply: from a posterior, its task, a severity other than 0 and a seed to the posterior and the encoded
            test points under the shift.
    """

    axis: str
    severities: tuple[float, ...]
    low: float
    high: float
    whole: bool
    apply: Callable[[FittedRun, Task, float, int], Shifted]


def shift_study(
    runs: Runs | Paths,
    kind: str,
    severities: Sequence[float] | None = None,
    *,
    out: Folder = None,
    seed: int = 0,
    data_dir: Folder = None,
    trust: bool = False,
) -> Study:
    """Score all predictors of finished runs at every severity of a shift.

    All runs get the same shifted test points, and those of one shape the same flipped synapses.  Nothing is
    fitted again: predictors at a temperature keep that of the run.  At severity 0 scores are the run's own.

    * ``noise``: Gaussian noise on features in [0, 1], clipped; the severity is its standard deviation.
    * ``rotation``: images and recordings rotated counter-clockwise, in degrees.
    * ``drop``: each input spike is missing with this probability.
    * ``jitter``: each input spike is moved in time by up to this many steps.
    * ``flipped``: the sign of this share of each layer's synapses is flipped, see
      ``with_flipped_synapses``.

    ``drop`` and ``jitter`` are for inputs that reach the network as spikes, ready or encoded.

    Args:
        runs: the runs, or their folders.
        kind: one of :data:`SHIFTS`.
        severities: the kind's own by default.
        out: folder for ``shift-<kind>.csv``, the table, ``shift-<kind>-runs.csv``, the numbers of every run,
            and figures (except of a cross-validation) of the methods' first predictors.
        seed: of the shift; the noise of seed ``predict.seed`` is that of ``analysis.noise``.
        data_dir: where the data are now, instead of the configs' ``data.path``.
        trust: whether classes of a user's own that a config names may be imported.

    Returns:
        Scores with ``confidence``, the mean probability of the top label, and ``entropy``, the mean
        predictive entropy in nats; for a regression its own scores.

    Raises:
        InputError: if the runs cannot be read or compared, or the shift does not suit their inputs.

    Example::

        shift_study("runs/digits", "rotation", out="runs/digits/shift")
    """
    levels, folder = check_severities(kind, severities), check_out(out)
    found = study_runs(runs, seed=seed, trust=trust, classification=False)
    rows = []
    for run in found:
        own: dict[str, list[Any]] = {name: [] for name in run.predictors}
        with opened(run, data_dir, f"--kind {kind}") as (fitted, task):
            for level in levels:
                posterior, inputs = shifted(fitted, task, kind, level, seed)
                for name, vote in posterior.votes(inputs).items():
                    scores = score(vote, task.test.y, found.bins)
                    if found.kind == "classification":
                        scores["confidence"] = float(vote.mean.max(-1).mean())
                        scores["entropy"] = float(predictive_entropy(vote.draws).mean())
                    own[name].append(run.row(name, severity=f"{level:g}", **scores))
        rows += [row for predictor in own.values() for row in predictor]
    metrics, axis = CLASSIFICATION if found.kind == "classification" else REGRESSION, SHIFTS[kind].axis
    notes = [f"severity of {kind}: {axis}; seed {seed}, {len(found[0].store.targets)} test points per run"]
    plots = partial(score_curves, column="severity", labels=DRAWN, draw=plot_shift, severity_name=axis)
    return finish(found, f"shift-{kind}", rows, metrics, folder, notes=notes, plots=plots)


def check_severities(kind: str, severities: Sequence[float] | None) -> list[float]:
    """Return the severities of a study.

    Raises:
        InputError: if there is no such kind, or a severity is out of its range or given twice.
    """
    shift = SHIFTS[check_choice("--kind", kind, SHIFTS)]
    found = [float(s) for s in (shift.severities if severities is None else severities)]
    for value in found:
        if not shift.low <= value <= shift.high or (shift.whole and value != round(value)):
            what = "whole number" if shift.whole else "number"
            raise ConfigError(
                f"--severities: {value:g} is not a {shift.axis}; expected a {what} in "
                f"[{shift.low:g}, {shift.high:g}]"
            )
    if not found or len({f"{value:g}" for value in found}) < len(found):
        raise ConfigError("--severities: expected one or more, each once")
    return found


def shifted(fitted: FittedRun, task: Task, kind: str, severity: float, seed: int = 0) -> Shifted:
    """Return a posterior and its encoded test points under a shift; at severity 0 both are unchanged.

    Raises:
        DataError: if the shift does not suit such inputs.
    """
    if severity == 0:
        return fitted, fitted.encode(task.test.x)
    return SHIFTS[kind].apply(fitted, task, severity, seed)


def with_flipped_synapses(guide: SynapticGuide, fraction: float, seed: int = 0) -> SynapticGuide:
    """Return a posterior in which a share of each layer's synapses has its sign flipped.

    The synapses are those of one faulty device: the same for the mode, for the means and for all members of
    a committee, and for other networks of the same shape.  A binary synapse turns from w to -w (a member's is
    drawn from the distribution of -w), a real one changes its sign.  Fixed random read-outs and biases are
    unchanged.  A normalised network takes its statistics with the faults, as if calibrated on the device.

    Args:
        guide: it is not changed.
        fraction: the share, in [0, 1].
        seed: of the places.
    """
    if isinstance(guide, AutoRankOneMixture):
        raise ModelError(
            "flipped synapses leave a rank-one mixture no longer of rank one; use guide.components"
        )
    faulty = copy.deepcopy(guide)
    role = guide.roles[0]  # natural parameters, means or latents: all turn with the synapse
    with torch.no_grad():
        for stream, name in enumerate(sorted(guide.mode())):
            parameter = faulty.parameter(role, name)
            signs = chosen_signs(tuple(parameter.shape), fraction, seed, stream)
            parameter.mul_(torch.from_numpy(signs).to(parameter))
    return faulty


def _noise(fitted: FittedRun, task: Task, std: float, seed: int) -> Shifted:
    if task.spiking:
        raise DataError("noise is for features, and the data are ready spikes; see drop and jitter")
    return fitted, fitted.encode(gaussian_noise(task.test.x, std, seed))


def _rotation(fitted: FittedRun, task: Task, degrees: float, seed: int) -> Shifted:
    rotate(task.test.x[:1], degrees, task.image_shape)  # refused here, before the points are read
    rotated = ChangedRows(task.test.x, lambda x, _: rotate(x, degrees, task.image_shape))
    return fitted, fitted.encode(rotated)


def _flipped(fitted: FittedRun, task: Task, fraction: float, seed: int) -> Shifted:
    posterior = fitted.with_guides(partial(with_flipped_synapses, fraction=fraction, seed=seed))
    return posterior, posterior.encode(task.test.x)


def _disturbed(fitted: FittedRun, task: Task, change: SpikeAugmentation, seed: int) -> Shifted:
    """Encode the test points and change the spikes."""
    encoder = fitted.encoder
    if not encoder.binary:
        name = fitted.config.encoder.name
        raise DataError(f"its encoder {name!r} feeds currents; only spikes can be dropped or moved")

    def encode(x: torch.Tensor, source: torch.Generator | None) -> torch.Tensor:
        assert source is not None
        # The point's own seed under the shift's: what an encoder has drawn does not matter.
        own = generator(seed, source.initial_seed())
        return change(encoder(x, source).transpose(0, 1), own).transpose(0, 1)

    return fitted, encode_all(encode, as_inputs(task.test.x), fitted.config.predict.seed)


def _drop(fitted: FittedRun, task: Task, probability: float, seed: int) -> Shifted:
    return _disturbed(fitted, task, SpikeAugmentation(drop=probability), seed)


def _jitter(fitted: FittedRun, task: Task, steps: float, seed: int) -> Shifted:
    return _disturbed(fitted, task, SpikeAugmentation(time_jitter=int(steps)), seed)


SHIFTS: dict[str, Shift] = {
    "noise": Shift("standard deviation of the noise", (0, 0.1, 0.2, 0.3), 0, 10, False, _noise),
    "rotation": Shift("angle in degrees", (0, 15, 30, 45, 60, 90), -360, 360, False, _rotation),
    "drop": Shift("share of spikes dropped", (0, 0.1, 0.2, 0.3, 0.5), 0, 0.999, False, _drop),
    "jitter": Shift("jitter in time steps", (0, 1, 2, 4), 0, 10_000, True, _jitter),
    "flipped": Shift(
        "share of synapses with the wrong sign", (0, 0.01, 0.02, 0.05, 0.1), 0, 1, False, _flipped
    ),
}
