"""The loop that fits a guide: mini-batches, validation, early stopping, checkpoints."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from torch import Tensor
from tqdm import tqdm

from bisnn_pyro.errors import DataError, DivergenceError, ModelError
from bisnn_pyro.inference.committee import encode_all
from bisnn_pyro.inference.history import History, Row
from bisnn_pyro.inference.inputs import Augment, Encode, Inputs, rows
from bisnn_pyro.inference.learned import parameters_of, synapse_shares
from bisnn_pyro.inference.process import StopRequest
from bisnn_pyro.inference.seeding import Purpose, derived_seed, generator, seeded
from bisnn_pyro.inference.softening import check_targets, mixup, training_targets
from bisnn_pyro.inference.synaptic_guide import SynapticGuide
from bisnn_pyro.inference.updates import TrainSettings, Updater
from bisnn_pyro.models import SpikingGLM

Checkpoint = dict[str, Any]
"""Everything that the rest of a training run depends on."""


@dataclass
class FitResult:
    """What :meth:`Learner.fit` did.

    Attributes:
        history: one row per epoch.
        best_epoch: epoch (from 1) whose parameters the guide has now.
        interrupted: whether Ctrl-C ended it.
        seconds: wall-clock time of training, validation and the time before a resume included.
        checkpoint: state after the last whole epoch, to resume from.
    """

    history: History
    best_epoch: int
    interrupted: bool
    seconds: float
    checkpoint: Checkpoint


class Learner:
    """Fits a guide to data: the one training loop of every method.

    Args:
        model: the network.
        guide: its posterior.
        encode: features ``[B, F]`` and a generator to spikes ``[T, B, I]``.
        updater: what moves the posterior, :class:`GradientSteps` or :class:`ExpectationSteps`.
        settings: see :class:`TrainSettings`.
        seed: seed of initialisation, order, encoding and draws; the caller's random state is untouched.
        augment: changes training examples ``[B, ...]`` at random before they are encoded, anew in each epoch;
            neither the reference batch nor validation examples are changed.

    Example:
        >>> import torch
        >>> from bisnn_pyro.inference import AutoRelaxedSign, BayesianLearningRule, GradientSteps
        >>> from bisnn_pyro.models import BernoulliRate
        >>> x = torch.rand(20, 2, generator=torch.Generator().manual_seed(0))
        >>> y = (x[:, 0] > x[:, 1]).long()
        >>> model = SpikingGLM(2, [8], BernoulliRate())
        >>> guide = AutoRelaxedSign(model)
        >>> learner = Learner(
        ...     model,
        ...     guide,
        ...     lambda features, generator: features.expand(10, -1, -1),  # a constant current
        ...     GradientSteps(lambda model, guide: [BayesianLearningRule(guide.parameters())]),
        ...     TrainSettings(epochs=2),
        ... )
        >>> result = learner.fit(x, y)
        >>> len(result.history), sorted(guide.mode()["layers.0.weight"].unique().tolist())
        (2, [-1.0, 1.0])
    """

    def __init__(
        self,
        model: SpikingGLM,
        guide: SynapticGuide,
        encode: Encode,
        updater: Updater,
        settings: TrainSettings | None = None,
        *,
        seed: int = 0,
        augment: Augment | None = None,
    ) -> None:
        self.model, self.guide, self.encode, self.updater = model, guide, encode, updater
        self.settings, self.seed, self.augment = settings or TrainSettings(), seed, augment

    def fit(
        self,
        x: Inputs,
        y: Tensor,
        x_val: Inputs | None = None,
        y_val: Tensor | None = None,
        *,
        resume: Checkpoint | None = None,
        on_epoch: Callable[[History, Callable[[], Checkpoint]], None] | None = None,
        progress: bool = False,
    ) -> FitResult:
        """Train on features ``x`` ``[N, ...]`` and targets ``y`` ``[N]``, or class probabilities ``[N, C]``.

        Features may be an array on demand (:class:`~bisnn_pyro.inference.inputs.ArrayOnDemand`), such as
        recordings on a disk; one mini-batch of it is read at a time.

        Args:
            x: training features.
            y: training targets; of a classification labels, or a distribution over the classes for each
                example (floating): the votes of other networks, several annotators.
            x_val: validation features; without them training runs to the end and keeps the last parameters.
            y_val: validation targets; labels, not distributions.
            resume: a checkpoint to continue from, with the same bits as without the interruption.
            on_epoch: called after each epoch with the history and a function that makes a checkpoint.
            progress: show a progress bar.

        Raises:
            DataError: if the arrays do not belong together or hold NaN or infinity, or targets have the wrong
                shape or are no distributions.
            DivergenceError: if the loss becomes NaN or infinite; the message names the site.
        """
        _check_data(x, y)
        if (x_val is None) != (y_val is None):
            raise DataError("x_val and y_val belong together; give both or neither")
        if x_val is not None and y_val is not None:
            _check_data(x_val, y_val, suffix="_val", at_least=0)
        check_targets(y, y_val, self.model.likelihood, self.settings)
        # A separate store: Pyro's global one would give this guide the values of an earlier namesake.
        with seeded(self.seed, Purpose.TRAINING), pyro.get_param_store().scope():
            size = self.model.dataset_size
            try:
                run = _TrainingRun(self, x, y, x_val, y_val)
                if resume is not None:
                    run.load(resume)
                with StopRequest() as stop:
                    interrupted = run.loop(stop, on_epoch, progress)
            finally:
                self.model.dataset_size = size
        return FitResult(run.history, run.best_epoch, interrupted, run.seconds, run.last_checkpoint)


class _TrainingRun:
    """One call of :meth:`Learner.fit`: its mutable state and its steps."""

    def __init__(
        self, learner: Learner, x: Inputs, y: Tensor, x_val: Inputs | None, y_val: Tensor | None
    ) -> None:
        self.learner, self.settings = learner, learner.settings
        self.model, self.guide = learner.model, learner.guide
        self.x, self.y = x, training_targets(y, learner.model.likelihood, learner.settings)
        self.order = generator(learner.seed, Purpose.ORDER)
        self.spikes = generator(learner.seed, Purpose.ENCODING)
        self.model.dataset_size = len(x)
        self._prepare(learner)
        self.updater = learner.updater
        self.updater.begin(self.model, self.guide, self.settings)
        self.validation: tuple[Sequence[Tensor], Tensor] | None = None
        if x_val is not None and y_val is not None and len(x_val):
            blocks = encode_all(learner.encode, x_val, derived_seed(learner.seed, Purpose.VALIDATION))
            self.validation = (blocks, y_val)
        self.history, self.epoch = History(), 0
        self.best_nll, self.best_epoch, self.stale = math.inf, 0, 0
        self.best: dict[str, Any] | None = None
        self.final: dict[str, Any] | None = None
        self.last_checkpoint: Checkpoint = {}
        self.seconds_before, self.started = 0.0, time.perf_counter()

    def _prepare(self, learner: Learner) -> None:
        self.model.train()
        self.guide.train()
        first = learner.encode(rows(self.x, slice(1)), generator(learner.seed, Purpose.INITIALISATION))
        if first.shape[0] <= self.model.burn_in:
            raise ModelError(
                f"network.burn_in = {self.model.burn_in} leaves nothing of {first.shape[0]} encoded steps"
            )
        self.guide.initialize(first, self.y[:1])
        self.start = parameters_of(self.guide)
        if self.model.normalise and self.settings.window is not None:
            raise ModelError(
                "network.normalise takes its statistics over whole sequences; leave train.window out with it"
            )
        frozen = self.settings.other_lr == 0 and self.model.reference is not None
        if self.model.normalise and not frozen:
            # A random subset: a file may be sorted by class.
            chosen = torch.randperm(len(self.x), generator=generator(learner.seed, Purpose.REFERENCE))
            some = rows(self.x, chosen[: self.settings.reference_size])
            self.model.set_reference(learner.encode(some, generator(learner.seed, Purpose.REFERENCE, 1)))

    @property
    def seconds(self) -> float:
        """Wall-clock time of training, validation and the time before a resume included."""
        return self.seconds_before + time.perf_counter() - self.started

    # -- the loop ---------------------------------------------------------------------------------

    def loop(self, stop: StopRequest, on_epoch: Callable[..., None] | None, progress: bool) -> bool:
        """Train to the end or until a stop is requested; return whether one was."""
        self.started = time.perf_counter()
        self.last_checkpoint = self.checkpoint()
        total = self.settings.epochs
        with tqdm(total=total, initial=self.epoch, disable=not progress, unit="epoch", leave=True) as bar:
            while self.epoch < total and not self._exhausted():
                row = self._train_epoch_named(stop)
                if row is None:
                    self._restore(self.last_checkpoint)  # a part of an epoch cannot be resumed
                    break
                self.epoch += 1
                last = self.epoch == total
                with self._averaged():
                    if self.validation and (last or self.epoch % self.settings.validate_every == 0):
                        self._validate(row)
                    if last or self._exhausted():
                        self.final = self._parameters()
                self.history.append(row)
                self.last_checkpoint = self.checkpoint()
                bar.update()
                bar.set_postfix_str(_postfix(row))
                if on_epoch is not None:
                    on_epoch(self.history, lambda: self.last_checkpoint)
        if self.best is not None and self.settings.restore_best:
            self._restore(self.best)
        else:
            self._restore(self.final or self.last_checkpoint)
            self.best_epoch = self.epoch
        self.model.eval()
        self.guide.eval()
        return stop.requested

    def _averaged(self) -> AbstractContextManager[None]:
        return nullcontext() if self.updater.average is None else self.updater.average.applied()

    def _parameters(self) -> Checkpoint:
        return copy.deepcopy({"guide": self.guide.state_dict(), "model": self.model.state_dict()})

    def _restore(self, state: Checkpoint) -> None:
        self.guide.load_state_dict(state["guide"])
        self.model.load_state_dict(state["model"])

    def _exhausted(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.stale >= patience

    def _train_epoch_named(self, stop: StopRequest) -> Row | None:
        try:
            return self._train_epoch(stop)
        except DivergenceError as error:
            raise DivergenceError(f"epoch {self.epoch + 1}: {error}") from error

    def _train_epoch(self, stop: StopRequest) -> Row | None:
        """Return the epoch's means, or ``None`` if a stop was requested during the epoch."""
        n, size = len(self.x), self.settings.batch_size
        order = torch.randperm(n, generator=self.order)
        batches = order.split(size)
        started = time.perf_counter()
        sums: Row = {}
        scheduled: Row = {}
        count = 0
        for k, index in enumerate(batches):
            scheduled = self.updater.schedule((self.epoch + k / len(batches)) / self.settings.epochs)
            x, y = self._batch(index)
            for seen in self.updater(self.learner.encode(x, self.spikes), y):
                for name, value in seen.items():
                    sums[name] = sums.get(name, 0.0) + float(value)
                count += 1
            if stop.requested:
                return None
        row = {"epoch": float(self.epoch + 1)}
        for name, total in sums.items():
            row[name] = total / len(batches) / n if name in ("loss", "nll") else total / count
        row |= scheduled | self.updater.summary(count) | synapse_shares(self.guide, self.start)
        if "kl_time" in row and len(self.history):
            row["kl_time"] += self.history.rows[-1].get("kl_time", 0.0)
        return row | {"seconds": time.perf_counter() - started}

    def _batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        x, y, std = rows(self.x, index), self.y[index], self.settings.input_noise
        if self.learner.augment is not None:
            x = self.learner.augment(x, self.spikes)
        if self.settings.mixup:
            x, y = mixup(x, y, self.settings.mixup, self.spikes)
        if not std:
            return x, y
        noise = torch.randn(x.shape, generator=self.spikes, dtype=x.dtype)
        return (x + std * noise).clamp_(0, 1), y

    # -- validation and state ---------------------------------------------------------------------

    def _validate(self, row: Row) -> None:
        assert self.validation is not None
        blocks, y = self.validation
        row.update(self.updater.validate(blocks, y, self.learner.seed))
        if row["val_nll"] < self.best_nll:
            self.best_nll, self.best_epoch, self.stale = row["val_nll"], self.epoch, 0
            self.best = self._parameters()
        else:
            self.stale += 1

    def checkpoint(self) -> Checkpoint:
        """Return everything that the rest of the run depends on."""
        return copy.deepcopy(
            {
                "guide": self.guide.state_dict(),
                "model": self.model.state_dict(),
                "start": self.start,
                "optimisers": [optimiser.state_dict() for optimiser in self.updater.optimisers],
                "average": self.updater.average and self.updater.average.state_dict(),
                "random": {
                    "global": torch.get_rng_state(),
                    "order": self.order.get_state(),
                    "spikes": self.spikes.get_state(),
                },
                "epoch": self.epoch,
                "rows": self.history.rows,
                "best": self.best,
                "best_nll": self.best_nll,
                "best_epoch": self.best_epoch,
                "stale": self.stale,
                "seconds": self.seconds,
            }
        )

    def load(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint with the same bits."""
        self._restore(checkpoint)
        self.start = checkpoint.get("start", self.start)
        for optimiser, state in zip(self.updater.optimisers, checkpoint["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        if self.updater.average is not None:
            self.updater.average.load_state_dict(checkpoint["average"])
        torch.set_rng_state(checkpoint["random"]["global"])
        self.order.set_state(checkpoint["random"]["order"])
        self.spikes.set_state(checkpoint["random"]["spikes"])
        self.epoch, self.history = checkpoint["epoch"], History(checkpoint["rows"])
        self.best, self.best_nll = checkpoint["best"], checkpoint["best_nll"]
        self.best_epoch, self.stale = checkpoint["best_epoch"], checkpoint["stale"]
        self.seconds_before = checkpoint["seconds"]


def _postfix(row: Row) -> str:
    names = [n for n in ("loss", "kl", "val_nll", "val_accuracy", "val_rmse") if n in row]
    return ", ".join(f"{n} {row[n]:.4g}" for n in names)


def _check_data(x: Inputs, y: Tensor, *, suffix: str = "", at_least: int = 1) -> None:
    if not isinstance(y, Tensor) or not hasattr(x, "shape"):
        what = f"x{suffix} is a {type(x).__name__} and y{suffix} a {type(y).__name__}"
        raise DataError(f"{what}; expected an array or tensor, and a tensor: torch.as_tensor(y)")
    for name, values in (("x", x), ("y", y)):
        if str(values.dtype).rpartition(".")[2].startswith(("complex", "object", "<U", "str")):
            raise DataError(f"{name}{suffix} has type {values.dtype}; expected real numbers")
    if len(x) != len(y) or len(x) < at_least:
        raise DataError(
            f"x{suffix} has {len(x)} examples and y{suffix} {len(y)}; both need the same number, "
            f"at least {at_least}"
        )
    for name, values in (("x", x), ("y", y)):
        # Arrays on demand are checked when they are read.
        if isinstance(values, Tensor) and not bool(values.isfinite().all()):
            raise DataError(f"{name}{suffix} is not finite everywhere; drop or fill NaN and infinity first")
