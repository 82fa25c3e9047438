"""Which recordings train, validate and test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bisnn_pyro.data.checks import check_count, check_number
from bisnn_pyro.data.splitting import at_most, choose, held_out, stratified_folds
from bisnn_pyro.errors import DataError

VALIDATION_SHARE = 0.1
"""Of the recordings outside the test set, where no number is given."""


@dataclass(frozen=True)
class Shares:
    """The settings of a split; every choice keeps the share of each class.

    Attributes:
        n_train: At most so many training recordings; None for all that are left.
        n_val: Number of validation recordings; None for a tenth of those outside the test set.
        n_test: At most so many test recordings; None for all.
        n_folds: K: all recordings, whatever part they came in, are dealt to K folds; None for the set's own
            test part.
        fold: Which fold, 0..K-1, is the test set.
        seed: Seed of the choices.
        test_share: Share of the recordings that test where the set has no test part of its own.
    """

    n_train: int | None = None
    n_val: int | None = None
    n_test: int | None = None
    n_folds: int | None = None
    fold: int | None = None
    seed: int = 0
    test_share: float = 0.1

    def split(self, parts: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Choose the recordings of each part.

        Args:
            parts: ``"train"``, ``"test"`` or ``""``, ``[N]``.
            y: Class indices ``[N]``.

        Returns:
            The numbers of the training, validation and test recordings; no number comes twice.

        Raises:
            DataError: If a setting is out of range, or no recording is left for a part.
        """
        test = self._test(parts, y)
        if not 0 < test.sum() < len(y):
            raise DataError(
                f"of {len(y)} recordings {test.sum()} would test, and the others train; expected some of "
                "each. Use more recordings or, where the data take it, another data.test_share "
                f"({self.test_share} now)"
            )
        rest = np.flatnonzero(~test)
        n_val = round(len(rest) * VALIDATION_SHARE) if self.n_val is None else self.n_val
        if check_count("data.n_val", n_val, 0) >= len(rest):
            raise DataError(
                f"data.n_val is {n_val}, but there are {len(rest)} recordings outside the test set; set it "
                "lower, so that some are left to train on"
            )
        val = choose(len(rest), n_val, self.seed + 1, y[rest])
        train, tested = rest[~val], np.flatnonzero(test)
        return (
            train[at_most(self.n_train, len(train), self.seed + 2, y[train])],
            rest[val],
            tested[at_most(self.n_test, len(tested), self.seed + 3, y[tested])],
        )

    def _test(self, parts: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Which recordings are outside the training set, bool ``[N]``."""
        check_count("data.seed", self.seed, 0)
        if self.n_test is not None:
            check_count("data.n_test", self.n_test)
        if (self.n_folds is None) != (self.fold is None):
            raise DataError(
                f"data.n_folds is {self.n_folds} and data.fold is {self.fold}; give both, as --folds does, "
                "or neither"
            )
        if self.n_folds is not None and self.fold is not None:
            return held_out(stratified_folds(self.n_folds, self.seed, y), self.fold, self.n_folds)
        own = parts == "test"
        if own.any() and not own.all():
            return own
        share = check_number("data.test_share", self.test_share, 0.0, 1.0)
        return choose(len(y), round(len(y) * share), self.seed, y)
