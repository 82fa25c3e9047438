"""What the history records, and its units."""

import math
from functools import partial

import pytest
import torch

from bisnn_pyro.inference import AutoRelaxedSign, AutoStraightThrough, History, Schedule
from bisnn_pyro.models import BernoulliRate, BinaryPrior, SpikingGLM
from tests.inference.learner.fitting import X_VAL, Y_VAL, X, Y, adam, bayes, make_learner


class TestHistory:
    def test_columns_and_csv(self, tmp_path):
        learner = make_learner(
            kind=partial(AutoRelaxedSign, estimator="relaxed", temperature=Schedule(1.0, 0.5, "linear")),
            kl_weight=Schedule(0.2, 1.0, "linear"),
            lr_schedule=Schedule(1.0, 0.1, "exponential"),
            validate_every=2,
        )
        history = learner.fit(X, Y, X_VAL, Y_VAL).history
        assert history.columns == [
            *("epoch", "loss", "nll", "kl", "kl_weight", "temperature", "lr_scale"),
            *("entropy_bits", "kl_time", "unmoved", "saturated", "seconds", "val_nll", "val_accuracy"),
        ]
        assert history.column("epoch") == [1, 2, 3]
        assert [math.isnan(v) for v in history.column("val_nll")] == [True, False, False]
        # The last batch of three in an epoch starts at 2/3 of it: progress 2/9, 5/9, 8/9.
        assert history.column("temperature") == pytest.approx([1 - k / 18 for k in (2, 5, 8)])
        assert history.column("kl_weight") == pytest.approx([0.2 + 0.8 * k / 9 for k in (2, 5, 8)])
        assert history.column("lr_scale") == pytest.approx([0.1 ** (k / 9) for k in (2, 5, 8)])
        history.write_csv(tmp_path / "history.csv")
        assert History.read_csv(tmp_path / "history.csv").rows == history.rows

    def test_a_point_guide_has_no_temperature(self):
        learner = make_learner(kind=AutoStraightThrough, optimisers=adam())
        history = learner.fit(X, Y).history
        assert history.columns == [
            "epoch",
            "loss",
            "nll",
            "kl",
            "kl_weight",
            "lr_scale",
            "unmoved",
            "seconds",
        ]

    def test_lr_scale_reaches_every_group(self):
        optimisers = []

        def make(model, guide):
            optimisers.append(torch.optim.SGD(guide.parameters(), lr=0.4))
            optimisers.append(torch.optim.Adam([torch.zeros(1, requires_grad=True)], lr=0.2))
            return optimisers

        make_learner(optimisers=make, lr_schedule=Schedule(0.5), epochs=1).fit(X, Y)
        assert [opt.param_groups[0]["lr"] for opt in optimisers] == [0.2, 0.1]

    def test_loss_is_per_example(self):
        net = SpikingGLM(4, (6,), BernoulliRate(), readout_gain=0.0, prior=BinaryPrior(0.8))
        learner = make_learner(net, optimisers=bayes(1e-9), epochs=1, batch_size=10)
        (row,) = learner.fit(X, Y).history
        natural = learner.guide.natural_parameters()["layers.0.weight"].double()
        q, p = torch.sigmoid(2 * natural), 0.8
        kl = float((q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()).sum())
        assert row["kl"] == pytest.approx(kl, rel=1e-4)
        assert row["nll"] == pytest.approx(math.log(2), rel=1e-5)
        assert row["loss"] == pytest.approx(math.log(2) + kl / 40, rel=1e-4)
