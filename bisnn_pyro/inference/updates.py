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
from bisnn_pyro.inference.guides import SynapticGuide
from bisnn_pyro.models import NetworkState, SpikingGLM, Window


class Updates:
    """Takes gradient steps on the free energy of a batch.

    Args:
        model: the network.
        guide: its posterior, in ``train()``.
        optimisers: they move the parameters of both.
        particles: weight draws in a step, vectorised.
        width: steps in a window; ``None`` makes one update of the whole sequence.
        kl_scale: KL weight of a window relative to beta; ``None`` is its share of the counted steps.
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
    ) -> None:
        self.model, self.guide, self.optimisers = model, guide, optimisers
        self.particles, self.width, self.kl_scale = particles, width, kl_scale
        self.elbo = MeanFieldELBO(num_particles=particles, vectorize_particles=True, max_plate_nesting=1)

    def __call__(self, spikes: Tensor, y: Tensor, beta: float) -> Iterator[FreeEnergy]:
        """Update on inputs ``[T, B, I]`` and targets; yield what each update saw.

        Raises:
            DivergenceError: if a loss or a parameter is not finite; the message names it.
        """
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
            state = energy.output.state.detach()
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
        return self.model.simulate(weights, spikes).state

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
