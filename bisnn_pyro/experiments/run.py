"""One run: data, model, guide, fit, committee, analysis, all into one folder."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bisnn_pyro.analysis.atomic import atomic_path
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.build import build_encoder, build_guide, build_learner, build_model, build_task
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.evaluate import evaluate, metrics_record, write_inference_data
from bisnn_pyro.experiments.figures import draw_run_figures
from bisnn_pyro.experiments.fitted import FittedRun, Preprocessing, load_run
from bisnn_pyro.experiments.folder import RunFolder, environment
from bisnn_pyro.inference import FitResult, History
from bisnn_pyro.inference.seeding import Purpose, seeded


@dataclass(frozen=True)
class RunResult:
    """What :func:`run` returns.

    Attributes:
        path: the run folder.
        metrics: what ``metrics.json`` holds; ``None`` where the run was interrupted.
    """

    path: Path
    metrics: dict[str, Any] | None

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
) -> RunResult:
    """Run one experiment with one method into ``<out>/<method>-seed<k>``.

    Args:
        config: from :func:`bisnn_pyro.load_preset`.
        out: folder of the runs; ``runs/<experiment>`` by default.
        overwrite: run over a folder that is there.
        resume: go on where an interrupted run stopped, bit for bit.
        progress: show a progress bar.

    Raises:
        InputError: if the config, the data or the folder cannot be used; nothing is written then.
        DivergenceError: if training diverges; the folder is removed, unless it has a checkpoint from before.
    """
    out = Path("runs") / config.experiment if out is None else Path(out)
    folder = RunFolder.of(config, out)
    with threads(config.train.threads):
        task = build_task(config)
        fitted = new_fit(config, task)
        folder.prepare(overwrite=overwrite, resume=resume)
        resumed = resume and folder.resumable
        try:
            checkpoint = _load_checkpoint(folder, config) if resumed else None
            folder.write_config(config)
            folder.write_json("environment.json", environment(torch.get_num_threads()))
            result, seconds = fit(fitted, task, folder, checkpoint, progress=progress)
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
        metrics = analyse(folder, fitted, task, result.history, seconds, result.best_epoch)
        finish(folder)
        return RunResult(folder.path, metrics)


def new_fit(config: Config, task: Any) -> FittedRun:
    """Build everything that a config and a task determine; nothing is trained yet."""
    encoder = build_encoder(config, task)
    with seeded(config.seed, Purpose.INITIALISATION):
        model = build_model(config, task, encoder)
        guide = build_guide(config, model)
    return FittedRun(config, model, guide, encoder, Preprocessing.of(task))


def fit(
    fitted: FittedRun,
    task: Any,
    folder: RunFolder | None = None,
    checkpoint: dict[str, Any] | None = None,
    *,
    progress: bool = False,
) -> tuple[FitResult, float]:
    """Train; return the result and the seconds of training, those before a resume included."""
    config = fitted.config
    before = 0.0 if checkpoint is None else float(checkpoint["seconds"])
    save = None if folder is None else _Checkpoints(folder, config)
    learner = build_learner(config, fitted.model, fitted.guide, fitted.encoder, progress=progress)
    result = learner.fit(
        *(torch.as_tensor(a) for s in (task.train, task.val) for a in (s.x, s.y)),
        resume=checkpoint and checkpoint["learner"],
        on_epoch=save,
    )
    if save is not None:
        save.write()
    return result, before + result.seconds


class _Checkpoints:
    """Writes a checkpoint every few epochs, and the last epoch's on an interrupt."""

    def __init__(self, folder: RunFolder, config: Config) -> None:
        self.folder, self.config = folder, config
        self.latest: Callable[[], dict[str, Any]] | None = None

    def __call__(self, history: History, make: Callable[[], dict[str, Any]]) -> None:
        self.latest = make
        if len(history) % self.config.train.checkpoint_every == 0:
            self.write()

    def write(self) -> None:
        if self.latest is None:
            return
        learner = self.latest()
        spent = sum(row["seconds"] for row in learner["rows"])
        with atomic_path(self.folder.checkpoint_path) as temporary:
            torch.save({"learner": learner, "seconds": spent, "config": self.config.to_dict()}, temporary)


def _load_checkpoint(folder: RunFolder, config: Config) -> dict[str, Any]:
    try:
        checkpoint = torch.load(folder.checkpoint_path, weights_only=True)
    except Exception as error:
        raise RunFolderError(f"cannot read the checkpoint in {folder.path}: {error}") from error
    # More epochs may be asked for, nothing else: the bits would not be those of one run.
    then, now = copy.deepcopy(checkpoint["config"]), config.to_dict()
    for tables in (then, now):
        tables["train"].pop("epochs")
    if then != now:
        changed = [k for k in now if then.get(k) != now[k]]
        raise RunFolderError(
            f"{folder.path} was begun with another config (different: {', '.join(changed)}); "
            "resume it with the same one, or use --overwrite"
        )
    return checkpoint


def analyse(
    folder: RunFolder, fitted: FittedRun, task: Any, history: History, seconds: float, best: int
) -> dict[str, Any]:
    """Evaluate a fitted posterior and write everything but the posterior itself; metrics last."""
    evaluation = evaluate(fitted, task)
    write_inference_data(folder, fitted, task, evaluation, history)
    if fitted.config.analysis.figures:
        draw_run_figures(folder, fitted, task, evaluation, history)
    metrics = metrics_record(fitted, task, evaluation, history, seconds, best)
    folder.write_json("metrics.json", metrics)
    return metrics


def finish(folder: RunFolder) -> None:
    """Remove the checkpoint of a finished run."""
    if folder.checkpoint_path.exists():
        folder.checkpoint_path.unlink()
        folder.checkpoint_path.parent.rmdir()


def evaluate_folder(path: str | os.PathLike[str], noise: list[float] | None = None) -> dict[str, Any]:
    """Evaluate the posterior of a run folder anew, an interrupted one's too; return its metrics.

    Args:
        path: a run folder; its metrics, InferenceData and figures are written anew.
        noise: standard deviations of input noise, in place of the config's.
    """
    folder = RunFolder(Path(path))
    fitted = load_run(path)
    if noise is not None:
        analysis = fitted.config.analysis.model_copy(update={"noise": noise})
        fitted.config = fitted.config.model_copy(update={"analysis": analysis})
    if not folder.history_path.is_file():
        raise RunFolderError(f"{folder.path} has no history.csv; it is not a run folder")
    history = History.read_csv(folder.history_path)
    old = folder.read_json("metrics.json") if folder.finished else {}
    seconds = old.get("train_seconds", sum(history.column("seconds")))
    with threads(fitted.config.train.threads):
        task = build_task(fitted.config)
        return analyse(folder, fitted, task, history, seconds, old.get("best_epoch", len(history)))


@contextmanager
def threads(n: int | None) -> Iterator[None]:
    """Run on ``n`` threads (``None``: as they are), and put the number back afterwards."""
    before = torch.get_num_threads()
    if n is not None:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
