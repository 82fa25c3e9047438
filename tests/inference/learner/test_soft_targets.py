"""Soft targets in training: label smoothing, mixup, class probabilities in place of labels."""

import math
import signal

import pytest
import torch
from pyro import poutine

from bisnn_pyro.errors import DataError, ModelError
from bisnn_pyro.inference import AutoExpectationSign, ExpectationSteps, Learner, TrainSettings
from bisnn_pyro.inference.softening import mixup, smoothed
from bisnn_pyro.models import (
    BernoulliRate,
    CategoricalProbit,
    CategoricalRate,
    Gaussian,
    SignNetwork,
    SpikeTrainBernoulli,
    SpikingGLM,
    Window,
    as_soft,
)
from tests.inference.learner.fitting import (
    X_VAL,
    Y_VAL,
    X,
    Y,
    assert_same,
    make_learner,
    without_seconds,
)
from tests.inference.tiny import encode_current, make_spikes


def test_local_losses_take_soft_targets_in_windows_too():
    """Every site's score is the mean of the labels' scores, by enumeration of the classes."""
    net = SpikingGLM(4, (6, 5), CategoricalRate(3)).double()
    spikes = make_spikes(dtype=torch.float64)
    weights = {n: torch.randn(s, dtype=torch.float64).sign() for n, s in net.weight_shapes.items()}
    q = torch.rand(6, 3, dtype=torch.float64)
    q /= q.sum(-1, keepdim=True)

    def scores(y, window):
        tape = poutine.trace(poutine.condition(net, data=weights)).get_trace(spikes, y, window=window)
        tape.compute_log_prob()
        return {name: tape.nodes[name]["log_prob"].detach() for name in ("local_0", "y")}

    for window in (None, Window(start=3, burn_in=2, fraction=0.4)):
        soft, labels = scores(q, window), [scores(torch.full((6,), c), window) for c in range(3)]
        for name, found in soft.items():
            each = torch.stack([one[name] for one in labels], dim=-1)
            torch.testing.assert_close(found, (q * each).sum(-1))


class TestLabelSmoothing:
    def test_its_optimum_is_known(self):
        """The score's gradient vanishes where p = q: the label has 1 - eps + eps / C."""
        q = smoothed(torch.tensor([2]), 5, 0.2)
        torch.testing.assert_close(q[0], torch.tensor([0.04, 0.04, 0.84, 0.04, 0.04]))
        r = q.log().double()[:, None].requires_grad_()
        CategoricalRate(5).log_prob(r, q).sum().backward()
        assert float(r.grad.abs().max()) < 1e-8

    def test_training_sees_it_and_validation_does_not(self):
        learner, seen = make_learner(label_smoothing=0.1, epochs=1), []
        update, validate = learner.updater.__call__, learner.updater.validate

        class Spy(type(learner.updater)):
            def __call__(self, spikes, y):
                seen.append(y)
                return update(spikes, y)

            def validate(self, blocks, y, seed):
                assert torch.equal(y, Y_VAL)
                return validate(blocks, y, seed)

        learner.updater.__class__ = Spy
        assert "val_nll" in learner.fit(X, Y, X_VAL, Y_VAL).history.rows[0]
        assert [tuple(y.shape) for y in seen] == [(16, 2), (16, 2), (8, 2)]
        values, counts = torch.cat(seen)[:, 1].unique(return_counts=True)
        torch.testing.assert_close(values, torch.tensor([0.05, 0.95]))
        assert counts.tolist() == torch.bincount(Y).tolist()


