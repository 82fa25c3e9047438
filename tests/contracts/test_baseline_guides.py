"""The contract of the guides that have another posterior of a straight-through net."""

from functools import partial

import pyro
import pyro.distributions as dist
import pytest
import torch

from bisnn_pyro.inference import (
    AutoBayesianLastLayer,
    AutoBernoulliLaplace,
    AutoCheckpoints,
    AutoDropout,
    AutoScaledLatents,
    AutoSignSWAG,
    AutoUniformFlips,
    MeanFieldELBO,
)
from bisnn_pyro.models import BinaryPrior, CategoricalRate, Conv, SpikingGLM
from bisnn_pyro.testing import GuideContract

SHAPE = (6, 2, 2)
SHARED = {"credit": "end-to-end", "readout": "trained"}
HIDDEN = {
    "dense": [8],
    "conv": [Conv(4, 2, padding=1, pool=2), 8],
}
READ_OFF = {
    "flips": partial(AutoUniformFlips, kappa=0.7),
    "scaled-latents": partial(AutoScaledLatents, scale=0.8),
    "sign-swag": AutoSignSWAG,
    "laplace": partial(AutoBernoulliLaplace, batch_size=5, temperature=2.0),
}


def train_a_little(model, guide, data):
    """The second half of a training, with a random walk in place of its steps, so that signs change."""
    model.dataset_size = 5
    with pyro.get_param_store().scope():
        for progress in (0.5, 0.7, 0.8, 0.9):
            guide.anneal(progress)
            MeanFieldELBO().free_energy(model, guide, *data).loss.backward()
            with torch.no_grad():
                for p in guide.parameters():
                    p.add_(0.2 * torch.randn_like(p))
    guide.anneal(0.95)
    model.dataset_size = None


class Baseline(GuideContract):
    kind = "dense"

    def prior(self):
        return BinaryPrior(0.6)

    def model(self):
        options = SHARED | ({"image_shape": SHAPE} if self.kind == "conv" else {})
        return SpikingGLM(24, HIDDEN[self.kind], CategoricalRate(2), prior=self.prior(), **options)

    def data(self):
        generator = torch.Generator().manual_seed(self.seed)
        return (torch.rand(8, 5, 24, generator=generator) < 0.5).float(), torch.arange(5) % 2


class TrainedAsPoint:
    """Training draws and the loss are those of a single network; the posterior is another."""

    def ready(self, model=None):
        model, guide = super().ready(model)
        train_a_little(model, guide, self.data())
        return model, guide

    def repeats(self, guide, name, *, training=False):
        return training

    def trained(self, guide):
        draws = guide.train()(*self.data())
        return {name: dist.Delta(w.detach()).to_event(w.dim()) for name, w in draws.items()}


class TestReadOff(TrainedAsPoint, Baseline):
    @pytest.fixture(autouse=True, params=READ_OFF)
    def name(self, request):
        self.guide = request.param

    def make(self, model):
        return READ_OFF[self.guide](model)


class TestCheckpoints(TrainedAsPoint, Baseline):
    """Members are a list of networks; the marginal posterior has their mean."""

    ignores_the_seed = True

    def make(self, model):
        return AutoCheckpoints(model, snapshots=4)


class TestDropout(Baseline):
    """Draws silence units; the mode is the network without dropout, of which no draw is a copy."""

    seed = 7  # under which the few channels of two draws differ

    @pytest.fixture(autouse=True, params=HIDDEN)
    def network(self, request):
        self.kind = request.param

    def make(self, model):
        return AutoDropout(model, rate=0.5)

    def is_draw(self, w, *, training=False):
        return set(w.abs().unique().tolist()) <= {0.0, 2.0}

    def trained(self, guide):
        return {name: dist.Delta(w).to_event(w.dim()) for name, w in guide.mode().items()}

    def test_mode(self):
        _, guide = self.ready()
        mode, mean = guide.mode(), guide.mean()
        for name, w in mode.items():
            assert bool((w.abs() == 1).all())
            assert torch.equal(w, mean[name])
            assert torch.equal(w, guide.median()[name])


class TestLastLayer(Baseline):
    """Only the read-out has a posterior; in a model without one the guide is told which site has."""

    def make(self, model):
        return AutoBayesianLastLayer(
            model, site="readout.weight" if isinstance(model, SpikingGLM) else "mine"
        )

    def repeats(self, guide, name, *, training=False):
        return name != guide.site
