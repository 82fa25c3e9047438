"""A reproduction: what is planned, made, skipped, gone on with, and what stays as it is."""

import gzip
import json
import struct
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from bisnn_pyro.analysis import save_columns
from bisnn_pyro.cli import app, main
from bisnn_pyro.data import published_size
from bisnn_pyro.errors import BisnnError, ConfigError, RunFolderError
from bisnn_pyro.experiments.batch import BatchResult, plan
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.results.report import paper
from bisnn_pyro.results.report.paper import contrast_plot, contrasts
from bisnn_pyro.results.reproduce import Settings, performer, planned, reproduce
from bisnn_pyro.results.reproduce.plan import N_FOLDS, Batch, Stage, bisnn_2021
from bisnn_pyro.results.studies import study
from tests.experiments.study_runs import contents, read_csv
from tests.experiments.tiny import TINY

TINY_SETTINGS = Settings(seeds=(0, 1), command="bisnn reproduce tiny")


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No data set is there unless a test puts it there."""
    monkeypatch.delenv("BISNN_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def tiny_plan(tmp_path_factory):
    """Two moons in two stages that share their runs, and a stage whose data are missing."""
    source = tmp_path_factory.mktemp("source") / "tiny.toml"
    source.write_text(TINY)
    fast = ("analysis.figures=false", "analysis.noise=[]", "train.epochs=1")
    moons = Batch("moons", str(source), fast)
    fewer = Batch("moons-12", str(source), (*fast, "data.n_train=12"))
    simple = ("table", "reliability", "forest", "committee-size", "map")

    def stages(_settings):
        return [
            Stage("moons", "a map", "as trained", (moons,), simple),
            Stage(
                "sizes",
                "two sizes",
                "scarce",
                (fewer, moons),
                ("tables", "sizes"),
                aside=("moons",),
            ),
            Stage("far", "noise", "far", (moons,), ("shift:noise", "outside:noise")),
            Stage("absent", "never run", "far", (moons,), simple, needs=("mnist",)),
        ]

    return stages


@pytest.fixture(scope="module")
def made(tiny_plan, tmp_path_factory):
    """The tiny reproduction: its middle stage fails at first, and the second call goes on."""
    out = tmp_path_factory.mktemp("made") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(performer.PLANS, "tiny", tiny_plan)
        patch.setenv("XDG_CACHE_HOME", str(out.parent))
        patch.delenv("BISNN_DATA", raising=False)
        for module in (paper, study):
            patch.setattr(module, "save_figure", _save_numbers)
        with pytest.MonkeyPatch.context() as broken:
            broken.setitem(paper.OUTPUTS, "sizes", _fail)
            first = reproduce("tiny", TINY_SETTINGS, out)
        between = contents(out / "runs")
        readme = (out / "README.md").read_text()
        again = []
        second = reproduce("tiny", TINY_SETTINGS, out, report=lambda c, r: again.append(r))
    return out, first, between, readme, again, second


def _save_numbers(figure, folder, name, table):
    """Write the numbers of a figure; rendering it is the slow part, and tested elsewhere."""
    files = {suffix: folder / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")}
    save_columns(files["csv"], table)
    files["pdf"].touch()
    files["png"].touch()
    return files


def _fail(*_):
    raise BisnnError("the disk is full")


def test_a_stage_that_fails_is_named_and_the_others_are_made(made):
    out, first, _, readme, *_ = made
    assert [(stage.name, str(error)) for stage, error in first.failures] == [("sizes", "the disk is full")]
    assert "Nothing here: failed: the disk is full." in readme
    assert "far-out-of-distribution-noise" in readme  # a stage after the one that failed
    assert "bayes-seed1" in {path.name for path in (out / "runs" / "moons").iterdir()}


def test_the_next_call_makes_what_is_missing_and_trains_nothing_anew(made):
    out, _, between, _, again, second = made
    assert not second.failures
    assert again == []
    assert contents(out / "runs") == between
    assert (out / "figures" / "sizes-sizes-nll.pdf").is_file()
    sizes = read_csv(out / "figures" / "sizes-sizes-nll.csv")
    assert set(sizes["x"]) == {12, 24}  # the training points of the config


def test_every_file_of_the_readme_is_there_and_there_are_no_others(made):
    out = made[0]
    text = (out / "README.md").read_text()
    listed = {
        out / f"{line.split('`')[1]}{suffix}"
        for line in text.splitlines()
        if line.startswith("- `")
        for suffix in line.split("` ")[1].split(", ")
    }
    assert listed == {p for folder in ("tables", "figures") for p in (out / folder).iterdir()}
    assert "bisnn reproduce tiny" in text
    assert "--seeds 0-1" in text
    assert "Nothing here: no mnist" in text
    assert "numpy" in text
    assert not list(out.glob(".writing-*"))


def test_tables_hold_the_metrics_of_the_runs(made):
    out = made[0]
    stored = [RunFolder(out / "runs" / "moons" / f"bayes-seed{k}").read_json("metrics.json") for k in (0, 1)]
    nll = np.mean([record["predictors"]["committee"]["nll"] for record in stored])
    table = read_csv(out / "tables" / "moons-scores.csv")
    assert table["predictor"][0] == "committee"
    np.testing.assert_allclose(table["nll"][0], nll)
    assert r"\toprule" in (out / "tables" / "moons-scores.tex").read_text()
    scaled = [
        RunFolder(out / "runs" / "moons" / f"straight-through-seed{k}").read_json("metrics.json")
        for k in (0, 1)
    ]
    baseline = np.mean([record["predictors"]["mode-scaled"]["nll"] for record in scaled])
    answer = read_csv(out / "tables" / "bayes-against-straight-through-all.csv")
    (row,) = np.flatnonzero((answer["condition"] == "moons") & (answer["committee"] == "as it is"))
    np.testing.assert_allclose(float(answer["nll"][row]), nll - baseline)
    assert {"moons", "moons-12", "moons against noise"} <= set(answer["condition"])


def test_the_map_is_the_vote_of_each_predictor(made):
    columns = read_csv(made[0] / "figures" / "moons-map.csv")
    titles = ["full-precision", "straight-through", "bayes (mode)", "bayes (committee)"]
    assert list(columns)[2:] == titles
    assert all(((values >= 0) & (values <= 1)).all() for name, values in columns.items() if name in titles)


def test_a_plan_says_how_far_it_has_come(made, tiny_plan, monkeypatch):
    out = made[0]
    monkeypatch.setitem(performer.PLANS, "tiny", tiny_plan)
    moons, *_, absent = planned("tiny", TINY_SETTINGS, out)
    assert moons.record is not None
    assert "done (6 runs)" in str(moons)
    assert "skipped: no mnist" in str(absent)
    (third,) = planned("tiny", Settings(seeds=(0, 1, 2)), out, ["moons"])  # another seed is more to do
    assert (third.n_runs, third.n_finished, third.record) == (9, 6, None)
    table = out / "tables" / "moons-scores.md"
    text = table.read_text()
    table.unlink()
    try:
        (lacking,) = planned("tiny", TINY_SETTINGS, out, ["moons"])
        assert "to do (6 of 6 runs finished)" in str(lacking)
    finally:
        table.write_text(text)


def test_an_interrupted_run_ends_the_reproduction_and_is_resumable(tiny_plan, tmp_path, monkeypatch):
    monkeypatch.setitem(performer.PLANS, "tiny", tiny_plan)
    calls = []

    def cut_off(*arguments, **settings):
        calls.append(settings["resume"])
        return BatchResult(tmp_path, (), (), interrupted=True)

    monkeypatch.setattr(performer, "run_experiment", cut_off)
    done = reproduce("tiny", TINY_SETTINGS, tmp_path / "out")
    assert done.interrupted
    assert calls == [True]  # no further stage was begun, and the run may go on from its checkpoint
    assert "to do (0 of 6 runs finished)" in (tmp_path / "out" / "README.md").read_text()


def test_the_plan_without_data_needs_none(tmp_path):
    found = planned("bisnn-2021", Settings(), tmp_path / "out")
    skipped = {one.stage.name for one in found if one.missing}
    assert skipped == {"mnist", "events", "mnist-shift", "mnist-outside", "mnist-unseen", "mnist-fashion"}
    assert not (tmp_path / "out").exists()
    counts = {one.stage.name: one.n_runs for one in found if one.stage.name not in skipped}
    assert counts["two-moons"] == 5 * 3
    assert counts["digits"] == 5 * (3 + 2)  # EBP beside
    assert counts["digits-scarce"] == 5 * 3 * 4


def test_settings_are_the_presets_but_for_temperature_scaling():
    (batch,) = bisnn_2021(Settings())[0].batches
    for ours, theirs in zip(batch.configs((0,)), plan("two-moons"), strict=True):
        assert ours == theirs.replace("analysis.temperature_scaling", True)


def test_the_plan_takes_the_data_that_are_there(tmp_path):
    _mnist(tmp_path / "sets" / "mnist")
    _recordings(tmp_path / "sets" / "N-MNIST", classes=2)
    settings = Settings(data_dir=tmp_path / "sets")
    found = {one.stage.name: one for one in planned("bisnn-2021", settings, tmp_path / "out")}
    assert [n for n, one in found.items() if one.missing] == ["mnist-fashion"]
    (batch,) = found["events"].stage.batches
    assert batch.source == "nmnist"
    assert batch.n_folds == N_FOLDS  # a part of the set
    assert f"data.path={tmp_path / 'sets'}" in batch.overrides
    assert published_size("nmnist", settings.data_dir) == 4
    (quick,) = next(
        s for s in bisnn_2021(Settings(quick=True, data_dir=settings.data_dir)) if s.name == "events"
    ).batches
    assert quick.n_folds is None


def test_presence_looks_where_the_loaders_do(tmp_path, monkeypatch):
    assert published_size("mnist") == 0
    _mnist(tmp_path / "sets" / "mnist")
    monkeypatch.setenv("BISNN_DATA", str(tmp_path / "sets"))
    assert published_size("mnist") == 4
    assert published_size("mnist", tmp_path / "cache") == 0  # the folder given is the only one
    _recordings(tmp_path / "sets" / "nmnist", classes=1)
    assert published_size("nmnist") == 0  # one class teaches nothing
    (tmp_path / "sets" / "fashion-mnist").mkdir()
    (tmp_path / "sets" / "fashion-mnist" / "train-labels-idx1-ubyte").touch()
    assert published_size("fashion-mnist") == 0  # only a part of it


def test_contrasts_are_paired_differences_to_the_scaled_baseline():
    rows = [
        ("bayes", "committee", 0, 1.0),
        ("bayes", "committee-scaled", 0, 0.75),
        ("bayes", "mode", 0, 9.0),
        ("straight-through", "mode", 0, 4.0),
        ("straight-through", "mode-scaled", 0, 0.5),
        ("bayes", "committee", 1, 2.0),
        ("bayes", "committee-scaled", 1, 2.0),
        ("straight-through", "mode", 1, 4.0),
        ("straight-through", "mode-scaled", 1, 4.0),
        ("bayes", "committee", 2, 4.0),  # a seed without a partner
    ]
    frame = pd.DataFrame(rows, columns=["method", "predictor", "seed", "nll"])
    frame = frame.assign(experiment="e", condition="e", question="why")

    def line(method, *main):
        return SimpleNamespace(first=SimpleNamespace(experiment="e", method=method), main=main)

    lines = [line("bayes", "committee", "committee-scaled"), line("straight-through", "mode", "mode-scaled")]
    found = contrasts(frame, SimpleNamespace(over="seed", lines=lines))
    assert sorted(found[["committee", "seed", "nll"]].itertuples(index=False, name=None)) == [
        ("as it is", 0, 0.5),
        ("as it is", 1, -2.0),
        ("at its temperature", 0, 0.25),
        ("at its temperature", 1, -2.0),
    ]
    made = dict(paper.answer(found.to_dict("records")))
    np.testing.assert_allclose([line["nll"] for line in made["all"].numbers], [-0.75, -0.875])
    assert [ax.get_xlabel() for ax in made["why-as-it-is"].axes] == ["Δ NLL (nats)"]
    infinite = found[:1].assign(nll=float("inf") - float("inf"))
    assert contrast_plot(infinite) is None
    assert [name for name, _ in paper.answer(infinite.to_dict("records"))] == ["all"]
    assert not list(paper.answer([]))


def test_bad_input_is_refused_before_anything_is_written(made, tiny_plan, tmp_path, monkeypatch):
    monkeypatch.setitem(performer.PLANS, "tiny", tiny_plan)
    out = made[0]
    before = contents(out)
    with pytest.raises(RunFolderError, match="holds the tiny"):
        reproduce("tiny", Settings(seeds=(0, 1), quick=True), out)
    with pytest.raises(ConfigError, match="not one of the stages moons, sizes"):
        reproduce("tiny", TINY_SETTINGS, out, only=["moon"])
    config = out / "runs" / "moons" / "bayes-seed0" / "config.toml"
    text = config.read_text()
    config.write_text(text.replace("epochs = 1\n", "epochs = 2\n"))
    try:
        with pytest.raises(RunFolderError, match=r"give another --out .*config\.toml was edited"):
            reproduce("tiny", TINY_SETTINGS, out)
    finally:
        config.write_text(text)
    assert contents(out) == before
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match="no reproduction"):
        reproduce("tiny", TINY_SETTINGS, other)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bisnn-2020"], "there is bisnn-2021"),
        (["bisnn-2021", "--seeds", "x"], "--seeds 'x'"),
        (["bisnn-2021", "--data-dir", "nowhere"], "is not a folder"),
        (["bisnn-2021", "--only", "moons"], "not one of the stages"),
        (["bisnn-2021", "--jobs", "0"], "--jobs"),
    ],
)
def test_the_command_exits_with_2_on_bad_input(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["bisnn", "reproduce", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_goes_through_and_fails_as_it_should(made, tiny_plan, tmp_path, monkeypatch):
    monkeypatch.setitem(performer.PLANS, "tiny", tiny_plan)
    arguments = ["reproduce", "tiny", "--seeds", "0-1", "--out", str(made[0])]
    shown = CliRunner().invoke(app, [*arguments, "--dry-run"])
    assert shown.exit_code == 0
    assert shown.output.count("done (") == 3
    assert "README.md" in CliRunner().invoke(app, arguments).output
    monkeypatch.setattr(performer, "perform", _fail)
    failed = CliRunner().invoke(app, ["reproduce", "tiny", "--out", str(tmp_path / "new")])
    assert failed.exit_code == 1
    assert "the disk is full; the same command tries it again" in failed.output
    monkeypatch.setattr(performer, "perform", lambda *_: None)
    assert CliRunner().invoke(app, ["reproduce", "tiny", "--out", str(tmp_path / "new")]).exit_code == 130


def test_figures_show_what_they_have_room_for(made):
    columns = read_csv(made[0] / "figures" / "moons-seeds.csv")
    names = {name for column in columns.values() for name in column if isinstance(name, str)}
    shown = {
        "bayes (committee)",
        "bayes (committee-scaled)",
        "bayes (mode)",
        "straight-through",
        "full-precision",
    }
    assert shown | {"straight-through (scaled)"} <= names
    assert "full-precision (scaled)" not in names  # real weights are there for reference
    assert paper.REFERENCE == "full-precision"


def _mnist(folder):
    folder.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte.gz").write_bytes(gzip.compress(struct.pack(">ii", 2049, 0)))


def _recordings(folder, classes):
    for part in ("Train", "Test"):
        for label in range(classes):
            (folder / part / str(label)).mkdir(parents=True)
            (folder / part / str(label) / "00001.bin").write_bytes(b"\0" * 5)


def test_each_kind_of_shift_has_figures_of_its_own(made):
    record = json.loads((made[0] / "stages" / "far.json").read_text())
    assert {row["question"] for row in record["contrasts"]} == {"shift noise", "far"}
    names = {path.stem for path in (made[0] / "figures").glob("bayes-against-straight-through-*.pdf")}
    assert {"bayes-against-straight-through-shift-noise-as-it-is"} <= names


def test_runs_record_the_command(made):
    records = list((made[0] / "runs").glob("*/*/environment.json"))
    assert {json.loads(path.read_text())["command"] for path in records} == {"bisnn reproduce tiny"}


def test_what_stands_beside_is_no_part_of_the_answer(made):
    records = {
        name: json.loads((made[0] / "stages" / f"{name}.json").read_text()) for name in ("moons", "sizes")
    }
    conditions = {name: {row["condition"] for row in own["contrasts"]} for name, own in records.items()}
    assert conditions == {"moons": {"moons"}, "sizes": {"moons-12"}}


def test_records_are_json_that_anybody_reads(made):
    record = json.loads((made[0] / "stages" / "moons.json").read_text())
    assert record["contrasts"][0]["question"] == "as trained"
    assert all((made[0] / file).is_file() for file in record["files"])
