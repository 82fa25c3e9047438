"""When the loop ends: patience, the best epoch, Ctrl-C."""

import copy
import math
import os
import signal

import pytest
import torch

from bisnn_pyro.inference import posterior_draws, predict
from tests.inference.learner.fitting import (
    X_VAL,
    Y_VAL,
    X,
    Y,
    assert_same,
    bayes,
    make_learner,
    without_seconds,
)
from tests.inference.tiny import encode_current, encode_spikes


class TestStopping:
    def scripted(self, monkeypatch, values, **options):
        """A learner whose validation NLLs are these, one an epoch; keeps the guide of each epoch."""
        script, seen = iter(values), []

        def validate(model, guide, *args, **kwargs):
            seen.append(copy.deepcopy(guide.state_dict()))
            return {"val_nll": next(script)}

        monkeypatch.setattr("bisnn_pyro.inference.updates.validate", validate)
        learner = make_learner(epochs=len(values), **options)
        return learner, learner.fit(X, Y, X_VAL, Y_VAL), seen

    def test_patience(self, monkeypatch):
        values = [5.0, 4.0, 4.5, 4.2, 3.0, 2.0]
        learner, result, seen = self.scripted(monkeypatch, values, patience=2)
        assert result.history.column("val_nll") == values[:4]
        assert result.best_epoch == 2
        assert not result.interrupted
        assert all(torch.equal(v, seen[1][k]) for k, v in learner.guide.state_dict().items())

    def test_an_equal_value_is_no_better(self, monkeypatch):
        _, result, _ = self.scripted(monkeypatch, [1.0, 1.0, 1.0, 0.5], patience=2)
        assert len(result.history) == 3

    def test_nan_is_no_better(self, monkeypatch):
        _, result, _ = self.scripted(monkeypatch, [1.0, math.nan, 2.0])
        assert result.best_epoch == 1

    def test_without_patience_it_goes_on_and_restores_the_best(self, monkeypatch):
        learner, result, seen = self.scripted(monkeypatch, [5.0, 4.0, 4.5, 6.0])
        assert len(result.history) == 4
        assert result.best_epoch == 2
        assert all(torch.equal(v, seen[1][k]) for k, v in learner.guide.state_dict().items())

    def test_keep_the_last(self, monkeypatch):
        learner, result, seen = self.scripted(monkeypatch, [1.0, 4.0, 4.5], restore_best=False)
        assert result.best_epoch == 3
        assert all(torch.equal(v, seen[2][k]) for k, v in learner.guide.state_dict().items())

    def test_without_validation_the_last_stays(self):
        result = make_learner(patience=1).fit(X, Y)
        assert result.best_epoch == 3
        assert len(result.history) == 3
        assert result.seconds > 0

    def test_modes_afterwards(self):
        learner = make_learner()
        learner.fit(X, Y)
        assert not learner.model.training
        assert not learner.guide.training

    def test_validation_is_by_hard_draws(self):
        # The same draws as the committee's, whatever mode the guide is in while training.
        learner = make_learner(epochs=1, optimisers=bayes(1e-9), encode=encode_current)
        (row,) = learner.fit(X, Y, X_VAL, Y_VAL).history
        from bisnn_pyro.inference.updates import validate

        again = validate(
            learner.model, learner.guide, [encode_current(X_VAL)], Y_VAL, n_draws=4, seed=learner.seed
        )
        assert row["val_nll"] == pytest.approx(again["val_nll"])
        assert row["val_accuracy"] == again["val_accuracy"]


class TestInterrupt:
    @pytest.mark.parametrize("send", ["kill", "raise"])
    def test_ctrl_c_stops_at_the_end_of_the_batch(self, send):
        batches = []

        def encode(x, generator):
            if generator is not None and x.shape[0] == 16:
                batches.append(len(x))
            return encode_spikes(x, generator)

        def on_epoch(history, checkpoint):
            batches.clear()
            if len(history) == 2:
                if send == "kill":
                    os.kill(os.getpid(), signal.SIGINT)
                else:
                    signal.raise_signal(signal.SIGINT)

        learner = make_learner(epochs=9, encode=encode)
        result = learner.fit(X, Y, on_epoch=on_epoch)
        assert result.interrupted
        assert len(result.history) == 2
        assert result.best_epoch == 2
        assert len(batches) == 1
        assert not learner.guide.training
        predict(learner.model, posterior_draws(learner.guide, 0), [encode_current(X)], n_draws=2)

    def test_a_second_one_interrupts_at_once(self):
        def on_epoch(history, checkpoint):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            make_learner().fit(X, Y, on_epoch=on_epoch)

    def test_interrupted_then_resumed_is_uninterrupted(self):
        whole = make_learner(epochs=4)
        expected = whole.fit(X, Y, X_VAL, Y_VAL)
        checkpoints = []

        def on_epoch(history, checkpoint):
            checkpoints.append(checkpoint)
            if len(history) == 2:
                signal.raise_signal(signal.SIGINT)

        assert make_learner(epochs=4).fit(X, Y, X_VAL, Y_VAL, on_epoch=on_epoch).interrupted
        rest = make_learner(epochs=4)
        result = rest.fit(X, Y, X_VAL, Y_VAL, resume=checkpoints[-1]())
        assert without_seconds(result.history) == without_seconds(expected.history)
        assert_same(whole, rest)
