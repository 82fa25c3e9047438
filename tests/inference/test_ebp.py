"""Expectation backpropagation as a training run: it learns, resumes, stops, refuses and says why."""

import math
import os
import signal

import numpy as np
import pytest
import torch

from bisnn_pyro.errors import DivergenceError, ModelError
from bisnn_pyro.inference import (
    AutoExpectationNormal,
    AutoExpectationSign,
    AutoRelaxedSign,
    ExpectationSteps,
    Learner,
    Schedule,
    TrainSettings,
    posterior_draws,
    predict,
    predict_moments,
)
from bisnn_pyro.models import (
    BernoulliRate,
    BinaryPrior,
    CategoricalProbit,
    NormalPrior,
    SignNetwork,
    SpikingGLM,
)

KINDS = pytest.mark.parametrize("binary", [True, False], ids=["binary", "real"])


def encode(x, generator=None):
    return x[None]


def make_classes(n=150, n_classes=3, n_inputs=10, seed=0, noise=0.5):
    """Points around one centre per class."""
    source = torch.Generator().manual_seed(seed)
    centres = torch.randn(n_classes, n_inputs, generator=torch.Generator().manual_seed(99))
    y = torch.arange(n) % n_classes
    return centres[y] + noise * torch.randn(n, n_inputs, generator=source), y


X, Y = make_classes()
X_VAL, Y_VAL = make_classes(90, seed=1)


def make_learner(binary=True, hidden=(20,), seed=0, dropout=None, n_classes=3, **settings):
    torch.manual_seed(seed)
    prior = BinaryPrior() if binary else NormalPrior()
    model = SignNetwork(10, hidden, CategoricalProbit(n_classes), prior=prior)
    guide = (AutoExpectationSign if binary else AutoExpectationNormal)(model, dropout=dropout)
    settings = TrainSettings(**{"epochs": 3, "batch_size": 10, "restore_best": False} | settings)
    return Learner(model, guide, encode, ExpectationSteps(), settings, seed=seed)


def state(learner):
    parts = (("guide", learner.guide), ("model", learner.model))
    return {f"{p}.{k}": v.clone() for p, module in parts for k, v in module.state_dict().items()}


def accuracy(learner, x=X_VAL, y=Y_VAL):
    prediction = predict_moments(learner.model, learner.guide, [encode(x)])
    return float((prediction.mean.argmax(-1) == y.numpy()).mean())


@KINDS
@pytest.mark.parametrize("batch_size", [1, 10])
@pytest.mark.parametrize("hidden", [(20,), (20, 20)])
def test_learns_in_one_or_two_passes(binary, batch_size, hidden):
    learner = make_learner(binary, hidden, batch_size=batch_size, epochs=1 if batch_size == 1 else 2)
    result = learner.fit(X, Y)
    assert accuracy(learner) > 0.95
    assert result.history.column("loss") == result.history.column("nll")
    assert not {"kl", "lr_scale", "kl_weight", "temperature"} & set(result.history.columns)


@KINDS
def test_two_classes_have_two_units(binary):
    x, y = make_classes(n_classes=2)
    learner = make_learner(binary, n_classes=2)
    learner.fit(x, y)
    assert accuracy(learner, *make_classes(80, n_classes=2, seed=1)) > 0.95


@KINDS
def test_committee_of_sampled_networks_agrees_with_the_moments(binary):
    learner = make_learner(binary, hidden=(60,))
    learner.fit(X, Y)
    committee = predict(learner.model, posterior_draws(learner.guide, 0), [encode(X_VAL)], n_draws=200)
    moments = predict_moments(learner.model, learner.guide, [encode(X_VAL)], y=Y_VAL)
    assert moments.draws.shape == (1, 90, 3)
    assert moments.path == "moments"
    np.testing.assert_allclose(moments.draws.sum(-1), 1.0)
    chosen = np.take_along_axis(moments.draws, Y_VAL.numpy()[None, :, None], -1)[..., 0]
    np.testing.assert_allclose(moments.log_likelihood, np.log(chosen), rtol=1e-10, atol=1e-12)
    assert (committee.mean.argmax(-1) == moments.mean.argmax(-1)).mean() > 0.95


def test_first_row_is_minus_the_log_evidence_before_the_update():
    """Of one batch, with parameters as they begin: sum of log Phi(y z), by scipy."""
    from scipy.special import log_ndtr

    learner = make_learner(batch_size=len(X), epochs=1, dropout=0.8)
    twin = make_learner(batch_size=len(X), epochs=1, dropout=0.8)
    row = learner.fit(X, Y).history.rows[0]
    twin.settings = TrainSettings(epochs=1, batch_size=len(X))
    from bisnn_pyro.inference.ebp import forward, layers_of
    from bisnn_pyro.inference.seeding import Purpose, seeded

    with seeded(0, Purpose.TRAINING):
        twin.guide.initialize(encode(X[:1]), Y[:1])
    z = forward(layers_of(twin.model, twin.guide), X, 0.8).potentials[-1].z.double().numpy()
    signs = 2.0 * np.eye(3)[Y.numpy()] - 1
    assert row["nll"] == pytest.approx(-log_ndtr(signs * z).sum(-1).mean(), rel=1e-5)


