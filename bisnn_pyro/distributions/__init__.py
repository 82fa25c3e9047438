"""Distributions of binary synapses, the KL between them, and functions that are accurate in the tails."""

from bisnn_pyro.distributions.hard_sign import FirstOrderSign, HardSign, SecondOrderSign
from bisnn_pyro.distributions.hyperbolic import log_two_cosh, sech2, tanh
from bisnn_pyro.distributions.local_sign import LocalSign, Perturbed, random_signs
from bisnn_pyro.distributions.normal import density, inverse_mills, log_odds
from bisnn_pyro.distributions.sign_bernoulli import (
    HardRelaxedSignBernoulli,
    RelaxedSignBernoulli,
    SignBernoulli,
    SignKL,
    repeated_kl,
)

__all__ = [
    "FirstOrderSign",
    "HardRelaxedSignBernoulli",
    "HardSign",
    "LocalSign",
    "Perturbed",
    "RelaxedSignBernoulli",
    "SecondOrderSign",
    "SignBernoulli",
    "SignKL",
    "density",
    "inverse_mills",
    "log_odds",
    "log_two_cosh",
    "random_signs",
    "repeated_kl",
    "sech2",
    "tanh",
]
