"""Small networks and data that several test files share."""

import torch

from bisnn_pyro.models import (
    BernoulliRate,
    BernoulliSteps,
    CategoricalRate,
    CategoricalSteps,
    Gaussian,
    SpikeTrainBernoulli,
    SpikingGLM,
)

LIKELIHOODS = {
    "bernoulli-rate": lambda: BernoulliRate(),
    "bernoulli-steps": lambda: BernoulliSteps(),
    "categorical-rate": lambda: CategoricalRate(3),
    "categorical-steps": lambda: CategoricalSteps(3),
    "gaussian": lambda: Gaussian(0.5),
    "spike-train": lambda: SpikeTrainBernoulli(3),
}


def make_spikes(n_steps=10, n=6, n_inputs=4, seed=0, dtype=torch.float32):
    """Random input spikes [T, B, I]."""
    source = torch.Generator().manual_seed(seed)
    return (torch.rand(n_steps, n, n_inputs, generator=source) < 0.5).to(dtype)


def make_network(likelihood="categorical-rate", hidden=(5,), n_inputs=4, **options):
    """A network with the likelihood of that name; a spike train gets the read-out that it needs."""
    if likelihood == "spike-train":
        options.setdefault("readout", "trained")
    return SpikingGLM(n_inputs, hidden, LIKELIHOODS[likelihood](), **options)


def make_targets(likelihood="categorical-rate", n=6):
    """Targets [B] of that likelihood."""
    if likelihood == "gaussian":
        return torch.linspace(-1.0, 1.0, n)
    return torch.arange(n) % (2 if likelihood.startswith("bernoulli") else 3)


def make_points(n=40, seed=0):
    """Points in the unit square and their class, on which side of the diagonal with a clear gap."""
    source = torch.Generator().manual_seed(seed)
    x = torch.rand(4 * n, 2, generator=source)
    x = x[(x[:, 0] - x[:, 1]).abs() > 0.2][:n]
    return x, (x[:, 0] > x[:, 1]).long()


def encode_current(x, generator=None, n_steps=12):
    """Features and their complements as a constant current [T, B, 2 F]; nothing random."""
    return torch.cat((x, 1 - x), dim=-1).expand(n_steps, -1, -1).contiguous()


def encode_spikes(x, generator, n_steps=12):
    """The same as Bernoulli spikes."""
    rate = torch.cat((x, 1 - x), dim=-1).expand(n_steps, -1, -1)
    return (torch.rand(rate.shape, generator=generator) < rate).to(x.dtype)
