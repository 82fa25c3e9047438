"""Ways in which a test can differ from the training: its points, their spikes, or the network's synapses."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from bisnn_pyro.data import SpikeAugmentation, Task, gaussian_noise
from bisnn_pyro.data.checks import check_choice
from bisnn_pyro.data.shifts import ChangedRows, chosen_signs, rotate
from bisnn_pyro.errors import ConfigError, DataError
from bisnn_pyro.experiments.fitted import FittedRun
from bisnn_pyro.inference import SynapticGuide, encode_all
from bisnn_pyro.inference.inputs import EncodedBlocks, as_inputs
from bisnn_pyro.inference.seeding import generator

Shifted = tuple[FittedRun, EncodedBlocks]


@dataclass(frozen=True)
class Shift:
    """A way in which a test can differ from the training.

    Attributes:
        severity: what the severity is, for an axis.
        severities: those of a study that asks for none.
        low: the smallest severity,
        high: and the largest.
        whole: whether it is a whole number.
        apply: a posterior, its task, a severity other than 0 and a seed to the posterior and the encoded
            test points under the shift.
    """

    severity: str
    severities: tuple[float, ...]
    low: float
    high: float
    whole: bool
    apply: Callable[[FittedRun, Task, float, int], Shifted]


def check_severities(kind: str, severities: Sequence[float] | None) -> list[float]:
    """Return the severities of a study.

    Raises:
        ConfigError: if there is no such kind, a severity is out of its range, or is there twice.
    """
    try:
        shift = SHIFTS[check_choice("--kind", kind, SHIFTS)]
    except DataError as error:
        raise ConfigError(str(error)) from error
    found = [float(s) for s in (shift.severities if severities is None else severities)]
    for value in found:
        if not shift.low <= value <= shift.high or (shift.whole and value != round(value)):
            what = "whole number" if shift.whole else "number"
            raise ConfigError(
                f"--severities: {value:g} is no {shift.severity}; expected a {what} in "
                f"[{shift.low:g}, {shift.high:g}]"
            )
    if not found or len({f"{value:g}" for value in found}) < len(found):
        raise ConfigError("--severities: expected one or more, each once")
    return found


def shifted(fitted: FittedRun, task: Task, kind: str, severity: float, seed: int = 0) -> Shifted:
    """Return a posterior and its encoded test points under a shift, both as they are at severity 0.

    Raises:
        DataError: if the shift is not for such inputs.
    """
    if severity == 0:
        return fitted, fitted.encode(task.test.x)
    return SHIFTS[kind].apply(fitted, task, severity, seed)


def with_stuck_synapses(guide: SynapticGuide, fraction: float, seed: int = 0) -> SynapticGuide:
    """Return a posterior of which a share of each layer's synapses has its sign turned.

    The synapses are those of one faulty device: the same for the mode, for the means and for all members of
    a committee, and for other networks of the same shape.  A binary synapse turns from w to -w (a member's is
    drawn from the distribution of -w), a real one changes its sign.  Fixed random read-outs and biases stay.
    A normalised network takes its statistics with the faults, as if it were calibrated on the device.

    Args:
        guide: stays as it is.
        fraction: the share, in [0, 1].
        seed: of the places.
    """
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
    turned = ChangedRows(task.test.x, lambda x, _: rotate(x, degrees, task.image_shape))
    return fitted, fitted.encode(turned)


def _drop(fitted: FittedRun, task: Task, probability: float, seed: int) -> Shifted:
    return fitted, _disturbed(fitted, task, SpikeAugmentation(drop=probability), seed)


def _jitter(fitted: FittedRun, task: Task, steps: float, seed: int) -> Shifted:
    return fitted, _disturbed(fitted, task, SpikeAugmentation(time_jitter=int(steps)), seed)


def _stuck(fitted: FittedRun, task: Task, fraction: float, seed: int) -> Shifted:
    posterior = replace(fitted, guide=with_stuck_synapses(fitted.guide, fraction, seed))
    return posterior, posterior.encode(task.test.x)


def _disturbed(fitted: FittedRun, task: Task, change: SpikeAugmentation, seed: int) -> EncodedBlocks:
    """Encode the test points and change the spikes."""
    encoder, encoding = fitted.encoder, fitted.config.predict.seed
    if not encoder.binary:
        name = fitted.config.encoder.name
        raise DataError(f"its encoder {name!r} feeds currents, and only spikes go missing or come late")

    def encode(x: Tensor, source: torch.Generator | None) -> Tensor:
        assert source is not None
        # The block's own seed under the shift's: what an encoder has drawn does not matter.
        own = generator(seed, source.initial_seed())
        return change(encoder(x, source).transpose(0, 1), own).transpose(0, 1)

    return encode_all(encode, as_inputs(task.test.x), encoding)


SHIFTS: dict[str, Shift] = {
    "noise": Shift("standard deviation of the noise", (0, 0.1, 0.2, 0.3), 0, 10, False, _noise),
    "rotation": Shift("angle in degrees", (0, 15, 30, 45, 60, 90), -360, 360, False, _rotation),
    "drop": Shift("share of spikes dropped", (0, 0.1, 0.2, 0.3, 0.5), 0, 0.999, False, _drop),
    "jitter": Shift("jitter in time steps", (0, 1, 2, 4), 0, 10_000, True, _jitter),
    "stuck": Shift("share of synapses with the wrong sign", (0, 0.01, 0.02, 0.05, 0.1), 0, 1, False, _stuck),
}
