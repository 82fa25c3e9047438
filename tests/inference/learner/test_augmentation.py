"""Changes of the inputs while training: augmentation and noise."""

import signal

import torch

from tests.inference.learner.fitting import (
    X_VAL,
    Y_VAL,
    X,
    Y,
    assert_same,
    make_learner,
    normalised_net,
    without_seconds,
)
from tests.inference.tiny import encode_current


class TestAugmentation:
    def noise(self, x, generator):
        """A change that draws from the learner's generator."""
        return (x + 0.2 * torch.rand(x.shape, generator=generator)).clamp(0, 1)

    def test_none_and_one_that_changes_nothing_give_the_same_bits(self):
        plain, augmented = make_learner(), make_learner()
        augmented.augment = lambda x, generator: x
        first, second = (one.fit(X, Y, X_VAL, Y_VAL) for one in (plain, augmented))
        assert without_seconds(first.history) == without_seconds(second.history)
        assert_same(plain, augmented)

    def test_it_sees_training_batches_alone_and_the_callers_state_stays(self):
        net = normalised_net()
        learner, seen = make_learner(net, reference_size=10), []

        def augment(x, generator):
            seen.append(len(x))
            return self.noise(x, generator)

        learner.augment = augment
        state = torch.get_rng_state()
        learner.fit(X, Y, X_VAL, Y_VAL)
        assert seen == [16, 16, 8] * 3
        assert torch.equal(torch.get_rng_state(), state)

    def test_interrupted_then_resumed_is_uninterrupted(self):
        whole, cut, rest = (make_learner(epochs=4, input_noise=0.1) for _ in range(3))
        for learner in (whole, cut, rest):
            learner.augment = self.noise
        expected = whole.fit(X, Y, X_VAL, Y_VAL)
        checkpoints = []

        def on_epoch(history, checkpoint):
            checkpoints.append(checkpoint)
            if len(history) == 2:
                signal.raise_signal(signal.SIGINT)

        assert cut.fit(X, Y, X_VAL, Y_VAL, on_epoch=on_epoch).interrupted
        result = rest.fit(X, Y, X_VAL, Y_VAL, resume=checkpoints[-1]())
        assert without_seconds(result.history) == without_seconds(expected.history)
        assert_same(whole, rest)


def test_input_noise_is_fresh_and_stays_in_the_unit_interval():
    seen = []

    def encode(x, generator):
        if len(x) == len(X):
            seen.append(x.clone())
        return encode_current(x)

    make_learner(encode=encode, batch_size=40, epochs=2, input_noise=0.5).fit(X, Y)
    assert len(seen) == 2
    assert all(float(x.min()) >= 0 and float(x.max()) <= 1 for x in seen)
    assert all(float((x.sort(0)[0] - X.sort(0)[0]).abs().max()) > 0.01 for x in seen)
    assert not torch.equal(seen[0].sort(0)[0], seen[1].sort(0)[0])
