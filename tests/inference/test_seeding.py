import itertools

import pytest
import torch

from bisnn_pyro.inference.seeding import Purpose, derived_seed, generator, seeded


def test_derived_seeds_are_fixed_and_fit_torch():
    seeds = [derived_seed(s, *path) for s in (0, 1, 2**40) for path in ((), (1,), (1, 2), (2, 1))]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derived_seed(3, Purpose.MEMBERS, 5) == derived_seed(3, 1, 5)


def test_purposes_differ():
    assert len({int(p) for p in Purpose}) == len(Purpose)
    streams = [torch.rand(4, generator=generator(7, p)) for p in Purpose]
    assert not any(torch.equal(a, b) for a, b in itertools.combinations(streams, 2))


def test_generator_starts_afresh():
    assert torch.equal(torch.rand(3, generator=generator(1, 2)), torch.rand(3, generator=generator(1, 2)))


def test_seeded_block():
    torch.manual_seed(99)
    before = torch.get_rng_state()
    with seeded(5, Purpose.TRAINING):
        first = torch.rand(3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(100)
    with seeded(5, Purpose.TRAINING):
        second = torch.rand(3)
    with seeded(6, Purpose.TRAINING):
        third = torch.rand(3)
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_seeded_block_puts_the_state_back_after_an_error():
    before = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="shape"), seeded(5):
        torch.rand(3).view(2)
    assert torch.equal(torch.get_rng_state(), before)
