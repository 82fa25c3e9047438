"""Our mathematics without Pyro: the package's own functions, called one after the other."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from benchmarks.nets import KL_WEIGHT, LR, Net
from bisnn_pyro.distributions import sech2
from bisnn_pyro.distributions.sign_bernoulli import RelaxedSign, SignKL, half_logistic_noise
from bisnn_pyro.models import ThresholdNeuron
from bisnn_pyro.models.layers import matmul_over_time


class NoPyroStep:
    """A training step under local credit with neither traces, sites, plates, modules nor validation.

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
        self.net, self.spikes, self.readouts = net, spikes, readouts
        self.naturals = [n.detach().clone().requires_grad_() for n in naturals]
        self.neuron = ThresholdNeuron()
        self.temperature, self.prior = spikes.new_ones(()), spikes.new_zeros(())
        n_counted = net.n_steps - net.burn_in
        repeated = y.expand(n_counted, -1)
        self.target = repeated.to(spikes.dtype) if net.n_classes == 2 else repeated.flatten()
        self.scale = net.n_train / net.batch / n_counted

    def nll(self, readout: Tensor) -> Tensor:
        """Return the loss of one layer's read-out ``[T, B, C]``, summed over examples and steps."""
        counted = readout[self.net.burn_in :]
        if self.net.n_classes == 2:
            return binary_cross_entropy_with_logits(counted.squeeze(-1), self.target, reduction="sum")
        return cross_entropy(counted.flatten(0, 1), self.target, reduction="sum")

    def loss(self) -> Tensor:
        """Return the free energy of one draw."""
        weights = [
            RelaxedSign.apply(n, half_logistic_noise(n.shape, n), self.temperature, False)
            for n in self.naturals
        ]
        x, total = self.spikes, self.spikes.new_zeros(())
        for weight, matrix in zip(weights, self.readouts, strict=True):
            trace, _ = self.neuron.trace(x, None)
            scaled = weight * (self.net.gain / math.sqrt(weight.shape[1]))
            current = matmul_over_time(trace, scaled, self.net.burn_in)
            spikes, _ = self.neuron.spikes(current, None)
            total = total + self.nll(matmul_over_time(spikes, matrix))
            x = spikes.detach()
        kl = sum(SignKL.apply(n, self.prior).sum() for n in self.naturals)
        return self.scale * total + KL_WEIGHT * kl

    def __call__(self) -> Tensor:
        """Take one step."""
        for natural in self.naturals:
            natural.grad = None
        loss = self.loss()
        loss.backward()
        with torch.no_grad():
            for natural in self.naturals:
                natural.sub_(natural.grad.div_(sech2(natural)).mul_(LR)).clamp_(-40, 40)
        return loss.detach()
