"""The user's own folders of data: one that ``data.path`` names, and one for all sets, ``$BISNN_DATA``."""

from __future__ import annotations

import os
from pathlib import Path

from bisnn_pyro.errors import DataError

FOLDER_VARIABLE = "BISNN_DATA"
"""Environment variable: a folder that holds one folder a data set."""


def user_folder(path: str | os.PathLike[str]) -> Path:
    """Return the folder that ``data.path`` names, absolute and without ``..``, so that it has a name.

    Raises:
        DataError: If there is no such folder.
    """
    if not isinstance(path, str | os.PathLike) or not str(path):
        raise DataError(f"data.path is {path!r}; expected a folder")
    folder = Path(path).expanduser().absolute()
    folder = folder.resolve() if ".." in folder.parts else folder
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataError(f"data.path = {folder} {what}; expected a folder (--data-dir DIR sets it)")
    return folder


def shared_folder(example: str) -> Path | None:
    """Return the folder that ``$BISNN_DATA`` names, absolute; None where the variable is not set.

    Args:
        example: What a set's folder in there is called, for the message.

    Raises:
        DataError: If the variable names no folder.
    """
    variable = os.environ.get(FOLDER_VARIABLE)
    if not variable:
        return None
    folder = Path(variable).expanduser().absolute()
    if not folder.is_dir():
        raise DataError(
            f"the environment variable {FOLDER_VARIABLE} is {variable!r}, which is no folder; expected a "
            f"folder that holds one folder a data set, for example {folder / example}"
        )
    return folder
