"""Wiring: every purpose of the seed, every field of the binning, units, mini-batches, and the packed path.

Each part below is right by itself; here is what connects them.
"""

from dataclasses import dataclass, fields, replace
from functools import partial

import numpy as np
import pytest
import torch

from bisnn_pyro.data.events.binning import Binning, cache_key
from bisnn_pyro.data.events.layouts import find_classes
from bisnn_pyro.errors import DataError, ModelError
from bisnn_pyro.experiments import tune
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.build import build_task, build_updater
from bisnn_pyro.experiments.components import component_configs
from bisnn_pyro.experiments.fitted import load_run
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.run import fit, new_fit
from bisnn_pyro.inference import (
    AutoRelaxedSign,
    AutoStraightThrough,
    GradientSteps,
    Learner,
    Purpose,
    TrainSettings,
    encode_all,
    posterior_draws,
    predict,
)
from bisnn_pyro.inference.updates import validate
from bisnn_pyro.models import BernoulliRate, EscapeNeuron, SpikingGLM
from bisnn_pyro.models.packed import PackedInput
from tests.data.events.writers import write_class_folders
from tests.inference.tiny import encode_current, encode_spikes, make_points

X, Y = make_points(24)
X_VAL, Y_VAL = make_points(6, seed=1)


# -- the seed: one stream per purpose ------------------------------------------------------------------


class Recorder:
    """An encoder that keeps what it was given and what it made."""

    def __init__(self, encode):
        self.encode, self.calls = encode, []

    def __call__(self, x, generator):
        spikes = self.encode(x, generator)
        self.calls.append((x.clone(), spikes.clone()))
        return spikes

    def made(self, n):
        return torch.cat([spikes for x, spikes in self.calls if len(x) == n], 1)


def learn(seed, *, x=X, encode=encode_spikes, lr=0.01, epochs=2, **network):
    recorder = Recorder(encode)
    model = SpikingGLM(4, [6], BernoulliRate(), **network)
    guide = AutoStraightThrough(model)
    steps = GradientSteps(lambda _, guide: [torch.optim.SGD(guide.parameters(), lr)])
    settings = TrainSettings(epochs=epochs, batch_size=8, reference_size=5)
    Learner(model, guide, recorder, steps, settings, seed=seed).fit(x, Y, X_VAL, Y_VAL)
    return recorder, guide, model


SAME = X[:1].expand(24, -1).clone()
"""Inputs that are all alike, so that the order of the examples does not matter."""


def members(seed):
    guide = learn(0)[1]
    bayes = AutoRelaxedSign(SpikingGLM(4, [6], BernoulliRate()))
    bayes.initialize(torch.zeros(5, 1, 4), torch.zeros(1))
    assert torch.equal(guide.mode()["layers.0.weight"], learn(0)[1].mode()["layers.0.weight"])
    with torch.no_grad():
        bayes.parameter("natural", "layers.0.weight").zero_()
    return bayes.sample_posterior(5, seed=seed)["layers.0.weight"]


def encoding(seed):
    return learn(seed, x=SAME)[0].made(8)


def training(seed):
    """The start, which is drawn in training, kept by steps of size zero."""
    return learn(seed, lr=1e-30)[1].parameter("latent", "layers.0.weight").detach()


def order(seed):
    """The training examples in the order in which they come."""
    recorder = learn(seed, encode=encode_current)[0]
    return torch.cat([x for x, _ in recorder.calls if len(x) == 8])


def hidden_spikes(seed):
    model = SpikingGLM(4, [6], BernoulliRate(), neuron=EscapeNeuron())
    guide = AutoStraightThrough(model)
    torch.manual_seed(0)
    guide.initialize(torch.zeros(5, 1, 4), torch.zeros(1))
    blocks = encode_all(encode_current, X_VAL, 0)
    return torch.from_numpy(predict(model, posterior_draws(guide, 0), blocks, n_draws=1, seed=seed).draws)


def weights_drawn_by_the_caller(seed):
    """Weights of a source that asks torch for random numbers, as a user's own may."""
    model = SpikingGLM(4, [6], BernoulliRate())
    guide = AutoStraightThrough(model)
    torch.manual_seed(0)
    guide.initialize(torch.zeros(5, 1, 4), torch.zeros(1))
    sites = guide.mode()

    def source(first, n):
        return {name: torch.randn(n, *w.shape) for name, w in sites.items()}

    return torch.from_numpy(
        predict(model, source, encode_all(encode_current, X_VAL, 0), n_draws=3, seed=seed).draws
    )


