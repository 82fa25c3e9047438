"""Run folders that are there already: refused, run over, interrupted and gone on with."""

import numpy as np
import pytest

import bisnn_pyro
from bisnn_pyro.errors import DivergenceError, RunFolderError
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.run import evaluate_folder, run
from bisnn_pyro.inference import History
from tests.experiments.interrupting import interrupt_after


def test_a_finished_folder_is_not_run_over(config, spoilt):
    with pytest.raises(RunFolderError, match="--overwrite"):
        run(config, spoilt.parent)
    run(config, spoilt.parent, overwrite=True)


def test_a_folder_of_something_else_is_left_alone(config, tmp_path):
    other = tmp_path / "bayes-seed0"
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(RunFolderError):
            run(config, tmp_path, overwrite=overwrite)
    assert (other / "thesis.tex").read_text() == "years of work"


def test_interrupt_then_resume_gives_the_bits_of_one_run(config, tiny_run, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        cut = run(config, tmp_path / "cut")
    assert cut.interrupted
    folder = RunFolder(cut.path)
    assert folder.resumable
    assert not folder.finished
    assert len(History.read_csv(folder.history_path)) == 1
    # The folder is valid as it stands: its posterior predicts, and can be evaluated, and that leaves
    # it as unfinished as it was.
    assert bisnn_pyro.load_run(cut.path).predict(np.zeros((2, 2))).draws.shape == (4, 2, 2)
    assert set(evaluate_folder(cut.path)["predictors"]) == {"committee", "mode", "mean", "pruned"}
    assert folder.resumable
    assert not folder.finished

    with pytest.raises(RunFolderError, match="--resume"):
        run(config, tmp_path / "cut")
    resumed = run(config, tmp_path / "cut", resume=True)
    a, b = tiny_run.path / "posterior.safetensors", resumed.path / "posterior.safetensors"
    assert a.read_bytes() == b.read_bytes()
    assert resumed.metrics["predictors"] == tiny_run.metrics["predictors"]
    assert not (resumed.path / "checkpoint").exists()
    rows = [
        [{k: v for k, v in r.items() if k != "seconds"} for r in History.read_csv(p.path / "history.csv")]
        for p in (tiny_run, resumed)
    ]
    assert rows[0] == rows[1]


def test_interrupt_in_the_first_epoch_can_be_resumed(config, tiny_run, tmp_path, monkeypatch):
    import signal

    from bisnn_pyro.inference import updates

    original = updates.GradientSteps.__call__

    def interrupted(self, *arguments):
        signal.raise_signal(signal.SIGINT)
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(updates.GradientSteps, "__call__", interrupted)
        assert run(config, tmp_path / "cut").interrupted
    resumed = run(config, tmp_path / "cut", resume=True)
    paths = [r.path / "posterior.safetensors" for r in (tiny_run, resumed)]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_overwriting_keeps_the_old_run_until_the_new_one_is_done(config, spoilt):
    before = (spoilt / "posterior.safetensors").read_bytes()
    bad = config.replace("guide", {"name": "straight-through"}).replace(
        "rule", {"name": "sgd", "lr": 1e38, "weight_decay": 10.0}
    )
    with pytest.raises(DivergenceError):
        run(bad, spoilt.parent, overwrite=True)
    assert (spoilt / "posterior.safetensors").read_bytes() == before
    run(config, spoilt.parent, overwrite=True)
    assert [p.name for p in spoilt.parent.iterdir() if p.name != spoilt.name] == []


def test_resume_refuses_another_config(config, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        run(config, tmp_path)
    other = config.replace("rule.lr", 1.0)
    with pytest.raises(RunFolderError, match=r"another config \(different: rule\.lr\)"):
        run(other, tmp_path, resume=True)
    assert RunFolder(tmp_path / "bayes-seed0").resumable
