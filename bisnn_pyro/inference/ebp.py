r"""Expectation backpropagation: online Bayesian learning of sign networks by moments.

With independent weights a unit's potential is a sum of many terms, here taken as Gaussian.  The next layer
only sees its mean over its deviation, ``z``, as the mean :math:`2\Phi(z)-1` of its sign.  ``z`` does not
depend on a layer's scale, so potentials are in units of one weight: :math:`u = \sum_j w_j a_j + b`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.distributions import density, inverse_mills, tanh
from bisnn_pyro.errors import DivergenceError, ModelError
from bisnn_pyro.inference.committee import Prediction
from bisnn_pyro.inference.guides import ExpectationGuide
from bisnn_pyro.inference.history import Row
from bisnn_pyro.inference.synaptic_guide import SynapticGuide
from bisnn_pyro.inference.updates import TrainSettings, Updater, validation_scores
from bisnn_pyro.models import CategoricalProbit, SignNetwork, SpikingGLM, is_soft

_UNUSED = ["particles", "window", "window_kl_scale", "kl_weight", "lr_schedule", "other_lr"]
_UNUSED += ["label_smoothing", "mixup"]
"""Settings of :class:`GradientSteps` that would change nothing here."""


class Signal(NamedTuple):
    """The input of a layer for B examples, as moments of independent inputs ``a_j``.

    Attributes:
        mean: ``[B, I]``.
        square: ``[B, I]``, the part of the second moment that comes from the mean.
        variance: ``[B, I]``, the rest of it; ``None`` where it is zero.
        power: sum of the second moments over the inputs, ``[B, 1]`` or a number.
    """

    mean: Tensor
    square: Tensor
    variance: Tensor | None
    power: Tensor | float


class Potential(NamedTuple):
    """A layer's potentials: ``z`` is mean over ``deviation``, both ``[B, O]``."""

    z: Tensor
    deviation: Tensor


class LayerMoments:
    """The posterior moments of one layer's synapses, in buffers that are reused.

    Args:
        parameter: ``[O, I]``; natural parameters of binary synapses, means of real ones of variance 1.
            A reference, not a copy; :meth:`refresh` reads it again.
        bias: ``[O]``, the biases' means times ``scale``; their variance is 1.
        scale: the factor that turns a sum of weights into the network's current.
        binary: whether synapses are binary.
    """

    def __init__(self, parameter: Tensor, bias: Tensor, *, scale: float, binary: bool) -> None:
        self.parameter, self.bias, self.scale, self.binary = parameter, bias, scale, binary
        self.mean = torch.empty_like(parameter) if binary else parameter
        self._square = torch.empty_like(parameter)
        self._has_square = False

    def refresh(self) -> None:
        """Compute the moments of the parameter's current values."""
        self._has_square = False
        if self.binary:
            tanh(self.parameter, out=self.mean)

    @property
    def square(self) -> Tensor:
        """Squares of the means, ``[O, I]``."""
        if not self._has_square:
            torch.mul(self.mean, self.mean, out=self._square)
            self._has_square = True
        return self._square

    def potential(self, signal: Signal) -> Potential:
        r"""Return the moments of the units' potentials.

        The variance is :math:`\sum_j (E w_j^2\,E a_j^2 - (E w_j)^2 (E a_j)^2) + 1`, with :math:`E w^2 = 1`
        for binary synapses and :math:`1 + (E w)^2` for real ones; the 1 is the bias's.
        """
        centre = torch.addmm(self.bias / self.scale, signal.mean, self.mean.T)
        if self.binary:
            variance = signal.power + 1 - signal.square @ self.square.T
        else:
            variance = torch.zeros_like(centre).add_(signal.power + 1)
            if signal.variance is not None:
                variance.addmm_(signal.variance, self.square.T)
        # Rounding may leave less than the bias's variance where all synapses are certain.
        deviation = variance.clamp_min_(1).sqrt_()
        return Potential(centre.div_(deviation), deviation)


def input_signal(x: Tensor, dropout: float | None) -> Signal:
    r"""Return the moments of inputs ``x`` ``[B, I]``.

    With ``dropout`` p the variance of a binary layer is :math:`\sum_j(1-(1-v)\tanh^2 h_{ij})\,x_j^2`
    (arXiv 1503.03562), :math:`v = 4p(1-p)` being the variance of a sign that is kept with probability p.  The
    mean stays as it is.
    """
    second = x.square()
    power = second.sum(-1, keepdim=True)
    if dropout is None:
        return Signal(x, second, None, power)
    v = 4 * dropout * (1 - dropout)
    return Signal(x, (1 - v) * second, v * second, power)


