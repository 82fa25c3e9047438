"""Inputs on demand: the same bits as from memory, and never more in memory than allowed."""

import gc
import weakref

import numpy as np
import pytest
import torch

from bisnn_pyro.data import SpikesEncoder
from bisnn_pyro.errors import DataError
from bisnn_pyro.inference import (
    AutoRelaxedSign,
    BayesianLearningRule,
    GradientSteps,
    Learner,
    TrainSettings,
    encode_all,
    inputs,
    posterior_draws,
    predict,
)
from bisnn_pyro.inference.inputs import EncodedBlocks, as_inputs, chosen_rows, count_examples, groups, rows
from bisnn_pyro.models import EscapeNeuron
from tests.inference.learner.fitting import assert_same, without_seconds
from tests.inference.on_demand import OnDemand
from tests.inference.tiny import encode_spikes, make_network

T, WIDTH, N = 10, 4, 23
ENCODE = SpikesEncoder(n_steps=T)


def recordings(n=N, seed=0):
    """Ready spikes [N, T, WIDTH], uint8."""
    return (np.random.default_rng(seed).random((n, T, WIDTH)) < 0.4).astype(np.uint8)


def labels(n=N):
    return torch.arange(n) % 3


def spread_guide(net, spikes, y):
    guide = AutoRelaxedSign(net)
    guide.initialize(spikes, y)
    with torch.no_grad():
        for p in guide.parameters():
            p.add_(0.7 * torch.randn_like(p))
    return guide.eval()


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of three recordings."""
    monkeypatch.setattr(inputs, "_READ_BYTES", 3 * T * WIDTH + 1)


class TestRows:
    def test_array_and_on_demand_give_the_same(self):
        x = recordings()
        index = torch.tensor([5, 0, 5, 22])
        for part in (index, slice(2, 7)):
            expected = torch.as_tensor(x[part if isinstance(part, slice) else part.numpy()])
            assert torch.equal(rows(as_inputs(x), part), expected)
            assert torch.equal(rows(as_inputs(OnDemand(x)), part), expected)

    def test_arrays_share_their_memory_and_tensors_pass(self):
        x = recordings()
        assert as_inputs(x).data_ptr() == x.ctypes.data
        tensor = torch.zeros(2)
        assert as_inputs(tensor) is tensor
        assert as_inputs([[0.5, 1.0]]).shape == (1, 2)

    def test_chosen_rows_are_read_when_they_are_wanted(self):
        source = OnDemand(recordings())
        some = chosen_rows(source, np.array([1, 4, 6, 9]))
        assert (len(some), some.shape, source.asked) == (4, (4, T, WIDTH), [])
        np.testing.assert_array_equal(some[1:3], recordings()[[4, 6]])
        assert source.asked == [2]
        in_memory = chosen_rows(recordings(), np.array([1, 4, 6, 9]))
        np.testing.assert_array_equal(in_memory.numpy(), some[:])

    def test_numbers_that_are_not_finite_are_found_when_read(self):
        x = np.zeros((6, 2), np.float32)
        x[4, 1] = np.nan
        source = OnDemand(x)
        rows(source, slice(0, 3))
        with pytest.raises(DataError, match="not finite"):
            rows(source, torch.tensor([4, 0]))


class TestBlocks:
    def test_same_spikes_as_from_memory(self, small_blocks):
        x = recordings()
        whole = torch.cat(list(encode_all(ENCODE, torch.as_tensor(x), seed=0)), dim=1)
        blocks = encode_all(ENCODE, OnDemand(x), seed=0)
        assert [b.shape[1] for b in blocks] == [3] * 7 + [2]
        assert torch.equal(torch.cat(list(blocks), dim=1), whole)
        assert blocks[-1].shape == (T, 2, WIDTH)
        assert [b.shape[1] for b in blocks[6:]] == [3, 2]
        with pytest.raises(IndexError):
            blocks[8]

    def test_features_on_demand_have_the_spikes_of_those_in_memory(self):
        x = torch.rand(260, 2)
        expected = encode_all(encode_spikes, x, seed=3)
        found = encode_all(encode_spikes, OnDemand(x.numpy()), seed=3)
        assert [b.shape for b in found] == [(12, 250, 4), (12, 10, 4)]
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))

    def test_small_sets_are_read_once(self, small_blocks):
        source = OnDemand(recordings())
        blocks = encode_all(ENCODE, source, seed=0)
        assert source.asked == []
        for _ in range(3):
            list(blocks)
        assert sum(source.asked) == N
        assert [first for first, _ in groups(blocks)] == [0]

    def test_large_sets_are_read_again_and_not_kept(self, small_blocks):
        source = OnDemand(recordings())
        blocks = EncodedBlocks(ENCODE, source, 0, memory=7 * T * WIDTH)  # two blocks of three
        alive = [weakref.ref(block) for block in blocks]
        gc.collect()
        assert not any(ref() is not None for ref in alive)
        assert max(source.asked) == 3
        assert torch.equal(torch.cat(list(blocks), dim=1), torch.as_tensor(recordings()).transpose(0, 1))
        assert sum(source.asked) == 2 * N

    def test_groups_free_what_came_before(self, small_blocks):
        source = OnDemand(recordings())
        blocks = EncodedBlocks(ENCODE, source, 0, memory=7 * T * WIDTH)
        seen, refs = [], []
        for first, group in groups(blocks):
            assert sum(ref() is not None for ref in refs) <= 1  # the last one read, at most
            refs += [weakref.ref(block) for block in group]
            seen.append((first, [block.shape[1] for block in group]))
        assert seen == [(0, [3, 3]), (6, [3, 3]), (12, [3, 3]), (18, [3, 2])]
        assert sum(source.asked) == N

    def test_one_block_that_is_too_large_is_a_group(self, small_blocks):
        blocks = EncodedBlocks(ENCODE, OnDemand(recordings()), 0, memory=1)
        assert [first for first, _ in groups(blocks)] == list(range(0, N, 3))

    def test_rows_that_are_too_large_are_read_one_by_one(self, monkeypatch):
        monkeypatch.setattr(inputs, "_READ_BYTES", 1)
        source = OnDemand(recordings(4))
        list(encode_all(ENCODE, source, seed=0))
        assert source.asked == [1, 1, 1, 1]

    def test_counting_reads_nothing(self):
        source = OnDemand(recordings())
        assert count_examples(encode_all(ENCODE, source, seed=0)) == N
        assert source.asked == []
        assert count_examples([torch.zeros(T, 3, WIDTH), torch.zeros(T, 2, WIDTH)]) == 5

    def test_no_examples(self):
        (block,) = encode_all(ENCODE, OnDemand(recordings(0)), seed=0)
        assert block.shape == (T, 0, WIDTH)


class TestPrediction:
    @pytest.mark.parametrize("path", ["packed", "dense"])
    @pytest.mark.parametrize("normalise", [False, True])
    def test_same_bits_as_from_memory_and_each_example_read_once(self, path, normalise, small_blocks):
        net = make_network("categorical-steps", hidden=(6, 5), gain=2.0, normalise=normalise)
        x, y = recordings(), labels()
        spikes = ENCODE(torch.as_tensor(x))
        guide = spread_guide(net, spikes, y)
        net.set_reference(spikes[:, :4] if normalise else None)
        source = OnDemand(x)
        options = {"n_draws": 5, "y": y, "path": path}
        whole = predict(net, posterior_draws(guide, 1), [spikes], **options)
        for memory in (1, 7 * T * WIDTH, 2**20):
            source.asked.clear()
            blocks = EncodedBlocks(ENCODE, source, 0, memory=memory)
            parts = predict(net, posterior_draws(guide, 1), blocks, **options)
            assert parts.path == path
            np.testing.assert_array_equal(parts.draws, whole.draws)
            np.testing.assert_array_equal(parts.log_likelihood, whole.log_likelihood)
            assert (sum(source.asked), max(source.asked)) == (N, 3)

    def test_stochastic_neurons_have_the_same_spikes_in_any_memory(self, small_blocks):
        net = make_network(hidden=(6,), neuron=EscapeNeuron())
        guide = spread_guide(net, ENCODE(torch.as_tensor(recordings())), labels())
        results = [
            predict(
                net,
                posterior_draws(guide, 1),
                EncodedBlocks(ENCODE, OnDemand(recordings()), 0, memory=memory),
                n_draws=3,
                seed=2,
            ).draws
            for memory in (1, 2**20)
        ]
        np.testing.assert_array_equal(*results)


class TestTraining:
    def learner(self, **options):
        net = make_network("categorical-steps", hidden=(6,), gain=2.0, normalise=True)
        settings = TrainSettings(**{"epochs": 3, "batch_size": 5, "validation_draws": 2} | options)

        rule = GradientSteps(lambda model, guide: [BayesianLearningRule(guide.parameters(), 0.4)])
        return Learner(net, AutoRelaxedSign(net), ENCODE, rule, settings)

    def test_same_bits_as_from_memory(self):
        x, x_val = recordings(), recordings(7, seed=1)
        one, other = self.learner(), self.learner()
        first = one.fit(torch.as_tensor(x), labels(), torch.as_tensor(x_val), labels(7))
        second = other.fit(OnDemand(x), labels(), OnDemand(x_val), labels(7))
        assert without_seconds(first.history) == without_seconds(second.history)
        assert_same(one, other)

    def test_what_is_read(self, small_blocks):
        x, x_val = OnDemand(recordings()), OnDemand(recordings(7, seed=1))
        self.learner(reference_size=4).fit(x, labels(), x_val, labels(7))
        # One to initialise, the reference batch, and then each example once an epoch, batch by batch.
        assert x.asked == [1, 4, *([5, 5, 5, 5, 3] * 3)]
        assert x_val.asked == [3, 3, 1]  # a small validation set stays in memory

    def test_a_large_validation_set_is_read_at_each_validation(self, small_blocks, monkeypatch):
        x_val = OnDemand(recordings(7, seed=1))
        monkeypatch.setattr(inputs.EncodedBlocks.__init__, "__defaults__", (1,))
        self.learner(validate_every=2).fit(OnDemand(recordings()), labels(), x_val, labels(7))
        assert x_val.asked == [3, 3, 1] * 2  # after epochs 2 and 3

    def test_as_many_targets_as_examples(self):
        with pytest.raises(DataError, match="23 examples and y 22"):
            self.learner().fit(OnDemand(recordings()), labels(22))
