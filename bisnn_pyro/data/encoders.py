"""Encoders: features in [0, 1] to input spikes over time, ``[B, F]`` to ``[T, B, I]``."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bisnn_pyro.data.checks import check_count, check_number
from bisnn_pyro.errors import DataError


class Encoder(ABC):
    """Turns features into the input of a network over time; a stateless function of features and a seed.

    Evaluation calls a stochastic encoder on one example at a time, with a generator of the example's own.  An
    encoder that is faster on many defines ``each(x, seeds)`` with the same result, see
    ``bernoulli_spikes_each``.

    Attributes:
        n_steps: T, the number of time steps.
    """

    n_steps: int

    @property
    @abstractmethod
    def deterministic(self) -> bool:
        """Whether the same features always give the same output, without a generator."""

    @property
    @abstractmethod
    def binary(self) -> bool:
        """Whether every value is 0 or 1 (spikes), rather than a current."""

    def n_inputs(self, n_features: int) -> int:
        """I, the number of input neurons for F features; F by default."""
        return n_features

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Encode a batch.

        Args:
            x: Features in [0, 1], ``[B, F]``, floating point.
            generator: Source of the random spikes; the same seed gives the same bits.  The numbers
                are drawn on the generator's own device.

        Returns:
            ``[T, B, I]``, dtype and device of ``x``.  It may share memory along time: read only.

        Raises:
            DataError: If ``x`` has another shape or type, or a stochastic encoder gets no generator.
        """


def bernoulli_spikes(rates: Tensor, n_steps: int, generator: torch.Generator | None) -> Tensor:
    """Draw independent spikes, each step anew.

    A float32 draw has 24 random bits, so a rate is exact to 6e-8; 0 never and 1 always spikes.

    Args:
        rates: Spike probability per step, ``[B, I]``.
        n_steps: T, the number of time steps.
        generator: Source of randomness; there is no global fallback.

    Returns:
        Spikes in {0, 1}, ``[T, B, I]``, dtype and device of ``rates``.

    Raises:
        DataError: If ``generator`` is None.
    """
    if generator is None:
        raise DataError("this encoder draws spikes at random; give it a torch.Generator with a seed")
    # Half-precision uniforms are too coarse for small rates.
    draw_type = torch.promote_types(rates.dtype, torch.float32)
    shape = (n_steps, *rates.shape)
    uniform = torch.rand(shape, generator=generator, dtype=draw_type, device=generator.device)
    # Compared in place: a quarter of the time of torch.bernoulli on a CPU.
    return uniform.lt_(rates.to(uniform)).to(rates)


def bernoulli_spikes_each(rates: Tensor, n_steps: int, seeds: Sequence[int]) -> Tensor:
    """Draw each example's spikes from a generator of its own.

    Args:
        rates: Spike probability per step, ``[B, I]``.
        n_steps: T, the number of time steps.
        seeds: Of the B generators.

    Returns:
        What :func:`bernoulli_spikes` draws from each row alone, ``[T, B, I]``.
    """
    source, draw_type = torch.Generator(), torch.promote_types(rates.dtype, torch.float32)
    uniform = torch.empty((len(rates), n_steps, rates.shape[1]), dtype=draw_type)
    for seed, of_one in zip(seeds, uniform.unbind(), strict=True):
        of_one.uniform_(generator=source.manual_seed(seed))
    spikes = uniform.lt_(rates.to("cpu", draw_type)[:, None])
    return spikes.transpose(0, 1).to(rates).contiguous()


@dataclass(frozen=True)
class PopulationEncoder(Encoder):
    """Cosine-tuned neurons for each feature, as in the BiSNN paper (arXiv 2012.08300).

    Neuron k of K prefers c_k = k / (K - 1) and spikes in each step with probability
    0.5 + 0.5 cos(clip(pi (x - c_k) (K - 1) / width, -pi, pi)).  Input f K + k is neuron k of feature f.

    Attributes:
        n_neurons: K, neurons per feature, at least 2.
        width: Distance at which a neuron becomes silent, in units of the spacing 1 / (K - 1).
        n_steps: T, the number of time steps.
        stochastic: Bernoulli spikes if true; else the rates themselves, as constant currents.

    Example:
        >>> import torch
        >>> encoder = PopulationEncoder(n_neurons=5, n_steps=20)
        >>> spikes = encoder(torch.tensor([[0.0, 0.5]]), torch.Generator().manual_seed(0))
        >>> spikes.shape, encoder.n_inputs(2)
        (torch.Size([20, 1, 10]), 10)
        >>> encoder.rates(torch.tensor([[0.5]]))
        tensor([[0., 0., 1., 0., 0.]])
    """

    n_neurons: int = 10
    width: float = 1.0
    n_steps: int = 100
    stochastic: bool = True

    def __post_init__(self) -> None:
        check_count("n_neurons", self.n_neurons, 2)
        check_count("n_steps", self.n_steps)
        if check_number("width", self.width, 0.0) == 0.0:
            raise DataError("width is 0; expected a number above 0, in units of the spacing")

    @property
    def deterministic(self) -> bool:
        """Whether the inputs are rates, used as currents."""
        return not self.stochastic

    @property
    def binary(self) -> bool:
        """Whether the inputs are spikes."""
        return self.stochastic

    def n_inputs(self, n_features: int) -> int:
        """I = F K."""
        return n_features * self.n_neurons

    def rates(self, x: Tensor) -> Tensor:
        """Spike probabilities.

        Args:
            x: Features, ``[B, F]``.

        Returns:
            Probabilities per step, ``[B, F K]``.
        """
        check_features(x)
        spacings = self.n_neurons - 1
        centre = torch.arange(self.n_neurons, dtype=x.dtype, device=x.device) / spacings
        angle = (x.unsqueeze(-1) - centre) * (math.pi * spacings / self.width)
        rate = 0.5 + 0.5 * torch.cos(angle.clamp(-math.pi, math.pi))
        return rate.flatten(start_dim=1)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See :meth:`Encoder.__call__`."""
        rates = self.rates(x)
        if self.stochastic:
            return bernoulli_spikes(rates, self.n_steps, generator)
        return rates.expand(self.n_steps, *rates.shape)

    def each(self, x: Tensor, seeds: Sequence[int]) -> Tensor:
        """Encode each example under its own seed, ``[T, B, I]``."""
        return bernoulli_spikes_each(self.rates(x), self.n_steps, seeds) if self.stochastic else self(x)


@dataclass(frozen=True)
class BernoulliRateEncoder(Encoder):
    """One neuron per feature, which spikes in each step with probability ``max_rate * x``.

    Attributes:
        n_steps: T, the number of time steps.
        max_rate: Spike probability per step at x = 1.

    Example:
        >>> import torch
        >>> encoder = BernoulliRateEncoder(n_steps=1000, max_rate=0.5)
        >>> spikes = encoder(torch.tensor([[0.0, 1.0]]), torch.Generator().manual_seed(0))
        >>> spikes.mean(0).round(decimals=1)
        tensor([[0.0000, 0.5000]])
    """

    deterministic = False
    binary = True

    n_steps: int = 100
    max_rate: float = 1.0

    def __post_init__(self) -> None:
        check_count("n_steps", self.n_steps)
        check_number("max_rate", self.max_rate, 0.0, 1.0)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See :meth:`Encoder.__call__`."""
        check_features(x)
        return bernoulli_spikes(x * self.max_rate, self.n_steps, generator)

    def each(self, x: Tensor, seeds: Sequence[int]) -> Tensor:
        """Encode each example under its own seed, ``[T, B, I]``."""
        check_features(x)
        return bernoulli_spikes_each(x * self.max_rate, self.n_steps, seeds)


