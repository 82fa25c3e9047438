"""One call of the learner: its mutable state, epoch by epoch."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm import tqdm

from bisnn_pyro.errors import DivergenceError, ModelError
from bisnn_pyro.inference.committee import encode_all
from bisnn_pyro.inference.history import History, Row
from bisnn_pyro.inference.inputs import Inputs, rows
from bisnn_pyro.inference.interrupt import StopRequest
from bisnn_pyro.inference.seeding import Purpose, derived_seed, generator

if TYPE_CHECKING:
    from bisnn_pyro.inference.learner import Learner

Checkpoint = dict[str, Any]


class TrainingRun:
    """One call of :meth:`Learner.fit`: its mutable state and its steps."""

    def __init__(
        self, learner: Learner, x: Inputs, y: Tensor, x_val: Inputs | None, y_val: Tensor | None
    ) -> None:
        self.learner, self.settings = learner, learner.settings
        self.model, self.guide = learner.model, learner.guide
        self.x, self.y = x, y
        self.order = generator(learner.seed, Purpose.ORDER)
        self.spikes = generator(learner.seed, Purpose.ENCODING)
        self.model.dataset_size = len(x)
        self._prepare(learner)
        self.updater = learner.make_updater()
        self.validation: tuple[Sequence[Tensor], Tensor] | None = None
        if x_val is not None and y_val is not None and len(x_val):
            blocks = encode_all(learner.encode, x_val, derived_seed(learner.seed, Purpose.VALIDATION))
            self.validation = (blocks, y_val)
        self.history, self.epoch = History(), 0
        self.best_nll, self.best_epoch, self.stale = math.inf, 0, 0
        self.best: dict[str, Any] | None = None
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
        if self.model.normalise and self.settings.window is not None:
            raise ModelError(
                "network.normalise takes its statistics over whole sequences; leave train.window out with it"
            )
        if self.model.normalise:
            # A random subset: a file may be sorted by class.
            chosen = torch.randperm(len(self.x), generator=generator(learner.seed, Purpose.REFERENCE))
            some = rows(self.x, chosen[: self.settings.reference_size])
            self.model.set_reference(learner.encode(some, generator(learner.seed, Purpose.REFERENCE, 1)))

    @property
    def seconds(self) -> float:
        """Wall-clock time of training, validation and the time before a resume included."""
        return self.seconds_before + time.perf_counter() - self.started

    # -- the loop ---------------------------------------------------------------------------------

    def loop(self, stop: StopRequest, on_epoch: Callable[..., None] | None) -> bool:
        """Train to the end, or until asked to stop; return whether it was asked."""
        self.started = time.perf_counter()
        self.last_checkpoint = self.checkpoint()
        total = self.settings.epochs
        with tqdm(
            total=total, initial=self.epoch, disable=not self.settings.progress, unit="epoch", leave=True
        ) as bar:
            while self.epoch < total and not self._exhausted():
                row = self._train_epoch_named(stop)
                if row is None:
                    self._restore(self.last_checkpoint)  # what a half epoch did cannot be resumed
                    break
                self.epoch += 1
                last = self.epoch == total
                if self.validation and (last or self.epoch % self.settings.validate_every == 0):
                    self._validate(row)
                self.history.append(row)
                self.last_checkpoint = self.checkpoint()
                bar.update()
                bar.set_postfix_str(_postfix(row))
                if on_epoch is not None:
                    on_epoch(self.history, lambda: self.last_checkpoint)
        if self.best is not None and self.settings.restore_best:
            self._restore(self.best)
        else:
            self.best_epoch = self.epoch
        self.model.eval()
        self.guide.eval()
        return stop.requested

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
        """Return the epoch's means, or ``None`` if it was asked to stop within."""
        n, size = len(self.x), self.settings.batch_size
        order = torch.randperm(n, generator=self.order)
        batches = order.split(size)
        started = time.perf_counter()
        sums: Row = {}
        scheduled: Row = {}
        count = 0
        for k, index in enumerate(batches):
            scheduled = self.updater.schedule((self.epoch + k / len(batches)) / self.settings.epochs)
            spikes = self.learner.encode(self._features(index), self.spikes)
            for seen in self.updater(spikes, self.y[index]):
                for name, value in seen.items():
                    sums[name] = sums.get(name, 0.0) + float(value)
                count += 1
            if stop.requested:
                return None
        row = {"epoch": float(self.epoch + 1)}
        for name, total in sums.items():
            row[name] = total / len(batches) / n if name in ("loss", "nll") else total / count
        return row | scheduled | {"seconds": time.perf_counter() - started}

    def _features(self, index: Tensor) -> Tensor:
        x, std = rows(self.x, index), self.settings.input_noise
        if self.learner.augment is not None:
            x = self.learner.augment(x, self.spikes)
        if not std:
            return x
        noise = torch.randn(x.shape, generator=self.spikes, dtype=x.dtype)
        return (x + std * noise).clamp_(0, 1)

    # -- validation and state ---------------------------------------------------------------------

    def _validate(self, row: Row) -> None:
        assert self.validation is not None
        blocks, y = self.validation
        row.update(self.updater.validate(blocks, y, self.learner.seed))
        if row["val_nll"] < self.best_nll:
            self.best_nll, self.best_epoch, self.stale = row["val_nll"], self.epoch, 0
            self.best = {
                "guide": copy.deepcopy(self.guide.state_dict()),
                "model": copy.deepcopy(self.model.state_dict()),
            }
        else:
            self.stale += 1

    def checkpoint(self) -> Checkpoint:
        """Return everything that the rest of the run depends on."""
        return copy.deepcopy(
            {
                "guide": self.guide.state_dict(),
                "model": self.model.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.updater.optimisers],
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
        """Go on from a checkpoint, bit for bit."""
        self._restore(checkpoint)
        for optimiser, state in zip(self.updater.optimisers, checkpoint["optimisers"], strict=True):
            optimiser.load_state_dict(state)
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