@KINDS
def test_same_seed_same_bits_and_resume(binary):
    whole, again = make_learner(binary, epochs=4), make_learner(binary, epochs=4)
    checkpoints = []
    first = whole.fit(X, Y, X_VAL, Y_VAL, on_epoch=lambda history, make: checkpoints.append(make()))
    second = again.fit(X, Y, X_VAL, Y_VAL, resume=checkpoints[1])
    one, two = state(whole), state(again)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[k], two[k]) for k in one)
    rows = [[{k: v for k, v in r.items() if k != "seconds"} for r in x.history] for x in (first, second)]
    assert rows[0] == rows[1]
    other = make_learner(binary, epochs=4, seed=1)
    other.fit(X, Y)
    assert not all(torch.equal(one[k], v) for k, v in state(other).items())


def test_validation_and_the_best_epoch():
    """Labels that are noise: training can only make validation worse after a while."""
    y = Y[torch.randperm(len(Y), generator=torch.Generator().manual_seed(5))]
    learner = make_learner(epochs=12, restore_best=True, patience=2)
    result = learner.fit(X, y, X_VAL, Y_VAL)
    nll = result.history.column("val_nll")
    assert len(nll) == result.best_epoch + 2 < 12
    assert min(nll) == nll[result.best_epoch - 1]
    vote = predict_moments(learner.model, learner.guide, [encode(X_VAL)]).mean
    assert -np.log(vote[np.arange(90), Y_VAL.numpy()]).mean() == pytest.approx(min(nll))
    assert set(result.history.columns) >= {"val_accuracy", "seconds"}


def test_interruption_ends_with_the_last_whole_epoch():
    learner = make_learner(epochs=5)
    before = []

    def stop(history, make):
        before.append(make())
        if len(history) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    result = learner.fit(X, Y, on_epoch=stop)
    assert result.interrupted
    assert len(result.history) == 2
    assert all(torch.equal(v, learner.guide.state_dict()[k]) for k, v in before[1]["guide"].items())


def test_divergence_is_named():
    with pytest.raises(DivergenceError, match="epoch 1: the log-evidence is"):
        make_learner().fit(1e30 * X, Y)


def test_what_does_not_fit_is_refused():
    sign = make_learner().model
    relaxed = Learner(sign, AutoRelaxedSign(sign), encode, ExpectationSteps())
    with pytest.raises(ModelError, match=r"guide\.name = 'ebp'"):
        relaxed.fit(X, Y)
    spiking = SpikingGLM(10, [4], BernoulliRate())
    with pytest.raises(ModelError, match=r"network\.name = 'sign'"):
        Learner(spiking, AutoExpectationSign(spiking), encode, ExpectationSteps()).fit(X, Y % 2)
    unused = {"window": 1, "particles": 2, "kl_weight": 0.5, "lr_schedule": Schedule(0.5), "other_lr": 0.1}
    for name, value in unused.items():
        with pytest.raises(ModelError, match=f"leave train.{name} out"):
            make_learner(**{name: value}).fit(X, Y)
    with pytest.raises(ModelError, match=r"\[0\.5, 1\]"):
        make_learner(dropout=0.3)


def test_the_start_is_the_prior():
    torch.manual_seed(0)
    model = SignNetwork(400, [300], CategoricalProbit(3), prior=BinaryPrior(0.7))
    guide = AutoExpectationSign(model)
    guide.initialize(torch.zeros(1, 1, 400), torch.zeros(1).long())
    natural = guide.natural_parameters()["layers.0.weight"]
    # Uniform around the prior's parameter with variance 1 / I; 120,000 of them, 5 standard errors.
    assert float(natural.mean()) == pytest.approx(0.5 * math.log(0.7 / 0.3), abs=5 * 0.05 / 346)
    assert float((natural - natural.mean()).abs().max()) <= math.sqrt(12 / 400) / 2 * 1.01
    assert float(natural.var()) == pytest.approx(1 / 400, rel=0.02)


def test_state_dict_gives_the_posterior_back():
    learner = make_learner(False)
    learner.fit(X, Y)
    fresh = AutoExpectationNormal(learner.model)
    fresh.load_state_dict(learner.guide.state_dict())
    assert set(fresh.state_dict()) == {
        f"loc.{n}_unconstrained" for n in ("layers__0__weight", "readout__weight")
    }
    assert all(
        torch.equal(a, b) for a, b in zip(fresh.mean().values(), learner.guide.mean().values(), strict=True)
    )
    assert all(bool((q.stddev == 1).all()) for q in fresh.posterior().values())
