"""A whole small training in float64 is that in float32, to rounding: same losses, same votes.

Both use the same random numbers (those of float32) and the same start, so that rounding is the only
difference.
"""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

from bisnn_pyro.data import PopulationEncoder, two_moons
from bisnn_pyro.distributions import hard_sign
from bisnn_pyro.inference import (
    AutoFullPrecision,
    AutoMeanFieldGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
    BayesianLearningRule,
    GradientSteps,
    Learner,
    TrainSettings,
    encode_all,
    learner,
    posterior_draws,
    predict,
)
from bisnn_pyro.inference.learned import parameters_of
from bisnn_pyro.models import BernoulliRate, NormalPrior, SpikingGLM

BOUNDS = {"bayes": (1e-3, 2e-3), "straight-through": (1e-3, 2e-3), "full-precision": (1e-3, 2e-3)}
"""By method: relative difference of losses and KL over all epochs, and difference of a probability."""
BOUNDS["gaussian"] = (1e-2, 3e-2)  # new real weights at every step: rounding flips a spike here and there
TASK = two_moons(n_train=60, n_val=20, n_test=40)
METHODS = {
    "bayes": (AutoRelaxedSign, None, lambda guide: BayesianLearningRule(guide.parameters(), lr=2.0)),
    "straight-through": (AutoStraightThrough, None, lambda guide: torch.optim.Adam(guide.parameters(), 0.01)),
    "full-precision": (
        AutoFullPrecision,
        NormalPrior,
        lambda guide: torch.optim.Adam(guide.parameters(), 0.02),
    ),
    "gaussian": (
        AutoMeanFieldGaussian,
        NormalPrior,
        lambda guide: torch.optim.Adam(guide.parameters(), 0.02),
    ),
}


@contextmanager
def precision(monkeypatch, dtype):
    """Make this the default type, with the random numbers of float32."""

    def rounded(draw):
        def call(*shape, dtype=None, **options):
            return draw(*shape, dtype=torch.float32, **options).to(dtype or torch.get_default_dtype())

        return call

    def started(guide):
        """Give the guide one start, whatever drew the prior's own numbers."""
        torch.manual_seed(2)
        with torch.no_grad():
            for name, value in guide.named_parameters():
                if not name.startswith("deviation"):
                    value.copy_(0.3 * torch.randn(value.shape))
        return parameters_of(guide)

    with monkeypatch.context() as patch:
        for name in ("rand", "randn"):
            patch.setattr(torch, name, rounded(getattr(torch, name)))
        patch.setattr(learner, "parameters_of", started)
        patch.setattr(torch, "rand_like", lambda x: torch.rand(x.shape))
        patch.setattr(torch, "randn_like", lambda x: torch.randn(x.shape))
        patch.setattr(hard_sign, "runs_compiled", lambda _: False)  # other random numbers, float32 alone
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)


def trained(method):
    """Train on two moons, and let ten members vote on the test points."""
    kind, prior, make = METHODS[method]
    encoder = PopulationEncoder(n_neurons=6, n_steps=15)
    dtype = torch.get_default_dtype()

    def encode(x, generator):
        return encoder(x.float(), generator).to(dtype)

    def features(split):
        return torch.as_tensor(split.x).to(dtype)

    options = {} if prior is None else {"prior": prior()}
    model = SpikingGLM(encoder.n_inputs(2), [10, 8], BernoulliRate(), gain=3.0, **options)
    guide = kind(model)
    settings = TrainSettings(epochs=8, batch_size=20, validation_draws=4, particles=2)
    steps = GradientSteps(lambda _, guide: [make(guide)])
    train, val = TASK.train, TASK.val
    y, y_val = torch.as_tensor(train.y), torch.as_tensor(val.y)
    own = Learner(model, guide, encode, steps, settings, seed=1)
    history = own.fit(features(train), y, features(val), y_val).history
    blocks = encode_all(encode, features(TASK.test), 0)
    draws = predict(model, posterior_draws(guide, 0), blocks, n_draws=10, seed=0).draws
    return history, draws, next(guide.parameters()).dtype


@pytest.mark.parametrize("method", METHODS)
def test_double_precision_gives_the_same_run(method, monkeypatch):
    with precision(monkeypatch, torch.float32):
        history, draws, dtype = trained(method)
    with precision(monkeypatch, torch.float64):
        double, double_draws, double_dtype = trained(method)
    assert (dtype, double_dtype) == (torch.float32, torch.float64)
    relative, votes = BOUNDS[method]
    for name in ("loss", "nll", "kl", "val_nll"):
        np.testing.assert_allclose(history.column(name), double.column(name), rtol=relative)
    np.testing.assert_allclose(draws, double_draws, atol=votes)
    assert draws.shape == double_draws.shape
    assert np.ptp(history.column("loss")) > 0.01  # something was trained
