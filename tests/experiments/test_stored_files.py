"""Files of a run folder that are not what they should be: refused by name, by everything that reads them."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import bisnn_pyro
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.fitted import FORMAT
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.run import evaluate_folder, run
from bisnn_pyro.experiments.store import Store


@pytest.mark.parametrize(
    "content", ["[]", "{}", "null", '{"predictors": []}', '{"predictors": {}}', "[" * 10**5]
)
@pytest.mark.parametrize("read", [bisnn_pyro.load_run, bisnn_pyro.Runs, evaluate_folder])
def test_metrics_that_are_none(spoilt, content, read):
    (spoilt / "metrics.json").write_text(content)
    with pytest.raises(RunFolderError, match=r"metrics\.json was edited or damaged.*--accept-changed"):
        read(spoilt)
    with pytest.raises(RunFolderError, match=r"metrics\.json"):
        read(spoilt, accept_changed=True)


@pytest.mark.parametrize(
    "values",
    [
        {"predictors": {"mode": {"nll": "low"}}},
        {"predictors": {"mode": 3}},
        {"temperatures": []},
        {"temperatures": {"committee": 0}},
        {"noise": {"0.1": 3}},
        {"best_epoch": "last"},
        {"components": {}},
    ],
)
def test_metrics_of_other_types(spoilt, values):
    metrics = json.loads((spoilt / "metrics.json").read_text())
    (spoilt / "metrics.json").write_text(json.dumps(metrics | values))
    RunFolder(spoilt).seal()
    for read in (bisnn_pyro.load_run, bisnn_pyro.Runs):
        with pytest.raises(RunFolderError, match=rf"metrics\.json is broken at {next(iter(values))}"):
            read(spoilt)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"epoch,loss\n1,low\n", b"epoch\n1,2,3\n", b"\0\0\0"])
def test_a_history_of_other_bytes(spoilt, content):
    (spoilt / "history.csv").write_bytes(content)
    with pytest.raises(RunFolderError, match=r"history\.csv was edited or damaged"):
        evaluate_folder(spoilt)
    with pytest.raises(RunFolderError, match=r"history\.csv"):
        evaluate_folder(spoilt, accept_changed=True)


@pytest.mark.parametrize("content", ["[]", "{}", '{"kind": 3}', '{"kind": "classification", "labels": []}'])
def test_preprocessing_of_other_types(spoilt, content):
    (spoilt / "preprocessing.json").write_text(content)
    RunFolder(spoilt).seal()
    with pytest.raises(RunFolderError, match=r"preprocessing\.json"):
        bisnn_pyro.load_run(spoilt)


def change_posterior(folder, change):
    tensors = load_file(folder / "posterior.safetensors")
    change(tensors)
    save_file(tensors, folder / "posterior.safetensors", {"bisnn_pyro_format": FORMAT})
    RunFolder(folder).seal()


def first(tensors, part):
    return next(name for name in tensors if part in name)


CHANGES = {
    "infinite": lambda t: t[first(t, "guide.")].view(-1)[:1].fill_(np.inf),
    "NaN": lambda t: t[first(t, "guide.")].view(-1)[-1:].fill_(np.nan),
    "missing": lambda t: t.pop(first(t, "guide.")),
    "all missing": lambda t: [t.pop(name) for name in list(t)],
    "unknown": lambda t: t.update({"guide.other": torch.ones(2)}),
    "shape": lambda t: t.update({first(t, "guide."): t[first(t, "guide.")][:-1].clone()}),
    "dimensions": lambda t: t.update({first(t, "guide."): t[first(t, "guide.")][None].clone()}),
    "type": lambda t: t.update({first(t, "guide."): t[first(t, "guide.")].double()}),
    "integers": lambda t: t.update({first(t, "guide."): t[first(t, "guide.")].int()}),
    "reference": lambda t: t.update({"reference": torch.ones(3)}),
    "reference of another width": lambda t: t.update({"reference": torch.ones(12, 4, 3)}),
    "NaN reference": lambda t: t.update({"reference": torch.full((12, 4, 8), torch.nan)}),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_posterior_that_cannot_be_one(spoilt, name):
    change_posterior(spoilt, CHANGES[name])
    for read in (bisnn_pyro.load_run, evaluate_folder):
        with pytest.raises(RunFolderError, match=r"posterior\.safetensors"):
            read(spoilt)


def test_flipped_bits_of_the_store_never_reach_hdf5(spoilt):
    path, content = spoilt / "inference_data.nc", (spoilt / "inference_data.nc").read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 20):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(
            RunFolderError, match=r"inference_data\.nc was edited.*`bisnn evaluate .*` writes it"
        ):
            Store.open(spoilt)


def test_an_edited_config_is_accepted_on_purpose_alone(spoilt, bisnn):
    text = (spoilt / "config.toml").read_text()
    (spoilt / "config.toml").write_text(text.replace("draws = 4", "draws = 3"))
    with pytest.raises(RunFolderError, match=r"config\.toml was edited or damaged"):
        bisnn_pyro.load_run(spoilt)
    assert bisnn_pyro.load_run(spoilt, accept_changed=True).n_members("committee") == 3
    with bisnn_pyro.accept_changed():
        runs = bisnn_pyro.Runs(spoilt)
    assert len(runs[0].store.members()) == 4  # opened after the block, which the runs remember
    with pytest.raises(RunFolderError, match=r"config\.toml"):
        bisnn_pyro.Runs(spoilt)
    evaluate_folder(spoilt, accept_changed=True)
    assert len(bisnn_pyro.Runs(spoilt)[0].store.members()) == 3


def test_an_infinite_score_is_written_as_standard_json(spoilt, bisnn):
    metrics = RunFolder(spoilt).read_metrics()
    metrics["predictors"]["mode"]["nll"] = np.inf
    RunFolder(spoilt).write_json("metrics.json", metrics)
    RunFolder(spoilt).seal()
    json.loads((spoilt / "metrics.json").read_text(), parse_constant=pytest.fail)
    assert bisnn_pyro.Runs(spoilt)[0].metrics["predictors"]["mode"]["nll"] == np.inf
    assert bisnn("compare", spoilt).returncode == 0


@pytest.mark.parametrize("name", ["posterior.safetensors", "metrics.json", "inference_data.nc"])
def test_resuming_a_finished_run_that_lost_a_file_is_refused(source, spoilt, bisnn, name):
    words = [
        "run",
        source,
        "-m",
        "bayes",
        "--set",
        "analysis.figures=false",
        "--out",
        spoilt.parent,
        "--resume",
    ]
    for spoil in (lambda file: file.write_bytes(b"garbage"), lambda file: file.unlink()):
        spoil(spoilt / name)
        done = bisnn(*words, "--resume")
        assert done.returncode == 2
        assert f"{spoilt / name} " in done.stderr
        assert "--overwrite" in done.stderr


def test_a_second_process_is_refused_at_once(config, source, spoilt, bisnn):
    with RunFolder(spoilt).held():
        for call in (
            lambda: run(config, spoilt.parent, overwrite=True),
            lambda: evaluate_folder(spoilt),
            lambda: bisnn_pyro.run(config, spoilt.parent, resume=True),
        ):
            with pytest.raises(RunFolderError, match="is being written by process"):
                call()
        words = ["run", source, "-m", "bayes", "--out", spoilt.parent, "--overwrite"]
        assert bisnn(*words).returncode == 2
    assert bisnn_pyro.load_run(spoilt)


def test_a_copy_under_another_name_is_the_same_run(spoilt, tmp_path):
    moved = shutil.move(spoilt, tmp_path / "elsewhere")
    assert bisnn_pyro.load_run(moved).config.method == "bayes"
