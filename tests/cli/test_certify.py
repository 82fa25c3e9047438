"""``bisnn certify`` on tiny runs."""

import json

import pytest

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.certify import certify
from tests.experiments.test_prior_from_a_run import made


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
