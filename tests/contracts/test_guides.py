"""The contract of a guide, for each pair of a guide of the package and a network that it is for."""

from functools import partial

import pytest
import torch

from bisnn_pyro.inference import (
    AutoExpectationNormal,
    AutoExpectationSign,
    AutoFullPrecision,
    AutoMeanFieldGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
)
from bisnn_pyro.models import (
    BinaryPrior,
    CategoricalProbit,
    CategoricalRate,
    Conv,
    Dense,
    NormalPrior,
    SignNetwork,
    SingleStepNeuron,
    SpikingGLM,
)
from bisnn_pyro.testing import GuideContract

GUIDES = {
    "second-order": partial(AutoRelaxedSign, init_scale=0.5),
    "relaxed": partial(AutoRelaxedSign, estimator="relaxed", init_scale=0.5),
    "hard": partial(AutoRelaxedSign, estimator="hard", temperature=0.5),
    "local": partial(AutoRelaxedSign, estimator="local"),
    "straight-through": AutoStraightThrough,
    "clipped": partial(AutoStraightThrough, clip=1.0, init_scale=1.0),
    "gaussian": AutoMeanFieldGaussian,
    "full-precision": AutoFullPrecision,
    "ebp": partial(AutoExpectationSign, dropout=0.8),
    "ebp-real": AutoExpectationNormal,
}
REAL = ("gaussian", "full-precision", "ebp-real")
SHARED = {"credit": "end-to-end", "readout": "trained"}
NETWORKS = {
    "dense": lambda prior: SpikingGLM(3, [4], CategoricalRate(2), prior=prior, **SHARED),
    "sign": lambda prior: SignNetwork(3, [4, 4], CategoricalProbit(2), prior=prior),
    "single-step": lambda prior: SpikingGLM(
        3, [4, 4], CategoricalRate(2), prior=prior, neuron=SingleStepNeuron(0.5), **SHARED
    ),
    "conv": lambda prior: SpikingGLM(
        12,
        [Conv(3, 2, padding=1, pool=2), 4],
        CategoricalRate(2),
        image_shape=(2, 2, 3),
        prior=prior,
        **SHARED,
    ),
    "recurrent": lambda prior: SpikingGLM(
        3, [Dense(4, recurrent=True), 3], CategoricalRate(2), prior=prior, **SHARED
    ),
}
SPIKING = ("second-order", "relaxed", "hard", "local", "straight-through", "gaussian", "full-precision")
PAIRS = [
    *((guide, "dense") for guide in GUIDES),
    *((guide, "sign") for guide in ("relaxed", "ebp", "ebp-real")),
    *((guide, network) for network in ("single-step", "conv", "recurrent") for guide in SPIKING),
]


class TestGuides(GuideContract):
    @pytest.fixture(autouse=True, params=PAIRS, ids="-".join)
    def pair(self, request):
        self.guide, self.network = request.param

    def make(self, model):
        return GUIDES[self.guide](model)

    def prior(self):
        return NormalPrior(0.8) if self.guide in REAL else BinaryPrior(0.6)

    def model(self):
        return NETWORKS[self.network](self.prior())

    def data(self):
        if self.network == "conv":
            generator = torch.Generator().manual_seed(self.seed)
            return (torch.rand(8, 5, 12, generator=generator) < 0.5).float(), torch.arange(5) % 2
        spikes, labels = super().data()
        return spikes[:1] if self.network in ("sign", "single-step") else spikes, labels


def test_another_guides_state_dict_is_refused():
    spikes, y = torch.ones(8, 5, 3), torch.arange(5) % 2
    model = NETWORKS["dense"](NormalPrior(0.8))
    guide = AutoFullPrecision(model)
    guide.initialize(spikes, y)
    for other in (AutoMeanFieldGaussian(model), AutoStraightThrough(model)):
        with pytest.raises(RuntimeError, match=r"[Uu]nexpected key|Missing key"):
            other.load_state_dict(guide.state_dict())
