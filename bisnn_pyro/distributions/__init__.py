"""Distributions of binary synapses and the KL between them."""

from bisnn_pyro.distributions.hyperbolic import log_two_cosh, sech2
from bisnn_pyro.distributions.kl import SignKL
from bisnn_pyro.distributions.relaxed import HardRelaxedSignBernoulli, RelaxedSignBernoulli
from bisnn_pyro.distributions.sign_bernoulli import SignBernoulli

__all__ = [
    "HardRelaxedSignBernoulli",
    "RelaxedSignBernoulli",
    "SignBernoulli",
    "SignKL",
    "log_two_cosh",
    "sech2",
]
