"""Inputs that may be larger than memory: rows are read when used, blocks encoded when requested."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias, overload

import numpy as np
import torch
from torch import Tensor

from bisnn_pyro.errors import DataError
from bisnn_pyro.keys import point_keys

Encode = Callable[[Tensor, torch.Generator | None], Tensor]
"""Features or ready spikes ``[B, ...]`` to spikes ``[T, B, I]``."""

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""Features or ready spikes ``[B, ...]`` to others of the same shape."""

_ENCODING_BLOCK = 250
"""Examples of a block; their spikes do not depend on it."""

_READ_BYTES = 16 * 2**20
"""Bytes of an array on demand that are read at once (at least one row); encoding needs a multiple."""

_MEMORY = 256 * 2**20
"""Bytes of encoded inputs that are kept."""


class ArrayOnDemand(Protocol):
    """An object that is indexed like an array ``[N, ...]`` and reads only the requested rows.

    Numpy memory maps and recordings on disk are examples.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """``(N, ...)``."""

    @property
    def dtype(self) -> Any:
        """Type of the numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """Return these rows (a slice or an array of integers) as an array in memory."""


Inputs: TypeAlias = Tensor | ArrayOnDemand
"""Features or spikes of N examples, in memory or on demand."""


def as_inputs(x: Any) -> Inputs:
    """Return an array as a tensor that shares its memory, and an array on demand as it is."""
    on_demand = not isinstance(x, (Tensor, np.ndarray)) and hasattr(x, "shape") and hasattr(x, "dtype")
    if on_demand:
        return x
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")  # it is only read
        return torch.as_tensor(x)


def rows(x: Inputs, index: slice | Tensor) -> Tensor:
    """Return these examples of ``x``; no others are read.

    Raises:
        DataError: if values read on demand are not finite; they cannot be checked any earlier.
    """
    if isinstance(x, Tensor):
        return x[index]
    found = torch.as_tensor(x[index if isinstance(index, slice) else index.numpy()])
    if found.is_floating_point() and not bool(found.isfinite().all()):
        raise DataError("x is not finite everywhere; drop or fill NaN and infinity first")
    return found


class _Chosen:
    """Some rows of an array on demand, also read on demand."""

    def __init__(self, x: ArrayOnDemand, index: np.ndarray) -> None:
        self.x, self.index = x, index
        self.shape, self.dtype = (len(index), *x.shape[1:]), x.dtype

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        return self.x[self.index[rows]]


def chosen_rows(x: Any, index: np.ndarray) -> Inputs:
    """Return these examples of an array; those of an array on demand are not read yet."""
    inputs = as_inputs(x)
    return inputs[torch.as_tensor(index)] if isinstance(inputs, Tensor) else _Chosen(inputs, index)


class EncodedBlocks(Sequence[Tensor]):
    """Encoded inputs ``[T, B, I]`` of consecutive examples; a block is read and encoded when requested.

    The size of all blocks is estimated from the first.  If they fit into ``memory`` together, each is
    encoded once and kept; otherwise no block is kept, and code that needs several passes takes them group
    by group (:func:`groups`).

    The spikes of an example depend on the seed and its own values alone: every example has a generator of its
    own, seeded by a hash of both, and examples with the same values have the same spikes.  (A generator takes
    32 bits of the hash, so that among n examples about n^2 / 2^33 pairs share their random numbers.)

    Args:
        encode: features or spikes ``[B, ...]`` and a generator to spikes ``[T, B, I]``.  It is called on one
            example at a time, unless it is an encoder that is ``deterministic`` or has a method ``each``.
        x: the examples.
        seed: of the encoding.
        memory: bytes of encoded inputs to keep at most (but at least one block).
    """

    def __init__(self, encode: Encode, x: Inputs, seed: int, memory: int = _MEMORY) -> None:
        self.encode, self.x, self.seed, self.memory = encode, x, seed, memory
        self.n_examples = len(x)
        self._size = _ENCODING_BLOCK
        if not isinstance(x, Tensor):
            a_row = math.prod(x.shape[1:]) * np.dtype(x.dtype).itemsize
            self._size = max(1, min(_ENCODING_BLOCK, _READ_BYTES // max(a_row, 1)))
        self._starts = range(0, max(len(x), 1), self._size)
        self._kept: dict[int, Tensor] = {}
        self._in_memory: int | None = None

    def __len__(self) -> int:
        return len(self._starts)

    @overload
    def __getitem__(self, k: int) -> Tensor: ...
    @overload
    def __getitem__(self, k: slice) -> list[Tensor]: ...
    def __getitem__(self, k: int | slice) -> Tensor | list[Tensor]:
        if isinstance(k, slice):
            return [self[i] for i in range(*k.indices(len(self)))]
        start = self._starts[k]  # an IndexError beyond the last
        k = start // self._size
        if k in self._kept:
            return self._kept[k]
        part = rows(self.x, slice(start, start + self._size))
        block = _compact(self._encoded(part))
        if self._in_memory is None:
            self._in_memory = max(1, self.memory // max(_bytes(block), 1))
        if self._in_memory >= len(self):
            self._kept[k] = block
        return block

    def _encoded(self, x: Tensor) -> Tensor:
        """Return the spikes ``[T, B, I]`` of some examples."""
        source = torch.Generator()
        if getattr(self.encode, "deterministic", False) or not len(x):
            return self.encode(x, source)
        seeds = point_keys(x.detach().cpu().float().numpy(), self.seed, "encoding").view(np.int64).tolist()
        if hasattr(self.encode, "each"):
            return self.encode.each(x, seeds)
        alone = [self.encode(x[i : i + 1], source.manual_seed(seed)) for i, seed in enumerate(seeds)]
        return torch.cat(alone, dim=1)

    def groups(self) -> Iterator[list[Tensor]]:
        """Yield consecutive blocks that fit into memory; the next ones free those before."""
        group: list[Tensor] = []
        for k in range(len(self)):
            group.append(self[k])
            if len(group) == self._in_memory or k == len(self) - 1:
                yield group
                group.clear()


def groups(blocks: Sequence[Tensor]) -> Iterator[tuple[int, Sequence[Tensor]]]:
    """Yield blocks by groups that fit into memory, each with the index of its first example.

    Use a group as often as necessary, then continue: its blocks are then freed and not read again.  Blocks
    that are in memory anyway form one group.
    """
    first = 0
    for group in blocks.groups() if isinstance(blocks, EncodedBlocks) else (blocks,):
        n_examples = sum(block.shape[1] for block in group)
        yield first, group
        first += n_examples


def count_examples(blocks: Sequence[Tensor]) -> int:
    """Return the number of examples without encoding anything."""
    if isinstance(blocks, EncodedBlocks):
        return blocks.n_examples
    return sum(block.shape[1] for block in blocks)


def _compact(spikes: Tensor) -> Tensor:
    """Store binary spikes in one byte each; a constant current keeps one step in memory."""
    if spikes.stride(0) == 0 or spikes.shape[0] == 0:
        return spikes
    as_bytes = spikes.to(torch.uint8)
    return as_bytes if torch.equal(as_bytes.to(spikes.dtype), spikes) else spikes


def _bytes(block: Tensor) -> int:
    return block[:1].nbytes if block.stride(0) == 0 else block.nbytes
