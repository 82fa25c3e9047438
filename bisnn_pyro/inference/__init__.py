"""Inference: guides, the free energy, learning rules, the learner, and committee prediction."""

from bisnn_pyro.inference.checkpoints import AutoCheckpoints
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
from bisnn_pyro.inference.dropout import AutoDropout
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
from bisnn_pyro.inference.interleaving import PlacedVotes, interleaved
from bisnn_pyro.inference.kl_time import entropy_bits, forgetting, kl_warnings
from bisnn_pyro.inference.last_layer import AutoBayesianLastLayer
from bisnn_pyro.inference.latent_posteriors import (
    AutoBernoulliLaplace,
    AutoScaledLatents,
    AutoSignSWAG,
    AutoUniformFlips,
    flip_natural,
)
from bisnn_pyro.inference.learned import saturated_share
from bisnn_pyro.inference.learner import Checkpoint, FitResult, Learner
from bisnn_pyro.inference.loading import load_posterior, stored_tensors
from bisnn_pyro.inference.marginals import marginal_natural
from bisnn_pyro.inference.process import StopRequest, listen_to, steady_process
from bisnn_pyro.inference.rank_one import AutoRankOneMixture
from bisnn_pyro.inference.rules import BayesianLearningRule, BiMU, NaturalRule
from bisnn_pyro.inference.schedules import Schedule
from bisnn_pyro.inference.seeding import Purpose, derived_seed, generator, seeded
from bisnn_pyro.inference.synaptic_guide import SynapticGuide
from bisnn_pyro.inference.updates import GradientSteps, TrainSettings, Updater, WarmStart

__all__ = [
    "AutoBayesianLastLayer",
    "AutoBernoulliLaplace",
    "AutoCheckpoints",
    "AutoDropout",
    "AutoExpectationNormal",
    "AutoExpectationSign",
    "AutoFullPrecision",
    "AutoMeanFieldGaussian",
    "AutoRankOneMixture",
    "AutoRelaxedSign",
    "AutoScaledLatents",
    "AutoSignSWAG",
    "AutoStraightThrough",
    "AutoUniformFlips",
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
    "PlacedVotes",
    "Prediction",
    "Purpose",
    "Row",
    "Schedule",
    "StopRequest",
    "SynapticGuide",
    "TrainSettings",
    "Updater",
    "WarmStart",
    "as_inputs",
    "bytes_per_example",
    "chosen_rows",
    "derived_seed",
    "encode_all",
    "entropy_bits",
    "exact_posterior",
    "flip_natural",
    "forgetting",
    "generator",
    "interleaved",
    "kl_warnings",
    "listen_to",
    "load_posterior",
    "marginal_natural",
    "point_draws",
    "posterior_draws",
    "predict",
    "predict_moments",
    "saturated_share",
    "seeded",
    "steady_process",
    "stored_tensors",
]
