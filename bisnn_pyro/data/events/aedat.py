"""AEDAT files: the text header that all versions share, and the version's reader."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from bisnn_pyro.data.events import aedat2, aedat3
from bisnn_pyro.data.events.record import Events
from bisnn_pyro.errors import DataError

_VERSION = re.compile(rb"#!AER-DAT(\d+\.\d+)")


@dataclass(frozen=True)
class Header:
    """The lines at the head of a file.

    Attributes:
        version: As written, ``"2.0"``.
        lines: All lines, without the ends of line.
        size: Bytes up to the first event.
    """

    version: str
    lines: tuple[str, ...]
    size: int


def read_aedat(path: str | os.PathLike[str]) -> Events:
    """Read a recording in AEDAT 2.0 (of a DVS128) or 3.1.

    Args:
        path: The file.

    Returns:
        The events; times are those of the camera's clock.

    Raises:
        DataError: If the file is cut short or damaged, or of another version or camera.
        OSError: If it cannot be read.
    """
    data = Path(path).read_bytes()
    header = parse_header(data)
    if header.version == "2.0":
        return aedat2.parse(data, header.size, header.lines)
    if header.version == "3.1":
        return aedat3.parse(data, header.size, header.lines)
    raise DataError(f"AEDAT {header.version} is not read here; expected version 2.0 or 3.1")


def parse_header(data: bytes) -> Header:
    """Split off the lines that begin with ``#``; those of version 3 end with ``#!END-HEADER``.

    Raises:
        DataError: If the first line does not name the version.
    """
    version = _VERSION.match(data)
    if version is None:
        raise DataError(
            "the file does not begin with '#!AER-DAT' and a version; it is no AEDAT 2.0 or 3.1 file"
        )
    lines: list[str] = []
    size = 0
    while data[size : size + 1] == b"#":
        end = data.find(b"\n", size) + 1
        if not end:
            raise DataError("the header does not end; the file is cut short")
        lines.append(data[size:end].decode("latin-1").rstrip())
        size = end
        if lines[-1] == "#!END-HEADER":
            break
    return Header(version[1].decode(), tuple(lines), size)
