"""The contract of a guide, for each guide of the package."""

import pytest

from bisnn_pyro.inference import AutoFullPrecision, AutoGaussian, AutoRelaxedSign, AutoStraightThrough
from bisnn_pyro.models import NormalPrior
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
        return AutoGaussian(model)

    def prior(self):
        return NormalPrior(0.8)


class TestFullPrecision(GuideContract):
    def make(self, model):
        return AutoFullPrecision(model)

    def prior(self):
        return NormalPrior(0.8)


def test_another_guides_state_dict_is_refused():
    suite = TestFullPrecision()
    suite.setup_method()
    _, guide = suite.ready()
    model = suite.model()
    for other in (AutoGaussian(model), AutoStraightThrough(model)):
        with pytest.raises(RuntimeError, match=r"[Uu]nexpected key|Missing key"):
            other.load_state_dict(guide.state_dict())
    suite.teardown_method()
