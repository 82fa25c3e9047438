"""What the settings of a set of recordings mean: stated once, and written into the docstring of every task.

Signatures are written out at each task all the same: they are the keys and the defaults of a config file, an
editor shows them as they stand, and no type says "like that one, but for a default".
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import TypeVar

from bisnn_pyro.data.task import Task

F = TypeVar("F", bound=Callable[..., Task])

MEANINGS = {
    "path": "The set's own folder or its parent; None for ``$BISNN_DATA`` or the publisher.",
    "time_step": "Length of a step in milliseconds.",
    "n_steps": "T; later events are cut off, and a shorter recording ends in silence.",
    "start": "Where step 0 begins, in milliseconds after the recording's zero.",
    "crop": "``[top, left, height, width]`` of the pixels kept; None for all.",
    "downsample": "Side of the square of pixels that become one input, which spikes if any of them does.",
    "polarity": '``"keep"`` OFF and ON events in channels 0 and 1, ``"merge"`` them into one, or '
    '``"on-only"``, which drops OFF events.',
    "n_train": "At most so many training recordings, classes in proportion; None for all that are left.",
    "n_val": "Number of validation recordings; None for a tenth of those outside the test set.",
    "n_test": "At most so many test recordings, for quick trials; None for all.",
    "n_folds": "K: all recordings, training and test together, are dealt to K folds, classes in "
    "proportion; None for the set's own test recordings.",
    "fold": "Which of the K folds, 0..K-1, is the test set.",
    "seed": "Seed of these choices; not the training seed.",
    "on_error": '``"raise"``, or ``"skip"`` for leaving out recordings that cannot be read; '
    "``Task.notes`` then counts and names them.",
    "cache": "Whether to keep the spikes in the user's cache for the next run.",
}
"""Of the settings that several tasks share, by their names."""

OUTCOME = """
Returns:
    A classification task of ready spikes, whose inputs are images (P, H, W).

Raises:
    DataError: If there are no recordings, one cannot be read, or a setting is out of range.
"""


def describe_settings(**own: str) -> Callable[[F], F]:
    """Complete the docstring of a task of recordings by ``Args``, ``Returns`` and ``Raises``.

    Args:
        **own: Meanings of the settings that are this task's alone, or that mean something else to it.

    Returns:
        The decorator; the function itself stays as it is.

    Raises:
        KeyError: If a parameter has no meaning.
    """
    meanings = MEANINGS | own

    def describe(function: F) -> F:
        lines = [_entry(name, meanings[name]) for name in inspect.signature(function).parameters]
        text = inspect.cleandoc(function.__doc__ or "")
        function.__doc__ = "\n".join([text, "", "Args:", *lines, OUTCOME])
        return function

    return describe


def _entry(name: str, meaning: str) -> str:
    entry = textwrap.fill(f"{name}: {meaning}", 100, subsequent_indent=" " * 4, break_on_hyphens=False)
    return textwrap.indent(entry, " " * 4)
