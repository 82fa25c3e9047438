"""The parts of a reproduction: stages, the runs that they need, and what they make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.config import Config


@dataclass(frozen=True)
class Batch:
    """Runs of one experiment, as `bisnn run` makes them; stages may share them.

    Attributes:
        experiment: its name, and that of its folder.
        source: a preset, or a TOML file.
        overrides: ``table.key=value`` strings.
        n_folds: K, to cross-validate with the first of the seeds.
        methods: those to run; all that the source lists where there are none.
    """

    experiment: str
    source: str
    overrides: tuple[str, ...] = ()
    n_folds: int | None = None
    methods: tuple[str, ...] = ()

    @property
    def changes(self) -> list[str]:
        """All that the runs override: their experiment, temperature scaling, and what is asked for."""
        return [f"experiment={self.experiment}", "analysis.temperature_scaling=true", *self.overrides]

    def configs(self, seeds: Sequence[int]) -> list[Config]:
        """Return the configs of all its methods.

        Raises:
            ConfigError: if a config cannot be used.
        """
        own = seeds[:1] if self.n_folds else seeds
        return plan(self.source, self.methods, own, self.changes, self.n_folds)


@dataclass(frozen=True)
class Output:
    """What is made of a stage's runs.

    Attributes:
        kind: a key of :data:`bisnn_pyro.experiments.reproduce.making.OUTPUTS`.
        of: what it is made for: kinds of shift, sets to be told apart, a setting that is swept.
    """

    kind: str
    of: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stage:
    """One part of a reproduction.

    Attributes:
        name: its name, and what its tables and figures begin with where `prefix` says nothing else.
        title: what it shows, a line.
        question: what it is part of the answer to: ``data as trained on``, ``scarce data``, and so on.
        batches: its runs; those that are finished are taken as they are.
        outputs: what is made of them.
        needs: published data sets without which there is nothing to run.
        prefix: what its tables and figures begin with.
        beside: experiments that stand beside for comparison, and are no part of the answer.
    """

    name: str
    title: str
    question: str
    batches: tuple[Batch, ...]
    outputs: tuple[Output, ...]
    needs: tuple[str, ...] = ()
    prefix: str = ""
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """What a user chooses.

    Attributes:
        seeds: training seeds, each once.
        quick: whether sizes are reduced, to see the whole of it in minutes.
        data_dir: a folder with one folder a data set; ``$BISNN_DATA`` and the downloads where None.
        jobs: runs at once.
        command: the command line that started this, for the runs' record.
    """

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    quick: bool = False
    data_dir: Path | None = None
    jobs: int = 1
    command: str | None = None
