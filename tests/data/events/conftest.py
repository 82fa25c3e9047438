"""A cache folder of the test's own."""

import pytest


@pytest.fixture(autouse=True)
def user_cache(tmp_path, monkeypatch):
    """Nothing in the user's cache is read or written, nor is BISNN_DATA heeded."""
    folder = tmp_path / "user-cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.delenv("BISNN_DATA", raising=False)
    return folder / "bisnn_pyro"
