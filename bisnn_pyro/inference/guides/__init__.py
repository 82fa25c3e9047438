"""Guides: posteriors over synapses, all of them AutoGuides with one interface."""

from bisnn_pyro.inference.guides.base import SynapticGuide
from bisnn_pyro.inference.guides.gaussian import AutoGaussian
from bisnn_pyro.inference.guides.point import AutoFullPrecision, AutoStraightThrough
from bisnn_pyro.inference.guides.relaxed import AutoRelaxedSign

__all__ = ["AutoFullPrecision", "AutoGaussian", "AutoRelaxedSign", "AutoStraightThrough", "SynapticGuide"]
