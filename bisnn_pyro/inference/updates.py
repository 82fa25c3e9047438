"""How to train: settings, the update of a posterior by one batch, and validation between epochs."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from torch import Tensor

from bisnn_pyro.errors import DivergenceError, ModelError
from bisnn_pyro.inference.average import ParameterAverage
from bisnn_pyro.inference.committee import Prediction, posterior_draws, predict
from bisnn_pyro.inference.elbo import FreeEnergy, MeanFieldELBO
from bisnn_pyro.inference.history import Row
from bisnn_pyro.inference.kl_time import check_pull, entropy_bits, forgetting
from bisnn_pyro.inference.rules import BayesianLearningRule
from bisnn_pyro.inference.schedules import Schedule
from bisnn_pyro.inference.seeding import Purpose, derived_seed
from bisnn_pyro.inference.synaptic_guide import SynapticGuide
from bisnn_pyro.models import NetworkState, SimulationPlan, SpikingGLM, Window, per_draw, split_examples

FLOOR = math.log(1e-12)
"""Log-probability at which a validation NLL is cut off, so that one confident mistake cannot hide others."""

MAX_THREADS = 1024
"""Threads beyond which a process may end without a word."""

_CONSTANT = Schedule(1.0)


@dataclass(frozen=True)
class WarmStart:
    r"""A straight-through phase at the start of a training, whose latents become natural parameters.

    Hard draws of nearly fair coins carry little signal, and a network that is trained first decides what
    it can: then :math:`\lambda=a\,w_r/\operatorname{sd}(w_r)`, sd over a site.  The time counts as training.

    Args:
        share: of the training, in (0, 1).
        lr: Adam's learning rate of the latents.
        scale: a, the size of a typical natural parameter after it.
    """

    share: float = 0.25
    lr: float = 0.002
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share < 1 or not self.lr > 0 or not self.scale > 0:
            raise ModelError(f"train.warm_start needs 0 < share < 1, lr > 0 and scale > 0, not {self}")


@dataclass(frozen=True)
class TrainSettings:
    """How to train: the keys of a config's table ``[train]``.

    Args:
        epochs: passes over the training set.
        batch_size: examples in a mini-batch.
        particles: weight draws per step, vectorised, which see the same examples.
        groups: parts of a mini-batch with a weight draw, and a normalisation, of their own: the gradient is
            less noisy at nearly the same cost.  A batch that it does not divide takes the next lower divisor.
        committee_weight: a of the PAC^m loss: the share of an example's nll that is the particles' vote's, in
            [0, 1]; needs ``particles`` of 2 or more.
        window: steps per update; ``None`` makes one update from the whole sequence.
        window_kl_scale: KL weight of one window's update, relative to beta; ``None`` is the window's
            share w / T' of the counted steps (1 with ``window = 1`` is the released online rule).
        kl_weight: beta, the weight of the KL in the loss, a number or a schedule over training; 1 is Bayes,
            less is a cold posterior.
        lr_schedule: factor on every learning rate over training.
        warm_start: train as a straight-through network first.
        average: share that each update keeps of an exponential average of all parameters, for example 0.999;
            the average is validated and predicts.  ``None`` for none.
        other_lr: learning rate of Adam for parameters of the model that are not synapses; 0 leaves them, and
            a reference batch that the model has already, as they are.
        validate_every: epochs between validations.
        validation_draws: hard draws in the validation committee.
        patience: validations without a better NLL before stopping; ``None`` never stops early.
        restore_best: end with the parameters of the best validation NLL.
        input_noise: standard deviation of Gaussian noise on the features (in [0, 1], clipped to it), drawn
            afresh each epoch: augmentation for small data sets.
        label_smoothing: share eps of the uniform distribution in the training targets,
            (1 - eps) one-hot + eps / C; validation and scores take the labels as they are.
        mixup: a > 0 mixes each training batch with a permutation of itself, in a share drawn from
            Beta(a, a), see ``bisnn_pyro.inference.softening``; 0 mixes nothing.
        reference_size: training examples in the reference batch of a normalised network.
        checkpoint_every: epochs between two checkpoints on disk.
        threads: number of threads; ``None`` leaves it as it is.
        share: train on this part of the training examples only, ``[low, high]`` in fractions of one
            permutation that depends on the data alone (:func:`bisnn_pyro.data.take_share`); a run takes the
            part before a learner sees the data.  ``None`` is all.

    Raises:
        ModelError: if a setting is out of its range.
    """

    epochs: int = 100
    batch_size: int = 40
    particles: int = 1
    groups: int = 1
    committee_weight: float = 0.0
    window: int | None = None
    window_kl_scale: float | None = None
    kl_weight: float | Schedule = 1.0
    lr_schedule: Schedule = _CONSTANT
    warm_start: WarmStart | None = None
    average: float | None = None
    other_lr: float = 0.01
    validate_every: int = 1
    validation_draws: int = 10
    patience: int | None = None
    restore_best: bool = True
    input_noise: float = 0.0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    reference_size: int = 64
    checkpoint_every: int = 10
    threads: int | None = None
    share: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        counts = ("epochs", "batch_size", "particles", "groups", "validate_every", "validation_draws")
        optional = ("window", "patience", "threads")
        for name in (*counts, "reference_size", "checkpoint_every", *optional):
            value = getattr(self, name)
            if not (value is None and name in optional) and value < 1:
                raise ModelError(f"train.{name} must be at least 1, not {value}")
        if self.threads is not None and self.threads > MAX_THREADS:
            raise ModelError(f"train.threads must be at most {MAX_THREADS}, not {self.threads}")
        if not self.other_lr >= 0:
            raise ModelError(f"train.other_lr must be a number >= 0, not {self.other_lr}")
        if self.share is not None and not 0 <= self.share[0] < self.share[1] <= 1:
            raise ModelError(f"train.share must be [low, high] with 0 <= low < high <= 1, not {self.share}")
        if not 0 <= self.committee_weight <= (self.particles > 1):
            raise ModelError(
                f"train.committee_weight = {self.committee_weight} with particles = {self.particles}: it is "
                "a share in [0, 1] of the vote of 2 or more particles"
            )
        if self.average is not None and not 0 < self.average < 1:
            raise ModelError(f"train.average must lie in (0, 1), not {self.average}")
        beta = self.kl_schedule
        rates = {"kl_weight": min(beta.start, beta.start if beta.end is None else beta.end)}
        rates["input_noise"], rates["mixup"] = self.input_noise, self.mixup
        rates["window_kl_scale"] = 0.0 if self.window_kl_scale is None else self.window_kl_scale
        for name, rate in rates.items():
            if not 0 <= rate < math.inf:
                raise ModelError(f"train.{name} must be a number >= 0, not {getattr(self, name)}")
        if not 0 <= self.label_smoothing < 1:
            raise ModelError(f"train.label_smoothing must be in [0, 1), not {self.label_smoothing}")

    @property
    def kl_schedule(self) -> Schedule:
        """``kl_weight`` as a schedule."""
        return self.kl_weight if isinstance(self.kl_weight, Schedule) else Schedule(self.kl_weight)

    def check_guide(self, guide: type[SynapticGuide]) -> None:
        """Refuse to end before the end with a guide that gathers its posterior there.

        Raises:
            ModelError: if an earlier epoch may be restored, or training may stop early.
        """
        if guide.collects and (self.restore_best or self.patience is not None):
            raise ModelError(
                f"{guide.__name__} gathers its posterior over the last part of training, which an earlier "
                "epoch does not have: set train.restore_best = false, and leave train.patience out"
            )


class Updater(ABC):
    """Updates a posterior batch by batch, and validates it between epochs.

    The :class:`Learner` does everything else: order, encoding, history, stopping, checkpoints.
    """

    optimisers: Sequence[torch.optim.Optimizer] = ()
    """Those whose state a checkpoint must keep."""
    average: ParameterAverage | None = None
    """What predicts in place of the parameters, if anything."""

    @abstractmethod
    def begin(self, model: SpikingGLM, guide: SynapticGuide, settings: TrainSettings) -> None:
        """Start a training run; called once the parameters of model and guide exist.

        Raises:
            ModelError: if the model, the guide or a setting does not suit this updater.
        """

    def schedule(self, progress: float) -> Row:
        """Set what changes over training, at ``progress`` in [0, 1), and return it for the history."""
        return {}

    @abstractmethod
    def __call__(self, spikes: Tensor, y: Tensor) -> Iterator[Mapping[str, Tensor]]:
        """Update on inputs ``[T, B, I]`` and targets ``[B]`` (soft: ``[B, C]``); yield the losses before.

        These are scalars by name: ``loss`` and ``nll`` are estimates of sums over the data set, which the
        history divides by its size; others are averaged.

        Raises:
            DivergenceError: if a loss or a parameter is not finite; the message names it.
        """

    def summary(self, n_updates: int) -> Row:
        """Return what the history says of the posterior after an epoch of so many updates."""
        return {}

    @abstractmethod
    def validate(self, blocks: Sequence[Tensor], y: Tensor, seed: int) -> Row:
        """Return ``val_nll``, and the accuracy or RMSE, on encoded inputs and targets ``[N]``."""


MakeOptimisers = Callable[[SpikingGLM, SynapticGuide], Sequence[torch.optim.Optimizer]]
"""Makes the optimisers of a run from a model and a guide that have their parameters."""


class GradientSteps(Updater):
    """Takes gradient steps on the free energy of a batch.

    Any torch optimiser works; the natural parameters' is usually :class:`BayesianLearningRule`.  Parameters
    of the model that none of the optimisers holds (biases, noise scales) are moved by Adam with the learning
    rate ``settings.other_lr``.  Optimisers see the loss *per example*, the free energy divided by the data
    set's size N, as in the paper: a learning rate stays right where N changes.

    Args:
        make_optimisers: called with model and guide once their parameters exist; returns the optimisers.
    """

    def __init__(self, make_optimisers: MakeOptimisers) -> None:
        self.make_optimisers = make_optimisers

    def begin(self, model: SpikingGLM, guide: SynapticGuide, settings: TrainSettings) -> None:
        """Make the optimisers."""
        settings.check_guide(type(guide))
        self.model, self.guide, self.settings = model, guide, settings
        self.rule = list(self.make_optimisers(model, guide))
        held = {id(p) for opt in self.rule for group in opt.param_groups for p in group["params"]}
        free = [p for p in model.parameters() if id(p) not in held]
        for parameter in free:
            parameter.requires_grad_(settings.other_lr > 0)
        self.others = [torch.optim.Adam(free, settings.other_lr)] if free and settings.other_lr else []
        self.warm: list[torch.optim.Optimizer] = []
        if settings.warm_start is not None:
            guide.begin_warm_start(settings.warm_start.scale)
            self.warm = [torch.optim.Adam(guide.parameters(), settings.warm_start.lr)]
        self.optimisers = [*self.rule, *self.others, *self.warm]
        self.rates = [[group["lr"] for group in opt.param_groups] for opt in self.optimisers]
        self.checked = False
        self.beta = settings.kl_schedule(0.0)
        average = settings.average
        self.average = ParameterAverage([model, guide], average) if average else None

    def schedule(self, progress: float) -> Row:
        """Set beta, the temperature and the learning rates, and end a warm start at its time."""
        warm = self.settings.warm_start
        if warm is not None and self.guide.warming and progress >= warm.share:
            self.guide.end_warm_start()
            if self.average is not None:
                self.average.restart()
        self.beta, scale = self.settings.kl_schedule(progress), self.settings.lr_schedule(progress)
        for optimiser, rates in zip(self.optimisers, self.rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * scale
        return {"kl_weight": self.beta} | self.guide.anneal(progress) | {"lr_scale": scale}

    def summary(self, n_updates: int) -> Row:
        """Return the posterior's entropy, and how far the KL has acted in these updates."""
        bits = None if self.guide.point else entropy_bits(self.guide)
        if bits is None or self.guide.warming:
            return {}
        if self.guide.roles != ("natural",):
            return {"entropy_bits": bits}
        shares = [forgetting(optimiser, self.beta / self._n_examples(1)) for optimiser in self.rule]
        acted = {} if None in shares else {"kl_time": n_updates * sum(s for s in shares if s is not None)}
        return {"entropy_bits": bits} | acted

    def validate(self, blocks: Sequence[Tensor], y: Tensor, seed: int) -> Row:
        """Score a committee of hard draws, see :func:`validate`."""
        n_draws = 1 if self.guide.point else self.settings.validation_draws
        return validate(self.model, self.guide, blocks, y, n_draws=n_draws, seed=seed)

    def __call__(self, spikes: Tensor, y: Tensor) -> Iterator[dict[str, Tensor]]:
        """Update on inputs ``[T, B, I]`` and targets; yield loss, nll and KL before each update.

        Raises:
            DivergenceError: if a loss or a parameter is not finite; the message names it.
        """
        for energy in self.free_energies(spikes, y):
            yield {name: getattr(energy, name).detach() for name in ("loss", "nll", "kl")}

    def free_energies(self, spikes: Tensor, y: Tensor) -> Iterator[FreeEnergy]:
        """Update in the same way, and yield the whole free energy with the model's return value."""
        burn_in, width, kl_scale = self.model.burn_in, self.settings.window, self.settings.window_kl_scale
        if not self.checked:
            share = 1.0 if width is None else min(1.0, width / (len(spikes) - burn_in))
            self._check_pull(share if kl_scale is None or width is None else kl_scale, spikes.shape[-2])
        spikes, y = self._per_draw(spikes, y)
        if width is None:
            yield self._update(spikes, y, self.beta, None, Window(burn_in=burn_in))
            return
        n_steps = spikes.shape[-3]
        counted = n_steps - burn_in
        state = self._settled(spikes.narrow(-3, 0, burn_in)) if burn_in else None
        for start in range(burn_in, n_steps, width):
            part = spikes.narrow(-3, start, min(width, n_steps - start))
            fraction = part.shape[-3] / counted
            weight = self.beta * (fraction if kl_scale is None else kl_scale)
            energy = self._update(part, y, weight, state, Window(start=start, fraction=fraction))
            carried = energy.output.state  # None after a window that is the whole sequence
            state = None if carried is None else carried.detach()
            yield energy

    def _check_pull(self, share: float, n_seen: int) -> None:
        """Check once that updates with this share of the KL do not overshoot the prior."""
        rates = [
            max(own)
            for own, rule in zip(self.rates, self.rule, strict=False)
            if isinstance(rule, BayesianLearningRule)
        ]
        schedules = self.settings.lr_schedule, self.settings.kl_schedule
        for lr in rates:
            check_pull(lr, *schedules, share / self._n_examples(n_seen))
        self.checked = True

    def _per_draw(self, spikes: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Split a batch ``[T, B, I]`` into groups ``[S, T, B / G, I]``, repeated for each particle."""
        particles = self.settings.particles
        groups = next(g for g in range(min(self.settings.groups, len(y)), 0, -1) if len(y) % g == 0)
        self.elbo = MeanFieldELBO(
            num_particles=particles * groups,
            vectorize_particles=True,
            max_plate_nesting=1,
            committee_weight=self.settings.committee_weight,
            groups=groups,
        )
        if groups == 1:
            return spikes, y
        y = y.unflatten(0, (groups, -1))
        return split_examples(spikes, groups, particles), y.repeat(particles, *[1] * (y.dim() - 1))

    def _n_examples(self, n_seen: int) -> int:
        """Return the number of examples that the loss is a sum over."""
        return self.model.dataset_size or n_seen

    @torch.no_grad()
    def _settled(self, spikes: Tensor) -> NetworkState:
        """Run the burn-in, which carries no loss, with a draw of its own."""
        guide: Callable[..., Any] = self.guide
        if self.elbo.num_particles > 1:
            guide = pyro.plate("num_particles_vectorized", self.elbo.num_particles, dim=-2)(self.guide)
        trace = pyro.poutine.trace(guide).get_trace(spikes)
        drawn: dict[str, Any] = {name: trace.nodes[name]["value"] for name in self.guide.sites}
        weights = {name: per_draw(w) for name, w in drawn.items()}
        state = self.model.simulate(weights, spikes, plan=SimulationPlan(record=False)).state
        assert state is not None
        return state

    def _update(
        self, spikes: Tensor, y: Tensor, kl_weight: float, state: NetworkState | None, window: Window
    ) -> FreeEnergy:
        self.elbo.kl_weight = kl_weight
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        arguments = (self.model, self.guide, spikes, y)
        try:
            energy = self.elbo.free_energy(*arguments, state=state, window=window)
        except ValueError:
            # A distribution may have refused a NaN before there was a loss: compute it without checks.
            with pyro.validation_enabled(False):
                self._check_finite(self.elbo.free_energy(*arguments, state=state, window=window))
            raise
        self._check_finite(energy)
        (energy.loss / self._n_examples(spikes.shape[-2])).backward()
        for optimiser in (*(self.warm if self.guide.warming else self.rule), *self.others):
            optimiser.step()
        self._check_parameters()
        if self.average is not None:
            self.average.update()
        return energy

    def _check_finite(self, energy: FreeEnergy) -> None:
        if math.isfinite(float(energy.loss.detach())):
            return
        bad = {k: float(v) for k, v in energy.sites.items() if not math.isfinite(float(v))}
        named = ", ".join(f"{k!r} = {v}" for k, v in bad.items()) or "no single site (their sum overflows)"
        raise DivergenceError(
            f"the loss is not finite: {named}; lower rule.lr, or raise the "
            "temperature if the weights' KL is at fault"
        )

    def _check_parameters(self) -> None:
        for module in (self.guide, self.model):
            for name, parameter in module.named_parameters():
                # The sum is not finite if one entry is not (or if all are huge), and takes one pass.
                if not math.isfinite(float(parameter.detach().sum())):
                    site = name.removesuffix("_unconstrained").replace("__", ".")
                    raise DivergenceError(
                        f"the parameter {site!r} is not finite after a step; "
                        "lower rule.lr, or bound a step with rule.max_step"
                    )


def validate(
    model: SpikingGLM, guide: SynapticGuide, blocks: Sequence[Tensor], y: Tensor, *, n_draws: int, seed: int
) -> dict[str, float]:
    """Return the committee's mean NLL on encoded data, and its accuracy or RMSE.

    Members are drawn from the posterior (hard +-1 for binary synapses) with the same seed every time, so
    that the noise is the same in all epochs.

    Args:
        model: the network.
        guide: its posterior.
        blocks: encoded inputs ``[T, B, I]``.
        y: targets ``[N]``.
        n_draws: number of members.
        seed: of the draws.
    """
    seed = derived_seed(seed, Purpose.VALIDATION)
    prediction = predict(model, posterior_draws(guide, seed), blocks, n_draws=n_draws, seed=seed)
    return validation_scores(prediction, y)


def validation_scores(prediction: Prediction, y: Tensor) -> dict[str, float]:
    """Return the mean NLL of a prediction's vote for targets ``[N]``, and its accuracy or RMSE."""
    draws = torch.from_numpy(prediction.draws).double()
    if prediction.noise_scale is None:
        mean = draws.mean(0)
        p_true = mean.gather(1, y.long()[:, None]).squeeze(1)
        accuracy = float((mean.argmax(-1) == y).double().mean())
        return {"val_nll": float(-p_true.log().clamp_min(FLOOR).mean()), "val_accuracy": accuracy}
    normal = torch.distributions.Normal(draws, prediction.noise_scale)
    log_mixture = normal.log_prob(y.double()).logsumexp(0) - math.log(len(draws))
    rmse = float((draws.mean(0) - y.double()).square().mean().sqrt())
    return {"val_nll": float(-log_mixture.mean()), "val_rmse": rmse}
