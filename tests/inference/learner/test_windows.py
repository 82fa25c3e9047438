"""Windows: their terms add up to the whole sequence's, and each is one update."""

import math

import pytest
import torch

from bisnn_pyro.inference import AutoStraightThrough, MeanFieldELBO
from bisnn_pyro.models import BernoulliRate, BinaryPrior, SpikingGLM, Window
from tests.inference.learner.fitting import X_VAL, Y_VAL, X, Y, assert_same, bayes, make_learner
from tests.inference.tiny import LIKELIHOODS, make_network, make_spikes, make_targets


class TestWindows:
    @pytest.mark.parametrize("likelihood", sorted(LIKELIHOODS))
    @pytest.mark.parametrize("credit", ["local", "end-to-end"])
    @pytest.mark.parametrize("width", [1, 3, 8])
    def test_data_terms_add_up_to_the_whole(self, likelihood, credit, width):
        # A point guide: every window sees the same weights.  Rates are not linear in the steps: a rate
        # likelihood's windows add up to the whole only where the read-out is 0.
        rate = likelihood in ("bernoulli-rate", "categorical-rate", "gaussian")
        options = {"readout_gain": 0.0} if rate else {}
        net = make_network(likelihood, hidden=(5, 4), credit=credit, burn_in=2, **options)
        guide = AutoStraightThrough(net)
        spikes, y = make_spikes(), make_targets(likelihood)
        guide.initialize(spikes, y)
        elbo = MeanFieldELBO()
        whole = elbo.free_energy(net, guide, spikes, y)
        state = net.simulate(guide.mode(), spikes[:2]).state
        nll = 0.0
        for start in range(2, 10, width):
            part = spikes[start : start + width]
            window = Window(start=start, fraction=len(part) / 8)
            energy = elbo.free_energy(net, guide, part, y, state=state, window=window)
            state = energy.output.state
            nll += energy.nll.item()
        assert nll == pytest.approx(whole.nll.item(), rel=1e-5)

    @pytest.mark.parametrize("width", [12, 50])
    def test_a_window_of_the_whole_sequence_is_the_whole(self, width):
        one, other = make_learner(window=width), make_learner()
        for learner in (one, other):
            learner.fit(X, Y)
        assert_same(one, other)

    @pytest.mark.parametrize(("width", "updates"), [(None, 1), (1, 10), (3, 4), (5, 2), (10, 1), (50, 1)])
    @pytest.mark.parametrize("particles", [1, 2])
    def test_number_of_updates(self, width, updates, particles):
        net = SpikingGLM(4, (6,), BernoulliRate(), burn_in=2)
        steps = []

        class Counting(torch.optim.SGD):
            def step(self, closure=None):
                steps.append(1)
                return super().step(closure)

        def make(model, guide):
            return [Counting(guide.parameters(), lr=1e-3)]

        options = {"epochs": 2, "batch_size": 20, "window": width, "particles": particles}
        learner = make_learner(net, optimisers=make, **options)
        result = learner.fit(X, Y)
        assert len(steps) == 2 * 2 * updates
        assert len(result.history) == 2

    @pytest.mark.parametrize("scale", [None, 1.0, 0.0])
    def test_reported_loss(self, scale):
        # All read-outs 0: the data term is log 2 an example whatever the windows, and lr ~ 0 fixes the KL.
        net = SpikingGLM(4, (6,), BernoulliRate(), readout_gain=0.0, prior=BinaryPrior(0.8))
        learner = make_learner(
            net,
            optimisers=bayes(1e-9),
            window=4,
            window_kl_scale=scale,
            epochs=1,
            batch_size=10,
            kl_weight=0.5,
        )
        (row,) = learner.fit(X, Y).history
        assert row["nll"] == pytest.approx(math.log(2), rel=1e-5)
        # Three windows: 3 KLs at kl_scale = 1, their shares of one by default.
        kls = {None: 1.0, 1.0: 3.0, 0.0: 0.0}[scale]
        assert row["loss"] == pytest.approx(row["nll"] + 0.5 * kls * row["kl"] / len(X), rel=1e-5)

    def test_windows_learn(self):
        learner = make_learner(epochs=25, window=4, optimisers=bayes(4.0), batch_size=20)
        assert max(learner.fit(X, Y, X_VAL, Y_VAL).history.column("val_accuracy")) >= 0.9
