"""Where tests find real data sets, and how they say that one is missing."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("BISNN_DATA") or Path(__file__).parents[1] / ".." / "shared" / "data").resolve()


def needs(name: str) -> pytest.MarkDecorator:
    """Skip a test unless the set is there."""
    missing = not (DATA / name).is_dir()
    return pytest.mark.skipif(missing, reason=f"{name} is neither in BISNN_DATA nor in ../shared/data")
