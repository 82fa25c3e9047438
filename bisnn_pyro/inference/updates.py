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
from bisnn_pyro.inference.committee import Prediction, posterior_draws, predict
from bisnn_pyro.inference.elbo import FreeEnergy, MeanFieldELBO
from bisnn_pyro.inference.history import Row
from bisnn_pyro.inference.schedules import Schedule
from bisnn_pyro.inference.seeding import Purpose, derived_seed
from bisnn_pyro.inference.synaptic_guide import SynapticGuide
from bisnn_pyro.models import NetworkState, SimulationPlan, SpikingGLM, Window, per_draw

FLOOR = math.log(1e-12)
"""Log-probability at which a validation NLL is cut off, so that one confident mistake cannot hide others."""

_CONSTANT = Schedule(1.0)


@dataclass(frozen=True)
class TrainSettings:
    """How to train: the keys of a config's table ``[train]``.

    Args:
        epochs: passes over the training set.
        batch_size: examples in a mini-batch.
        particles: weight draws per step, vectorised.
        window: steps per update; ``None`` makes one update from the whole sequence.
        window_kl_scale: KL weight of one window's update, relative to beta; ``None`` is the window's
            share w / T' of the counted steps (1 with ``window = 1`` is the released online rule).
        kl_weight: beta, the weight of the KL in the loss, a number or a schedule over training; 1 is Bayes,
            less is a cold posterior.
        lr_schedule: factor on every learning rate over training.
        other_lr: learning rate of Adam for parameters of the model that are not synapses.
        validate_every: epochs between validations.
        validation_draws: hard draws in the validation committee.
        patience: validations without a better NLL before stopping; ``None`` never stops early.
        restore_best: end with the parameters of the best validation NLL.
        input_noise: standard deviation of Gaussian noise on the features (in [0, 1], clipped to it), drawn
            afresh each epoch: augmentation for small data sets.
        reference_size: training examples in the reference batch of a normalised network.
        checkpoint_every: epochs between two checkpoints on disk.
        threads: number of threads; ``None`` leaves it as it is.

    Raises:
        ModelError: if a setting is out of its range.
    """

    epochs: int = 100
    batch_size: int = 40
    particles: int = 1
    window: int | None = None
    window_kl_scale: float | None = None
    kl_weight: float | Schedule = 1.0
    lr_schedule: Schedule = _CONSTANT
    other_lr: float = 0.01
    validate_every: int = 1
    validation_draws: int = 10
    patience: int | None = None
    restore_best: bool = True
    input_noise: float = 0.0
    reference_size: int = 64
    checkpoint_every: int = 10
    threads: int | None = None

    def __post_init__(self) -> None:
        counts = ("epochs", "batch_size", "particles", "validate_every", "validation_draws", "reference_size")
        optional = ("window", "patience", "threads")
        for name in (*counts, "checkpoint_every", *optional):
            value = getattr(self, name)
            if not (value is None and name in optional) and value < 1:
                raise ModelError(f"train.{name} must be at least 1, not {value}")
        if not self.other_lr > 0:
            raise ModelError(f"train.other_lr must be positive, not {self.other_lr}")
        beta = self.kl_schedule
        rates = {"kl_weight": min(beta.start, beta.start if beta.end is None else beta.end)}
        rates["input_noise"] = self.input_noise
        rates["window_kl_scale"] = 0.0 if self.window_kl_scale is None else self.window_kl_scale
        for name, rate in rates.items():
            if not 0 <= rate < math.inf:
                raise ModelError(f"train.{name} must be a number >= 0, not {getattr(self, name)}")

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
        """Update on inputs ``[T, B, I]`` and targets ``[B]``; yield the losses before each update.

        These are scalars by name: ``loss`` and ``nll`` are estimates of sums over the data set, which the
        history divides by its size; others are averaged.

        Raises:
            DivergenceError: if a loss or a parameter is not finite; the message names it.
        """

    @abstractmethod
    def validate(self, blocks: Sequence[Tensor], y: Tensor, seed: int) -> Row:
        """Return ``val_nll``, and the accuracy or RMSE, on encoded inputs and targets ``[N]``."""


MakeOptimisers = Callable[[SpikingGLM, SynapticGuide], Sequence[torch.optim.Optimizer]]
"""Makes the optimisers of a run from a model and a guide that have their parameters."""


class GradientSteps(Updater):
    """Takes gradient steps on the free energy of a batch.

    Any torch optimiser works; the natural parameters' is usually :class:`BayesianLearningRule`.  Parameters
    of the model that none of the optimisers holds (biases, noise scales) are moved by Adam with the learning
    rate ``settings.other_lr``.

    Args:
        make_optimisers: called with model and guide once their parameters exist; returns the optimisers.
    """

    def __init__(self, make_optimisers: MakeOptimisers) -> None:
        self.make_optimisers = make_optimisers

    def begin(self, model: SpikingGLM, guide: SynapticGuide, settings: TrainSettings) -> None:
        """Make the optimisers."""
        settings.check_guide(type(guide))
        self.model, self.guide, self.settings = model, guide, settings
        optimisers = list(self.make_optimisers(model, guide))
        held = {id(p) for opt in optimisers for group in opt.param_groups for p in group["params"]}
        others = [p for p in model.parameters() if id(p) not in held]
        if others:
            optimisers.append(torch.optim.Adam(others, settings.other_lr))
        self.optimisers = optimisers
        self.rates = [[group["lr"] for group in opt.param_groups] for opt in optimisers]
        self.beta = settings.kl_schedule(0.0)
        self.elbo = MeanFieldELBO(
            num_particles=settings.particles, vectorize_particles=True, max_plate_nesting=1
        )

    def schedule(self, progress: float) -> Row:
        """Set beta, the temperature and the learning rates."""
        self.beta, scale = self.settings.kl_schedule(progress), self.settings.lr_schedule(progress)
        for optimiser, rates in zip(self.optimisers, self.rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * scale
        return {"kl_weight": self.beta} | self.guide.anneal(progress) | {"lr_scale": scale}

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
        if width is None:
            yield self._update(spikes, y, self.beta, None, Window(burn_in=burn_in))
            return
        counted = spikes.shape[0] - burn_in
        state = self._warm_up(spikes[:burn_in]) if burn_in else None
        for start in range(burn_in, spikes.shape[0], width):
            part = spikes[start : start + width]
            fraction = part.shape[0] / counted
            weight = self.beta * (fraction if kl_scale is None else kl_scale)
            energy = self._update(part, y, weight, state, Window(start=start, fraction=fraction))
            carried = energy.output.state  # None after a window that is the whole sequence
            state = None if carried is None else carried.detach()
            yield energy

    @torch.no_grad()
    def _warm_up(self, spikes: Tensor) -> NetworkState:
        """Run the burn-in, which carries no loss, with a draw of its own."""
        guide: Callable[..., Any] = self.guide
        if self.settings.particles > 1:
            guide = pyro.plate("num_particles_vectorized", self.settings.particles, dim=-2)(self.guide)
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
