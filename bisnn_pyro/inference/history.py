"""What training leaves behind, epoch by epoch."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

Row = dict[str, float]
"""What is recorded of one epoch: numbers by name."""


class History:
    """One row of numbers per epoch; a row may lack some columns.

    Losses are per example (divided by the data set's size), KL is in nats for the whole network.

    Args:
        rows: to start with; the list is copied.

    Example:
        >>> history = History([{"epoch": 1.0, "loss": 0.7}, {"epoch": 2.0, "loss": 0.6, "val_nll": 0.5}])
        >>> history.column("val_nll")
        [nan, 0.5]
    """

    def __init__(self, rows: list[Row] | None = None) -> None:
        self.rows: list[Row] = list(rows or [])

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def append(self, row: Row) -> None:
        """Add an epoch."""
        self.rows.append(row)

    @property
    def columns(self) -> list[str]:
        """Names of all columns, in the order of their first appearance."""
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def column(self, name: str) -> list[float]:
        """Return one column, NaN where a row has no such entry."""
        return [row.get(name, math.nan) for row in self.rows]

    @classmethod
    def joined(cls, histories: Sequence[History]) -> History:
        """Return the histories of a mixture's components as one, with the column ``component``; one as it is.

        Example:
            >>> both = History.joined([History([{"epoch": 1.0}]), History([{"epoch": 1.0}])])
            >>> both.column("component"), [len(own) for own in both.components()]
            ([0.0, 1.0], [1, 1])
        """
        if len(histories) == 1:
            return histories[0]
        return cls([{"component": float(m), **row} for m, own in enumerate(histories) for row in own])

    def components(self) -> list[History]:
        """Return the history of each component, without its column; of a run without components, itself."""
        found: dict[float, History] = {}
        for row in self.rows:
            own = {name: value for name, value in row.items() if name != "component"}
            found.setdefault(row.get("component", 0.0), History()).append(own)
        return list(found.values()) or [self]

    def write_csv(self, path: Path) -> None:
        """Write all rows; an entry that is missing stays empty."""
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self.rows)

    @classmethod
    def read_csv(cls, path: Path) -> History:
        """Read what :meth:`write_csv` wrote."""
        with path.open(newline="", encoding="utf-8") as file:
            rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
        return cls(rows)
