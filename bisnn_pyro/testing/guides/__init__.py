"""What every guide must do, as a suite for pytest.

Subclass it in a test file, say how to make the guide, and which prior it is for::

    class TestMyGuide(GuideContract):
        def make(self, model):
            return MyGuide(model)

        def prior(self):
            return NormalPrior()
"""

from __future__ import annotations

from bisnn_pyro.testing.guides.construction import ConstructionSuite
from bisnn_pyro.testing.guides.copies import CopySuite
from bisnn_pyro.testing.guides.draws import DrawSuite
from bisnn_pyro.testing.guides.interface import InterfaceSuite
from bisnn_pyro.testing.guides.within_pyro import PyroSuite


class GuideContract(ConstructionSuite, DrawSuite, InterfaceSuite, CopySuite, PyroSuite):
    """The tests; each is independent and takes milliseconds.

    They run in a parameter store and a random state of their own, and leave the caller's as they were.
    """