def initialisation(seed):
    return learn(seed)[0].calls[0][1]


def validation(seed):
    """The spikes of the validation points, which are encoded one by one."""
    blocks = [spikes for x, spikes in learn(seed)[0].calls[1:] if len(x) == 1]
    return torch.cat(blocks, 1)[:, : len(X_VAL)]


def validation_draws(seed):
    model = SpikingGLM(4, [6], BernoulliRate())
    guide = AutoRelaxedSign(model, init_scale=0.5)
    torch.manual_seed(0)
    guide.initialize(torch.zeros(5, 1, 4), torch.zeros(1))
    blocks = encode_all(encode_current, X_VAL, 0)
    return torch.tensor(validate(model, guide, blocks, Y_VAL, n_draws=5, seed=seed)["val_nll"])


def reference_examples(seed):
    recorder = learn(seed, encode=encode_current, normalise=True)[0]
    return torch.cat([x for x, _ in recorder.calls if len(x) == 5])


def reference_spikes(seed):
    return learn(seed, x=SAME, normalise=True)[2].reference


def components(seed, source):
    (config,) = plan(source, ["bayes"], [seed], ["guide.components=3"])
    return torch.tensor([own.seed for own in component_configs(config)[1:]])  # the first is the run's own


PURPOSES = {
    Purpose.MEMBERS: (members,),
    Purpose.ENCODING: (encoding,),
    Purpose.TRAINING: (training,),
    Purpose.ORDER: (order,),
    Purpose.HIDDEN_SPIKES: (hidden_spikes, weights_drawn_by_the_caller),
    Purpose.INITIALISATION: (initialisation,),
    Purpose.VALIDATION: (validation, validation_draws),
    Purpose.REFERENCE: (reference_examples, reference_spikes),
    Purpose.COMPONENTS: (components,),
}


def test_every_purpose_has_a_trial():
    assert set(PURPOSES) == set(Purpose)


@pytest.mark.parametrize("trial", [t for trials in PURPOSES.values() for t in trials])
def test_another_seed_changes_it_and_the_same_does_not(trial, source):
    drawn = partial(trial, source=source) if trial is components else trial
    one, again, other = drawn(3), drawn(3), drawn(4)
    assert one.numel() > 0
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_the_order_is_a_new_permutation_in_every_epoch():
    examples = order(0)
    first, second = examples[:24], examples[24:]
    assert not torch.equal(first, X)
    assert not torch.equal(first, second)
    for epoch in (first, second):
        assert torch.equal(epoch[epoch[:, 0].argsort()], X[X[:, 0].argsort()])


def test_blocks_and_reference_batches_differ_as_they_should():
    recorder = learn(0, x=SAME, normalise=True)[0]
    batches = [spikes for x, spikes in recorder.calls if len(x) == 8]
    assert len(batches) == 6  # three per epoch, each with spikes of its own, though all inputs are alike
    assert not any(torch.equal(a, b) for k, a in enumerate(batches) for b in batches[:k])
    # The reference batch is five different training examples.
    chosen = reference_examples(0)
    assert len(chosen) == 5
    assert len(chosen.unique(dim=0)) == 5
    assert all(bool((row == X).all(1).any()) for row in chosen)
    # An example has the same spikes in whichever block it is encoded.
    whole = torch.cat(list(encode_all(encode_spikes, X, 7)), 1)
    part = torch.cat(list(encode_all(encode_spikes, X[10:], 7)), 1)
    assert torch.equal(whole[:, 10:], part)
    assert not torch.equal(whole[:, :1], whole[:, 1:2])


# -- seeds of a config, each for its own -------------------------------------------------------------


def fitted_with(source, *settings, seed=0):
    (config,) = plan(source, ["bayes"], [seed], ["train.epochs=1", "predict.draws=3", *settings])
    task = build_task(config)
    fitted = new_fit(config, task)
    fit(fitted, task)
    return fitted, task


