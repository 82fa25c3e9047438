"""Nested states in one file: back as they were, and no damage passes."""

import math
import random

import pytest
import torch

from bisnn_pyro.errors import RunFolderError
from bisnn_pyro.storage import checkpoint

STATE = {
    "guide": {"natural.layers__0__weight": torch.randn(3, 2, generator=torch.Generator().manual_seed(0))},
    "optimisers": [
        {"state": {0: {"step": torch.tensor(3.0), "m": torch.zeros(0)}}, "groups": [{"betas": (0.9, 1)}]}
    ],
    "random": torch.arange(16, dtype=torch.uint8),
    "masks": [torch.tensor([True, False]), torch.tensor(4, dtype=torch.int64), torch.ones(2).double()],
    "rows": [{"epoch": 1.0, "val_nll": math.inf}, {}],
    "best": None,
    "text": "NaN",
    "flag": True,
    1: -0.0,
}


def same(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and repr(a) == repr(b)


def test_a_state_reads_back():
    assert same(checkpoint.loads(checkpoint.dumps(STATE)), STATE)
    assert checkpoint.dumps(STATE) == checkpoint.dumps(STATE)


def test_shared_memory_and_views():
    base = torch.arange(6.0)
    found = checkpoint.loads(checkpoint.dumps({"a": base, "b": base[1:3], "c": base.view(2, 3).T}))
    assert torch.equal(found["b"], base[1:3])
    assert torch.equal(found["c"], base.view(2, 3).T)


@pytest.mark.parametrize("value", [{1.5: 1}, {True: 1}, {"a": object()}, {"a": {2}}, {"a": b"bytes"}])
def test_other_values_are_refused(value):
    with pytest.raises(TypeError, match="checkpoint"):
        checkpoint.dumps(value)


def test_every_damage_is_noticed():
    content, rng = checkpoint.dumps(STATE), random.Random(0)
    for _ in range(500):
        damaged = bytearray(content)
        damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        with pytest.raises(ValueError, match="not a whole checkpoint"):
            checkpoint.loads(bytes(damaged))
    for other in (b"", content[:-1], content + b"\0", content[: len(content) // 2], b"\x80\x04N."):
        with pytest.raises(ValueError, match="not a whole checkpoint"):
            checkpoint.loads(other)


def test_the_one_before_is_kept_and_offered(tmp_path):
    path = tmp_path / "checkpoint" / "state.safetensors"
    for epoch in (1, 2, 3):
        checkpoint.write(path, {"epoch": epoch})
    assert {p.name for p in path.parent.iterdir()} == {"state.safetensors", "state.previous.safetensors"}
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RunFolderError, match=r"state\.safetensors was edited or damaged.*is whole: delete"):
        checkpoint.read(path)
    path.unlink()
    assert checkpoint.is_there(path)
    assert checkpoint.read(path) == {"epoch": 2}
    checkpoint.previous(path).write_bytes(b"no")
    with pytest.raises(RunFolderError, match="edited or damaged"):
        checkpoint.read(path)
    path.write_bytes(b"neither")
    with pytest.raises(RunFolderError, match="no earlier one"):
        checkpoint.read(path)


def test_they_are_removed_at_once(tmp_path):
    checkpoint.write(tmp_path / "checkpoint" / "state.safetensors", {})
    checkpoint.remove(tmp_path)
    checkpoint.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []
