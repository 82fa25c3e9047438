"""``bisnn certify`` on tiny runs."""

import json
import math

import pytest
import torch

from bisnn_pyro import load_run
from bisnn_pyro.derived.certify import certify
from bisnn_pyro.errors import RunFolderError
from tests.experiments.test_prior_from_a_run import made


def test_a_fair_prior_needs_no_other_run(bisnn, tmp_path):
    path = made(tmp_path, "network.normalise=false", "train.other_lr=0", "experiment=fair")
    done = bisnn("certify", path, "--draws", 60, "--out", tmp_path / "c.json")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "c.json").read_text())
    fitted = load_run(path)
    # log 2 less the entropy of each synapse, in nats.
    p = [torch.sigmoid(2 * natural.double()) for natural in fitted.guide.natural_parameters().values()]
    kl = sum(float((math.log(2) + torch.xlogy(q, q) + torch.xlogy(1 - q, 1 - q)).sum()) for q in p)
    assert found["certificate"]["kl"] == pytest.approx(kl, rel=1e-6)
    assert found["certificate"]["n"] == fitted.config.data.n_train == 60
    assert found["holds"]


@pytest.mark.parametrize(
    ("method", "changes", "words"),
    [
        ("bayes", ["guide.components=2"], "mixture of posteriors"),
        ("mixed", ["method.mixed.guide.name=rank-one"], "mixture of posteriors"),
        ("straight-through", [], "point estimate"),
    ],
)
def test_only_single_posteriors(method, changes, words, bisnn, tmp_path):
    path = made(tmp_path, *changes, "experiment=other", method=method)
    done = bisnn("certify", path, "--draws", 60)
    assert done.returncode != 0
    assert words in " ".join(done.stderr.split())


def test_certificate(bisnn, tmp_path):
    first = made(tmp_path, "train.share=[0,0.5]", "experiment=first")
    prior = ["prior.name=posterior", f"prior.run={first}", "guide.start=prior"]
    second = made(tmp_path, *prior, "train.share=[0.5,1]", "experiment=second")
    done = bisnn("certify", second, "--draws", 60, "--out", tmp_path / "c.json")
    assert done.returncode == 0, done.stderr
    assert "n = 30" in done.stdout
    found = json.loads((tmp_path / "c.json").read_text())
    own = found["certificate"]
    assert own["draws"] == 60
    assert own["empirical_risk"] <= own["risk_bound"] <= own["bound"] <= 1
    assert own["kl"] > 0
    with pytest.raises(RunFolderError, match=r"depend on the certified examples"):
        certify(first)  # its normalisation was learned on them
    overlapping = made(tmp_path, *prior, "train.share=[0.4,1]", "experiment=third")
    with pytest.raises(RunFolderError, match=r"same examples"):
        certify(overlapping)
    learned = made(tmp_path, *prior, "train.share=[0.5,1]", "train.other_lr=0.1", "experiment=fourth")
    with pytest.raises(RunFolderError, match=r"depend on the certified examples"):
        certify(learned)
