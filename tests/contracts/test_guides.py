"""The contract of a guide, for each guide of the package."""

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


class TestRelaxedSign(GuideContract):
    def make(self, model):
        return AutoRelaxedSign(model, init_scale=0.5)


class TestHardRelaxedSign(GuideContract):
    def make(self, model):
        return AutoRelaxedSign(model, temperature=0.5, hard=True)


class TestStraightThrough(GuideContract):
    def make(self, model):
        return AutoStraightThrough(model)


class TestClippedStraightThrough(GuideContract):
    def make(self, model):
        return AutoStraightThrough(model, clip=1.0, init_scale=1.0)


class TestGaussian(GuideContract):
    def make(self, model):
        return AutoMeanFieldGaussian(model)

    def prior(self):
        return NormalPrior(0.8)


class TestFullPrecision(GuideContract):
    def make(self, model):
        return AutoFullPrecision(model)

    def prior(self):
        return NormalPrior(0.8)


class TestExpectationSign(GuideContract):
    def make(self, model):
        return AutoExpectationSign(model, dropout=0.8)


class TestExpectationNormal(GuideContract):
    def make(self, model):
        return AutoExpectationNormal(model)

    def prior(self):
        return NormalPrior(0.8)


class SignUnits:
    """A network of sign units, and one step of data."""

    def model(self):
        return SignNetwork(3, [4, 4], CategoricalProbit(2), prior=self.prior())

    def data(self):
        spikes, labels = GuideContract.data(self)
        return spikes[:1], labels


class TestExpectationSignOnSignUnits(SignUnits, TestExpectationSign):
    pass


class TestExpectationNormalOnSignUnits(SignUnits, TestExpectationNormal):
    pass


class TestRelaxedSignOnSignUnits(SignUnits, TestRelaxedSign):
    pass


class SingleStep:
    """A model of single-step neurons, and one step of data."""

    def model(self):
        return SpikingGLM(
            3,
            [4, 4],
            CategoricalRate(2),
            prior=self.prior(),
            neuron=SingleStepNeuron(0.5),
            credit="end-to-end",
            readout="trained",
        )

    def data(self):
        spikes, y = super().data()
        return spikes[:1], y


class TestRelaxedSignSingleStep(SingleStep, TestRelaxedSign):
    pass


class TestHardRelaxedSignSingleStep(SingleStep, TestHardRelaxedSign):
    pass


class TestStraightThroughSingleStep(SingleStep, TestStraightThrough):
    pass


class TestGaussianSingleStep(SingleStep, TestGaussian):
    pass


class TestFullPrecisionSingleStep(SingleStep, TestFullPrecision):
    pass


class Convolutional:
    """A model with a pooled convolution, and images of two by three places."""

    def model(self):
        return SpikingGLM(
            12,
            [Conv(3, 2, padding=1, pool=2), 4],
            CategoricalRate(2),
            image_shape=(2, 2, 3),
            prior=self.prior(),
            credit="end-to-end",
            readout="trained",
        )

    def data(self):
        generator = torch.Generator().manual_seed(self.seed)
        return (torch.rand(8, 5, 12, generator=generator) < 0.5).float(), torch.arange(5) % 2


class Recurrent:
    """A model with lateral synapses."""

    def model(self):
        return SpikingGLM(
            3,
            [Dense(4, recurrent=True), 3],
            CategoricalRate(2),
            prior=self.prior(),
            credit="end-to-end",
            readout="trained",
        )


class TestRelaxedSignConvolutional(Convolutional, TestRelaxedSign):
    pass


class TestHardRelaxedSignConvolutional(Convolutional, TestHardRelaxedSign):
    pass


class TestStraightThroughConvolutional(Convolutional, TestStraightThrough):
    pass


class TestGaussianConvolutional(Convolutional, TestGaussian):
    pass


class TestFullPrecisionConvolutional(Convolutional, TestFullPrecision):
    pass


class TestRelaxedSignRecurrent(Recurrent, TestRelaxedSign):
    pass


class TestHardRelaxedSignRecurrent(Recurrent, TestHardRelaxedSign):
    pass


class TestStraightThroughRecurrent(Recurrent, TestStraightThrough):
    pass


class TestGaussianRecurrent(Recurrent, TestGaussian):
    pass


class TestFullPrecisionRecurrent(Recurrent, TestFullPrecision):
    pass


def test_another_guides_state_dict_is_refused():
    suite = TestFullPrecision()
    suite.setup_method()
    _, guide = suite.ready()
    model = suite.model()
    for other in (AutoMeanFieldGaussian(model), AutoStraightThrough(model)):
        with pytest.raises(RuntimeError, match=r"[Uu]nexpected key|Missing key"):
            other.load_state_dict(guide.state_dict())
    suite.teardown_method()
