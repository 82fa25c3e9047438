"""The page as a file: what it says against the run folders, that it stands alone, and what is refused."""

import base64
import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import bisnn_pyro
from bisnn_pyro.analysis import calibration_metrics
from bisnn_pyro.experiments.store import Store
from bisnn_pyro.results import compare
from bisnn_pyro.results.report import page as writing

from .conftest import N_BOOT
from .reading import Page

SECTIONS = ["Warnings", "What was run", "Data", "Scores", "Calibration", "Risk and coverage", "Uncertainty"]
SECTIONS += ["Size of the committee", "Training", "Agreement of seeds", "Posterior", "Cost of an inference"]
SECTIONS += ["Environment"]


@pytest.fixture(scope="module")
def read(page):
    return Page(page.read_text(encoding="utf-8"))


def test_sections_stand_in_order_and_links_lead_to_them(read):
    assert [h for h in read.headings if h in SECTIONS] == SECTIONS
    assert len(set(read.ids)) == len(read.ids)
    assert {link.removeprefix("#") for link in read.links} == set(read.ids)


def test_nothing_is_loaded_from_elsewhere(page, read):
    assert all(link.startswith("#") for link in read.links)
    assert len(read.sources) == 7
    assert all(source.startswith("data:image/svg+xml;base64,") for source in read.sources)
    assert not {tag for tag, _ in read.tags} & {"script", "link", "iframe", "object", "embed", "base"}
    text = page.read_text(encoding="utf-8")
    assert not re.search(r"url\(|@import|\bon\w+=", text)
    for source in read.sources:
        picture = base64.b64decode(source.split(",")[1]).decode()
        root = ElementTree.fromstring(picture)
        refers = [v for e in root.iter() for k, v in e.attrib.items() if k.split("}")[-1] in ("href", "src")]
        assert all(reference.startswith("#") for reference in refers)
        assert not re.search(r"url\((?!#)", picture)
        assert "<text" not in picture  # outlines: no font is looked for


def test_every_picture_has_words_in_its_place(read):
    assert all(a["alt"] for tag, a in read.tags if tag == "img")


def test_scores_are_those_of_compare_and_of_the_runs(finished, read):
    expected = compare([finished], n_resamples=N_BOOT)
    cells = [line[1:] for line in (expected.scores.header, *expected.scores.body)]  # one experiment
    assert read.tables["Scores on the test points, over seeds"] == [list(line) for line in cells]
    found = read.tables["Paired differences"]
    assert found == [list(line) for line in (expected.differences.header, *expected.differences.body)]
    records = [json.loads((finished / f"bayes-seed{k}" / "metrics.json").read_text()) for k in (0, 1)]
    mean = np.mean([record["predictors"]["mode"]["nll"] for record in records])
    line = next(line for line in cells if line[:2] == ["bayes", "mode"])
    assert line[cells[0].index("nll")].startswith(f"{mean:.4f} ±")


def test_calibration_from_the_draws_of_the_runs(finished, read):
    probs, y = [], None
    for k in (0, 1):
        store = Store.open(finished / f"bayes-seed{k}")
        probs.append(store.members().mean(0))
        y = store.targets
    header, *each = read.tables["Calibration of each seed"]
    for k, own in enumerate(probs):
        line = next(line for line in each if line[:3] == ["bayes", "committee", str(k)])
        expected = calibration_metrics(own, y)
        for name, cell in zip(header[3:], line[3:], strict=True):
            assert float(cell) == pytest.approx(expected[name], abs=2e-4), name
    header, *parts = read.tables["Brier score and its parts, over seeds, on 30 test points"]
    for name in header[3:]:
        mean = np.mean([calibration_metrics(own, y)[name] for own in probs])
        assert float(parts[0][header.index(name)].split()[0]) == pytest.approx(mean, abs=2e-4), name
    header, *pooled = read.tables["Calibration with the seeds pooled"]
    both = calibration_metrics(np.concatenate(probs), np.concatenate([y, y]))
    assert pooled[0][:3] == ["bayes", "committee", "60"]
    assert float(pooled[0][header.index("ece")]) == pytest.approx(both["ece"], abs=2e-4)
    assert "ece_calibrated" not in header  # seeds share their points


def test_what_was_run_and_on_what(finished, read):
    settings = {line[0]: line[1:] for line in read.tables["Settings in which they differ"]}
    assert settings["guide.name"] == ["relaxed", "straight-through"]
    assert settings["rule.lr"] == ["1.2", "0.01"]
    assert settings["guide.estimator"] == ["second-order", "–"]  # a key that the other guide does not have
    assert dict(read.tables["Settings that they share"])["data.n_train"] == "24"
    assert read.tables["Methods and their runs"][1][:5] == ["tiny", "bayes", "relaxed", "0-1", "2"]
    assert read.tables["Data set 'two-moons'"][1] == ["classification", "2", "2", "24", "16", "30", "6.67%"]
    assert read.tables["Points of each class"][1:] == [["0", "12", "8", "15"], ["1", "12", "8", "15"]]
    recorded = json.loads((finished / "bayes-seed0" / "environment.json").read_text())
    found = dict(read.tables["What the runs recorded"])
    assert found["python"] == recorded["python"]
    assert found["packages torch"] == recorded["packages"]["torch"]


def test_posterior_and_training_tables(finished, read):
    header, *layers = read.tables["Posterior of each layer, over seeds"]
    assert [line[1] for line in layers] == ["layers.0.weight", "layers.1.weight"]
    assert layers[0][header.index("n_synapses")] == "64"
    record = json.loads((finished / "straight-through-seed1" / "metrics.json").read_text())
    header, *ended = read.tables["How each run ended"]
    line = next(line for line in ended if line[0] == "straight-through seed 1")
    assert line[header.index("best epoch")] == str(record["best_epoch"])
    assert float(line[header.index("val_nll")]) == pytest.approx(record["val_nll"], abs=1e-4)


def test_the_command_gives_the_same_bytes(finished, page, bisnn, tmp_path):
    out = tmp_path / "deeper" / "again.html"
    done = bisnn("report", finished, "--out", out, "--n-boot", N_BOOT)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == page.read_bytes()
    assert f"written: {out}" in done.stdout
    assert [path.name for path in out.parent.iterdir()] == ["again.html"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "page.pdf"], "page.pdf: give a file that ends in .html"),
        (["--out", "."], "give a file that ends in .html"),
        (["nowhere", "--out", "page.html"], "nowhere is not a folder"),
        (["--reference", "bays", "--out", "page.html"], "they have bayes, straight-through"),
        ([], "--out"),
    ],
)
def test_bad_arguments_exit_with_2_and_write_nothing(finished, arguments, words, bisnn, tmp_path):
    done = bisnn("report", finished, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_page_that_fails_leaves_the_old_one(finished, tmp_path, monkeypatch):
    out = tmp_path / "page.html"
    out.write_text("old")
    monkeypatch.setattr(writing, "sections", lambda *_: [])
    monkeypatch.setattr(writing, "render", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        writing.report([finished], out, n_resamples=2)
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_the_version_is_named(read):
    assert f"Written by bisnn_pyro {bisnn_pyro.__version__}." in read.text
