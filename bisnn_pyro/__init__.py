"""Bayesian learning of spiking networks with binary synapses, in Pyro.

The names below are what most users need, whichever part of the package defines them.  Each is imported at its
first use, so ``import bisnn_pyro`` needs neither torch nor Pyro.

Example:
    >>> import bisnn_pyro as bp
    >>> config = bp.load_preset("two-moons", method="bayes", seed=1)
    >>> config.experiment, config.method, config.train.batch_size
    ('two-moons', 'bayes', 40)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bisnn_pyro.experiments.api import load_preset, load_run, run
    from bisnn_pyro.experiments.export import read_export
    from bisnn_pyro.inference import (
        AutoExpectationNormal,
        AutoExpectationSign,
        AutoFullPrecision,
        AutoMeanFieldGaussian,
        AutoRelaxedSign,
        AutoStraightThrough,
        BayesianLearningRule,
        BiMU,
        ExpectationSteps,
        GradientSteps,
        Learner,
        MeanFieldELBO,
        Schedule,
        TrainSettings,
        exact_posterior,
        predict,
    )
    from bisnn_pyro.models import (
        BernoulliRate,
        BernoulliSteps,
        BinaryPrior,
        CategoricalProbit,
        CategoricalRate,
        CategoricalSteps,
        EscapeNeuron,
        Gaussian,
        NormalPrior,
        SignNetwork,
        SingleStepNeuron,
        SpikeTrainBernoulli,
        SpikingGLM,
        ThresholdNeuron,
    )
    from bisnn_pyro.results import Runs

#: Where each name is defined.
_HOME = {
    "bisnn_pyro.models": (
        "SpikingGLM SignNetwork ThresholdNeuron EscapeNeuron SingleStepNeuron BinaryPrior NormalPrior "
        "BernoulliRate BernoulliSteps CategoricalRate CategoricalSteps CategoricalProbit Gaussian "
        "SpikeTrainBernoulli"
    ),
    "bisnn_pyro.inference": (
        "AutoRelaxedSign AutoStraightThrough AutoFullPrecision AutoMeanFieldGaussian "
        "AutoExpectationSign AutoExpectationNormal Learner TrainSettings Schedule GradientSteps "
        "ExpectationSteps BayesianLearningRule BiMU MeanFieldELBO exact_posterior predict"
    ),
    "bisnn_pyro.experiments.api": "load_preset run load_run",
    "bisnn_pyro.experiments.export": "read_export",
    "bisnn_pyro.results": "Runs",
}
_ROOM = {name: room for room, names in _HOME.items() for name in names.split()}

__all__ = [
    "__version__",
    "AutoExpectationNormal",
    "AutoExpectationSign",
    "AutoFullPrecision",
    "AutoMeanFieldGaussian",
    "AutoRelaxedSign",
    "AutoStraightThrough",
    "BayesianLearningRule",
    "BernoulliRate",
    "BernoulliSteps",
    "BiMU",
    "BinaryPrior",
    "CategoricalProbit",
    "CategoricalRate",
    "CategoricalSteps",
    "EscapeNeuron",
    "ExpectationSteps",
    "Gaussian",
    "GradientSteps",
    "Learner",
    "MeanFieldELBO",
    "NormalPrior",
    "Runs",
    "Schedule",
    "SignNetwork",
    "SingleStepNeuron",
    "SpikeTrainBernoulli",
    "SpikingGLM",
    "ThresholdNeuron",
    "TrainSettings",
    "exact_posterior",
    "load_preset",
    "load_run",
    "predict",
    "read_export",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _ROOM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_ROOM[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
