"""Inference: guides, the free energy, learning rules, the learner, and committee prediction."""

from bisnn_pyro.inference.bimu import BiMU
from bisnn_pyro.inference.committee import Prediction, encode_all, point_draws, posterior_draws, predict
from bisnn_pyro.inference.early import EarlyVotes
from bisnn_pyro.inference.ebp import ExpectationLearner, ExpectationUpdates, predict_moments
from bisnn_pyro.inference.elbo import FreeEnergy, MeanFieldELBO
from bisnn_pyro.inference.exact import ExactPosterior, exact_posterior
from bisnn_pyro.inference.guides import (
    AutoExpectationNormal,
    AutoExpectationSign,
    AutoFullPrecision,
    AutoGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
    SynapticGuide,
)
from bisnn_pyro.inference.history import History
from bisnn_pyro.inference.learner import FitResult, Learner, TrainSettings
from bisnn_pyro.inference.process import steady_process
from bisnn_pyro.inference.rules import BayesianLearningRule
from bisnn_pyro.inference.schedules import Schedule

__all__ = [
    "AutoExpectationNormal",
    "AutoExpectationSign",
    "AutoFullPrecision",
    "AutoGaussian",
    "AutoRelaxedSign",
    "AutoStraightThrough",
    "BayesianLearningRule",
    "BiMU",
    "EarlyVotes",
    "ExactPosterior",
    "ExpectationLearner",
    "ExpectationUpdates",
    "FitResult",
    "FreeEnergy",
    "History",
    "Learner",
    "MeanFieldELBO",
    "Prediction",
    "Schedule",
    "SynapticGuide",
    "TrainSettings",
    "encode_all",
    "exact_posterior",
    "point_draws",
    "posterior_draws",
    "predict",
    "predict_moments",
    "steady_process",
]
