"""Checkpoints: four epochs are two and two."""

import copy
from functools import partial

import pytest
import torch

from bisnn_pyro.inference import AutoRelaxedSign, AutoStraightThrough, Schedule
from bisnn_pyro.models import BernoulliRate, EscapeNeuron, SpikingGLM
from tests.inference.learner.fitting import (
    X_VAL,
    Y_VAL,
    X,
    Y,
    adam,
    assert_same,
    make_learner,
    normalised_net,
    without_seconds,
)

ANNEALED = partial(AutoRelaxedSign, estimator="relaxed", temperature=Schedule(1.0, 0.3, "exponential"))
SCHEDULES = {
    "kl_weight": Schedule(0.1, 1.0, "linear"),
    "lr_schedule": Schedule(1.0, 0.1, "cosine", warmup=0.1),
}


class TestResume:
    @pytest.mark.parametrize("validation", [True, False])
    @pytest.mark.parametrize(
        "case",
        [
            {"kind": ANNEALED, **SCHEDULES},
            {"kind": ANNEALED, "particles": 2, "window": 5, **SCHEDULES},
            {"kind": AutoRelaxedSign, "make_net": normalised_net, "optimisers": adam(0.02)},
            {"kind": AutoStraightThrough, "optimisers": adam(), "input_noise": 0.1},
            {
                "kind": AutoRelaxedSign,
                "make_net": lambda: SpikingGLM(4, (6,), BernoulliRate(), neuron=EscapeNeuron()),
                "patience": 1,
            },
        ],
        ids=["bayes-schedules", "windows", "normalised", "adam-noise", "stochastic-neurons"],
    )
    def test_four_epochs_are_two_and_two(self, case, validation, tmp_path):
        case = dict(case)
        make_net = case.pop("make_net", lambda: None)
        args = (X, Y, X_VAL, Y_VAL) if validation else (X, Y)
        whole = make_learner(make_net(), epochs=4, seed=5, **case)
        files = []

        def keep(history, checkpoint):
            files.append(tmp_path / f"{len(history)}.pt")
            torch.save(checkpoint(), files[-1])

        expected = whole.fit(*args, on_epoch=keep)
        saved = torch.load(files[min(1, len(files) - 1)], weights_only=True)
        torch.manual_seed(77)
        rest = make_learner(make_net(), epochs=4, seed=5, **case)
        result = rest.fit(*args, resume=saved)
        assert without_seconds(result.history) == without_seconds(expected.history)
        assert result.best_epoch == expected.best_epoch
        assert_same(whole, rest)

    def test_a_checkpoint_is_a_snapshot(self):
        snapshots = []

        def keep(history, checkpoint):
            snapshots.append((checkpoint(), copy.deepcopy(checkpoint())))

        make_learner().fit(X, Y, on_epoch=keep)
        for kept, at_the_time in snapshots:
            assert kept["epoch"] == at_the_time["epoch"]
            assert all(torch.equal(v, at_the_time["guide"][k]) for k, v in kept["guide"].items())
        assert [kept["epoch"] for kept, _ in snapshots] == [1, 2, 3]

    def test_resuming_a_finished_run_changes_nothing(self):
        checkpoints = []
        learner = make_learner()
        expected = learner.fit(X, Y, on_epoch=lambda history, checkpoint: checkpoints.append(checkpoint()))
        again = make_learner()
        result = again.fit(X, Y, resume=checkpoints[-1])
        assert result.history.rows == expected.history.rows
        assert_same(learner, again)
