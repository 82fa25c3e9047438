"""Learning rules on natural parameters, as torch optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from bisnn_pyro.distributions import sech2
from bisnn_pyro.errors import ModelError

LARGEST_NATURAL = {torch.float32: 40.0, torch.float64: 300.0}
"""Largest natural parameter at which draws, KL and Fisher information are right to the type's rounding."""


class NaturalRule(torch.optim.Optimizer):
    """A torch optimiser on natural parameters; a subclass says how one tensor of them moves."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> Tensor | None:  # type: ignore[override]
        """Move every natural parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for natural in group["params"]:
                if natural.grad is not None:
                    self._move(natural, group)
        return loss

    def _move(self, natural: Tensor, group: dict[str, Any]) -> None:
        """Move ``natural``, which has a gradient, by the settings of its group."""
        raise NotImplementedError


class BayesianLearningRule(NaturalRule):
    r"""Natural-gradient descent on the natural parameters of Bernoulli synapses.

    .. math:: \lambda \leftarrow \lambda - \eta\,
        \frac{\partial F/\partial\lambda}{\operatorname{sech}^2\lambda}

    where F is the whole free energy, KL included.  With the relaxed draw of this package that *is* the
    paper's rule (BiSNN, arXiv 2012.08300), written there as
    :math:`\lambda\leftarrow(1-\eta\rho)\lambda-\eta[s\,\partial L/\partial w-\rho\lambda_0]`,
    :math:`s=(1-w^2)/(\tau\operatorname{sech}^2\lambda)`: the KL's own gradient gives both the shrinking
    and the prior's term, so nothing else may shrink the parameters (``weight_decay`` does not exist here).

    The paper's loss is a mean over the data and ours a sum, so its :math:`\eta` is ``N lr`` and its
    :math:`\rho` is ``kl_weight / N``.

    Natural parameters are kept within 40 (float32) or 300 (float64), where the Fisher information can
    still be divided by.

    .. warning::
        The step's variance grows as :math:`\operatorname{sech}^{-2}\lambda`, without bound: rare draws
        move saturated synapses far.  ``lr * kl_weight`` must stay below 1.  One notices trouble as
        natural parameters far beyond 10; ``max_step`` bounds a single move.

    Args:
        params: natural parameters (lambda itself, not the logits 2 lambda).
        lr: step size for the undivided loss.
        momentum: exponential averaging factor of the natural gradient, in [0, 1).
        max_step: largest move of one synapse in one step, or ``None`` for no bound.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.0,
        max_step: float | None = None,
    ) -> None:
        if not lr > 0:
            raise ModelError(f"rule lr must be positive, not {lr}")
        if not 0 <= momentum < 1:
            raise ModelError(f"rule momentum must lie in [0, 1), not {momentum}")
        if max_step is not None and not max_step > 0:
            raise ModelError(f"rule max_step must be positive or left out, not {max_step}")
        super().__init__(params, {"lr": lr, "momentum": momentum, "max_step": max_step})

    def _move(self, natural: Tensor, group: dict[str, Any]) -> None:
        assert natural.grad is not None
        step = natural.grad / sech2(natural)
        if group["momentum"]:
            state = self.state[natural]
            average = state.setdefault("average", torch.zeros_like(natural))
            state["steps"] = state.get("steps", 0) + 1
            average.lerp_(step, 1 - group["momentum"])
            step = average / (1 - group["momentum"] ** state["steps"])
        step = step.mul(group["lr"])
        if group["max_step"] is not None:
            step = step.clamp_(-group["max_step"], group["max_step"])
        limit = LARGEST_NATURAL[natural.dtype]
        natural.sub_(step).clamp_(-limit, limit)
