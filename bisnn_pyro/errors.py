"""The package's exceptions: one family, so that a caller can catch them all.

Each message says what is wrong, where, and what to do about it.  The command line turns
:class:`InputError` into exit status 2 and every other :class:`BisnnError` into 1.
"""

from __future__ import annotations

INTERRUPTED = 130
"""Exit status of the command line after Ctrl-C."""


class BisnnError(Exception):
    """Base class of every error that this package raises on purpose."""


class InputError(BisnnError, ValueError):
    """The user's input cannot be used as it stands; nothing was run or written."""


class ConfigError(InputError):
    """A config table, key or value is wrong."""


class DataError(InputError):
    """An array or a file does not have the expected name, shape, type or values."""


class RunFolderError(InputError):
    """A run folder is missing, unfinished, or already there."""


class ModelError(InputError):
    """The parts of a model (layers, prior, likelihood, guide) do not fit together."""


class EstimatorError(BisnnError, NotImplementedError):
    """The ELBO estimator does not hold for this model and guide (for example: no KL)."""


class DivergenceError(BisnnError, ArithmeticError):
    """A loss became NaN or infinite; the message names the site it came from."""


class DataWarning(UserWarning):
    """Data were used, but not as they stand, or they look as if something else was meant."""
