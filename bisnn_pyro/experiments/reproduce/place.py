"""Where the tables and figures of a stage go."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bisnn_pyro.analysis import Plot, PrintedTable, save_figure
from bisnn_pyro.experiments.study import Study
from bisnn_pyro.files import PREFIX

FORMATS = ("csv", "md", "tex")


@dataclass
class Place:
    """The folders of a reproduction, for one stage.

    Attributes:
        out: the reproduction's folder.
        prefix: what names begin with.
        files: what was written.
    """

    out: Path
    prefix: str
    files: list[Path] = field(default_factory=list)

    def table(self, name: str, table: PrintedTable) -> None:
        """Write a table in all formats."""
        stem = self.out / "tables" / self._stem(name)
        self.files += [table.write(f"{stem}.{suffix}") for suffix in FORMATS]

    def figure(self, name: str, plot: Plot) -> None:
        """Write a figure with the numbers behind it."""
        self.files += save_figure(plot.figure, self.out / "figures", self._stem(name), plot.table).values()

    def study(self, name: str, make: Callable[[Path], Study]) -> Study:
        """Write what a study of finished runs writes, its table in all formats.

        Args:
            name: what the study calls its files.
            make: the study, into a folder.
        """
        self.out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=self.out) as folder:
            study = make(Path(folder))
            for file in study.files:
                if file.name != f"{name}.csv":  # the table, which goes out in all formats
                    self._take(file)
        self.table(name, study.table)
        return study

    def _take(self, file: Path) -> None:
        target = self.out / ("tables" if file.stem.endswith("-runs") else "figures") / self._stem(file.name)
        target.parent.mkdir(exist_ok=True)
        os.replace(file, target)
        self.files.append(target)

    def _stem(self, name: str) -> str:
        return f"{self.prefix}-{name}" if self.prefix else name