class TestMixup:
    def test_features_and_targets_share_the_share_and_the_partner(self):
        y = as_soft(torch.arange(6), 6)
        mixed, target = mixup(y, y, 0.7, torch.Generator().manual_seed(0))
        assert torch.equal(mixed, target)
        assert len(target.unique()) > 2
        torch.testing.assert_close(target.sum(0), torch.ones(6))  # a permutation: nobody is lost

    @pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
    def test_expectation(self, dtype):
        """Half the example, half the batch's mean: to 5 standard errors at most, seed 0."""
        spikes = (torch.rand(4, 3, 5, generator=torch.Generator().manual_seed(1)) < 0.4).to(dtype)
        y, generator, n = torch.randn(4), torch.Generator().manual_seed(0), 3000
        drawn = [mixup(spikes, y, 0.5, generator) for _ in range(n)]
        assert drawn[0][0].dtype == dtype
        assert set(torch.stack([x for x, _ in drawn]).unique().tolist()) == {0, 1}
        for found, own in zip(zip(*drawn, strict=True), (spikes, y), strict=True):
            found = torch.stack(found).double()
            error = found.mean(0) - 0.5 * (own.double() + own.double().mean(0))
            assert bool((error.abs() <= 5 * found.std(0) / math.sqrt(n) + 1e-6).all())

    def test_small_parameters_leave_one_example_alone(self):
        _, target = mixup(torch.rand(6, 2), as_soft(torch.arange(6), 6), 1e-6, torch.Generator())
        torch.testing.assert_close(target.max(-1).values, torch.ones(6))

    def test_it_happens_before_encoding(self):
        seen = []

        def encode(x, generator=None):
            seen.append(x)
            return encode_current(x)

        make_learner(encode=encode, batch_size=40, epochs=1, mixup=1.0).fit(X, Y)
        assert len(seen[-1]) == 40
        assert not {tuple(row) for row in seen[-1].tolist()} <= {tuple(row) for row in X.tolist()}

    def test_interrupted_then_resumed_is_uninterrupted(self):
        whole, cut, rest = (
            make_learner(epochs=4, mixup=0.4, label_smoothing=0.1, input_noise=0.1) for _ in range(3)
        )
        expected, checkpoints = whole.fit(X, Y, X_VAL, Y_VAL), []

        def on_epoch(history, checkpoint):
            checkpoints.append(checkpoint)
            if len(history) == 2:
                signal.raise_signal(signal.SIGINT)

        assert cut.fit(X, Y, X_VAL, Y_VAL, on_epoch=on_epoch).interrupted
        result = rest.fit(X, Y, X_VAL, Y_VAL, resume=checkpoints[-1]())
        assert without_seconds(result.history) == without_seconds(expected.history)
        assert_same(whole, rest)

    def test_a_regression_mixes_its_targets(self):
        net = SpikingGLM(4, (6,), Gaussian())
        history = make_learner(net, mixup=0.4).fit(X, X[:, 0], X_VAL, X_VAL[:, 0]).history
        assert math.isfinite(history.rows[-1]["val_rmse"])


def test_one_hot_targets_train_as_labels_do():
    results = [
        make_learner(SpikingGLM(4, (6, 5), BernoulliRate()), epochs=2).fit(X, y, X_VAL, Y_VAL)
        for y in (Y, as_soft(Y, 2))
    ]
    hard, soft = ([row["loss"] for row in result.history] for result in results)
    assert soft == pytest.approx(hard, rel=1e-4)


class TestRefusals:
    @pytest.mark.parametrize(
        ("y", "words"),
        [
            (torch.full((40, 2), 0.6), r"y\[0\] is not a distribution over 2 classes: it sums to 1.2"),
            (torch.tensor([[1.5, -0.5]]).repeat(40, 1), "least value is -0.5"),
            (torch.full((40, 3), 1 / 3), r"\[N, 2\]"),
            (as_soft(Y, 2).long(), "floating"),
            (as_soft(Y, 2)[..., None], r"\[N, 2\]"),
        ],
    )
    def test_targets(self, y, words):
        with pytest.raises(DataError, match=words):
            make_learner().fit(X, y)

    def test_validation_takes_labels(self):
        with pytest.raises(DataError, match="y_val has shape"):
            make_learner().fit(X, Y, X_VAL, as_soft(Y_VAL, 2))

    def test_regressions_take_one_number(self):
        with pytest.raises(DataError, match=r"Gaussian takes targets \[N\]"):
            make_learner(SpikingGLM(4, (6,), Gaussian())).fit(X, Y[:, None].float())
        with pytest.raises(ModelError, match=r"train\.label_smoothing = 0"):
            make_learner(SpikingGLM(4, (6,), Gaussian()), label_smoothing=0.1).fit(X, Y.float())

    def test_spike_trains_take_labels(self):
        net = SpikingGLM(4, (6,), SpikeTrainBernoulli(2), readout="trained")
        with pytest.raises(ModelError, match=r"train\.mixup = 0"):
            make_learner(net, mixup=0.2).fit(X, Y)
        with pytest.raises(ModelError, match="no class probabilities"):
            make_learner(net).fit(X, as_soft(Y, 2))

    def test_expectation_backpropagation_takes_labels(self):
        def learner(**settings):
            net = SignNetwork(2, (6,), CategoricalProbit(2))
            rule, settings = ExpectationSteps(), TrainSettings(epochs=1, **settings)
            return Learner(net, AutoExpectationSign(net), lambda x, g: x[None], rule, settings)

        with pytest.raises(ModelError, match=r"train\.mixup"):
            learner(mixup=0.2).fit(X, Y)
        with pytest.raises(ModelError, match="takes labels"):
            learner().fit(X, as_soft(Y, 2))

    @pytest.mark.parametrize(
        ("name", "value"), [("label_smoothing", 1.0), ("label_smoothing", -0.1), ("mixup", -1)]
    )
    def test_settings(self, name, value):
        with pytest.raises(ModelError, match=f"train.{name} must be"):
            TrainSettings(**{name: value})
