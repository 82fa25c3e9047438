"""Schemes of a committee, its sharpening and the pruned network, in runs and read back."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import bisnn_pyro
from bisnn_pyro.analysis import negative_log_likelihood, scale_temperature
from bisnn_pyro.errors import ConfigError, ModelError
from bisnn_pyro.experiments import config as settings, predictors
from bisnn_pyro.experiments.build import build_task
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.predictors import FACTORS, Sharpened, fit_sharpness
from bisnn_pyro.experiments.run import evaluate_folder, run
from bisnn_pyro.experiments.store import Store
from bisnn_pyro.inference import (
    AutoMeanFieldGaussian,
    AutoRelaxedSign,
    AutoStraightThrough,
    Prediction,
    stratified,
)
from bisnn_pyro.models import CategoricalRate, NormalPrior, SpikingGLM
from bisnn_pyro.models.packed import why_not_packed
from bisnn_pyro.results import Runs, compare
from tests.experiments.changing import change_config
from tests.experiments.tiny import TINY

SHARP = ("analysis.sharpening=true", "analysis.temperature_scaling=true")
NAMES = ["committee", "mode", "mean", "pruned", "committee-sharpened"]


def source_in(folder):
    """Write the tiny experiment and return its path."""
    (folder / "tiny.toml").write_text(TINY)
    return str(folder / "tiny.toml")


def run_tiny(source, tmp_path, method, *overrides):
    """Run it with a committee of four and without figures."""
    quick = ("predict.draws=4", "analysis.figures=false", *overrides)
    return run(change_config(source, *quick, method=method), tmp_path / "runs")


@pytest.fixture(scope="module")
def guide():
    """A posterior with sure and doubtful synapses, and its model."""
    model = SpikingGLM(2, [5], CategoricalRate(3))
    guide = AutoRelaxedSign(model, init_scale=2.0)
    torch.manual_seed(0)
    guide.initialize(torch.ones(4, 1, 2), torch.zeros(1).long())
    return model, guide


class TestSharpenedPosterior:
    def test_multiplies_the_natural_parameters_and_nothing_else(self, guide):
        _, guide = guide
        before = guide.natural_parameters()
        twice = guide.sharpened(2.0)
        for name, natural in twice.natural_parameters().items():
            assert torch.equal(natural, 2 * before[name])
            assert torch.equal(guide.natural_parameters()[name], before[name])

    @pytest.mark.parametrize("scheme", stratified.SCHEMES)
    def test_draws_share_their_uniform_numbers(self, guide, scheme):
        """A synapse that has the mode's sign keeps it as the factor grows: u < sigmoid(2 c lambda)."""
        _, guide = guide
        mode, kept = guide.mode(), None
        for factor in (1.0, 2.0, 8.0, 1e4):
            draws = guide.sharpened(factor).sample_posterior(6, seed=1, scheme=scheme)
            same = {name: draws[name] == mode[name] for name in draws}
            if kept is not None:
                assert all(bool((same[name] >= kept[name]).all()) for name in same)
            kept = same
        assert all(bool(k.all()) for k in kept.values())

    def test_refuses_what_has_no_lambda_and_factors_that_are_not_positive(self, guide):
        model, guide = guide
        with pytest.raises(ModelError, match="positive"):
            guide.sharpened(0.0)
        with pytest.raises(ModelError, match="sharpened"):
            AutoStraightThrough(model).sharpened(2.0)
        real = SpikingGLM(2, [5], CategoricalRate(3), prior=NormalPrior())
        assert not Sharpened(2.0).suits(AutoMeanFieldGaussian(real))


def test_a_subclass_that_draws_differently_is_not_stratified(guide):
    class Fixed(AutoRelaxedSign):
        def _draw(self, name, generator):
            return self.mode()[name]

    class Both(Fixed):
        def _quantile(self, name, u):
            return self.mode()[name]

    assert guide[1].stratifies
    assert not Fixed(guide[0]).stratifies
    assert Both(guide[0]).stratifies


def test_the_configs_schemes_are_the_guides():
    assert settings.SCHEMES == stratified.SCHEMES


