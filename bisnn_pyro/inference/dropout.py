"""Monte Carlo dropout over binary synapses."""

from __future__ import annotations

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints, register_kl

from bisnn_pyro.distributions import SignBernoulli
from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference.guides import AutoStraightThrough
from bisnn_pyro.models import ConvSynapses


class SilencedSigns(TorchDistribution):
    r"""Signs ``[..., O, I]`` of which whole inputs are silenced: :math:`w_{oi}m_i/(1-r)`, one m for all rows.

    Synapses of one input are silenced together, so that only the marginals factorise over the batch shape.
    There is no ``log_prob``.  The KL from :class:`SignBernoulli` is that of the signs, as for a Delta.

    Args:
        signs: w, ``[..., O, I]``.
        rate: r, the probability that an input is silenced, in (0, 1).
        columns: neighbouring columns that are one input: k k of a convolution.
    """

    arg_constraints = {"signs": constraints.real}  # noqa: RUF012 (torch's own interface)
    support = constraints.real
    has_rsample = True

    def __init__(
        self, signs: Tensor, rate: float, columns: int = 1, *, validate_args: bool | None = None
    ) -> None:
        self.signs, self.rate, self.columns = signs, rate, columns
        super().__init__(signs.shape, validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> SilencedSigns:
        """Return the same distribution with its batch shape expanded."""
        return SilencedSigns(self.signs.expand(batch_shape), self.rate, self.columns, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """The signs."""
        return self.signs

    @property
    def variance(self) -> Tensor:
        """Variance of one synapse, r / (1 - r)."""
        return torch.full_like(self.signs, self.rate / (1 - self.rate))

    def rsample(
        self,
        sample_shape: Any = torch.Size(),  # noqa: B008 (torch's own signature)
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw which inputs are silenced; differentiable in the signs."""
        *batch, _, n_columns = self._extended_shape(sample_shape)
        shape = (*batch, 1, n_columns // self.columns)
        device = self.signs.device if generator is None else generator.device
        u = torch.rand(shape, generator=generator, dtype=self.signs.dtype, device=device)
        kept = (u >= self.rate).to(self.signs).repeat_interleave(self.columns, dim=-1)
        return self.signs * (kept / (1 - self.rate))


@register_kl(SilencedSigns, SignBernoulli)
def _kl_silenced(q: SilencedSigns, p: SignBernoulli) -> Tensor:
    return -p.log_prob(q.signs)


class AutoDropout(AutoStraightThrough):
    r"""A straight-through net with dropout that stays on in prediction (Gal, Ghahramani, arXiv 1506.02142).

    A draw is :math:`\operatorname{sign}(w_r)` in which units of the layer before (input features, spiking
    units, channels of a convolution) are silenced with probability r, for the whole sequence and all units
    of the layer alike; the others' synapses are scaled by 1/(1 - r).  Training draws the same, with
    straight-through gradients.  Fixed random read-outs have no dropout.

    Draws have the values 0 and +-1/(1 - r).  A member is therefore not one of the binary networks: it needs
    dense prediction and cannot be exported.  ``mode()``, the network without dropout, is and can.  The
    KL in the loss is that of the signs alone, a constant for a fair prior.

    .. warning::
        The uncertainty is that of units and is set by r; it does not shrink with more data.  One notices a
        wrong r as a committee that is under- or overconfident at every size of the training set.
        ``natural_parameters()`` are those of the signs, plus or minus infinity, and say nothing of it.

    Args:
        model: a Pyro model whose latent sites are all :class:`SignBernoulli`, of shape ``[O, I]``.
        rate: r, the probability that a unit is silenced, in (0, 1).
        clip: see :class:`AutoStraightThrough`.
        init_scale: see :class:`AutoStraightThrough`.

    Raises:
        ModelError: if the rate is out of its range.

    Example:
        >>> from bisnn_pyro.models import BernoulliRate, SpikingGLM
        >>> guide = AutoDropout(SpikingGLM(4, [3], BernoulliRate()), rate=0.5)
        >>> guide.initialize(torch.zeros(5, 1, 4), torch.zeros(1))
        >>> guide.sample_posterior(20, seed=0)["layers.0.weight"].abs().unique()
        tensor([0., 2.])
    """

    point = False

    def __init__(
        self, model: Any, *, rate: float = 0.1, clip: float | None = None, init_scale: float = 0.1
    ) -> None:
        super().__init__(model, clip=clip, init_scale=init_scale)
        if not 0 < rate < 1:
            raise ModelError(f"guide rate is the probability that a unit is silenced, in (0, 1), not {rate}")
        self.rate = rate
        layers = enumerate(getattr(model, "synapses", ()))
        self._columns = {
            f"layers.{k}.weight": layer.kernel**2 for k, layer in layers if isinstance(layer, ConvSynapses)
        }

    def _posterior(self, name: str) -> SilencedSigns:
        return SilencedSigns(self._value(name), self.rate, self._columns.get(name, 1))

    def _training_distribution(self, name: str) -> TorchDistribution:
        return self._posterior(name)

    def _draw(self, name: str, generator: torch.Generator) -> Tensor:
        return self._posterior(name).rsample(generator=generator).detach()
