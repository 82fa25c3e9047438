"""Distributions of binary synapses, the KL between them, and functions that are accurate in the tails."""

from bisnn_pyro.distributions.hyperbolic import log_two_cosh, sech2, tanh
from bisnn_pyro.distributions.normal import density, inverse_mills, log_odds
from bisnn_pyro.distributions.sign_bernoulli import (
    HardRelaxedSignBernoulli,
    RelaxedSignBernoulli,
    SignBernoulli,
    SignKL,
)

__all__ = [
    "HardRelaxedSignBernoulli",
    "RelaxedSignBernoulli",
    "SignBernoulli",
    "SignKL",
    "density",
    "inverse_mills",
    "log_odds",
    "log_two_cosh",
    "sech2",
    "tanh",
]
