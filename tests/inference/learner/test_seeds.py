"""The same seed gives the same bits, whoever else draws or keeps parameters."""

import copy
import signal

import numpy as np
import pyro
import pytest
import torch

from tests.inference.learner.fitting import (
    X_VAL,
    Y_VAL,
    X,
    Y,
    assert_same,
    make_learner,
    parameters,
    without_seconds,
)


class TestSeeds:
    def test_same_seed_same_bits(self):
        results = []
        for k in range(2):
            torch.manual_seed(k)
            learner = make_learner(seed=3, particles=2)
            results.append((learner, learner.fit(X, Y, X_VAL, Y_VAL)))
        (one, first), (two, second) = results
        assert without_seconds(first.history) == without_seconds(second.history)
        assert_same(one, two)

    def test_other_seed_other_bits(self):
        losses = []
        for seed in (3, 4):
            losses.append(make_learner(seed=seed).fit(X, Y).history.column("loss"))
        assert losses[0] != losses[1]

    def test_callers_random_state_and_store_are_untouched(self):
        pyro.param("theirs", torch.tensor(2.0))
        pyro.param("AutoRelaxedSign.natural.layers__0__weight", torch.full((6, 4), 9.0))
        before = {k: v.clone() for k, v in pyro.get_param_store().items()}
        state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        learner = make_learner()
        learner.fit(X, Y, X_VAL, Y_VAL)
        assert torch.equal(torch.get_rng_state(), state)
        assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002
        after = dict(pyro.get_param_store().items())
        assert after.keys() == before.keys()
        assert all(torch.equal(after[k], before[k]) for k in before)

    def test_earlier_namesakes_do_not_leak(self):
        lonely = make_learner()
        lonely.fit(X, Y)
        pyro.param("AutoRelaxedSign.natural.layers__0__weight", torch.full((6, 4), 9.0))
        after = make_learner()
        after.fit(X, Y)
        assert_same(lonely, after)

    def test_two_guides_of_one_class(self):
        one, two = make_learner(seed=1), make_learner(seed=2)
        one.fit(X, Y)
        before = copy.deepcopy(parameters(one))
        two.fit(X, Y)
        assert all(torch.equal(before[name], value) for name, value in parameters(one).items())
        site = "layers.0.weight"
        first, second = (lr.guide.natural_parameters()[site] for lr in (one, two))
        assert not torch.equal(first, second)

    def test_an_error_puts_everything_back(self):
        pyro.param("theirs", torch.tensor(2.0))
        state = torch.get_rng_state()
        handler = signal.getsignal(signal.SIGINT)

        def fail(history, checkpoint):
            raise RuntimeError("from the callback")

        with pytest.raises(RuntimeError, match="from the callback"):
            make_learner().fit(X, Y, on_epoch=fail)
        assert torch.equal(torch.get_rng_state(), state)
        assert list(pyro.get_param_store().keys()) == ["theirs"]
        assert signal.getsignal(signal.SIGINT) is handler
