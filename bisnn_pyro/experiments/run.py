"""One run: data, model, guide, fit, committee, analysis, all into one folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bisnn_pyro.analysis import results_table
from bisnn_pyro.data import Preprocessing, Task
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.build import (
    build_augmentation,
    build_encoder,
    build_guide,
    build_learner,
    build_model,
    build_task,
    check_noise,
)
from bisnn_pyro.experiments.config import Config, flat_keys
from bisnn_pyro.experiments.evaluate import check_early_decisions, evaluate, metrics_record
from bisnn_pyro.experiments.figures import draw_run_figures
from bisnn_pyro.experiments.fitted import FittedRun, check_data, load_run, moved
from bisnn_pyro.experiments.folder import RunFolder, environment
from bisnn_pyro.experiments.predictors import check_fits
from bisnn_pyro.experiments.store import write_store
from bisnn_pyro.files import atomic_path
from bisnn_pyro.inference import FitResult, History, Purpose, as_inputs, seeded, steady_process


@dataclass(frozen=True)
class RunResult:
    """What :func:`run` returns.

    Attributes:
        path: the run folder.
        metrics: what ``metrics.json`` holds; ``None`` where the run was interrupted.
    """

    path: Path
    metrics: dict[str, Any] | None

    def __repr__(self) -> str:
        """The folder and the scores, for a notebook or a prompt; ``metrics`` has the rest."""
        if self.metrics is None:
            return f"RunResult({str(self.path)!r}, interrupted)"
        rows = [{"predictor": name, **scores} for name, scores in self.metrics["predictors"].items()]
        return f"RunResult({str(self.path)!r}, {self.metrics['n_test']} test points)\n{results_table(rows)}"

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the run."""
        return self.metrics is None


def run(
    config: Config,
    out: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = False,
    n_threads: int | None = None,
    command: str | None = None,
    trust: bool = False,
) -> RunResult:
    """Run one experiment with one method into ``<out>/<method>-seed<k>``.

    Args:
        config: from :func:`bisnn_pyro.load_preset`.
        out: folder of the runs; ``runs/<experiment>`` by default.
        overwrite: run over a folder that is there.
        resume: go on where an interrupted run stopped, bit for bit.
        progress: show a progress bar.
        n_threads: threads to run on, where the config does not say (``train.threads``).
        command: the command line that started this, for the record.
        trust: whether classes of the user's own that the config names may be imported.

    Raises:
        InputError: if the config, the data or the folder cannot be used; the folder is as it was then.
        DivergenceError: if training diverges; the folder is removed, unless it has a checkpoint from before.
    """
    out = Path("runs") / config.experiment if out is None else Path(out)
    folder = RunFolder.of(config, out)
    with steady_process(config.train.get("threads") or n_threads):
        task = build_task(config, trust=trust)
        fitted = new_fit(config, task, trust=trust)
        folder.prepare(overwrite=overwrite, resume=resume)
        resumed = resume and folder.resumable
        try:
            checkpoint = _load_checkpoint(folder, fitted) if resumed else None
            folder.write_config(config)
            folder.write_json("environment.json", environment(torch.get_num_threads(), command))
            # Before training: a run that is killed must not go on with other data.
            folder.write_json("preprocessing.json", fitted.preprocessing.to_dict())
            result = fit(fitted, task, folder, checkpoint, progress=progress, trust=trust)
        except BaseException:
            if not folder.resumable:
                folder.discard()
            raise
        # From here on the folder is worth keeping, whatever happens: it can be resumed and evaluated.
        fitted.save(folder)
        with atomic_path(folder.history_path) as temporary:
            result.history.write_csv(temporary)
        if result.interrupted:
            return RunResult(folder.path, None)
        metrics = analyse(folder, fitted, task, result.history, result.seconds, result.best_epoch)
        folder.finish()
        return RunResult(folder.path, metrics)


def new_fit(config: Config, task: Task, *, trust: bool = False) -> FittedRun:
    """Build everything that a config and a task determine; nothing is trained yet."""
    check_noise(config, task)
    check_fits(config, task)
    build_augmentation(config, task)  # a wrong one is refused here, before anything is written
    encoder = build_encoder(config, task, trust=trust)
    check_early_decisions(config, task, encoder.n_steps)
    with seeded(config.seed, Purpose.INITIALISATION):
        model = build_model(config, task, encoder, trust=trust)
        guide = build_guide(config, model, trust=trust)
    return FittedRun(config, model, guide, encoder, Preprocessing.of(task, encoder))