def unit_signal(z: Tensor) -> Signal:
    """Return the moments of sign units ``[B, I]`` with standardised potentials ``z``."""
    mean = torch.erf(z * math.sqrt(0.5))
    square = mean.square()
    return Signal(mean, square, 1 - square, float(z.shape[-1]))


class Pass(NamedTuple):
    """What the forward pass keeps for the backward pass: each layer's input and potential."""

    signals: tuple[Signal, ...]
    potentials: tuple[Potential, ...]


def forward(layers: Sequence[LayerMoments], x: Tensor, dropout: float | None = None) -> Pass:
    """Refresh all layers and pass the moments of inputs ``x`` ``[B, I]`` through them."""
    signals, potentials = [input_signal(x, dropout)], []
    for k, layer in enumerate(layers):
        layer.refresh()
        potentials.append(layer.potential(signals[-1]))
        if k + 1 < len(layers):
            signals.append(unit_signal(potentials[-1].z))
    return Pass(tuple(signals), tuple(potentials))


def one_hot_signs(y: Tensor, n_classes: int, like: Tensor) -> Tensor:
    """Return labels ``[B]`` as signs ``[B, C]``: +1 for the label's unit, -1 for the others."""
    signs = like.new_full((len(y), n_classes), -1.0)
    return signs.scatter_(1, y.long()[:, None], 1.0)


def log_evidence(z: Tensor, signs: Tensor) -> Tensor:
    r"""Return :math:`\sum_k\log\Phi(y_k z_k)` of each example, ``[B]``."""
    return torch.special.log_ndtr(signs * z).sum(-1)


def errors(layers: Sequence[LayerMoments], passed: Pass, signs: Tensor) -> list[Tensor]:
    r"""Return each layer's error ``[B, O]``: twice the log-evidence's derivative in the mean potential.

    Variances count as constants; the error of a hidden layer comes through its units' means.
    """
    last = passed.potentials[-1]
    deltas = [2 * signs * inverse_mills(signs * last.z) / last.deviation]
    for layer, potential in zip(reversed(layers[1:]), reversed(passed.potentials[:-1]), strict=True):
        gain = density(potential.z).mul_(2).div_(potential.deviation)
        deltas.append((deltas[-1] @ layer.mean).mul_(gain))
    return deltas[::-1]


def assimilate(layers: Sequence[LayerMoments], passed: Pass, deltas: Sequence[Tensor]) -> None:
    """Add every example's update to the parameters of all layers."""
    for layer, signal, delta in zip(layers, passed.signals, deltas, strict=True):
        layer.parameter.addmm_(delta.T, signal.mean, alpha=0.5)
        layer.bias.add_(delta.sum(0), alpha=0.5 * layer.scale)


def checked_pair(model: SpikingGLM, guide: SynapticGuide) -> tuple[SignNetwork, ExpectationGuide]:
    """Return a network and its posterior if expectation backpropagation can fit them.

    Raises:
        ModelError: if not; the message names what it is for.
    """
    if not isinstance(model, SignNetwork) or not isinstance(model.likelihood, CategoricalProbit):
        raise ModelError(
            "expectation backpropagation is for a network of sign units with one probit unit per class, not "
            f"for {type(model).__name__} with {type(model.likelihood).__name__}; set "
            "network.name = 'sign' and likelihood.name = 'probit'"
        )
    if not isinstance(guide, ExpectationGuide):
        raise ModelError(
            f"expectation backpropagation fits AutoExpectationSign or AutoExpectationNormal, not "
            f"{type(guide).__name__}; set guide.name = 'ebp' or 'ebp-real'"
        )
    return model, guide


def layers_of(model: SignNetwork, guide: ExpectationGuide) -> list[LayerMoments]:
    """Return all layers, on the very parameters of guide and model."""
    role = guide.roles[0]
    layers = []
    for name, synapses in zip(model.weight_sites, model.all_synapses, strict=True):
        assert synapses.bias is not None
        parameter, bias = guide.parameter(role, name).detach(), synapses.bias.detach()
        layers.append(LayerMoments(parameter, bias, scale=synapses.scale, binary=guide.binary))
    return layers


