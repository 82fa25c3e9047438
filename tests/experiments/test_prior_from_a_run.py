"""A prior that is another run's posterior, on examples that the other run has not seen."""

import shutil

import numpy as np
import pytest
import torch

import bisnn_pyro
from bisnn_pyro.data import handwritten_digits, take_share
from bisnn_pyro.errors import DataError, RunFolderError
from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.run import evaluate_folder, run
from tests.experiments.study_runs import DIGITS, QUIET
from tests.experiments.tiny import TINY

COMMON = [*QUIET, *DIGITS, "analysis.noise=[]", "network.normalise=true"]


def made(folder, *changes, method="bayes"):
    source = folder / "tiny.toml"
    source.write_text(
        TINY.replace("n_train = 24\nn_val = 16\nn_test = 30\n", "").replace("n_neurons = 4\n", "")
    )
    (config,) = plan(str(source), [method], overrides=[*COMMON, *changes])
    return run(config, folder / "runs" / changes[-1].partition("=")[2]).path


@pytest.mark.parametrize("method", ["bayes", "straight-through"])
def test_a_run_from_a_prior(method, tmp_path):
    first = made(tmp_path, "train.share=[0,0.5]", "experiment=first", method=method)
    prior = bisnn_pyro.load_run(first)
    changes = ["train.share=[0.5,1]", "prior.name=posterior", f"prior.run={first}", "prior.scale=0.5"]
    second = made(tmp_path, *changes, "prior.limit=2.0", "guide.start=prior", "experiment=second")
    shutil.rmtree(first)
    fitted = bisnn_pyro.load_run(second)
    for name, value in prior.guide.natural_parameters().items():
        found = fitted.model.priors()[name].base_dist.natural
        assert torch.equal(found, (0.5 * value).clamp(-2, 2))
        assert (
            float((fitted.guide.natural_parameters()[name] - found).abs().median()) < 0.2
        )  # it started there
    # What is not a synapse is the prior's, bit for bit.
    assert fitted.fixed().keys() == prior.fixed().keys()
    assert all(torch.equal(value, prior.fixed()[name]) for name, value in fitted.fixed().items())
    before = (second / "metrics.json").read_text()
    evaluate_folder(second)
    assert (second / "metrics.json").read_text() == before


def test_another_network_is_refused(tmp_path):
    first = made(tmp_path, "experiment=first")
    with pytest.raises(RunFolderError, match=r"another network.*network.hidden"):
        made(tmp_path, "prior.name=posterior", f"prior.run={first}", "network.hidden=[9]", "experiment=b")


def test_shares_are_disjoint_and_cover_all():
    task = handwritten_digits(n_train=301)
    parts = [take_share(task, *share) for share in ((0, 0.3), (0.3, 0.5), (0.5, 1))]
    rows = np.concatenate([part.train.x for part in parts])
    assert len(rows) == 301
    assert np.array_equal(np.unique(rows, axis=0), np.unique(task.train.x, axis=0))
    assert len({part.train.fingerprint for part in parts}) == 3
    again = take_share(task, 0, 0.3).train
    assert again.fingerprint == parts[0].train.fingerprint
    with pytest.raises(DataError, match="empty"):
        take_share(task, 0.501, 0.502)
