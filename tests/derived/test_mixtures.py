"""Mixtures of posteriors: components, their votes, files, resuming, and merging finished runs."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from bisnn_pyro import load_run
from bisnn_pyro.derived.merge import merge
from bisnn_pyro.errors import ConfigError, DataError, RunFolderError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.components import component_configs
from bisnn_pyro.experiments.run import evaluate_folder, run
from bisnn_pyro.inference import History, Prediction, interleaved
from tests.experiments.tiny import TINY

CHANGES = ["analysis.figures=false", "analysis.noise=[]", "train.epochs=2", "predict.draws=6"]
X = np.random.default_rng(0).uniform(0.1, 0.9, (7, 2)).astype(np.float32)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("mixtures") / "tiny.toml"
    path.write_text(TINY)
    return str(path)


def config(tiny, method="bayes", seed=0, *changes):
    return plan(tiny, [method], [seed], [*CHANGES, *changes])[0]


@pytest.fixture(scope="module", params=["bayes", "straight-through", "full-precision"])
def made(tiny, tmp_path_factory, request):
    """Two single runs, the mixture trained with their seeds, and the mixture merged of them."""
    folder = tmp_path_factory.mktemp(request.param)
    own = [run(config(tiny, request.param, seed), folder) for seed in (0, 1)]
    both = run(config(tiny, request.param, 0, "guide.components=2", "guide.seeds=[0, 1]"), folder / "mixture")
    merged = merge([one.path for one in own], folder / "merged")
    return own, both, merged


def test_votes_are_those_of_single_runs_in_turn(made):
    own, both, _ = made
    singles, mixture = [load_run(one.path) for one in own], load_run(both.path)
    n = mixture.n_members(next(iter(mixture.predictors)))
    votes = [one.predict(X, draws=max(n // 2, 1)).draws for one in singles]
    found = mixture.predict(X)
    assert len(found.draws) == n == (6 if "committee" in mixture.predictors else 2)
    for m in range(2):
        assert np.array_equal(found.draws[m::2], votes[m])
    by_hand = (votes[0].mean(0) + votes[1].mean(0)) / 2
    assert np.allclose(found.mean, by_hand, atol=1e-12)
    mode = mixture.predict(X, predictor="mode").draws
    assert np.array_equal(mode, np.concatenate([one.predict(X, predictor="mode").draws for one in singles]))


def test_merged_runs_equal_the_trained_mixture(made):
    own, both, merged = made
    first, second = load_run(both.path), load_run(merged.path)
    for name in first.predictors:
        assert np.array_equal(first.predict(X, predictor=name).draws, second.predict(X, predictor=name).draws)
    assert both.metrics["predictors"] == merged.metrics["predictors"]
    assert both.metrics["weight_bits"] == merged.metrics["weight_bits"]
    assert merged.metrics["method"].endswith("-x2")
    assert [c["seed"] for c in merged.metrics["components"]] == [0, 1]
    seconds = [one.metrics["train_seconds"] for one in own]
    assert merged.metrics["train_seconds"] == pytest.approx(sum(seconds))
    history = History.read_csv(merged.path / "history.csv")
    assert history.column("component") == [0, 0, 1, 1]
    assert [part.rows for part in history.components()] == [
        History.read_csv(one.path / "history.csv").rows for one in own
    ]


def test_a_mixture_merges_with_a_run(made, tiny, tmp_path):
    own, both, _ = made
    third = run(config(tiny, load_run(own[0].path).config.method, 2), tmp_path / "third")
    found = load_run(merge([both.path, third.path], tmp_path / "merged").path)
    flat = load_run(merge([*(one.path for one in own), third.path], tmp_path / "flat").path)
    assert [component.config.seed for component in found.components] == [0, 1, 2]
    assert np.array_equal(found.predict(X).draws, flat.predict(X).draws)


def test_costs_and_summaries_follow(made):
    own, both, _ = made
    single, mixture = load_run(own[0].path), load_run(both.path)
    bits, spikes = both.metrics["weight_bits"], both.metrics["spikes_per_inference"]
    assert bits["mode"] == 2 * own[0].metrics["weight_bits"]["mode"]
    alone = [one.metrics["spikes_per_inference"]["mode"] for one in own]
    assert spikes["mode"] == pytest.approx(sum(alone))
    means = [load_run(one.path).guide.mean() for one in own]
    for name, mean in mixture.mean().items():
        assert torch.allclose(mean, (means[0][name] + means[1][name]) / 2)
        if mixture.guide.binary:
            assert torch.allclose(torch.tanh(mixture.natural_parameters()[name]), mean, atol=1e-6)
    assert single.components[0].config == mixture.components[0].config
    assert mixture.component(1).config.seed == 1


def test_evaluated_again_the_scores_are_the_same(made):
    _, both, _ = made
    again = evaluate_folder(both.path)
    assert again["predictors"] == both.metrics["predictors"]
    assert again["components"] == both.metrics["components"]


def test_early_votes_end_at_the_vote(made):
    mixture = load_run(made[1].path)
    n_steps = mixture.encoder.n_steps
    early = mixture.predict_early(X, [n_steps - 1, n_steps])
    assert np.array_equal(early[-1], mixture.predict(X).draws)


def test_one_component_is_the_plain_run(tiny, tmp_path):
    plain = run(config(tiny), tmp_path / "plain")
    one = run(config(tiny, "bayes", 0, "guide.components=1"), tmp_path / "one")
    assert (plain.path / "posterior.safetensors").read_bytes() == (
        one.path / "posterior.safetensors"
    ).read_bytes()
    assert plain.metrics["predictors"] == one.metrics["predictors"]
    assert plain.metrics.keys() == one.metrics.keys()
    assert "components" not in (plain.path / "config.toml").read_text()


def test_derived_seeds_begin_with_the_runs_own(tiny):
    own = component_configs(config(tiny, "bayes", 3, "guide.components=3"))
    assert own[0] == config(tiny, "bayes", 3)
    assert len({one.seed for one in own}) == 3
    assert all(replace(one, seed=3) == own[0] for one in own)


def test_wrong_settings_are_refused(tiny, made):
    with pytest.raises(ConfigError, match="at least one member"):
        config(tiny, "bayes", 0, "guide.components=7")
    with pytest.raises(ConfigError, match="one seed for each"):
        config(tiny, "bayes", 0, "guide.components=2", "guide.seeds=[1]")
    with pytest.raises(ConfigError, match="at least 1"):
        config(tiny, "bayes", 0, "guide.components=0")
    mixture = load_run(made[1].path)
    if "committee" in mixture.predictors:
        with pytest.raises(DataError, match="2 components"):
            mixture.predict(X, draws=1)


def test_merge_refuses_runs_that_are_not_alike(tiny, made, tmp_path):
    own, _, _ = made
    with pytest.raises(RunFolderError, match="different training seeds"):
        merge([own[0].path, own[0].path], tmp_path / "out")
    method = own[0].metrics["method"]
    other = run(config(tiny, method, 2, "train.batch_size=17"), tmp_path)
    with pytest.raises(RunFolderError, match=r"train\.batch_size"):
        merge([own[0].path, other.path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_interrupted_mixture_resumes_bit_for_bit(tiny, tmp_path, monkeypatch):
    from bisnn_pyro.experiments import run as module

    settings = config(tiny, "bayes", 0, "guide.components=2", "train.checkpoint_every=1")
    whole = run(settings, tmp_path / "whole")
    write, count = module._Checkpoints.write, []

    def stopping(self, learner):
        write(self, learner)
        count.append(0)
        if len(count) == 4:  # after the first epoch of the second component
            raise KeyboardInterrupt

    monkeypatch.setattr(module._Checkpoints, "write", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "cut")
    monkeypatch.undo()
    resumed = run(settings, tmp_path / "cut", resume=True)
    name = "posterior.safetensors"
    assert (resumed.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert resumed.metrics["predictors"] == whole.metrics["predictors"]


def test_noise_of_a_mixture_keeps_its_variance():
    votes = [Prediction(np.zeros((1, 1)), noise_scale=3.0), Prediction(np.ones((1, 1)), noise_scale=4.0)]
    found = interleaved(votes)
    assert found.draws.tolist() == [[0.0], [1.0]]
    assert found.noise_scale == pytest.approx(np.sqrt((9 + 16) / 2))


def test_merge_command(tiny, tmp_path):
    own = [run(config(tiny, "straight-through", seed), tmp_path).path for seed in (0, 1)]
    command = [sys.executable, "-c", "from bisnn_pyro.cli import main; main()", "merge", *map(str, own)]
    command += ["--out", str(tmp_path / "m")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "straight-through-x2-seed0" in done.stdout
    assert load_run(tmp_path / "m" / "straight-through-x2-seed0").n_members("mode") == 2
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 2
    assert "--overwrite" in again.stderr


def test_a_rank_one_mixture_is_a_run_like_others(tiny, tmp_path):
    changes = ["method.rank-one.guide.name='rank-one'", "method.rank-one.guide.components=2"]
    done = run(plan(tiny, ["rank-one"], [0], [*CHANGES, *changes])[0], tmp_path)
    fitted = load_run(done.path)
    assert not fitted.others
    assert fitted.guide.components == 2
    assert fitted.config.rule.name == "adam"
    again = evaluate_folder(done.path)
    assert again["predictors"] == done.metrics["predictors"]
