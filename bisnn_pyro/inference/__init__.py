"""Inference: guides, the free energy, learning rules, the learner, and committee prediction."""

from bisnn_pyro.inference.committee import (
    EarlyVotes,
    Part,
    Prediction,
    bytes_per_example,
    encode_all,
    point_draws,
    posterior_draws,
    predict,
)
from bisnn_pyro.inference.ebp import ExpectationSteps, predict_moments
from bisnn_pyro.inference.elbo import FreeEnergy, MeanFieldELBO
from bisnn_pyro.inference.exact import ExactPosterior, exact_posterior
from bisnn_pyro.inference.guides import (
    AutoExpectationNormal,
    AutoExpectationSign,
    AutoFullPrecision,
    AutoMeanFieldGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
)
from bisnn_pyro.inference.history import History, Row
from bisnn_pyro.inference.inputs import EncodedBlocks, Inputs, as_inputs, chosen_rows
from bisnn_pyro.inference.learner import Checkpoint, FitResult, Learner
from bisnn_pyro.inference.process import StopRequest, listen_to, steady_process
from bisnn_pyro.inference.rules import BayesianLearningRule, BiMU, NaturalRule
from bisnn_pyro.inference.schedules import Schedule
from bisnn_pyro.inference.seeding import Purpose, derived_seed, generator, seeded
from bisnn_pyro.inference.synaptic_guide import SynapticGuide
from bisnn_pyro.inference.updates import GradientSteps, TrainSettings, Updater

__all__ = [
    "AutoExpectationNormal",
    "AutoExpectationSign",
    "AutoFullPrecision",
    "AutoMeanFieldGaussian",
    "AutoRelaxedSign",
    "AutoStraightThrough",
    "BayesianLearningRule",
    "BiMU",
    "Checkpoint",
    "EarlyVotes",
    "EncodedBlocks",
    "ExactPosterior",
    "ExpectationSteps",
    "FitResult",
    "FreeEnergy",
    "GradientSteps",
    "History",
    "Inputs",
    "Learner",
    "MeanFieldELBO",
    "NaturalRule",
    "Part",
    "Prediction",
    "Purpose",
    "Row",
    "Schedule",
    "StopRequest",
    "SynapticGuide",
    "TrainSettings",
    "Updater",
    "as_inputs",
    "bytes_per_example",
    "chosen_rows",
    "derived_seed",
    "encode_all",
    "exact_posterior",
    "generator",
    "listen_to",
    "point_draws",
    "posterior_draws",
    "predict",
    "predict_moments",
    "seeded",
    "steady_process",
]
