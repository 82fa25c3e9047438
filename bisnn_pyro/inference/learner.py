"""The loop that fits a guide: mini-batches, windows, schedules, validation, early stopping."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyro
import torch
from torch import Tensor
from tqdm import tqdm

from bisnn_pyro.errors import DataError, DivergenceError, ModelError
from bisnn_pyro.inference.committee import Encode, encode_all
from bisnn_pyro.inference.elbo import FreeEnergy, MeanFieldELBO
from bisnn_pyro.inference.guides import AutoRelaxedSign, SynapticGuide
from bisnn_pyro.inference.history import History, Row
from bisnn_pyro.inference.interrupt import StopRequest
from bisnn_pyro.inference.schedules import Schedule
from bisnn_pyro.inference.seeding import Purpose, derived_seed, generator, seeded
from bisnn_pyro.inference.validation import validate
from bisnn_pyro.models import NetworkState, SpikingGLM, Window


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
        seconds: wall-clock time of this call, validation included.
    """

    history: History
    best_epoch: int
    interrupted: bool
    seconds: float


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

    def fit(
        self,
        x: Tensor,
        y: Tensor,
        x_val: Tensor | None = None,
        y_val: Tensor | None = None,
        *,
        resume: dict[str, Any] | None = None,
        on_epoch: Callable[[History, Callable[[], dict[str, Any]]], None] | None = None,
    ) -> FitResult:
        """Train on features ``x`` ``[N, ...]`` and targets ``y`` ``[N]``.

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
        started = time.perf_counter()
        # A store of its own: Pyro's global one would hand this guide the values of an earlier namesake.
        with seeded(self.seed, Purpose.TRAINING), pyro.get_param_store().scope():
            run = _Run(self, x, y, x_val, y_val)
            if resume is not None:
                run.load(resume)
            with StopRequest() as stop:
                interrupted = run.loop(stop, on_epoch)
        return FitResult(run.history, run.best_epoch, interrupted, time.perf_counter() - started)


class _Run:
    """One call of :meth:`Learner.fit`: its mutable state and its steps."""

    def __init__(
        self, learner: Learner, x: Tensor, y: Tensor, x_val: Tensor | None, y_val: Tensor | None
    ) -> None:
        self.learner, self.settings = learner, learner.settings
        self.model, self.guide = learner.model, learner.guide
        self.x, self.y = x, y
        self.order = generator(learner.seed, Purpose.ORDER)
        self.spikes = generator(learner.seed, Purpose.ENCODING)
        self.elbo = MeanFieldELBO(
            num_particles=self.settings.particles, vectorize_particles=True, max_plate_nesting=1
        )
        self.model.dataset_size = len(x)
        self._prepare(learner)
        self.optimisers = list(learner.make_optimisers(self.model, self.guide))
        self.rates = [[group["lr"] for group in opt.param_groups] for opt in self.optimisers]
        self.validation: tuple[list[Tensor], Tensor] | None = None
        if x_val is not None and y_val is not None and len(x_val):
            blocks = encode_all(learner.encode, x_val, derived_seed(learner.seed, Purpose.VALIDATION))
            self.validation = (blocks, y_val)
        self.history, self.epoch = History(), 0
        self.best_nll, self.best_epoch, self.stale = math.inf, 0, 0
        self.best: dict[str, Any] | None = None
        self.last_checkpoint: dict[str, Any] = {}

    def _prepare(self, learner: Learner) -> None:
        self.model.train()
        self.guide.train()
        first = learner.encode(self.x[:1], generator(learner.seed, Purpose.INITIALISATION))
        if first.shape[0] <= self.model.burn_in:
            raise ModelError(
                f"network.burn_in = {self.model.burn_in} leaves nothing of {first.shape[0]} encoded steps"
            )
        self.guide.initialize(first, self.y[:1])
        if self.model.normalise:
            rows = self.x[: self.settings.reference_size]
            self.model.set_reference(learner.encode(rows, generator(learner.seed, Purpose.INITIALISATION)))

    # -- the loop ---------------------------------------------------------------------------------

    def loop(self, stop: StopRequest, on_epoch: Callable[..., None] | None) -> bool:
        self.last_checkpoint = self.checkpoint()
        total = self.settings.epochs
        with tqdm(
            total=total, initial=self.epoch, disable=not self.settings.progress, unit="epoch", leave=True
        ) as bar:
            while self.epoch < total and not self._exhausted():
                row = self._train_epoch(stop)
                if row is None:
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
            self.guide.load_state_dict(self.best["guide"])
            self.model.load_state_dict(self.best["model"])
        else:
            self.best_epoch = self.epoch
        self.model.eval()
        self.guide.eval()
        return stop.requested

    def _exhausted(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.stale >= patience

    def _train_epoch(self, stop: StopRequest) -> Row | None:
        """Return the epoch's means, or ``None`` if it was asked to stop within."""
        n, size = len(self.x), self.settings.batch_size
        order = torch.randperm(n, generator=self.order)
        batches = order.split(size)
        started = time.perf_counter()
        sums = torch.zeros(3, dtype=torch.float64)
        count = 0
        for k, index in enumerate(batches):
            self._apply_schedules((self.epoch + k / len(batches)) / self.settings.epochs)
            spikes = self.learner.encode(self._features(index), self.spikes)
            for energy in self._updates(spikes, self.y[index]):
                sums += torch.stack((energy.loss, energy.nll, energy.kl)).detach()
                count += 1
            if stop.requested:
                return None
        loss, nll, kl = (sums / count).tolist()
        windows = count / len(batches)
        row = {"epoch": float(self.epoch + 1), "loss": loss * windows / n, "nll": nll * windows / n, "kl": kl}
        row["kl_weight"] = self._beta
        if isinstance(self.guide, AutoRelaxedSign):
            row["temperature"] = float(self.guide.temperature)
        row["lr_scale"] = self._lr_scale
        row["seconds"] = time.perf_counter() - started
        return row

    def _features(self, index: Tensor) -> Tensor:
        x, std = self.x[index], self.settings.input_noise
        if not std:
            return x
        noise = torch.randn(x.shape, generator=self.spikes, dtype=x.dtype)
        return (x + std * noise).clamp_(0, 1)

    def _apply_schedules(self, progress: float) -> None:
        learner = self.learner
        self._beta, self._lr_scale = learner.kl_weight(progress), learner.lr_scale(progress)
        self.elbo.kl_weight = self._beta
        if learner.temperature is not None and isinstance(self.guide, AutoRelaxedSign):
            self.guide.temperature.fill_(learner.temperature(progress))
        for optimiser, rates in zip(self.optimisers, self.rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * self._lr_scale

    # -- one batch --------------------------------------------------------------------------------

    def _updates(self, spikes: Tensor, y: Tensor) -> Iterator[FreeEnergy]:
        width, burn_in = self.settings.window, self.model.burn_in
        if width is None:
            yield self._update(spikes, y, None, Window(burn_in=burn_in))
            return
        counted = spikes.shape[0] - burn_in
        state = self._warm_up(spikes[:burn_in]) if burn_in else None
        for start in range(burn_in, spikes.shape[0], width):
            part = spikes[start : start + width]
            fraction = part.shape[0] / counted
            scale = self.settings.window_kl_scale
            self.elbo.kl_weight = self._beta * (fraction if scale is None else scale)
            energy = self._update(part, y, state, Window(start=start, fraction=fraction))
            state = energy.output.state.detach()
            yield energy
        self.elbo.kl_weight = self._beta

    @torch.no_grad()
    def _warm_up(self, spikes: Tensor) -> NetworkState:
        """Run the burn-in, which carries no loss, with a draw of its own."""
        draw = {name: site["value"] for name, site in self._guide_sites(spikes).items()}
        return self.model.simulate({n: _strip(w) for n, w in draw.items()}, spikes).state

    def _guide_sites(self, spikes: Tensor) -> dict[str, Any]:
        particles = self.settings.particles
        guide: Callable[..., Any] = self.guide
        if particles > 1:
            guide = pyro.plate("num_particles_vectorized", particles, dim=-2)(self.guide)
        trace = pyro.poutine.trace(guide).get_trace(spikes)
        return {name: trace.nodes[name] for name in self.guide.sites}

    def _update(self, spikes: Tensor, y: Tensor, state: NetworkState | None, window: Window) -> FreeEnergy:
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        arguments = (self.model, self.guide, spikes, y)
        try:
            energy = self.elbo.free_energy(*arguments, state=state, window=window)
        except ValueError:
            # A distribution may have refused a NaN before there was a loss: see what it is without checks.
            with pyro.validation_enabled(False):
                self._check_finite(self.elbo.free_energy(*arguments, state=state, window=window))
            raise
        self._check_finite(energy)
        energy.loss.backward()
        for optimiser in self.optimisers:
            optimiser.step()
        self._check_parameters()
        return energy

    def _check_finite(self, energy: FreeEnergy) -> None:
        if math.isfinite(float(energy.loss.detach())):
            return
        bad = {k: float(v) for k, v in energy.sites.items() if not math.isfinite(float(v))}
        named = ", ".join(f"{k!r} = {v}" for k, v in bad.items()) or "no single site (their sum overflows)"
        raise DivergenceError(
            f"the loss is not finite in epoch {self.epoch + 1}: {named}; lower rule.lr, or raise the "
            "temperature if the weights' KL is at fault"
        )

    def _check_parameters(self) -> None:
        for module in (self.guide, self.model):
            for name, parameter in module.named_parameters():
                # A sum is NaN or infinite if one entry is (or if all are huge), and costs one pass.
                if not math.isfinite(float(parameter.detach().sum())):
                    site = name.removesuffix("_unconstrained").replace("__", ".")
                    raise DivergenceError(
                        f"the parameter {site!r} is not finite after a step in epoch {self.epoch + 1}; "
                        "lower rule.lr, or bound a step with rule.max_step"
                    )

    # -- validation and state ---------------------------------------------------------------------

    def _validate(self, row: Row) -> None:
        assert self.validation is not None
        blocks, y = self.validation
        n_draws = 1 if self.guide.point else self.settings.validation_draws
        row.update(validate(self.model, self.guide, blocks, y, n_draws=n_draws, seed=self.learner.seed))
        if row["val_nll"] < self.best_nll:
            self.best_nll, self.best_epoch, self.stale = row["val_nll"], self.epoch, 0
            self.best = {
                "guide": copy.deepcopy(self.guide.state_dict()),
                "model": copy.deepcopy(self.model.state_dict()),
            }
        else:
            self.stale += 1

    def checkpoint(self) -> dict[str, Any]:
        """Return everything that the rest of the run depends on."""
        return copy.deepcopy(
            {
                "guide": self.guide.state_dict(),
                "model": self.model.state_dict(),
                "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
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
            }
        )

    def load(self, checkpoint: dict[str, Any]) -> None:
        self.guide.load_state_dict(checkpoint["guide"])
        self.model.load_state_dict(checkpoint["model"])
        for optimiser, state in zip(self.optimisers, checkpoint["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        torch.set_rng_state(checkpoint["random"]["global"])
        self.order.set_state(checkpoint["random"]["order"])
        self.spikes.set_state(checkpoint["random"]["spikes"])
        self.epoch, self.history = checkpoint["epoch"], History(checkpoint["rows"])
        self.best, self.best_nll = checkpoint["best"], checkpoint["best_nll"]
        self.best_epoch, self.stale = checkpoint["best_epoch"], checkpoint["stale"]


def _check_data(x: Tensor, y: Tensor, *, suffix: str = "", at_least: int = 1) -> None:
    if len(x) != len(y) or len(x) < at_least:
        raise DataError(
            f"x{suffix} has {len(x)} examples and y{suffix} {len(y)}; both need the same number, "
            f"at least {at_least}"
        )
    for name, values in (("x", x), ("y", y)):
        if not bool(values.isfinite().all()):
            raise DataError(f"{name}{suffix} is not finite everywhere; drop or fill NaN and infinity first")


def _strip(weight: Tensor) -> Tensor:
    """Drop the data plate's dimension of a vectorised draw, ``[S, 1, O, I]`` to ``[S, O, I]``."""
    return weight if weight.dim() == 2 else weight.squeeze(-3)


def _postfix(row: Row) -> str:
    names = [n for n in ("loss", "kl", "val_nll", "val_accuracy", "val_rmse") if n in row]
    return ", ".join(f"{n} {row[n]:.4g}" for n in names)
