"""Blockwise evaluation gives the numbers of the whole."""

import pytest
import torch

from bisnn_pyro.distributions import in_blocks


@pytest.mark.parametrize("n", [0, 1, 5, 16384, 16385, 50000])
def test_blocks_equal_the_whole(n):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(n, generator=generator), torch.randn(n, generator=generator)
    scale = torch.tensor(3.0)
    formula = lambda a, b, c: torch.tanh(a) * b / c  # noqa: E731
    assert torch.equal(in_blocks(formula, x, y, scale), formula(x, y, scale))


def test_broadcasting_and_expanded_inputs():
    x, row = torch.randn(300, 200), torch.randn(200)
    column = torch.randn(300, 1).expand(300, 200)
    formula = lambda a, b, c: (a + b).mul_(c)  # noqa: E731
    assert torch.equal(in_blocks(formula, x, row, column), formula(x, row, column))
    assert torch.equal(in_blocks(formula, row, x, column), formula(row.expand(300, 200), x, column))


def test_the_result_has_the_first_tensors_type():
    x = torch.randn(20000)
    assert in_blocks(lambda a: a.double(), x).dtype == torch.float32
    assert in_blocks(lambda a: a.double(), x[:10]).dtype == torch.float32
