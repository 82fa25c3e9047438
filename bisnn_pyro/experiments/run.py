"""One run: data, model, guide, fit, committee, analysis, all into one folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bisnn_pyro.analysis import results_table, score_rows
from bisnn_pyro.data import Preprocessing, Task
from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.experiments.build import (
    build_augmentation,
    build_encoder,
    build_learner,
    build_task,
    check_noise,
)
from bisnn_pyro.experiments.config import Config, flat_keys
from bisnn_pyro.experiments.distil import teacher, training_targets
from bisnn_pyro.experiments.evaluate import check_early_decisions, evaluate, metrics_record
from bisnn_pyro.experiments.figures import draw_run_figures
from bisnn_pyro.experiments.fitted import (
    FittedRun,
    assembled,
    build_components,
    check_data,
    load_run,
    moved,
)
from bisnn_pyro.experiments.folder import RunFolder, environment
from bisnn_pyro.experiments.predictors import check_fits
from bisnn_pyro.experiments.store import write_store
from bisnn_pyro.files import atomic_path
from bisnn_pyro.inference import FitResult, History, as_inputs, steady_process
from bisnn_pyro.storage import checkpoint


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
        table = results_table(score_rows(self.metrics))
        return f"RunResult({str(self.path)!r}, {self.metrics['n_test']} test points)\n{table}"

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
        overwrite: run over a folder that is there; a finished run stays until this one is finished, which is
            made beside it, in ``<method>-seed<k>.next``.
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
    place = RunFolder.of(config, out)
    with steady_process(config.train.get("threads") or n_threads), place.held():
        task = build_task(config, trust=trust)
        fitted = new_fit(config, task, trust=trust)
        if config.distil:
            teacher(config, task)  # a missing one is refused here, before anything is written
        folder = place.prepare(overwrite=overwrite, resume=resume)
        resumed = resume and folder.resumable
        try:
            checkpoints = _load_checkpoints(folder, fitted) if resumed else []
            folder.write_config(config)
            folder.write_json("environment.json", environment(torch.get_num_threads(), command))
            # Before training: a run that is killed must not go on with other data.
            folder.write_json("preprocessing.json", fitted.preprocessing.to_dict())
            results = fit(fitted, task, folder, checkpoints, progress=progress, trust=trust)
        except BaseException:
            if not folder.resumable:
                folder.discard()
            raise
        # From here on the folder is worth keeping, whatever happens: it can be resumed and evaluated.
        fitted.others = fitted.others[: len(results) - 1]  # an interrupted mixture has those that were begun
        save(folder, fitted, results)
        if results[-1].interrupted:
            folder.seal()
            return RunResult(folder.path, None)
        metrics = analyse(folder, fitted, task, results)
        return RunResult(folder.finish().path, metrics)


def new_fit(config: Config, task: Task, *, prior: FittedRun | None = None, trust: bool = False) -> FittedRun:
    """Build everything that a config and a task determine; nothing is trained yet.

    If the prior is a run's posterior (``prior``, by default read from ``prior.run``), then the encoder, the
    parameters that are not synapses and the reference batch are that run's as well.
    """
    check_noise(config, task)
    check_fits(config, task)
    build_augmentation(config, task)  # a wrong one is refused here, before anything is written
    if prior is None and config.prior.name == "posterior":
        prior = prior_run(config, trust=trust)
    naturals = {} if prior is None else prior.guide.natural_parameters()
    encoder = build_encoder(config, task if prior is None else prior.preprocessing, trust=trust)
    check_early_decisions(config, task, encoder.n_steps)
    components = build_components(config, task, encoder, naturals=naturals, trust=trust)
    for component in components:
        if prior is None:
            break
        state = prior.fixed()
        component.model.set_reference(state.pop("reference", None))
        component.model.load_state_dict(state)
    return assembled(config, components, encoder, Preprocessing.of(task, encoder), naturals=naturals)


def prior_run(config: Config, *, trust: bool = False) -> FittedRun:
    """Load the run whose posterior is the prior of another.

    Raises:
        RunFolderError: if it cannot be read, has real weights, or has another network.
    """
    path = config.prior.run
    found = load_run(path, trust=trust)
    if not found.guide.binary:
        raise RunFolderError(f"prior.run = {path!r} has real weights; a prior of signs needs a binary run")
    if found.others:
        raise RunFolderError(
            f"prior.run = {path!r} is a mixture; a prior is one posterior: name one of its runs"
        )
    tables = ("network", "encoder", "likelihood")
    pairs = ({t: c.to_dict().get(t, {}) for t in tables} for c in (config, found.config))
    if differing := flat_keys(next(pairs)) ^ flat_keys(next(pairs)):
        names = ", ".join(sorted({key for key, _ in differing}))
        raise RunFolderError(f"prior.run = {path!r} has another network (different: {names})")
    return found


def fit(
    fitted: FittedRun,
    task: Task,
    folder: RunFolder | None = None,
    checkpoints: Sequence[dict[str, Any]] = (),
    *,
    progress: bool = False,
    trust: bool = False,
) -> list[FitResult]:
    """Train one component after another; with a folder, write checkpoints into it, the last at the end.

    Returns:
        One result per component, up to the one that was interrupted.
    """
    train = as_inputs(task.train.x), training_targets(fitted.config, task, trust=trust)
    val = as_inputs(task.val.x), torch.as_tensor(task.val.y)
    results: list[FitResult] = []
    for m, own in enumerate(fitted.components):
        save = None if folder is None else _Checkpoints(folder, fitted.config, m)
        augment = build_augmentation(own.config, task)
        learner = build_learner(own.config, own.model, own.guide, fitted.encoder, augment, trust=trust)
        # A component that was finished goes on from its end, which only restores it.
        resume = checkpoints[m]["learner"] if m < len(checkpoints) else None
        result = learner.fit(*train, *val, resume=resume, on_epoch=save, progress=progress)
        if save is not None:
            save.write(result.checkpoint)
        results.append(result)
        if result.interrupted:
            break
    return results


def save(folder: RunFolder, fitted: FittedRun, results: Sequence[FitResult]) -> None:
    """Write the posterior and the history of its training."""
    fitted.save(folder)
    with atomic_path(folder.history_path) as temporary:
        History.joined([result.history for result in results]).write_csv(temporary)


class _Checkpoints:
    """Writes a checkpoint every few epochs."""

    def __init__(self, folder: RunFolder, config: Config, component: int) -> None:
        self.path, self.config = folder.checkpoint_path(component), config

    def __call__(self, history: History, make: Callable[[], dict[str, Any]]) -> None:
        if len(history) % self.config.train.checkpoint_every == 0:
            self.write(make())

    def write(self, learner: dict[str, Any]) -> None:
        checkpoint.write(self.path, {"learner": learner, "config": self.config.to_dict()})


def _load_checkpoints(folder: RunFolder, fitted: FittedRun) -> list[dict[str, Any]]:
    checkpoints = folder.read_checkpoints()
    # Read as a config, so that keys of a later release stand at their defaults.
    _check_config(folder, Config.from_dict(checkpoints[0]["config"]).to_dict(), fitted.config)
    check_data(folder, fitted.preprocessing)
    return checkpoints


def _check_config(folder: RunFolder, then: dict[str, Any], now: Config) -> None:
    """Refuse to go on with another config: schedules reach over the whole run."""
    if then != now.to_dict():
        changed = dict.fromkeys(key for key, _ in sorted(flat_keys(then) ^ flat_keys(now.to_dict())))
        raise RunFolderError(
            f"{folder.path} was begun with another config (different: {', '.join(changed)}); "
            "resume it with the same one, or use --overwrite (in Python: overwrite=True)"
        )


def finished_alike(folder: RunFolder, config: Config) -> bool:
    """Return whether this run is finished.

    Raises:
        RunFolderError: if it is, but with another config, or not as it was written.
    """
    folder = RunFolder.at(folder.path)
    if not folder.finished or folder.beside.begun:
        return False
    folder.check()
    _check_config(folder, folder.read_config().to_dict(), config)
    return True


def analyse(folder: RunFolder, fitted: FittedRun, task: Task, results: Sequence[FitResult]) -> dict[str, Any]:
    """Evaluate a fitted posterior and write everything but the posterior itself; metrics last.

    Of a mixture the store has the training of the first component, and the metrics its epochs; ``components``
    in the metrics has all of them, and ``train_seconds`` is their sum.
    """
    evaluation, first = evaluate(fitted, task), results[0]
    write_store(folder, fitted, task, evaluation, first.history)
    draw_run_figures(folder)
    seconds = sum(result.seconds for result in results)
    metrics = metrics_record(fitted, task, evaluation, first.history, seconds, first.best_epoch)
    if fitted.others:
        pairs = zip(fitted.components, results, strict=True)
        metrics["components"] = [_trained(own.config.seed, result) for own, result in pairs]
    folder.write_json("metrics.json", metrics)
    return metrics


def _trained(seed: int, result: FitResult) -> dict[str, Any]:
    """Return what the metrics say of the training of one component."""
    validated = [row["val_nll"] for row in result.history if "val_nll" in row]
    own: dict[str, Any] = {"seed": seed, "epochs": len(result.history), "best_epoch": result.best_epoch}
    own["train_seconds"] = result.seconds
    return own | ({"val_nll": min(validated)} if validated else {})


def trained(folder: RunFolder, fitted: FittedRun) -> list[FitResult]:
    """Return how each component of a run folder was trained, without checkpoints.

    Raises:
        RunFolderError: if a file is missing or broken.
    """
    histories = folder.read_history().components()
    if folder.resumable:
        states = [state["learner"] for state in folder.read_checkpoints()]
        ends = [(state["seconds"], state["best_epoch"] or state["epoch"]) for state in states]
    else:
        metrics = folder.read_metrics()
        ends = [(own["train_seconds"], own["best_epoch"]) for own in metrics.get("components", [metrics])]
    if len(histories) != len(ends):
        raise RunFolderError(f"history.csv and metrics.json of {folder.path} are of different components")
    pairs = zip(histories, ends, strict=True)
    return [FitResult(history, best, False, seconds, {}) for history, (seconds, best) in pairs]


def evaluate_folder(
    path: str | os.PathLike[str],
    noise: list[float] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    trust: bool = False,
    accept_changed: bool = False,
) -> dict[str, Any]:
    """Evaluate the posterior of a run folder anew, an interrupted one's too; return its metrics.

    An interrupted run stays resumable: its metrics are those of the posterior as it stands.  The folder is
    replaced as a whole at the end, so that whatever stops this leaves it as it was.

    Args:
        path: a run folder; its metrics, store and figures are written again.
        noise: standard deviations of input noise, in place of the config's.
        data_dir: where the data are now, in place of the config's ``data.path``.
        trust: as for :func:`run`.
        accept_changed: take over files that were edited since the run: the manifest is made of them.
    """
    folder = RunFolder.at(path, accept_changed=accept_changed)
    fitted = load_run(folder, trust=trust)
    if noise is not None:
        fitted.config = fitted.config.replace("analysis.noise", noise)
    fitted.config = moved(fitted.config, data_dir)
    folder.check(except_for=("inference_data.nc", "figures/"))  # which are made anew
    results = trained(folder, fitted)
    with steady_process(fitted.config.train.get("threads")), folder.held():
        task = build_task(fitted.config, trust=trust)
        fresh = new_fit(fitted.config, task, prior=fitted if fitted.naturals else None, trust=trust)
        check_data(folder, fresh.preprocessing)
        with folder.made_anew(copy=True) as copy:
            return analyse(copy, fitted, task, results)