def test_the_seeds_of_data_training_and_prediction_are_apart(source):
    site = "layers.0.weight"
    first, task = fitted_with(source)
    other_votes, same_task = fitted_with(source, "predict.seed=5")
    natural = first.guide.natural_parameters()[site]
    assert torch.equal(natural, other_votes.guide.natural_parameters()[site])
    x = task.test.x
    assert not np.array_equal(first.predict_scaled(x).draws, other_votes.predict_scaled(x).draws)
    assert np.array_equal(first.predict_scaled(x, seed=5).draws, other_votes.predict_scaled(x).draws)
    spikes, same, other = (
        torch.cat(list(made), 1) for made in (first.encode(x, seed=5), other_votes.encode(x), first.encode(x))
    )
    assert torch.equal(spikes, same)
    assert not torch.equal(spikes, other)
    assert np.array_equal(task.train.x, same_task.train.x)
    other_training, still_same = fitted_with(source, seed=1)
    assert not torch.equal(natural, other_training.guide.natural_parameters()[site])
    assert np.array_equal(task.train.x, still_same.train.x)
    assert not np.array_equal(
        task.train.x, build_task(plan(source, ["bayes"], overrides=["data.seed=1"])[0]).train.x
    )


def test_the_seed_of_a_call_is_heeded(source):
    fitted, task = fitted_with(source)
    scaler = fitted.preprocessing.scaler
    raw = scaler.low + task.test.x * (scaler.high - scaler.low)
    assert np.array_equal(fitted.predict(raw, seed=1).draws, fitted.predict(raw, seed=1).draws)
    assert not np.array_equal(fitted.predict(raw, seed=1).draws, fitted.predict(raw).draws)
    first, other = (fitted.predict_early(raw, [12], seed=seed) for seed in (None, 1))
    assert not np.array_equal(first, other)


def test_a_call_refuses_what_is_no_number(source):
    fitted, task = fitted_with(source)
    x = task.test.x[:2]
    for draws in (0, -1, 1.5, True, "3"):
        with pytest.raises(DataError, match=r"draws is .*; expected a whole number of at least 1"):
            fitted.predict(x, draws=draws)
    for seed in (-1, 1.5, True, "3"):
        with pytest.raises(ModelError, match=r"seed is .*; expected a whole number of at least 0"):
            fitted.predict(x, seed=seed)
    for steps in (5, None, ["12"], [12.0], [True], "12"):
        with pytest.raises(ModelError, match="give a list of whole numbers"):
            fitted.predict_early(x, steps)
    assert len(fitted.predict(x, draws=np.int64(2), seed=np.int64(2**40)).draws) == 2


# -- one cache key per field of the binning ------------------------------------------------------------