@dataclass(frozen=True)
class LatencyEncoder(Encoder):
    """One neuron per feature and at most one spike: the larger the feature, the earlier.

    With threshold h, a feature x > h spikes in step round((T - 1) (1 - x) / (1 - h)), so x = 1 in
    step 0 and x just above h in the last; x <= h stays silent.

    Attributes:
        n_steps: T, the number of time steps.
        threshold: h, at least 0 and below 1.

    Example:
        >>> import torch
        >>> LatencyEncoder(n_steps=4)(torch.tensor([[1.0, 0.4, 0.0]])).squeeze(1)
        tensor([[1., 0., 0.],
                [0., 0., 0.],
                [0., 1., 0.],
                [0., 0., 0.]])
    """

    deterministic = True
    binary = True

    n_steps: int = 100
    threshold: float = 0.01

    def __post_init__(self) -> None:
        check_count("n_steps", self.n_steps)
        if check_number("threshold", self.threshold, 0.0, 1.0) == 1.0:
            raise DataError("threshold is 1; expected a number below 1, or nothing would ever spike")

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See :meth:`Encoder.__call__`."""
        check_features(x)
        last = self.n_steps - 1
        step = torch.round(last * (1.0 - x) / (1.0 - self.threshold)).clamp(0, last).long()
        spikes = x.new_zeros((self.n_steps, *x.shape))
        return spikes.scatter_(0, step.unsqueeze(0), (x > self.threshold).to(x).unsqueeze(0))


@dataclass(frozen=True)
class DirectEncoder(Encoder):
    """The features themselves as constant currents, one neuron per feature.

    Attributes:
        n_steps: T, the number of time steps.

    Example:
        >>> import torch
        >>> DirectEncoder(n_steps=3)(torch.tensor([[0.2, 0.7]])).shape
        torch.Size([3, 1, 2])
    """

    deterministic = True
    binary = False

    n_steps: int = 100

    def __post_init__(self) -> None:
        check_count("n_steps", self.n_steps)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """See :meth:`Encoder.__call__`; a view of ``x`` with stride 0 in time, no copy."""
        check_features(x)
        return x.expand(self.n_steps, *x.shape)


@dataclass(frozen=True)
class SpikesEncoder(Encoder):
    """Ready spikes ``[B, T, I]``, transposed to ``[T, B, I]`` and otherwise unchanged.

    Whole-number and boolean spikes become float32; other types stay.

    Attributes:
        n_steps: T, the length of the recorded trains (``Task.n_steps``).

    Example:
        >>> import torch
        >>> SpikesEncoder(n_steps=30)(torch.zeros(4, 30, 8, dtype=torch.uint8)).shape
        torch.Size([30, 4, 8])
    """

    deterministic = True
    binary = True

    n_steps: int

    def __post_init__(self) -> None:
        check_count("n_steps", self.n_steps)

    def __call__(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Move time to the front.

        Args:
            x: Spikes, ``[B, T, I]``.
            generator: Not used.

        Returns:
            ``[T, B, I]``, a view where the dtype allows.

        Raises:
            DataError: If ``x`` has another number of axes or of steps.
        """
        if x.ndim != 3 or x.shape[1] != self.n_steps:
            raise DataError(f"spikes have shape {tuple(x.shape)}; expected [B, T, I] with T = {self.n_steps}")
        x = x if x.is_floating_point() else x.to(torch.float32)
        return x.transpose(0, 1)


def check_features(x: Tensor) -> None:
    """Raise a :class:`DataError` unless ``x`` is features ``[B, F]``, floating point."""
    if x.ndim != 2 or not x.is_floating_point():
        raise DataError(
            f"encoder input has shape {tuple(x.shape)} and type {x.dtype}; "
            "expected features [B, F], floating point"
        )
