"""Bad values are named: losses and parameters that are not finite, data, settings."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch

from bisnn_pyro.errors import DataError, DivergenceError, ModelError
from bisnn_pyro.inference import TrainSettings
from bisnn_pyro.models import BernoulliRate, CategoricalRate, Gaussian, SpikingGLM
from tests.inference.learner.fitting import X_VAL, Y_VAL, X, Y, make_learner
from tests.inference.tiny import encode_current


class _BadBernoulli(dist.Bernoulli):
    bad = math.nan

    def log_prob(self, value):
        return super().log_prob(value) * self.bad


class _Poisoned(BernoulliRate):
    """A likelihood whose log-probabilities are not finite."""

    bad = math.nan

    def distribution(self, readout, y, window):
        return type("Bad", (_BadBernoulli,), {"bad": self.bad})(logits=readout.mean(-2).squeeze(-1))


class TestDivergence:
    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_bad_likelihood_is_named(self, bad):
        likelihood = _Poisoned()
        likelihood.bad = bad
        net = SpikingGLM(4, (6,), likelihood)
        with pytest.raises(DivergenceError, match=r"epoch 1: the loss is not finite: 'y' = (nan|-?inf)"):
            make_learner(net).fit(X, Y)

    def test_bad_local_loss_is_named(self):
        # Pyro's own checks refuse the NaN first, with a ValueError that names nothing.
        net = SpikingGLM(4, (6, 5), BernoulliRate())

        def poison(history, checkpoint):
            net.local_likelihood(0).distribution = _Poisoned().distribution

        with pytest.raises(
            DivergenceError, match="epoch 2: the loss is not finite: 'local_0' = nan"
        ) as caught:
            make_learner(net).fit(X, Y, on_epoch=poison)
        assert "'y'" not in str(caught.value)

    @pytest.mark.parametrize("likelihood", [lambda: CategoricalRate(2), Gaussian, BernoulliRate])
    def test_bad_read_out_is_named(self, likelihood):
        net = SpikingGLM(4, (6,), likelihood())

        def poison(history, checkpoint):
            net.random_readout_0.fill_(math.nan)

        with pytest.raises(DivergenceError, match="epoch 2: the loss is not finite: 'y' = nan"):
            make_learner(net).fit(X, Y.float() if likelihood is Gaussian else Y, on_epoch=poison)

    def test_other_value_errors_stay_what_they_are(self):
        class Shifted(BernoulliRate):
            def target(self, y, n_steps, window):
                return super().target(y, n_steps, window) + 1

        with pytest.raises(ValueError, match="support") as caught:
            make_learner(SpikingGLM(4, (6,), Shifted())).fit(X, Y)
        assert not isinstance(caught.value, DivergenceError)

    @pytest.mark.parametrize("likelihood", [lambda: CategoricalRate(2), BernoulliRate])
    @pytest.mark.parametrize("wrong", [Y + 1, Y - 1, Y + 0.5, Y.to(torch.complex64)])
    def test_labels_of_other_classes_are_refused(self, likelihood, wrong):
        with pytest.raises(DataError, match=r"y has (labels from|type)"):
            make_learner(SpikingGLM(4, (6,), likelihood())).fit(X, wrong)

    @pytest.mark.parametrize("x", [X.tolist(), X.numpy().astype(object)])
    def test_inputs_that_are_not_numbers_are_refused(self, x):
        with pytest.raises(DataError, match=r"x (is a list|has type object)"):
            make_learner(SpikingGLM(4, (6,), BernoulliRate())).fit(x, Y)

    def test_targets_that_are_not_a_tensor_are_refused(self):
        with pytest.raises(DataError, match="y a ndarray"):
            make_learner(SpikingGLM(4, (6,), BernoulliRate())).fit(X, Y.numpy())

    def test_bad_prior_is_named(self):
        net = SpikingGLM(4, (6,), BernoulliRate())
        learner = make_learner(net)

        def poison(history, checkpoint):
            net.layers[0].prior.natural.fill_(math.inf)

        with (
            pyro.validation_enabled(False),
            pytest.raises(
                DivergenceError, match=r"epoch 2: the loss is not finite: 'layers\.0\.weight' = (nan|inf)"
            ),
        ):
            learner.fit(X, Y, on_epoch=poison)

    def test_bad_parameter_is_named(self):
        class Poisonous(torch.optim.SGD):
            def step(self, closure=None):
                with torch.no_grad():
                    self.param_groups[0]["params"][0].fill_(math.nan)

        learner = make_learner(optimisers=lambda model, guide: [Poisonous(guide.parameters(), lr=0.1)])
        with pytest.raises(DivergenceError, match=r"parameter 'natural\.layers\.0\.weight' is not finite"):
            learner.fit(X, Y)

    def test_bad_features(self):
        x = X.clone()
        x[7, 1] = math.nan
        with pytest.raises(DataError, match=r"x .*not finite"):
            make_learner(encode=encode_current).fit(x, Y)

    def test_bad_targets(self):
        y = Y.double()
        y[3] = math.inf
        net = SpikingGLM(4, (6,), Gaussian())
        with pytest.raises(DataError, match=r"y .*not finite"):
            make_learner(net, encode=encode_current).fit(X, y)


class TestErrors:
    def test_lengths(self):
        with pytest.raises(DataError, match="40 examples and y 39"):
            make_learner().fit(X, Y[:-1])
        with pytest.raises(DataError, match="at least 1"):
            make_learner().fit(X[:0], Y[:0])

    def test_validation_lengths(self):
        with pytest.raises(DataError, match="x_val has 20 examples and y_val 19"):
            make_learner().fit(X, Y, X_VAL, Y_VAL[:-1])
        with pytest.raises(DataError, match="y_val"):
            make_learner().fit(X, Y, X_VAL)

    def test_empty_validation_is_none(self):
        history = make_learner(epochs=1).fit(X, Y, X_VAL[:0], Y_VAL[:0]).history
        assert "val_nll" not in history.columns

    def test_burn_in(self):
        with pytest.raises(ModelError, match="burn_in = 12"):
            make_learner(SpikingGLM(4, (6,), BernoulliRate(), burn_in=12)).fit(X, Y)

    @pytest.mark.parametrize(
        "name",
        [
            *("epochs", "batch_size", "particles", "validate_every", "validation_draws", "reference_size"),
            *("window", "patience"),
        ],
    )
    @pytest.mark.parametrize("value", [0, -3])
    def test_settings(self, name, value):
        with pytest.raises(ModelError, match=f"train.{name} must be at least 1, not {value}"):
            TrainSettings(**{name: value})

    def test_window_kl_scale(self):
        with pytest.raises(ModelError, match="window_kl_scale"):
            TrainSettings(window_kl_scale=-1.0)
        assert TrainSettings(window_kl_scale=0.0).window_kl_scale == 0