BINNING = Binning(5.0, 30, crop=(0, 0, 32, 32), downsample=1)
OTHER = {
    "time_step": 10.0,
    "n_steps": 31,
    "start": 1.0,
    "crop": (1, 0, 32, 32),
    "downsample": 2,
    "polarity": "merge",
    "zero": "first-event",
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return find_classes(write_class_folders(tmp_path_factory.mktemp("events") / "rec", n=1), sensor=(34, 34))


@pytest.mark.parametrize("name", [f.name for f in fields(Binning)])
def test_every_field_of_the_binning_is_in_the_cache_key(name, recordings):
    other = replace(BINNING, **{name: OTHER[name]})
    assert getattr(other, name) != getattr(BINNING, name)
    assert cache_key(recordings, other) != cache_key(recordings, BINNING)
    assert cache_key(recordings, replace(BINNING)) == cache_key(recordings, BINNING)


def test_the_sensor_is_in_the_cache_key(recordings):
    wider = replace(recordings, sensor=(34, 35))
    assert cache_key(wider, BINNING) != cache_key(recordings, BINNING)


# -- units at the public boundary ----------------------------------------------------------------------


def test_predictions_of_a_regression_are_in_the_units_of_the_targets(curves):
    fitted = load_run(curves[0])
    scaler = fitted.preprocessing.target_scaler
    low, high = float(scaler.low), float(scaler.high)
    assert high - low not in (0.0, 1.0)
    task = build_task(fitted.config)
    inputs = fitted.preprocessing.scaler
    raw = task.test.x[:7] if inputs is None else inputs.low + task.test.x[:7] * (inputs.high - inputs.low)
    found, scaled = fitted.predict(raw), fitted.predict_scaled(task.test.x[:7])
    np.testing.assert_allclose(found.draws, low + (high - low) * scaled.draws, rtol=1e-5)
    assert found.noise_scale == pytest.approx((high - low) * scaled.noise_scale)
    assert found.noise_scale != pytest.approx(scaled.noise_scale)
    steps = [fitted.encoder.n_steps]
    np.testing.assert_allclose(fitted.predict_early(raw, steps)[0], found.draws, rtol=1e-4)


# -- a tuning trial ------------------------------------------------------------------------------------


@dataclass
class Result:
    history: list
    seconds: float = 1.0
    interrupted: bool = False


def test_a_tuning_trial_is_scored_by_its_best_epoch(source, monkeypatch, tmp_path):
    rows = [{"val_nll": 0.7}, {"loss": 0.1}, {"val_nll": 0.3}, {"val_nll": 0.9}]
    monkeypatch.setattr(tune, "fit", lambda *a, **k: [Result(rows)])
    folder = tune.tune(source, 2, tmp_path / "tune", methods=["bayes"])
    scores = np.genfromtxt(folder / "trials.csv", delimiter=",", names=True, dtype=None, encoding="utf-8")
    assert scores["val_nll"].tolist() == [0.3, 0.3]


# -- the packed path -----------------------------------------------------------------------------------


def test_graded_inputs_that_change_over_time_are_packed_step_by_step():
    graded = torch.rand(6, 3, 4, generator=torch.Generator().manual_seed(0))
    packed = PackedInput.of(graded)
    assert packed.bits is None
    assert packed.n_steps == 6
    assert torch.equal(packed.current, graded)
    constant = PackedInput.of(graded[:1].expand(6, -1, -1))
    assert (constant.n_steps, len(constant.current)) == (6, 1)


class Simulated(SpikingGLM):
    """The same network, which is never packed."""


@pytest.mark.parametrize("kind", ["graded", "constant", "spikes"])
def test_the_packed_path_votes_as_the_simulation(kind):
    graded = torch.rand(9, 5, 4, generator=torch.Generator().manual_seed(1))
    constant = graded[:1].expand(9, -1, -1)
    inputs = {"graded": graded, "constant": constant, "spikes": (graded < 0.4).float()}[kind]
    torch.manual_seed(0)
    packed, simulated = (kind(4, [6], BernoulliRate(), gain=3.0).eval() for kind in (SpikingGLM, Simulated))
    simulated.load_state_dict(packed.state_dict())
    guide = AutoRelaxedSign(packed)
    guide.initialize(inputs, torch.zeros(5))
    draws = posterior_draws(guide, 0)
    found, expected = (predict(m, draws, [inputs], n_draws=6, seed=0) for m in (packed, simulated))
    assert found.path.startswith("packed")
    assert not expected.path.startswith("packed")
    np.testing.assert_allclose(found.draws, expected.draws, atol=1e-5)
    assert np.ptp(found.draws) > 1e-3


# -- from the data to the learner, and from a config to its parts ---------------------------------------


def test_each_part_of_the_data_goes_to_its_place(source, monkeypatch):
    given = []
    monkeypatch.setattr(Learner, "fit", lambda self, *arrays, **_: given.append(arrays) or Result([]))
    (config,) = plan(source, ["bayes"])
    task = build_task(config)
    fit(new_fit(config, task), task)
    ((x, y, x_val, y_val),) = given
    for split, own, targets in ((task.train, x, y), (task.val, x_val, y_val)):
        assert np.array_equal(np.asarray(own), split.x)
        assert np.array_equal(np.asarray(targets), split.y)


def test_the_constant_predictor_is_that_of_the_training_set(curves):
    fitted = load_run(curves[0])
    task = build_task(fitted.config)
    stored = RunFolder(curves[0]).read_json("metrics.json")
    assert stored["constant_predictor"]["mean"] == pytest.approx(float(task.train.y.mean()), abs=1e-6)
    assert stored["constant_predictor"]["scale"] == pytest.approx(float(task.train.y.std()), abs=1e-6)
    rmse = np.sqrt(np.square(task.test.y - task.train.y.mean()).mean())
    assert stored["constant"]["rmse"] == pytest.approx(float(rmse), abs=1e-6)


def test_the_prior_and_the_sizes_reach_the_rule(source):
    settings = ['rule.name="bimu"', "prior.p=0.8", "train.kl_weight=0", "train.batch_size=7"]
    (config,) = plan(source, ["bayes"], overrides=settings)
    task = build_task(config)
    fitted = new_fit(config, task)
    fitted.model.dataset_size = 24
    updater = build_updater(config, TrainSettings(batch_size=7, kl_weight=0.0))
    fitted.guide.initialize(torch.zeros(12, 1, fitted.encoder.n_inputs(2)), torch.zeros(1))
    (rule,) = updater.make_optimisers(fitted.model, fitted.guide)
    (group,) = rule.param_groups
    assert group["prior"] == pytest.approx(0.5 * np.log(0.8 / 0.2))
    assert (group["memory"], group["likelihood_multiplier"]) == (24, 7)
