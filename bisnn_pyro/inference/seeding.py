"""Randomness that starts from a seed and leaves the caller's untouched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from numbers import Integral

import numpy as np
import torch

from bisnn_pyro.errors import ModelError


class Purpose(IntEnum):
    """What randomness is for: each purpose has its own stream under one seed."""

    MEMBERS = 1
    ENCODING = 2
    TRAINING = 3
    ORDER = 4
    HIDDEN_SPIKES = 5
    INITIALISATION = 6
    VALIDATION = 7
    REFERENCE = 8
    COMPONENTS = 16


def derived_seed(seed: int, *path: int) -> int:
    """Return a seed for one purpose (``path``) under ``seed``; different paths are independent.

    Raises:
        ModelError: if the seed is no whole number of at least 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ModelError(f"seed is {seed!r}; expected a whole number of at least 0")
    state = np.random.SeedSequence([int(seed), *path]).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))


def generator(seed: int, *path: int) -> torch.Generator:
    """Return a generator seeded for one purpose."""
    return torch.Generator().manual_seed(derived_seed(seed, *path))


@contextmanager
def seeded(seed: int, *path: int) -> Iterator[None]:
    """Seed torch's global generator within the ``with`` block and put it back afterwards."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derived_seed(seed, *path))
        yield
