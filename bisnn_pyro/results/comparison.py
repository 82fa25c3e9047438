"""Finished runs side by side: scores over seeds, and paired differences on the same test points."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bisnn_pyro.analysis import PrintedTable, check_suffix
from bisnn_pyro.results.finished import Paths
from bisnn_pyro.results.runs import Runs, as_runs


@dataclass(frozen=True)
class Comparison:
    """Tables across runs.

    Attributes:
        scores: one line per experiment, method and predictor: means and intervals over seeds.
        differences: the reference minus each other line; None if there is only one.
        files: what was written.
    """

    scores: PrintedTable
    differences: PrintedTable | None
    files: tuple[Path, ...]

    def __repr__(self) -> str:
        """Both tables, the differences below the scores."""
        tables = [self.scores] if self.differences is None else [self.scores, self.differences]
        return "\n\n".join(table.plain() for table in tables)


def compare(
    runs: Runs | Paths,
    out: str | os.PathLike[str] | None = None,
    *,
    reference: str | None = None,
    n_resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Put finished runs on the same test points into one table.

    Args:
        runs: the runs, or run folders, or folders that hold them (``runs/<experiment>``).
        out: file for the table, .csv, .md or .tex; the differences go to ``<name>-differences`` in the same
            folder.
        reference: the method that the others are subtracted from, with its first predictor; that of the first
            run by default.
        n_resamples: bootstrap draws of the test points.
        seed: of the bootstrap.

    Raises:
        InputError: if the runs cannot be compared, there is no such method, or the suffix is unknown.
    """
    target = None if out is None else check_suffix(out)
    found = as_runs(runs)
    scores = found.score_table()
    differences = found.difference_table(reference, n_resamples=n_resamples, seed=seed)
    files = []
    if target is not None:
        files.append(scores.write(target))
        if differences is not None:
            files.append(differences.write(target.with_stem(f"{target.stem}-differences")))
    return Comparison(scores, differences, tuple(files))
