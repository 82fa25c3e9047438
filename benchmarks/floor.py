"""The floor: the matrix products of the hidden layers and nothing else.

The read-outs' products are left out, which makes the floor lower than what any program could reach.
"""

from __future__ import annotations

import torch
from torch import Tensor

from benchmarks.nets import Net


class StepFloor:
    """The products of a training step under local credit: forward, and the weights' gradients."""

    def __init__(self, net: Net, dtype: torch.dtype = torch.float32) -> None:
        rows = net.n_steps * net.batch
        source = torch.Generator().manual_seed(0)
        self.operands = [
            tuple(torch.randn(shape, generator=source).to(dtype) for shape in ((rows, i), (o, i), (rows, o)))
            for i, o in net.sizes
        ]

    def __call__(self) -> None:
        """Form the products; the gradient in the faster of its two orientations."""
        for trace, weight, grad in self.operands:
            torch.mm(trace, weight.T)
            torch.mm(trace.T, grad)


class CommitteeFloor:
    """The forward products of S networks on encoded blocks, as the dense path would form them."""

    def __init__(self, net: Net, blocks: list[Tensor], n_draws: int, dtype: torch.dtype) -> None:
        source = torch.Generator().manual_seed(0)
        rows = [net.n_steps * block.shape[1] for block in blocks]
        self.inputs = [
            [torch.rand(n, i, generator=source).round().to(dtype) for n in rows] for i, _ in net.sizes
        ]
        self.weights = [torch.randn(o, i, generator=source).sign().to(dtype) for i, o in net.sizes]
        self.n_draws = n_draws

    def __call__(self) -> None:
        """Form the products of every member."""
        for _ in range(self.n_draws):
            for weight, blocks in zip(self.weights, self.inputs, strict=True):
                for x in blocks:
                    torch.mm(x, weight.T)
