"""From one batch to parameter updates: of the whole sequence, or window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyro
import torch
from torch import Tensor

from bisnn_pyro.errors import DivergenceError
from bisnn_pyro.inference.elbo import FreeEnergy, MeanFieldELBO
from bisnn_pyro.inference.guides import AutoRelaxedSign, SynapticGuide
from bisnn_pyro.inference.history import Row
from bisnn_pyro.inference.schedules import Schedule
from bisnn_pyro.inference.updater import Updater
from bisnn_pyro.inference.validation import validate
from bisnn_pyro.models import NetworkState, SpikingGLM, Window


class Updates(Updater):
    """Takes gradient steps on the free energy of a batch.

    Args:
        model: the network.
        guide: its posterior, in ``train()``.
        optimisers: they move the parameters of both.
        particles: weight draws in a step, vectorised.
        width: steps in a window; ``None`` makes one update of the whole sequence.
        kl_scale: KL weight of a window relative to beta; ``None`` is its share of the counted steps.
        kl_weight: schedule of beta.
        temperature: schedule of a relaxed guide's temperature; ``None`` leaves it as it is.
        lr_scale: schedule of a factor on every optimiser's learning rate.
        validation_draws: members of the validation committee.
    """

    def __init__(
        self,
        model: SpikingGLM,
        guide: SynapticGuide,
        optimisers: Sequence[torch.optim.Optimizer],
        *,
        particles: int = 1,
        width: int | None = None,
        kl_scale: float | None = None,
        kl_weight: Schedule,
        temperature: Schedule | None = None,
        lr_scale: Schedule,
        validation_draws: int = 10,
    ) -> None:
        self.model, self.guide, self.optimisers = model, guide, optimisers
        self.particles, self.width, self.kl_scale = particles, width, kl_scale
        self.kl_weight, self.temperature, self.lr_scale = kl_weight, temperature, lr_scale
        self.validation_draws = 1 if guide.point else validation_draws
        self.rates = [[group["lr"] for group in opt.param_groups] for opt in optimisers]
        self.beta = kl_weight(0.0)
        self.elbo = MeanFieldELBO(num_particles=particles, vectorize_particles=True, max_plate_nesting=1)

    def schedule(self, progress: float) -> Row:
        """Set beta, the temperature and the learning rates."""
        self.beta, scale = self.kl_weight(progress), self.lr_scale(progress)
        for optimiser, rates in zip(self.optimisers, self.rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * scale
        row = {"kl_weight": self.beta}
        if isinstance(self.guide, AutoRelaxedSign):
            if self.temperature is not None:
                self.guide.temperature.fill_(self.temperature(progress))
            row["temperature"] = float(self.guide.temperature)
        return row | {"lr_scale": scale}

    def validate(self, blocks: Sequence[Tensor], y: Tensor, seed: int) -> Row:
        """Score a committee of hard draws, see :func:`validate`."""
        return validate(self.model, self.guide, blocks, y, n_draws=self.validation_draws, seed=seed)

    def __call__(self, spikes: Tensor, y: Tensor) -> Iterator[dict[str, Tensor]]:
        """Update on inputs ``[T, B, I]`` and targets; yield loss, nll and KL that each update saw.

        Raises:
            DivergenceError: if a loss or a parameter is not finite; the message names it.
        """
        for energy in self.free_energies(spikes, y):
            yield {name: getattr(energy, name).detach() for name in ("loss", "nll", "kl")}

    def free_energies(self, spikes: Tensor, y: Tensor) -> Iterator[FreeEnergy]:
        """Update likewise; yield the whole free energy, with what the model returned."""
        beta = self.beta
        burn_in = self.model.burn_in
        if self.width is None:
            yield self._update(spikes, y, beta, None, Window(burn_in=burn_in))
            return
        counted = spikes.shape[0] - burn_in
        state = self._warm_up(spikes[:burn_in]) if burn_in else None
        for start in range(burn_in, spikes.shape[0], self.width):
            part = spikes[start : start + self.width]
            fraction = part.shape[0] / counted
            weight = beta * (fraction if self.kl_scale is None else self.kl_scale)
            energy = self._update(part, y, weight, state, Window(start=start, fraction=fraction))
            carried = energy.output.state  # none after a window that is the whole sequence
            state = None if carried is None else carried.detach()
            yield energy

    @torch.no_grad()
    def _warm_up(self, spikes: Tensor) -> NetworkState:
        """Run the burn-in, which carries no loss, with a draw of its own."""
        guide: Callable[..., Any] = self.guide
        if self.particles > 1:
            guide = pyro.plate("num_particles_vectorized", self.particles, dim=-2)(self.guide)
        trace = pyro.poutine.trace(guide).get_trace(spikes)
        draw: dict[str, Any] = {name: trace.nodes[name]["value"] for name in self.guide.sites}
        # [S, 1, O, I] under a particle plate: the 1 is the data plate's dimension.
        weights = {name: w if w.dim() == 2 else w.squeeze(-3) for name, w in draw.items()}
        state = self.model.simulate(weights, spikes, record=False).state
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
            f"the loss is not finite: {named}; lower rule.lr, or raise the "
            "temperature if the weights' KL is at fault"
        )

    def _check_parameters(self) -> None:
        for module in (self.guide, self.model):
            for name, parameter in module.named_parameters():
                # A sum is NaN or infinite if one entry is (or if all are huge), and costs one pass.
                if not math.isfinite(float(parameter.detach().sum())):
                    site = name.removesuffix("_unconstrained").replace("__", ".")
                    raise DivergenceError(
                        f"the parameter {site!r} is not finite after a step; "
                        "lower rule.lr, or bound a step with rule.max_step"
                    )
