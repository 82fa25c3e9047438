"""The same network written by hand: a plain torch loop over steps, nothing taken from the package."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from benchmarks.nets import KL_WEIGHT, LR, Net

A, B, C = (math.exp(-1 / tau) for tau in (10.0, 6.0, 2.0))
UNIT = (1 - A) * (1 - B)
"""One over the trace's response to a constant input."""


class Spike(torch.autograd.Function):
    """The threshold with a boxcar for its derivative."""

    @staticmethod
    def forward(ctx: Any, u: Tensor) -> Tensor:
        """Return the spikes."""
        ctx.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Pass the gradient on near the threshold."""
        (u,) = ctx.saved_tensors
        return grad * ((u > -0.5) & (u <= 0.5)).to(u.dtype)


class LoopLayer:
    """State of one layer: traces P and Q of its inputs, refractory trace R and last spikes."""

    def __init__(self, weight: Tensor, batch: int, gain: float) -> None:
        n_outputs, n_inputs = weight.shape
        self.weight = weight * (gain * UNIT / math.sqrt(n_inputs))
        self.p, self.q = weight.new_zeros(batch, n_inputs), weight.new_zeros(batch, n_inputs)
        self.r, self.s = weight.new_zeros(batch, n_outputs), weight.new_zeros(batch, n_outputs)

    def step(self, x: Tensor) -> Tensor:
        """Take one step in time; no gradient to the step before."""
        self.p = A * self.p + self.q
        self.q = B * self.q + x
        self.r = C * self.r + self.s
        spikes = Spike.apply(self.p @ self.weight.T - self.r)
        self.s = spikes.detach()
        return spikes


def step_loss(readout: Tensor, y: Tensor) -> Tensor:
    """Return the loss of one step, summed over the batch."""
    if readout.shape[-1] == 1:
        return binary_cross_entropy_with_logits(readout[:, 0], y.to(readout.dtype), reduction="sum")
    return cross_entropy(readout, y, reduction="sum")


class LoopStep:
    """A training step: relaxed draw, loop over time with local losses, KL, and the learning rule.

    Args:
        net: sizes.
        spikes: inputs ``[T, B, I]``.
        y: labels ``[B]``.
        naturals: initial natural parameters of the layers; copied.
        readouts: fixed random read-outs ``[C, O]`` of the layers.
    """

    def __init__(
        self, net: Net, spikes: Tensor, y: Tensor, naturals: list[Tensor], readouts: list[Tensor]
    ) -> None:
        self.net, self.spikes, self.y, self.readouts = net, spikes, y, readouts
        self.naturals = [n.detach().clone().requires_grad_() for n in naturals]

    def draw(self, natural: Tensor) -> Tensor:
        """Return relaxed weights at temperature one."""
        eps = torch.finfo(natural.dtype).eps / 4
        noise = 0.5 * torch.logit(torch.rand_like(natural), eps=eps)
        return torch.tanh(natural + noise)

    def data_loss(self, weights: list[Tensor]) -> Tensor:
        """Run the network; return N / B times the losses of all layers, averaged over counted steps."""
        net = self.net
        layers = [LoopLayer(w, net.batch, net.gain) for w in weights]
        total = self.spikes.new_zeros(())
        for t in range(net.n_steps):
            x = self.spikes[t]
            for layer, matrix in zip(layers, self.readouts, strict=True):
                spikes = layer.step(x)
                if t >= net.burn_in:
                    total = total + step_loss(spikes @ matrix.T, self.y)
                x = spikes.detach()
        return total * (net.n_train / net.batch / (net.n_steps - net.burn_in))

    def kl(self, natural: Tensor) -> Tensor:
        """Return the KL to fair synapses."""
        p = torch.sigmoid(2 * natural)
        return (p * torch.log(2 * p) + (1 - p) * torch.log(2 * (1 - p))).sum()

    def loss(self) -> Tensor:
        """Return the free energy of one draw."""
        nll = self.data_loss([self.draw(n) for n in self.naturals])
        return nll + KL_WEIGHT * sum(self.kl(n) for n in self.naturals)

    def __call__(self) -> Tensor:
        """Take one step."""
        for natural in self.naturals:
            natural.grad = None
        loss = self.loss()
        loss.backward()
        with torch.no_grad():
            for natural in self.naturals:
                natural -= LR * natural.grad / (1 - torch.tanh(natural) ** 2)
        return loss.detach()


class LoopCommittee:
    """Prediction of S networks, one after the other, step by step, all points at once."""

    def __init__(self, net: Net, source: Any, blocks: list[Tensor], n_draws: int, readout: Tensor) -> None:
        self.net, self.source, self.n_draws, self.readout = net, source, n_draws, readout
        self.spikes = torch.cat([block.float() for block in blocks], dim=1)

    def member(self, weights: list[Tensor]) -> Tensor:
        """Return one network's read-out ``[B, C]``, averaged over the counted steps."""
        layers = [LoopLayer(w, self.spikes.shape[1], self.net.gain) for w in weights]
        counted = []
        for t, x in enumerate(self.spikes):
            for layer in layers:
                x = layer.step(x)
            if t >= self.net.burn_in:
                counted.append(x @ self.readout.T)
        return torch.stack(counted).mean(0)

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """Return the committee's probabilities ``[B, C]``; of class 1 alone where there are two."""
        votes = []
        for k in range(self.n_draws):
            readout = self.member([w[0] for w in self.source(k, 1).values()])
            binary = self.net.n_classes == 2
            votes.append(torch.sigmoid(readout) if binary else torch.softmax(readout, -1))
        return torch.stack(votes).mean(0)
