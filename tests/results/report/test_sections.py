"""Sections by themselves: cautions from hand-made numbers, folds, single seeds, names that need escaping."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from bisnn_pyro.analysis import PrintedTable, from_datasets, group, group_names, load_idata, save_idata
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.store import Store
from bisnn_pyro.results import Runs
from bisnn_pyro.results.report.blocks import (
    Caution,
    Picture,
    Section,
    Table,
    Text,
    numbers,
    plain_table,
    some,
)
from bisnn_pyro.results.report.classes import BASELINE, calibration, too_few_points, uncertainty
from bisnn_pyro.results.report.page import render
from bisnn_pyro.results.report.scores import costs, pictures, without_constant
from bisnn_pyro.results.report.setup import data_set, environment, overview
from bisnn_pyro.results.report.training import (
    agreement,
    distance,
    late_gain,
    posteriors,
    training,
)
from tests.results.changing import change_config

from .reading import Page

NASTY = """<script>alert("x")</script> & 'co'"""


def change_json(path, **values):
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    RunFolder(path.parent).seal()


def cautions(section):
    return {caution.title: caution for caution in section.cautions}


def tables(section):
    return {block.caption: block.table for block in section.blocks if isinstance(block, Table)}


def words(section):
    return " ".join(block.text for block in section.blocks if isinstance(block, Text))


def test_every_text_is_escaped():
    table = PrintedTable([NASTY], [[NASTY]], [False], [NASTY], [])
    blocks = [Text(NASTY), Table(NASTY, table), Table(NASTY, table, folded=True), Picture(NASTY, "data:,", 9)]
    text = render([Section("one", NASTY, blocks, [Caution(NASTY, NASTY, (NASTY,))])], NASTY)
    assert "<script" not in text
    page = Page(text)
    assert page.tables[NASTY] == [[NASTY], [NASTY]]
    assert next(a["alt"] for tag, a in page.tags if tag == "img") == NASTY
    assert page.headings.count(NASTY) == 5


def test_no_warnings_are_said_to_be_none():
    assert "None: nothing was noticed" in Page(render([Section("one", "One", [])], "x")).text


def test_class_and_method_names_are_escaped(runs):
    for k in (0, 1):
        change_config(runs / f"bayes-seed{k}", method=NASTY)
        change_json(runs / f"bayes-seed{k}" / "preprocessing.json", labels={"labels": ["<b>", "a&b"]})
    material = Runs(runs)
    text = render([overview(material), data_set(material)], "x")
    assert "<script" not in text
    assert "<b>" not in text
    page = Page(text)
    assert [line[0] for line in page.tables["Points of each class"]] == ["class", "<b>", "a&b"]
    assert page.tables["Settings in which they differ"][0] == ["setting", NASTY, "straight-through"]


def test_one_seed_has_no_interval_and_says_so(finished):
    material = Runs(finished / "bayes-seed0")
    assert cautions(overview(material))["One training seed"].items == ("bayes",)
    assert agreement(material) is None
    section = calibration(material)
    assert not any("±" in cell for t in tables(section).values() for line in t.body for cell in line)
    assert not any("pooled" in caption for caption in tables(section))


def test_other_numbers_of_seeds(finished):
    paths = [finished / "bayes-seed0", finished / "bayes-seed1", finished / "straight-through-seed0"]
    found = cautions(overview(Runs(paths)))
    assert found["Methods have different numbers of seeds"].items == ("bayes: 2", "straight-through: 1")
    assert found["One training seed"].items == ("straight-through",)


def test_tempered_posteriors_are_named(runs):
    for k in (0, 1):
        change_json(runs / f"bayes-seed{k}" / "metrics.json", kl_weight=0.1)
        change_json(runs / f"straight-through-seed{k}" / "metrics.json", kl_weight=0.1)
    found = cautions(overview(Runs(runs)))
    assert found["Tempered posteriors"].items == ("bayes: weight 0.1",)


def test_folds_are_pooled(runs):
    shutil.rmtree(runs / "straight-through-seed0")
    shutil.rmtree(runs / "straight-through-seed1")
    for k in (0, 1):
        change_config(runs / f"bayes-seed{k}", data__fold=k, data__n_folds=2, seed=0)
    material = Runs(runs)
    assert (material.folds, material.n_points) == (2, 60)
    assert "Cross-validation over 2 folds" in cautions(overview(material))
    (line,) = material.lines
    probs, y = line.votes("committee", 0)
    draws, labels = line.members(0)
    assert probs.shape == (60, 2)
    np.testing.assert_allclose(probs, draws.mean(0), atol=1e-6)
    np.testing.assert_array_equal(y, labels)
    parts = [run.store.targets for run in line.of_seed(0)]
    np.testing.assert_array_equal(y, np.concatenate(parts))
    section = calibration(material)
    assert any("on 60 test points, folds pooled" in caption for caption in tables(section))
    # Posteriors of the folds are repetitions.
    assert tables(posteriors(material))["Posterior of each layer, over folds and seeds"].body[0][2] == "2"


def test_an_ece_of_few_points_is_called_one():
    def cautions_of(*eces, high=0.08):
        rows = [["a", "mode", ece, 0.04, high] for ece in eces]
        return too_few_points(pd.DataFrame(rows, columns=["method", "predictor", "ece", *BASELINE]), 20)

    (caution,) = cautions_of(0.05, 0.07)
    assert caution.items == (
        "a mode: ECE 0.0600; calibrated 0.0400, up to 0.0800, not evidence of miscalibration",
    )
    assert "20 test points" in caution.text
    (caution,) = cautions_of(0.05, high=0.045)
    assert caution.items == ("a mode: ECE 0.0500; calibrated 0.0400, up to 0.0450",)
    assert cautions_of(0.2) == []


def test_late_gain():
    falling = np.array([2.0, 1.6, 1.5, 1.0, 1.0, 1.0, 0.9, 0.8])
    assert late_gain(falling) == pytest.approx(0.2)
    assert late_gain(falling[::-1]) == 0.0
    sparse = np.full(8, np.nan)
    assert np.isnan(late_gain(sparse))
    sparse[[1, 7]] = 1.0, 0.5
    assert late_gain(sparse) == 0.5
    assert np.isnan(late_gain(np.array([1.0, 0.5])))


def test_training_says_where_it_stopped(runs):
    header = "epoch,loss,nll,kl,val_nll\n"
    lines = [f"{k},{9 - k},{9 - k},1,{9 - k}\n" for k in range(1, 9)]
    (runs / "bayes-seed0" / "history.csv").write_text(header + "".join(lines))
    change_json(runs / "bayes-seed0" / "metrics.json", best_epoch=8, epochs=8)
    (runs / "bayes-seed1" / "history.csv").write_text("epoch,loss,nll,kl\n1,3,2,1\n")
    RunFolder(runs / "bayes-seed1").seal()
    found = cautions(training(Runs([runs / "bayes-seed0", runs / "bayes-seed1"])))
    assert found["Validation chose the last epoch"].items == ("bayes seed 0",)
    assert found["The validation NLL was still falling"].items == ("bayes seed 0: 66.7\N{NO-BREAK SPACE}%",)
    assert found["Runs without validation"].items == ("bayes seed 1",)


def test_distance_of_seeds():
    rng = np.random.default_rng(0)
    a, noise = rng.normal(size=200), rng.normal(size=200)
    d = 0.5 + noise
    expected = d.mean() / (d.std(ddof=1) / np.sqrt(200))
    assert distance(np.stack([a, a, a + d])) == pytest.approx(expected)
    assert distance(np.stack([a, a])) == 0.0
    assert distance(np.stack([np.zeros(5), np.ones(5)])) == np.inf
    spoiled = a.copy()
    spoiled[0] = np.inf
    assert np.isfinite(distance(np.stack([spoiled, a + d])))
    assert np.isnan(distance(np.array([[np.inf, 1.0], [0.0, 2.0]])))


def test_runs_that_learned_nothing(runs):
    change_json(runs / "bayes-seed1" / "metrics.json", warnings=["K = 0.1", "did not learn: <b> (1) ..."])
    for seed in (0, 1):
        path = runs / f"straight-through-seed{seed}" / "metrics.json"
        change_json(path, warnings=[])
    change_json(runs / "bayes-seed0" / "metrics.json", warnings=["K = 0.1"])
    section = training(Runs(runs))
    caution = cautions(section)["Runs that learned nothing"]
    assert caution.items == ("bayes seed 1: did not learn: <b> (1) ...",)
    table = tables(section)["How each run ended"].frame
    assert table["unmoved"].between(0, 1).all()
    assert table["saturated"].notna().tolist() == [name.startswith("bayes") for name in table["run"]]


def test_seeds_that_disagree(runs):
    store = Store.open(runs / "straight-through-seed1")
    votes = store.dataset("predictions")["vote"].copy()
    wrong = np.where(np.eye(2)[store.targets] > 0, 0.01, 0.99)
    votes.loc[{"predictor": "mode"}] = wrong
    idata = load_idata(store.path)
    groups = {name: group(idata, name) for name in group_names(idata)}
    groups["predictions"] = groups["predictions"].assign(vote=votes)
    save_idata(from_datasets(groups, idata.attrs), store.path)
    store.folder.seal()
    items = cautions(agreement(Runs(runs)))["Seeds disagree"].items
    assert any(item.startswith("straight-through accuracy: ") for item in items)


def test_saturated_synapses(runs):
    from safetensors import safe_open
    from safetensors.numpy import load_file, save_file

    path = runs / "bayes-seed0" / "posterior.safetensors"
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    key = next(key for key in tensors if key.startswith("guide.") and tensors[key].shape == (8, 8))
    tensors[key] = np.full_like(tensors[key], 30.0)
    save_file(tensors, path, metadata)
    RunFolder(path.parent).seal()
    material = Runs(runs)
    section = posteriors(material)
    (item,) = cautions(section)["Saturated natural parameters"].items
    assert item.startswith("bayes seed 0 layers.")
    assert item.endswith("100.0\N{NO-BREAK SPACE}%")
    assert "straight-through is not shown: the posterior" in words(section)


def test_points_alone_have_neither_committee_nor_posterior(finished):
    material = Runs(finished / "straight-through-seed0")
    assert uncertainty(material) is None
    assert posteriors(material) is None


def test_uncertainty_adds_up(finished):
    (table,) = tables(uncertainty(Runs(finished / "bayes-seed0"))).values()
    means = {row["measure"]: row["all"] for row in table.numbers}
    assert means["predictive_entropy"] == pytest.approx(
        means["expected_entropy"] + means["mutual_information"]
    )


def test_data_that_changed_are_no_obstacle(runs):
    change_json(runs / "bayes-seed0" / "preprocessing.json", n_steps=7)
    material = Runs(runs / "bayes-seed0")
    section = data_set(material)
    assert "could not be read again" in words(section)
    assert tables(section)["Data set 'two-moons'"].header == ["kind", "features", "classes", "test"]
    assert words(costs(material)).startswith("bayes was not counted: the data of")


def test_notes_of_the_source_are_warnings(runs):
    change_json(runs / "bayes-seed0" / "metrics.json", notes=["3 recordings left out"])
    found = cautions(data_set(Runs(runs)))
    assert found["Notes on the data"].items == ("3 recordings left out",)


def test_environments_that_differ(runs):
    change_json(runs / "bayes-seed1" / "environment.json", python="3.99", locale="C")
    section = environment(Runs(runs))
    (table,) = tables(section).values()
    assert table.header == ["", "environment 1", "environment 2"]
    rows = {line[0]: line[1:] for line in table.body}
    assert rows["python"][1] == "3.99"
    assert rows["locale"] == ["–", "C"]
    assert "environment 2: bayes seed 1" in words(section)
    assert cautions(section)["Runs were made in different environments"].items == ("python", "locale")
    for folder in runs.iterdir():
        (folder / "environment.json").unlink()
    with pytest.raises(RunFolderError, match=r"environment\.json is missing"):
        environment(Runs(runs))
    assert "did not record their environment" in words(environment(Runs(runs, accept_changed=True)))


def test_commands_are_no_environments(runs):
    folders = sorted(runs.iterdir())
    for folder in folders[:2]:
        change_json(folder / "environment.json", command="bisnn run tiny --seeds 0-1")
    change_json(folders[2] / "environment.json", command="bisnn run 'my own.toml'")
    section = environment(Runs(runs))
    assert [table.header for table in tables(section).values()] == [["", "all runs"], ["command", "runs"]]
    assert tables(section)["How the runs were started"].body == [
        ["bisnn run tiny --seeds 0-1", "bayes seed 0, bayes seed 1"],
        ["bisnn run 'my own.toml'", "straight-through seed 0"],
    ]
    assert not cautions(section)


def test_pictures_of_the_runs_are_taken_in(runs):
    material = Runs(runs)
    assert pictures(material) is None
    (runs / "bayes-seed0" / "figures").mkdir()
    (runs / "bayes-seed0" / "figures" / "predictive.png").write_bytes(b"picture")
    with pytest.raises(RunFolderError, match=r"predictive\.png is not a file that the run wrote"):
        pictures(material)
    RunFolder(runs / "bayes-seed0").seal()
    (picture,) = pictures(material).blocks
    assert picture.source == "data:image/png;base64,cGljdHVyZQ=="
    assert picture.caption == "bayes seed 0: its predictions over the input space."


def test_two_experiments_are_told_apart(finished, runs):
    for folder in runs.iterdir():
        change_config(folder, experiment="other")
    material = Runs([finished, runs])
    assert [line.name for line in material.lines][::2] == ["tiny bayes", "other bayes"]
    assert len(material.named()) == 8


def test_tables_of_plain_rows():
    table = plain_table([{"a": 1, "b": 0.5}, {"a": None, "c": "x"}, {"b": np.nan}], digits={"b": 1})
    assert table.header == ["a", "b", "c"]
    assert table.body == [["1", "0.5", "–"], ["–", "–", "x"], ["–", "–", "–"]]
    assert table.right == [True, True, False]
    same = PrintedTable(["e", "m"], [["x", "1"], ["x", "2"]], [False, True], [], [])
    assert (without_constant(same, "e").header, without_constant(same, "e").body) == (["m"], [["1"], ["2"]])
    assert without_constant(same, "m") is same
    assert some(["a", "b", "c"], 2) == ("a", "b", "and 1 more")
    assert numbers([4, 0, 1, 2, 7]) == "0-2, 4, 7"
