"""A mixture of Bernoulli posteriors inside one guide: components differ by a matrix of rank one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import torch
from pyro.distributions import TorchDistribution
from pyro.poutine.runtime import get_plates
from torch import Tensor

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.guides import AutoRelaxedSign, Estimator, draw_signs
from bisnn_pyro.inference.marginals import marginal_natural
from bisnn_pyro.inference.schedules import Schedule
from bisnn_pyro.inference.synaptic_guide import SynapticGuide


class AutoRankOneMixture(AutoRelaxedSign):
    r"""Mixture of M Bernoulli posteriors :math:`\lambda_m = \lambda + r_m s_m^\top`, with equal weights.

    The factors are those of rank-one Bayesian networks (Dusenberry et al. 2020, arXiv 2005.07186), here on
    natural parameters: M components cost M (O + I) numbers per layer, not M O I.  A training draw picks a
    component at random, several vectorised draws different ones in turn; member i of a committee is drawn
    from component ``i mod M``.  ``posterior()``, ``mean()``, ``mode()`` and ``natural_parameters()`` are
    those of the marginals.

    The KL of a draw is that of its component.  Its mean over draws is the mean of the components' KLs, an
    upper bound on that of the mixture (convexity), at most :math:`\ln M` nats above it.

    .. warning::
        Assumes what the estimator of its base class does.  Nothing pushes the components
        apart but their start (``spread``) and the data; one notices components that have fallen together as a
        committee that is no better than that of one component.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli` matrices.
        components: M.
        spread: initial size of the entries of :math:`r_m s_m^\top`, whose signs are random.
        estimator: as in :class:`AutoRelaxedSign`.
        temperature: as in :class:`AutoRelaxedSign`.
        init_scale: initial :math:`\lambda` is uniform in ``(-init_scale, init_scale)``.
        start: as in :class:`AutoRelaxedSign`.

    Example:
        >>> from bisnn_pyro.models import BernoulliRate, SpikingGLM
        >>> guide = AutoRankOneMixture(SpikingGLM(2, [3], BernoulliRate()), components=2)
        >>> guide.initialize(torch.zeros(5, 1, 2), torch.zeros(1))  # spikes [T, B, I] and targets [B]
        >>> guide.component_parameters("layers.0.weight").shape  # [M, O, I]
        torch.Size([2, 3, 2])
    """

    default_rule = "adam"
    roles: ClassVar[tuple[str, ...]] = ("natural", "output", "input")

    def __init__(
        self,
        model: Callable[..., Any],
        *,
        components: int = 4,
        spread: float = 0.1,
        estimator: Estimator = "second-order",
        temperature: float | Schedule | None = None,
        init_scale: float = 0.1,
        start: Literal["random", "prior"] = "random",
    ) -> None:
        super().__init__(
            model, estimator=estimator, temperature=temperature, init_scale=init_scale, start=start
        )
        if components < 1:
            raise ModelError(f"guide components must be at least 1, not {components}")
        self.components, self.spread = components, spread
        self._chosen: Tensor | None = None  # components of the draw that is being made

    def _initial(self, prior: TorchDistribution, shape: torch.Size) -> dict[str, Tensor]:
        if len(shape) != 2:
            raise ModelError(f"a rank-one mixture is over matrices [O, I], not sites of shape {list(shape)}")
        found = super()._initial(prior, shape)
        output, inputs = (
            torch.randint(0, 2, (self.components, n)).to(found["natural"]) * 2 - 1 for n in shape
        )
        return {**found, "output": self.spread * output, "input": inputs}

    def begin_warm_start(self, scale: float) -> None:
        """Refuse: latents of one network do not say how components differ."""
        SynapticGuide.begin_warm_start(self, scale)

    def component_parameters(self, name: str) -> Tensor:
        """Return the natural parameters of each component of a site, ``[M, O, I]``."""
        output, inputs = self.parameter("output", name), self.parameter("input", name)
        return self.parameter("natural", name) + output.unsqueeze(-1) * inputs.unsqueeze(-2)

    def _natural(self, name: str) -> Tensor:
        """Return those of the components that are being drawn; else those of the marginals."""
        every = self.component_parameters(name)
        return marginal_natural(every) if self._chosen is None else every[self._chosen]

    @contextmanager
    def _drawing(self, chosen: Tensor) -> Iterator[None]:
        self._chosen = chosen
        try:
            yield
        finally:
            self._chosen = None

    def forward(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Sample every site from one component, each vectorised draw from its own."""
        sizes = {frame.dim: frame.size for frame in get_plates() if frame.dim is not None}
        shape = [sizes.get(dim, 1) for dim in range(min(sizes, default=0), 0)]
        n = torch.Size(shape).numel()
        turns = torch.arange(n) % self.components
        chosen = torch.randperm(self.components)[turns].reshape(shape)
        with self._drawing(chosen):
            return super().forward(*args, **kwargs)

    def _member(self, index: int, generator: torch.Generator) -> dict[str, Tensor]:
        # Without the component as a state: members are drawn in several threads at once.
        component = index % self.components
        return {
            name: draw_signs(self.component_parameters(name)[component].detach(), generator)
            for name in sorted(self._known_sites())
        }

    def natural_parameters(self) -> dict[str, Tensor]:
        """Return those of the marginals, half the logit of each site's mean probability."""
        return {name: self._natural(name).detach() for name in self._known_sites()}
