"""A measurement, one row of the printed table, and the settings of every benchmark."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.nets import MNIST, TWO_MOONS, Net
from benchmarks.timing import Comparison


@dataclass(frozen=True)
class Measurement:
    """What one benchmark found; numbers are ``None`` where there is nothing to compare with.

    Attributes:
        name: of the row.
        ratio: ours / theirs, the median over pairs.
        low: first quartile of the pairs' ratios.
        high: third quartile.
        ours_s: our median time in seconds.
        theirs_s: theirs.
        setting: what was compared, in words.
    """

    name: str
    ratio: float | None
    low: float | None
    high: float | None
    ours_s: float | None
    theirs_s: float | None
    setting: str

    @classmethod
    def of(cls, name: str, c: Comparison, setting: str) -> Measurement:
        """Return the row of a comparison."""
        setting = f"{setting}; median and quartiles of {c.pairs} pairs"
        return cls(name, c.ratio, c.low, c.high, c.ours_s, c.theirs_s, setting)

    def as_dict(self) -> dict[str, Any]:
        """Return the row as it is saved."""
        return asdict(self)


@dataclass(frozen=True)
class Settings:
    """How long to measure, and on what.

    Attributes:
        seconds: time for the pairs of a row, without set-up and warm-up.
        nets: the networks by name.
        points: test points of a committee.
        draws: members of a committee that is compared with another program.
        member_draws: members of the committee whose time per member is measured.
        memory_draws: the two committees whose memory is compared, the larger first.
        memory_points: test points there.
        memory_steps: the two lengths T of a sequence whose memory is compared, the larger first.
        memory_pairs: how often.
    """

    seconds: float = 20.0
    nets: dict[str, Net] = field(default_factory=lambda: {"two-moons": TWO_MOONS, "mnist": MNIST})
    points: int = 1000
    draws: int = 2
    member_draws: int = 10
    memory_draws: tuple[int, int] = (1000, 20)
    memory_points: int = 100
    memory_steps: tuple[int, int] = (800, 100)
    memory_pairs: int = 3


@dataclass(frozen=True)
class Benchmark:
    """A row that can be measured.

    Attributes:
        name: of the row.
        run: measures it.
        needs: the package without which it is skipped.
        quick: whether ``--quick`` has it.
    """

    name: str
    run: Callable[[str, Settings], Measurement]
    needs: str | None = None
    quick: bool = True
