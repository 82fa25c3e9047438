"""A nested state as one safetensors file: tensors as such, the rest as JSON; nothing in it can be code.

The file has the SHA-256 of its own bytes in its header, taken with 64 zeros in that place.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.files import PREFIX, atomic_path, write_whole
from bisnn_pyro.storage import strict_json

FOLDER = "checkpoint"
"""The folder of a run's checkpoints."""
FORMAT = 1
_STATE = "state"
_EMPTY = "0" * 64


def dumps(state: Any) -> bytes:
    """Return a state of dicts (keys: texts or integers), lists, tuples, tensors, texts, numbers and None.

    Raises:
        TypeError: if it holds something else.

    Example:
        >>> state = {"weights": torch.ones(2), "rows": [{"loss": float("inf")}], 0: (1, None)}
        >>> loads(dumps(state))
        {'weights': tensor([1., 1.]), 'rows': [{'loss': inf}], 0: (1, None)}
    """
    tensors: dict[str, Tensor] = {}
    text = strict_json.dumps({"format": FORMAT, "state": _plain(state, tensors)}, indent=None)
    # Clones: the format refuses tensors that share memory.
    content = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    content[_STATE] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    unsigned = save(content, {"sha256": _EMPTY})
    return unsigned.replace(_EMPTY.encode(), hashlib.sha256(unsigned).hexdigest().encode(), 1)


def loads(content: bytes) -> Any:
    """Return the state that :func:`dumps` wrote.

    Raises:
        ValueError: if these are other bytes.
    """
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        signed = header["__metadata__"]["sha256"].encode()
        if hashlib.sha256(content.replace(signed, _EMPTY.encode(), 1)).hexdigest().encode() != signed:
            raise ValueError("another SHA-256 stands in its header")
        tensors = load(content)
        found = strict_json.loads(tensors.pop(_STATE).numpy().tobytes())
        if found["format"] != FORMAT:
            raise ValueError(f"it has format {found['format']}, and this release reads {FORMAT}")
        return _restored(found["state"], tensors)
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not a whole checkpoint ({error})") from error


def previous(path: Path) -> Path:
    """Return where the checkpoint before this one is kept."""
    return path.with_name(f"{path.stem}.previous{path.suffix}")


def is_there(path: Path) -> bool:
    """Return whether there is a checkpoint, or the one before it."""
    return path.is_file() or previous(path).is_file()


def write(path: Path, state: Any) -> None:
    """Write a checkpoint, whole or not at all, and keep the one that was there as the previous one."""
    content = dumps(state)
    if path.is_file():
        with atomic_path(previous(path)) as temporary:
            link_or_copy(path, temporary)
    write_whole(path, content)


def remove(run: Path) -> None:
    """Remove the checkpoints of a run: all at once for whoever looks, even if the process is killed."""
    folder = run / FOLDER
    if folder.exists():
        gone = run / f"{PREFIX}{FOLDER}"
        shutil.rmtree(gone, ignore_errors=True)
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def read(path: Path) -> Any:
    """Read a checkpoint; the one before it where this one is missing.

    Raises:
        RunFolderError: if it is damaged; the message says whether the one before it is whole.
    """
    before = previous(path)
    if not path.is_file():
        return _read(before)
    try:
        return _read(path)
    except RunFolderError as error:
        try:
            _read(before)
        except RunFolderError:
            way_out = "there is no earlier one: run anew with --overwrite"
        else:
            way_out = (
                f"the one before it, {before.name}, is whole: delete {path.name} and --resume goes on from it"
            )
        raise RunFolderError(f"{error}; {way_out}") from error


def _read(path: Path) -> Any:
    try:
        return loads(path.read_bytes())
    except OSError as error:
        raise RunFolderError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except ValueError as error:
        raise RunFolderError(f"the checkpoint {path} was edited or damaged: {error}") from error


def link_or_copy(source: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """Give a file a second name, or copy it where the file system has no such names."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _plain(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, Tensor):
        name = f"tensor{len(tensors)}"
        tensors[name] = value
        return {"tensor": name}
    if isinstance(value, dict):
        if not all(type(key) in (str, int) for key in value):
            raise TypeError(f"a checkpoint's keys are texts or integers, not {list(value)}")
        return {"dict": [[key, _plain(own, tensors)] for key, own in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_plain(own, tensors) for own in value]}
    if isinstance(value, list):
        return [_plain(own, tensors) for own in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a checkpoint cannot hold a {type(value).__name__}")


def _restored(value: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_restored(own, tensors) for own in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "tuple":
        return tuple(_restored(own, tensors) for own in content)
    return {key: _restored(own, tensors) for key, own in content}
