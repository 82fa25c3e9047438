"""A binary synapse whose noise is drawn anew for each example: the draw of local reparametrisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bisnn_pyro.distributions.hard_sign import SecondOrderSign
from bisnn_pyro.distributions.hyperbolic import sign_mean, sign_variance


@dataclass(frozen=True)
class Perturbed:
    """Weights ``mean + noise`` whose noise changes its sign from example to example (see :class:`LocalSign`).

    Attributes:
        mean: ``[*S, O, I]``.
        noise: one draw of the noise, of the same shape.
    """

    mean: Tensor
    noise: Tensor

    @property
    def shape(self) -> torch.Size:
        """Shape of the weights."""
        return self.mean.shape

    @property
    def requires_grad(self) -> bool:
        """Whether the weights have a gradient."""
        return self.mean.requires_grad

    def __mul__(self, scale: Tensor | float) -> Perturbed:
        return Perturbed(self.mean * scale, self.noise * scale)

    def shared(self) -> Tensor:
        """Return the weights of one network, as if all examples shared the noise."""
        return self.mean + self.noise


def random_signs(like: Tensor, *shape: int) -> Tensor:
    """Return random signs of this shape, with the type and on the device of ``like``."""
    return torch.randint(0, 2, shape, device=like.device).to(like.dtype).mul_(2).sub_(1)


class LocalSign(SecondOrderSign):
    r"""Gaussian noise around the mean weight, which a layer flips per example (Flipout, arXiv 1803.04386).

    A draw is the pair :math:`M=\tanh\lambda,\ S\circ\varepsilon` with :math:`S=\operatorname{sech}\lambda`.
    A layer turns it into potentials :math:`P_tM^\top+s\circ((P_t\circ r)(S\circ\varepsilon)^\top)` with
    random signs r, s of each example, constant over time, whose covariance over time and units is that of
    binary draws, :math:`\sum_j\operatorname{sech}^2\lambda_{ij}P_j(t)P_j(t')`: local reparametrisation
    (Kingma et al., arXiv 1506.02557) for signals over time.

    .. warning::
        Assumes that a potential is a sum of many synapses, hence Gaussian (fan-in above about 50).  Where
        few synapses carry the potential, training sees potentials that no binary network has; one notices a
        validation loss of hard draws well above the training loss.
    """

    def rsample(self, sample_shape: Any = torch.Size()) -> Any:  # noqa: B008 (torch's own signature)
        """Draw a :class:`Perturbed` pair."""
        natural = self.unexpanded
        mean, deviation = sign_mean(natural), sign_variance(natural).sqrt()
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=natural.dtype, device=natural.device)
        return Perturbed(mean.expand(shape), deviation * noise)
