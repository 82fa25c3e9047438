"""A finished run together with the data that it was made from."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from bisnn_pyro.data import Task
from bisnn_pyro.experiments.build import build_encoder, build_task
from bisnn_pyro.experiments.config import Config
from bisnn_pyro.experiments.fitted import FittedRun, Preprocessing, load_run
from bisnn_pyro.experiments.folder import RunFolder
from bisnn_pyro.experiments.run import check_data


def reopen(
    path: str | os.PathLike[str], data_dir: str | os.PathLike[str] | None = None
) -> tuple[FittedRun, Task]:
    """Load a run and its data.

    Args:
        path: a run folder.
        data_dir: where the data are now, in place of the config's ``data.path``.

    Raises:
        RunFolderError: if a file is missing or broken, or the data are not those of the run.
    """
    fitted = load_run(path)
    fitted.config = moved(fitted.config, data_dir)
    task = build_task(fitted.config)
    now = Preprocessing.of(task, build_encoder(fitted.config, task))
    check_data(RunFolder(Path(path)), replace(fitted, preprocessing=now))
    return fitted, task


def moved(config: Config, data_dir: str | os.PathLike[str] | None) -> Config:
    """Return a config whose data are in another place; itself where that is None."""
    if data_dir is None:
        return config
    data = config.data.model_copy(update={"path": str(Path(data_dir).expanduser().absolute())})
    return config.model_copy(update={"data": data})
