"""Targets of a student: labels, or the votes of a finished run on its training points."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor

from bisnn_pyro.data import Preprocessing, Task
from bisnn_pyro.errors import ConfigError, RunFolderError
from bisnn_pyro.experiments import parts
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.fitted import check_data, load_run
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.models import as_soft


def training_targets(config: Config, task: Task, *, trust: bool = False) -> Tensor:
    """Return the training targets: labels, or their mixture with the teacher's votes ``[N, C]``.

    The teacher votes once, on the training points as they are encoded for evaluation.

    Raises:
        RunFolderError: if the teacher is gone, has changed, or had other data.
        ConfigError: if the task has no classes, or the teacher no such predictor.
    """
    y = torch.as_tensor(task.train.y)
    if not config.distil:
        return y
    lesson, folder = parts.make("distil", config.distil), teacher(config, task)
    fitted = load_run(folder, trust=trust)
    check_same_data(config, fitted.config)
    check_data(folder, Preprocessing.of(task, fitted.encoder))
    if lesson.predictor is not None and lesson.predictor not in fitted.predictors:
        known = ", ".join(fitted.predictors)
        raise ConfigError(f"distil.predictor = {lesson.predictor!r}: the teacher has {known}")
    votes = torch.from_numpy(fitted.predict_scaled(task.train.x, predictor=lesson.predictor).mean)
    soft = lesson.mix * votes + (1 - lesson.mix) * as_soft(y, task.n_classes)
    return soft.to(torch.get_default_dtype())


def teacher(config: Config, task: Task) -> RunFolder:
    """Return the folder of the run whose votes are the targets.

    Raises:
        RunFolderError: if its posterior cannot be read, or is not that of ``distil.sha256``.
        ConfigError: if the task has no classes.
    """
    lesson = config.distil
    if task.kind != "classification":
        raise ConfigError(f"[distil] is for classifications, and the data are a {task.kind}")
    folder = RunFolder.at(lesson.teacher)
    if sha256(folder) != lesson.get("sha256", sha256(folder)):
        raise RunFolderError(
            f"the teacher {folder.path} has changed: its posterior is not that of distil.sha256; "
            "distil it anew"
        )
    return folder


def sha256(folder: RunFolder) -> str:
    """Return the digest of a teacher's posterior.

    Raises:
        RunFolderError: if it cannot be read.
    """
    try:
        return hashlib.sha256(folder.checked("posterior.safetensors").read_bytes()).hexdigest()
    except (OSError, RunFolderError) as error:
        raise RunFolderError(f"cannot read the teacher's posterior: {error}") from error


def check_same_data(config: Config, teacher: Config) -> None:
    """Refuse a student with other data than its teacher's.

    Raises:
        ConfigError: if they differ.
    """
    if config.data_settings != teacher.data_settings:
        raise ConfigError(
            "[data] differs from the teacher's, so that its training points would be others: leave data.* as "
            "they are (data.path may change)"
        )