def test_the_factor_of_least_nll_is_found():
    truth = np.zeros(50, int)
    sure = {1.0: 0.6, 2.0: 0.7, 4.0: 0.9, 8.0: 0.9, 16.0: 0.8, math.inf: 0.3}

    def vote(predictor):
        p = np.full((1, 50), sure[predictor.factor])
        return Prediction(np.stack([p, 1 - p], -1))

    assert tuple(sure) == FACTORS
    assert fit_sharpness(vote, truth) == 4.0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run with a sharpened committee and temperatures."""
    path = tmp_path_factory.mktemp("sharpened")
    return run_tiny(source_in(path), path, "bayes", *SHARP)


def test_the_sharpened_committee_is_in_metrics_store_and_tables(finished):
    metrics = json.loads((finished.path / "metrics.json").read_text())
    expected = [name for base in NAMES for name in (base, f"{base}-scaled")]
    assert list(metrics["predictors"]) == list(metrics["weight_bits"]) == expected
    assert list(metrics["temperatures"]) == NAMES
    fitted = bisnn_pyro.load_run(finished.path)
    assert fitted.sharpness == metrics["sharpness"]
    task = build_task(fitted.config)
    val = fitted.encode(task.val.x)
    scores = [negative_log_likelihood(fitted.vote(Sharpened(c), val).mean, task.val.y) for c in FACTORS]
    assert fitted.sharpness == FACTORS[int(np.argmin(scores))]
    vote = fitted.predict_scaled(task.test.x, predictor="committee-sharpened").mean
    np.testing.assert_allclose(Store.open(finished.path).votes("committee-sharpened"), vote, atol=1e-6)
    scaled = scale_temperature(vote, metrics["temperatures"]["committee-sharpened"])
    nll = metrics["predictors"]["committee-sharpened-scaled"]["nll"]
    assert nll == pytest.approx(negative_log_likelihood(scaled, task.test.y))
    assert set(expected) <= set(Runs(finished.path).scores()["predictor"])
    assert "bayes (committee-sharpened)" in Runs(finished.path).votes("committee-sharpened")
    assert compare([finished.path]).scores is not None
    assert evaluate_folder(finished.path)["predictors"] == metrics["predictors"]


def test_at_factor_one_it_is_the_committee_and_at_infinity_the_mode(finished):
    fitted = bisnn_pyro.load_run(finished.path)
    x = build_task(fitted.config).test.x
    for factor, name, n in ((1.0, "committee", 4), (math.inf, "mode", 1)):
        fitted.sharpness = factor
        found = fitted.predict_scaled(x, predictor="committee-sharpened").draws
        np.testing.assert_array_equal(found, fitted.predict_scaled(x, predictor=name).draws)
        assert fitted.n_members("committee-sharpened") == len(found) == n


def test_a_committee_of_another_size_is_drawn_as_a_whole(finished):
    fitted = bisnn_pyro.load_run(finished.path)
    x = build_task(fitted.config).test.x
    found = fitted.predict_scaled(x, predictor="committee", draws=3)
    blocks, seed = fitted.encode(x), fitted.config.predict.seed
    members = fitted.guide.sample_posterior(3, seed=seed, scheme="latin-hypercube")
    expected = bisnn_pyro.inference.predict(
        fitted.model,
        lambda first, n: {k: w[first : first + n] for k, w in members.items()},
        blocks,
        n_draws=3,
    )
    np.testing.assert_array_equal(found.draws, expected.draws)
    fitted.config = fitted.config.replace("predict.scheme", "independent")
    other = fitted.predict_scaled(x, predictor="committee", draws=3)
    assert not np.array_equal(found.draws, other.draws)


def test_a_run_from_before_the_keys_keeps_its_votes(tmp_path):
    path = run_tiny(source_in(tmp_path), tmp_path, "bayes", "predict.scheme='independent'").path
    before = json.loads((path / "metrics.json").read_text())["predictors"]
    config = (path / "config.toml").read_text()
    older = [line for line in config.splitlines() if not line.startswith(("scheme =", "sharpening ="))]
    assert len(older) == len(config.splitlines()) - 2
    (path / "config.toml").write_text("\n".join(older))
    RunFolder(path).seal()
    assert bisnn_pyro.load_run(path).scheme == "independent"
    assert evaluate_folder(path)["predictors"] == before


def test_the_pruned_network_is_ternary_and_not_packed(finished):
    fitted = bisnn_pyro.load_run(finished.path)
    predictor = fitted.predictors["pruned"]
    weights = {k: w[0] for k, w in predictor.networks(fitted.guide, 0)(0, 1).items()}
    for name, mean in fitted.guide.mean().items():
        expected = torch.where(mean.abs() < 0.5, 0.0, torch.where(mean < 0, -1.0, 1.0))
        assert torch.equal(weights[name], expected)
    assert "not binary" in why_not_packed(fitted.model, weights)
    assert fitted.predict_scaled(build_task(fitted.config).test.x, predictor="pruned").path == "dense"
    assert predictor.bits_per_synapse(fitted.guide) == 2
    assert not predictor.suits(AutoStraightThrough(fitted.model))
    assert not predictor.suits(AutoMeanFieldGaussian(fitted.model))


def test_a_point_estimate_has_nothing_to_sharpen(tmp_path):
    found = run_tiny(source_in(tmp_path), tmp_path, "straight-through", *SHARP[:1]).metrics
    assert list(found["predictors"]) == ["mode"]
    assert "sharpness" not in found


def test_sharpening_needs_classes_and_validation_points(tmp_path):
    source = source_in(tmp_path)
    config = change_config(source, SHARP[0])
    for kind, val, message in (("regression", [1], "is for class"), ("classification", [], "needs valid")):
        with pytest.raises(ConfigError, match=rf"analysis\.sharpening {message}"):
            predictors.check_fits(config, SimpleNamespace(kind=kind, val=val))
    with pytest.raises(ConfigError, match=r"predict\.scheme"):
        change_config(source, "predict.scheme='latin'")
