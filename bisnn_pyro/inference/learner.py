"""The loop that fits a guide: mini-batches, windows, schedules, validation, early stopping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyro
import torch
from torch import Tensor

from bisnn_pyro.errors import DataError, ModelError
from bisnn_pyro.inference.guides import SynapticGuide
from bisnn_pyro.inference.history import History
from bisnn_pyro.inference.inputs import Augment, Encode, Inputs
from bisnn_pyro.inference.interrupt import StopRequest
from bisnn_pyro.inference.schedules import Schedule
from bisnn_pyro.inference.seeding import Purpose, seeded
from bisnn_pyro.inference.training import Checkpoint, TrainingRun
from bisnn_pyro.inference.updater import Updater
from bisnn_pyro.inference.updates import Updates
from bisnn_pyro.models import SpikingGLM


@dataclass(frozen=True)
class TrainSettings:
    """How to train.

    Args:
        epochs: passes over the training set.
        batch_size: examples in a mini-batch.
        particles: weight draws in a step, vectorised.
        window: steps in an update; ``None`` makes one update of the whole sequence.
        window_kl_scale: KL weight of one window's update, relative to beta; ``None`` is the window's
            share w / T' of the counted steps (1 with ``window = 1`` is the released online rule).
        validate_every: epochs between validations.
        validation_draws: hard draws in the validation committee.
        patience: validations without a better NLL before stopping; ``None`` never stops early.
        restore_best: end with the parameters of the best validation NLL.
        input_noise: standard deviation of Gaussian noise on the features (in [0, 1], clipped to it), drawn
            afresh each epoch: augmentation for small data sets.
        reference_size: training examples in the reference batch of a normalised network.
        progress: show a progress bar.
    """

    epochs: int = 100
    batch_size: int = 40
    particles: int = 1
    window: int | None = None
    window_kl_scale: float | None = None
    validate_every: int = 1
    validation_draws: int = 10
    patience: int | None = None
    restore_best: bool = True
    input_noise: float = 0.0
    reference_size: int = 64
    progress: bool = False

    def __post_init__(self) -> None:
        counts = ("epochs", "batch_size", "particles", "validate_every", "validation_draws", "reference_size")
        for name in (*counts, "window", "patience"):
            value = getattr(self, name)
            if value is None and name not in counts:
                continue
            if value < 1:
                raise ModelError(f"train.{name} must be at least 1, not {value}")
        if self.window_kl_scale is not None and not self.window_kl_scale >= 0:
            raise ModelError(f"train.window_kl_scale must be a number >= 0, not {self.window_kl_scale}")


@dataclass
class FitResult:
    """What :meth:`Learner.fit` did.

    Attributes:
        history: one row an epoch.
        best_epoch: epoch (from 1) whose parameters the guide has now.
        interrupted: whether Ctrl-C ended it.
        seconds: wall-clock time of training, validation and the time before a resume included.
        checkpoint: state after the last whole epoch, to resume from.
    """

    history: History
    best_epoch: int
    interrupted: bool
    seconds: float
    checkpoint: dict[str, Any]


@dataclass
class Learner:
    """Fits a guide to data by stochastic gradient steps on the free energy.

    Any torch optimisers will do; the natural parameters' is usually
    :class:`~bisnn_pyro.inference.BayesianLearningRule`, ordinary parameters have one of their own.

    Args:
        model: the network.
        guide: its posterior.
        encode: features ``[B, F]`` and a generator to spikes ``[T, B, I]``.
        make_optimisers: called once the parameters exist; returns the optimisers.
        settings: see :class:`TrainSettings`.
        kl_weight: schedule of beta.
        temperature: schedule of a relaxed guide's temperature.
        lr_scale: schedule of a factor on every optimiser's learning rate.
        seed: of initialisation, order, encoding and draws; the caller's random state is untouched.
        augment: changes training examples ``[B, ...]`` at random before they are encoded, afresh each epoch;
            neither those of the reference batch nor any for validation.
    """

    model: SpikingGLM
    guide: SynapticGuide
    encode: Encode
    make_optimisers: Callable[[SpikingGLM, SynapticGuide], Sequence[torch.optim.Optimizer]]
    settings: TrainSettings = field(default_factory=TrainSettings)
    kl_weight: Schedule = field(default_factory=lambda: Schedule(1.0))
    temperature: Schedule | None = None
    lr_scale: Schedule = field(default_factory=lambda: Schedule(1.0))
    seed: int = 0
    augment: Augment | None = None

    def make_updater(self) -> Updater:
        """Return what moves the posterior; called once the parameters exist."""
        settings = self.settings
        return Updates(
            self.model,
            self.guide,
            list(self.make_optimisers(self.model, self.guide)),
            particles=settings.particles,
            width=settings.window,
            kl_scale=settings.window_kl_scale,
            kl_weight=self.kl_weight,
            temperature=self.temperature,
            lr_scale=self.lr_scale,
            validation_draws=settings.validation_draws,
        )

    def fit(
        self,
        x: Inputs,
        y: Tensor,
        x_val: Inputs | None = None,
        y_val: Tensor | None = None,
        *,
        resume: dict[str, Any] | None = None,
        on_epoch: Callable[[History, Callable[[], Checkpoint]], None] | None = None,
    ) -> FitResult:
        """Train on features ``x`` ``[N, ...]`` and targets ``y`` ``[N]``.

        Features may be an array on demand (:class:`~bisnn_pyro.inference.inputs.ArrayOnDemand`), such as
        recordings on a disk: of it a mini-batch is read at a time.

        Args:
            x: training features.
            y: training targets.
            x_val: validation features; without them nothing stops early and the last parameters stay.
            y_val: validation targets.
            resume: a checkpoint to go on from, bit for bit.
            on_epoch: called after each epoch with the history and a function that makes a checkpoint.

        Raises:
            DataError: if the arrays do not belong together or hold NaN or infinity.
            DivergenceError: if the loss becomes NaN or infinite; the message names the site.
        """
        _check_data(x, y)
        if (x_val is None) != (y_val is None):
            raise DataError("x_val and y_val belong together; give both or neither")
        if x_val is not None and y_val is not None:
            _check_data(x_val, y_val, suffix="_val", at_least=0)
        # A store of its own: Pyro's global one would hand this guide the values of an earlier namesake.
        with seeded(self.seed, Purpose.TRAINING), pyro.get_param_store().scope():
            size = self.model.dataset_size
            try:
                run = TrainingRun(self, x, y, x_val, y_val)
                if resume is not None:
                    run.load(resume)
                with StopRequest() as stop:
                    interrupted = run.loop(stop, on_epoch)
            finally:
                self.model.dataset_size = size
        return FitResult(run.history, run.best_epoch, interrupted, run.seconds, run.last_checkpoint)


def _check_data(x: Inputs, y: Tensor, *, suffix: str = "", at_least: int = 1) -> None:
    if len(x) != len(y) or len(x) < at_least:
        raise DataError(
            f"x{suffix} has {len(x)} examples and y{suffix} {len(y)}; both need the same number, "
            f"at least {at_least}"
        )
    for name, values in (("x", x), ("y", y)):
        # What is read on demand is looked at when it is read.
        if isinstance(values, Tensor) and not bool(values.isfinite().all()):
            raise DataError(f"{name}{suffix} is not finite everywhere; drop or fill NaN and infinity first")
