"""Learning rules on natural parameters, as torch optimisers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from bisnn_pyro.distributions import sech2
from bisnn_pyro.errors import ModelError

LARGEST_NATURAL = {torch.float32: 40.0, torch.float64: 300.0}
"""Largest natural parameter at which draws, KL and Fisher information are accurate to rounding."""


class NaturalRule(torch.optim.Optimizer):
    """A torch optimiser on natural parameters; a subclass defines how one tensor of them moves."""

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

    where F is the loss it is given, KL included.  With the relaxed draw of this package that *is* the
    paper's rule (BiSNN, arXiv 2012.08300), written there as
    :math:`\lambda\leftarrow(1-\eta\rho)\lambda-\eta[s\,\partial L/\partial w-\rho\lambda_0]`,
    :math:`s=(1-w^2)/(\tau\operatorname{sech}^2\lambda)`: the KL's own gradient gives both the shrinking
    and the prior's term, so nothing else may shrink the parameters (``weight_decay`` does not exist here).

    The package's loop gives it the loss *per example*, the free energy over N, as the paper does: ``lr`` is
    the paper's :math:`\eta`, and its :math:`\rho` is ``kl_weight / N``.

    Natural parameters are kept within 40 (float32) or 300 (float64), where the Fisher information can
    still be divided by.

    .. warning::
        The step's variance grows as :math:`\operatorname{sech}^{-2}\lambda`, without bound: rare draws
        move saturated synapses far.  ``lr * kl_weight / N`` must stay below 1, which
        :class:`~bisnn_pyro.inference.GradientSteps` checks.  One notices it as
        natural parameters far beyond 10; ``max_step`` bounds a single move.

    Args:
        params: natural parameters (lambda itself, not the logits 2 lambda).
        lr: step size, the paper's eta for a loss per example.
        momentum: exponential averaging factor of the natural gradient, in [0, 1).
        max_step: largest move of one synapse in one step, or ``None`` for no bound.

    Raises:
        ModelError: if a setting is out of its range.

    Example:
        >>> natural = torch.zeros(2, requires_grad=True)
        >>> rule = BayesianLearningRule([natural], lr=0.5)
        >>> torch.tanh(natural).sum().backward()  # an expected loss that is the sum of the mean weights
        >>> rule.step()
        >>> natural
        tensor([-0.5000, -0.5000], requires_grad=True)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        *,
        momentum: float = 0.0,
        max_step: float | None = None,
    ) -> None:
        if not 0 < lr < float("inf"):
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


class BiMU(NaturalRule):
    r"""BiMU, metaplastic binary synapses (Cottart et al., arXiv 2605.30198): learning that also forgets.

    .. math:: \lambda \leftarrow \lambda - \frac{\eta\,g + (\lambda-\lambda_0)\,h/N}
        {h + 2g\tanh\lambda + 2|g| + 1/\eta_{max}}, \qquad
        g = c_{lik}\,\frac{\partial L}{\partial\lambda}, \quad h = c_{kl}\operatorname{sech}^2\lambda

    L is the expected loss alone: the second term of the numerator is the pull to the prior, so the KL must
    not be in the loss as well (``kl_weight = 0``).  The paper's prior is fair, :math:`\lambda_0=0`.

    *What it minimises.*  The numerator is :math:`\eta c_{lik}` times the gradient of
    :math:`L + \beta\,\mathrm{KL}(q\,\|\,p)` with :math:`\beta = c_{kl} / (\eta\,c_{lik}\,N)`, so this rule
    rests where the Bayesian learning rule with that KL weight does.  Where g is small against h and
    :math:`\eta_{max}` is large it *is* that rule, of step size :math:`\eta\,c_{lik}/c_{kl}`.

    *How far it moves.*  The denominator is positive.  Towards zero, against what a synapse has learned, the
    data move it by less than :math:`\eta/2` whatever the gradient; outwards by at most
    :math:`\eta\,\eta_{max}|g|`.  With the exact gradient of a loss of slope G in the mean
    :math:`\tanh\lambda`, :math:`|\lambda|` never exceeds the larger of its start and
    :math:`\eta\,c_{lik} N |G| / c_{kl}` (for a fair prior): evidence that always points one way does not
    saturate it.

    *Units.*  The paper's L is the sum over the mini-batch, and N counts updates, so that about N times the
    batch's size examples are remembered.  This package's loop gives a rule the loss per example, so this one
    multiplies :math:`c_{lik}` by the size of a batch: all settings are in the paper's units.
    Released settings: ``lr`` 1 to 20, ``memory`` 1000 to 18000, ``likelihood_multiplier`` about 200,
    ``kl_multiplier`` 0.1 to 4, ``lr_max`` 0.02 to 0.08.

    .. warning::
        Noise drives synapses outwards.  Moves in are shorter than moves out, so that gradients
        :math:`\pm g`, which cancel, still move one by :math:`2\eta g^2\tanh\lambda / (D_+D_-)` on average (D:
        the two denominators), and the statements above about where the rule rests hold for exact
        gradients alone.  One notices it as natural parameters far beyond 10, and as a committee no better
        than its mode; a smaller ``likelihood_multiplier`` (with a larger ``lr``), more particles or less
        memory help.

        It also assumes that gradients arrive at a steady rate: the pull to the prior acts at every
        update, however small the gradient.  A schedule that lowers ``lr`` raises beta with it, so the end of
        training forgets what was learned before; one notices it as a KL that falls while the loss rises.

    Args:
        params: natural parameters (lambda itself).
        lr: eta, the weight of the data in a move.
        memory: N, the number of updates after which what was learned has faded, >= 1; ``None`` takes the
            data set's size.
        likelihood_multiplier: c_lik, in the numerator and in the denominator.
        kl_multiplier: c_kl; larger is slower and forgets faster.
        lr_max: eta_max, the largest inverse of the denominator; infinite for no bound.
        prior: natural parameter :math:`\lambda_0` of the prior.
        dataset_size: number of training examples.
        batch_size: examples in a mini-batch.

    Raises:
        ModelError: if a setting is out of its range.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        *,
        memory: float | None = None,
        likelihood_multiplier: float = 1.0,
        kl_multiplier: float = 1.0,
        lr_max: float = 1.0,
        prior: float = 0.0,
        dataset_size: int,
        batch_size: int,
    ) -> None:
        positive = {
            "lr": lr,
            "likelihood_multiplier": likelihood_multiplier,
            "kl_multiplier": kl_multiplier,
            "lr_max": lr_max,
            "dataset_size": dataset_size,
            "batch_size": batch_size,
        }
        for name, value in positive.items():
            if not value > 0:
                raise ModelError(f"rule {name} must be positive, not {value}")
        memory = dataset_size if memory is None else memory
        if not memory >= 1:
            raise ModelError(f"rule memory is a number of updates, at least 1, not {memory}")
        if not abs(prior) < float("inf"):
            raise ModelError(f"rule prior must be a finite natural parameter, not {prior}")
        likelihood = likelihood_multiplier * min(batch_size, dataset_size)
        group = {"lr": lr, "likelihood_multiplier": likelihood, "kl_multiplier": kl_multiplier}
        super().__init__(params, {**group, "lr_max": lr_max, "memory": memory, "prior": prior})

    def _move(self, natural: Tensor, group: dict[str, Any]) -> None:
        assert natural.grad is not None
        gradient = natural.grad * group["likelihood_multiplier"]
        curvature = sech2(natural).mul_(group["kl_multiplier"])
        # 2 g tanh(lambda) + 2|g|, written without the cancellation far out: 4|g| sigmoid(2 sign(g) lambda).
        stiffness = torch.sigmoid(2 * gradient.sign() * natural).mul_(gradient.abs()).mul_(4)
        stiffness.add_(curvature).add_(1 / group["lr_max"])
        pull = (natural - group["prior"]).mul_(curvature).div_(group["memory"])
        limit = LARGEST_NATURAL[natural.dtype]
        natural.sub_(pull.add_(gradient, alpha=group["lr"]).div_(stiffness)).clamp_(-limit, limit)
