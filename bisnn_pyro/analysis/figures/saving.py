"""Writing a figure as PDF and PNG with the CSV of what it shows."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from bisnn_pyro.analysis.figures.style import paper_style
from bisnn_pyro.errors import DataError
from bisnn_pyro.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PNG_DPI = 200


def save_figure(
    figure: Figure, directory: str | os.PathLike[str], name: str, table: Mapping[str, ArrayLike]
) -> dict[str, Path]:
    """Write ``name.pdf``, ``name.png`` (200 dpi) and ``name.csv`` into a folder, made where missing.

    Files carry no date, so that the same figure gives the same bytes.  Numbers go to the CSV with all
    their digits.

    Args:
        figure: what to draw.
        directory: the folder.
        name: file name without suffix.
        table: column -> `[n]` the numbers behind the figure.

    Returns:
        Suffix (``pdf``, ``png``, ``csv``) -> path.

    Raises:
        DataError: columns that are not one-dimensional or not of one length.
    """
    folder = Path(directory)
    columns = _columns(table)  # before anything is written
    paths = {suffix: folder / f"{name}.{suffix}" for suffix in ("pdf", "png", "csv")}
    with paper_style():
        with atomic_path(paths["pdf"]) as temporary:
            figure.savefig(temporary, metadata={"CreationDate": None})
        with atomic_path(paths["png"]) as temporary:
            figure.savefig(temporary, dpi=PNG_DPI)
    save_columns(paths["csv"], columns)
    return paths


def save_columns(path: Path, table: Mapping[str, ArrayLike]) -> None:
    """Write the numbers behind a figure to a CSV, with all their digits.

    Args:
        path: the file.
        table: column -> `[n]`.

    Raises:
        DataError: columns that are not one-dimensional or not of one length.
    """
    columns = _columns(table)
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))


def _columns(table: Mapping[str, ArrayLike]) -> dict[str, np.ndarray]:
    columns = {name: np.asarray(values) for name, values in table.items()}
    shapes = {name: column.shape for name, column in columns.items()}
    if not columns or len(set(shapes.values())) != 1 or any(len(shape) != 1 for shape in shapes.values()):
        raise DataError(f"The table's columns have shapes {shapes}; expected one-dimensional, equally long.")
    return columns