@torch.no_grad()
def predict_moments(
    model: SpikingGLM, guide: SynapticGuide, blocks: Sequence[Tensor], *, y: Tensor | None = None
) -> Prediction:
    """Predict by the posterior's moments (EBP-P of the papers): one analytic pass, no draws.

    It averages over networks analytically, layer by layer, under the Gaussian approximation; a large
    committee of sampled networks averages without that approximation, so compare the two.  Dropout is used
    in training only: with its variance in the prediction too, MNIST's error was 0.1 to 0.2 points higher.

    Args:
        model: the network of sign units.
        guide: its posterior.
        blocks: encoded inputs ``[1, B, I]`` of consecutive examples.
        y: targets ``[N]``, for ``log_likelihood``.

    Returns:
        A prediction of one member, ``[1, N, C]``.

    Raises:
        ModelError: if expectation backpropagation cannot fit this network or guide.
    """
    model, guide = checked_pair(model, guide)
    layers = layers_of(model, guide)
    votes, scores, start = [], [], 0
    for block in blocks:
        model.check_inputs(block)
        x = block[0].to(layers[0].parameter)
        # In double precision, so that a confident mistake has a large cost and not an infinite one.
        readout = forward(layers, x).potentials[-1].z.double()[None, :, None, :]
        votes.append(model.likelihood.predict(readout).cpu().numpy())
        if y is not None:
            score = model.likelihood.log_prob(readout, y[start : start + len(x)].to(readout.device))
            scores.append(score.cpu().numpy())
        start += len(x)
    log_likelihood = None if y is None else np.concatenate(scores, axis=1)
    return Prediction(np.concatenate(votes, axis=1), log_likelihood, path="moments")


class ExpectationSteps(Updater):
    r"""Moves a posterior by expectation backpropagation (arXiv 1503.03562; NIPS 2014, Soudry et al.).

    Each example's update is the derivative of its log-evidence in the *mean* of the weight: a step of
    natural gradient of size one, with nothing to tune.  It is Bayes' rule for this example to first order,
    with Gaussian potentials.  All examples of a batch are taken at the same posterior and their updates
    are summed.

    .. warning::
        Assumes that one batch changes the posterior little.  Batches of up to 30 examples are as good as
        single examples (MNIST, 400 hidden units, test error after one epoch 4.91, 4.93 and 4.95 % with
        batches of 1, 10 and 30); batches of 100 overshoot and diverge within the first epoch, which raises
        an error.  There is no step size to lower, only the batch size.

        Several passes count the data several times, so the posterior becomes more confident than Bayes'
        rule allows.  One notices it as a validation NLL that rises together with the accuracy.

        The initial posterior acts as the prior.  With the papers' (``init_scale = 1``) the units of a wide
        layer start almost identical and differentiate slowly; a start 20 times as wide, still far from
        certain, gave an error of 3.8 % instead of 4.6 % after three epochs of MNIST with 1200 units, and
        halved the error of the mode.

    There are no draws, no steps in time, no gradient, no learning rate and no KL weight.  Validation uses
    the posterior's moments.
    """

    def begin(self, model: SpikingGLM, guide: SynapticGuide, settings: TrainSettings) -> None:
        """Start a training run.

        Raises:
            ModelError: if it cannot fit this network or guide, or a setting has no meaning for it.
        """
        self.model, self.guide = checked_pair(model, guide)
        self.layers = layers_of(self.model, self.guide)
        defaults = TrainSettings()
        unused = [name for name in _UNUSED if getattr(settings, name) != getattr(defaults, name)]
        if unused:
            raise ModelError(
                "expectation backpropagation has no windows, weight draws, KL weight, learning rate or soft "
                "targets: leave "
                f"{', '.join(f'train.{name}' for name in unused)} out"
            )

    def __call__(self, spikes: Tensor, y: Tensor) -> Iterator[dict[str, Tensor]]:
        """Assimilate inputs ``[1, B, I]`` and labels ``[B]``; yield minus their log-evidence before it.

        Raises:
            ModelError: if targets are soft.
            DivergenceError: if it is not finite, or a parameter is not.
        """
        self.model.check_inputs(spikes)
        if is_soft(y):
            raise ModelError("expectation backpropagation takes labels [N], no class probabilities")
        evidence = self._assimilate(spikes[0], y)
        n = self.model.dataset_size or len(y)
        nll = -evidence * (n / len(y))
        yield {"loss": nll, "nll": nll}

    @torch.no_grad()
    def _assimilate(self, x: Tensor, y: Tensor) -> Tensor:
        passed = forward(self.layers, x, self.guide.dropout)
        z = passed.potentials[-1].z
        signs = one_hot_signs(y, z.shape[-1], z)
        evidence = log_evidence(z, signs).sum()
        if not math.isfinite(float(evidence)):
            raise DivergenceError(
                f"the log-evidence is {float(evidence)}: the updates overshoot; lower train.batch_size"
            )
        assimilate(self.layers, passed, errors(self.layers, passed, signs))
        for name, layer in zip(self.model.weight_sites, self.layers, strict=True):
            # A non-finite error also reaches the bias, which is fast to check.
            if not math.isfinite(float(layer.bias.sum())):
                raise DivergenceError(f"the parameter {name!r} is not finite after an update")
        return evidence

    def validate(self, blocks: Sequence[Tensor], y: Tensor, seed: int) -> Row:
        """Score the posterior's moments on encoded inputs, without draws."""
        return validation_scores(predict_moments(self.model, self.guide, blocks), y)
