"""The networks and inputs of the benchmarks, and our own side of every row."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import pyro
import torch
from torch import Tensor

from bisnn_pyro.data import BernoulliRateEncoder, PopulationEncoder
from bisnn_pyro.inference import (
    AutoRelaxedSign,
    BayesianLearningRule,
    FreeEnergy,
    GradientSteps,
    MeanFieldELBO,
    Prediction,
    TrainSettings,
    encode_all,
    posterior_draws,
    predict,
    steady_process,
)
from bisnn_pyro.models import BernoulliSteps, CategoricalSteps, SpikingGLM

KL_WEIGHT = 1e-3
LR = 1e-5  # of the loss of the whole data set, a sum
"""Small, so that the networks stay as they start however long a row is measured."""


@dataclass(frozen=True)
class Net:
    """Sizes of a network, its input and its loss.

    Attributes:
        name: name of the row.
        n_inputs: input channels.
        hidden: units of the hidden layers.
        n_steps: T.
        batch: examples per step.
        n_classes: number of classes; 2 means one read-out unit and a binary cross-entropy.
        burn_in: first steps that carry no loss.
        n_train: examples of the data set N; the loss is multiplied by N / batch.
        population: whether inputs are a population code of two features instead of sparse pixels.
        gain: of the potential.
        readout_gain: of the fixed read-outs.
    """

    name: str
    n_inputs: int
    hidden: tuple[int, ...]
    n_steps: int
    batch: int
    n_classes: int
    burn_in: int = 0
    n_train: int = 200
    population: bool = False
    gain: float = 3.0
    readout_gain: float = 4.0

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Fan-in and fan-out of each hidden layer."""
        return list(pairwise((self.n_inputs, *self.hidden)))

    @property
    def setting(self) -> str:
        """The sizes in words, for a row."""
        sizes = "-".join(str(n) for n in (self.n_inputs, *self.hidden))
        return f"{sizes}, T={self.n_steps}, batch {self.batch}"


TWO_MOONS = Net("two-moons", 20, (256, 256), 100, 40, 2, burn_in=10, n_train=200, population=True)
MNIST = Net("mnist", 784, (512, 512), 20, 128, 10, n_train=60000)


def features(net: Net, n: int, seed: int = 0) -> Tensor:
    """Return ``n`` points in the unit square, or images with a fifth of their pixels on."""
    source = torch.Generator().manual_seed(seed)
    if net.population:
        return torch.rand(n, 2, generator=source)
    x = torch.rand(2, n, net.n_inputs, generator=source)
    return x[0] * (x[1] < 0.2)


def encoder(net: Net) -> PopulationEncoder | BernoulliRateEncoder:
    """Return the encoder to Bernoulli spikes."""
    if net.population:
        return PopulationEncoder(n_neurons=net.n_inputs // 2, n_steps=net.n_steps)
    return BernoulliRateEncoder(n_steps=net.n_steps)


def batch_of(net: Net, seed: int = 0, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Return encoded spikes ``[T, B, I]`` and labels ``[B]``."""
    source = torch.Generator().manual_seed(seed)
    spikes = encoder(net)(features(net, net.batch, seed), source)
    return spikes.to(dtype), torch.randint(0, net.n_classes, (net.batch,), generator=source)


def model_of(net: Net, credit: str = "local") -> SpikingGLM:
    """Return our network."""
    likelihood = BernoulliSteps() if net.n_classes == 2 else CategoricalSteps(net.n_classes)
    return SpikingGLM(
        net.n_inputs,
        net.hidden,
        likelihood,
        credit=credit,  # type: ignore[arg-type]
        gain=net.gain,
        readout_gain=net.readout_gain,
        burn_in=net.burn_in,
    )


class OurStep:
    """One training step as the learner takes it, without the encoding; make it with :func:`our_step`."""

    def __init__(self, net: Net, spikes: Tensor, y: Tensor, credit: str = "local") -> None:
        torch.manual_seed(0)
        self.spikes, self.y = spikes, y
        self.model = model_of(net, credit).to(spikes.dtype)
        self.model.dataset_size = net.n_train
        self.guide = AutoRelaxedSign(self.model, estimator="relaxed")
        self.guide.initialize(spikes[: net.burn_in + 1, :1], y[:1])
        self.guide.to(spikes.dtype)
        self.elbo = MeanFieldELBO(kl_weight=KL_WEIGHT, vectorize_particles=True, max_plate_nesting=1)
        self.rule = BayesianLearningRule(self.guide.parameters(), LR)

    @property
    def naturals(self) -> list[Tensor]:
        """Natural parameters of each layer."""
        return [self.guide.parameter("natural", name) for name in self.model.weight_sites]

    def loss(self) -> FreeEnergy:
        """Return the free energy of one draw."""
        return self.elbo.free_energy(self.model, self.guide, self.spikes, self.y)

    def __call__(self) -> Tensor:
        """Take one step."""
        self.rule.zero_grad(set_to_none=True)
        energy = self.loss()
        energy.loss.backward()
        self.rule.step()
        return energy.loss.detach()


class WindowedStep(OurStep):
    """The same batch in windows of ``WINDOW`` steps with one update each, as ``train.window`` makes them."""

    WINDOW = 50

    def __init__(self, net: Net, spikes: Tensor, y: Tensor, credit: str = "local") -> None:
        super().__init__(net, spikes, y, credit)
        self.updates = GradientSteps(lambda model, guide: [self.rule])
        self.updates.begin(self.model, self.guide, TrainSettings(window=self.WINDOW, kl_weight=KL_WEIGHT))

    def __call__(self) -> Tensor:
        """Take the steps of all windows; return the last one's loss."""
        losses = [seen["loss"] for seen in self.updates(self.spikes, self.y)]
        return losses[-1]


@contextmanager
def our_step(
    net: Net, credit: str = "local", dtype: torch.dtype = torch.float32, kind: type[OurStep] = OurStep
) -> Iterator[OurStep]:
    """Set up our training step in a parameter store of its own."""
    with pyro.get_param_store().scope(), steady_process():
        yield kind(net, *batch_of(net, dtype=dtype), credit)


class OurCommittee:
    """Prediction of S sampled networks on N encoded points; make it with :func:`our_committee`."""

    def __init__(self, net: Net, n_points: int, n_draws: int) -> None:
        torch.manual_seed(0)
        self.model, self.n_draws = model_of(net), n_draws
        self.guide = AutoRelaxedSign(self.model, init_scale=1.0)
        spikes, y = batch_of(net)
        self.guide.initialize(spikes, y)
        self.source = posterior_draws(self.guide, 0)
        self.blocks = list(encode_all(encoder(net), features(net, n_points), 0))

    def __call__(self) -> Prediction:
        """Draw the members and let them vote."""
        return predict(self.model, self.source, self.blocks, n_draws=self.n_draws)


@contextmanager
def our_committee(net: Net, n_points: int, n_draws: int) -> Iterator[OurCommittee]:
    """Set up a committee in a parameter store of its own."""
    with pyro.get_param_store().scope(), steady_process():
        yield OurCommittee(net, n_points, n_draws)