def fit(
    fitted: FittedRun,
    task: Task,
    folder: RunFolder | None = None,
    checkpoint: dict[str, Any] | None = None,
    *,
    progress: bool = False,
    trust: bool = False,
) -> FitResult:
    """Train; with a folder, write checkpoints into it, the last one at the end."""
    config = fitted.config
    save = None if folder is None else _Checkpoints(folder, config)
    augment = build_augmentation(config, task)
    learner = build_learner(config, fitted.model, fitted.guide, fitted.encoder, augment, trust=trust)
    train, val = ((as_inputs(s.x), torch.as_tensor(s.y)) for s in (task.train, task.val))
    result = learner.fit(
        *train,
        *val,
        resume=checkpoint and checkpoint["learner"],
        on_epoch=save,
        progress=progress,
    )
    if save is not None:
        save.write(result.checkpoint)
    return result


class _Checkpoints:
    """Writes a checkpoint every few epochs."""

    def __init__(self, folder: RunFolder, config: Config) -> None:
        self.folder, self.config = folder, config

    def __call__(self, history: History, make: Callable[[], dict[str, Any]]) -> None:
        if len(history) % self.config.train.checkpoint_every == 0:
            self.write(make())

    def write(self, learner: dict[str, Any]) -> None:
        with atomic_path(self.folder.checkpoint_path) as temporary:
            torch.save({"learner": learner, "config": self.config.to_dict()}, temporary)


def _read_checkpoint(folder: RunFolder) -> dict[str, Any]:
    try:
        return torch.load(folder.checkpoint_path, weights_only=True)
    except Exception as error:
        raise RunFolderError(f"cannot read the checkpoint in {folder.path}: {error}") from error


def _load_checkpoint(folder: RunFolder, fitted: FittedRun) -> dict[str, Any]:
    checkpoint = _read_checkpoint(folder)
    # Read as a config, so that keys of a later release stand at their defaults.
    _check_config(folder, Config.from_dict(checkpoint["config"]).to_dict(), fitted.config)
    if (folder.path / "preprocessing.json").is_file():
        check_data(folder, fitted.preprocessing)
    return checkpoint


def _check_config(folder: RunFolder, then: dict[str, Any], now: Config) -> None:
    """Refuse to go on with another config: schedules reach over the whole run."""
    if then != now.to_dict():
        changed = dict.fromkeys(key for key, _ in sorted(flat_keys(then) ^ flat_keys(now.to_dict())))
        raise RunFolderError(
            f"{folder.path} was begun with another config (different: {', '.join(changed)}); "
            "resume it with the same one, or use --overwrite"
        )


def finished_alike(folder: RunFolder, config: Config) -> bool:
    """Return whether this run is finished.

    Raises:
        RunFolderError: if it is, but with another config.
    """
    if not folder.finished:
        return False
    _check_config(folder, folder.read_config().to_dict(), config)
    return True


def analyse(
    folder: RunFolder, fitted: FittedRun, task: Task, history: History, seconds: float, best: int
) -> dict[str, Any]:
    """Evaluate a fitted posterior and write everything but the posterior itself; metrics last."""
    evaluation = evaluate(fitted, task)
    write_store(folder, fitted, task, evaluation, history)
    draw_run_figures(folder)
    metrics = metrics_record(fitted, task, evaluation, history, seconds, best)
    folder.write_json("metrics.json", metrics)
    return metrics


def evaluate_folder(
    path: str | os.PathLike[str],
    noise: list[float] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    trust: bool = False,
) -> dict[str, Any]:
    """Evaluate the posterior of a run folder anew, an interrupted one's too; return its metrics.

    An interrupted run stays resumable: its metrics are those of the posterior as it stands.

    Args:
        path: a run folder; its metrics, store and figures are written again.
        noise: standard deviations of input noise, in place of the config's.
        data_dir: where the data are now, in place of the config's ``data.path``.
        trust: as for :func:`run`.
    """
    folder = RunFolder(Path(path))
    fitted = load_run(path, trust=trust)
    if noise is not None:
        fitted.config = fitted.config.replace("analysis.noise", noise)
    fitted.config = moved(fitted.config, data_dir)
    if not folder.history_path.is_file():
        raise RunFolderError(f"{folder.path} has no history.csv; it is not a run folder")
    history = History.read_csv(folder.history_path)
    if folder.resumable:
        state = _read_checkpoint(folder)["learner"]
        seconds, best = state["seconds"], state["best_epoch"] or state["epoch"]
    else:
        old = folder.read_json("metrics.json")
        seconds, best = old["train_seconds"], old["best_epoch"]
    with steady_process(fitted.config.train.get("threads")):
        task = build_task(fitted.config, trust=trust)
        fresh = new_fit(fitted.config, task, trust=trust)
        check_data(folder, fresh.preprocessing)
        return analyse(folder, fitted, task, history, seconds, best)
