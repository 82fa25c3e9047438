"""Small pictures in all trials of robustness: drawing takes longer than all else."""

import pytest

from bisnn_pyro.analysis.figures import style

DPI = 20


@pytest.fixture(scope="module", autouse=True)
def small_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style, "PNG_DPI", DPI)
        yield
