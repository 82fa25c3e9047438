"""Networks of packed bits: the file format, a reader that needs numpy alone, and how a run is written."""

from typing import Any

from bisnn_pyro.exports.network import ExportedNetwork, read_export

__all__ = ["ExportedNetwork", "export", "read_export"]  # noqa: F822


def __getattr__(name: str) -> Any:
    """Import what writes a run, and torch with it, when it is first used."""
    if name != "export":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from bisnn_pyro.exports.writing import export

    return export
