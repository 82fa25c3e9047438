"""Guides: posteriors over synapses, all of them AutoGuides with one interface."""

from bisnn_pyro.inference.guides.base import SynapticGuide
from bisnn_pyro.inference.guides.expectation import (
    AutoExpectationNormal,
    AutoExpectationSign,
    ExpectationGuide,
)
from bisnn_pyro.inference.guides.gaussian import AutoGaussian
from bisnn_pyro.inference.guides.point import AutoFullPrecision, AutoStraightThrough
from bisnn_pyro.inference.guides.relaxed import AutoRelaxedSign

__all__ = [
    "AutoExpectationNormal",
    "AutoExpectationSign",
    "AutoFullPrecision",
    "AutoGaussian",
    "AutoRelaxedSign",
    "AutoStraightThrough",
    "ExpectationGuide",
    "SynapticGuide",
]
