"""Keys against published numbers and simple statistics."""

import numpy as np
import pytest

from bisnn_pyro.keys import branch, point_keys, uniform


class TestPointKeys:
    def test_values_alone_count(self):
        x = np.array([[0.0, 0.5], [0.5, 0.0], [1.0, 1.0]])
        keys = point_keys(x, 0, "a")
        assert len(set(keys.tolist())) == 3
        for same in (x.astype(np.float32), np.asfortranarray(x), np.where(x == 0, -0.0, x), list(x)):
            assert np.array_equal(point_keys(same, 0, "a"), keys)
        assert np.array_equal(point_keys(x[::-1], 0, "a"), keys[::-1])
        assert np.array_equal(point_keys(x[2:].astype(np.uint8), 0, "a"), keys[2:])

    def test_seed_and_purpose_count(self):
        x = np.zeros((1, 2))
        found = {int(point_keys(x, seed, purpose)[0]) for seed in (0, 1, 11) for purpose in ("a", "1 a", "b")}
        assert len(found) == 9

    def test_no_points(self):
        assert point_keys(np.empty((0, 3)), 0, "a").shape == (0,)


class TestBranch:
    def test_published_outputs_of_splitmix64(self):
        # The first five of the reference program (Vigna, splitmix64.c) with the seed 1234567.
        expected = [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423,
            4593380528125082431,
            16408922859458223821,
        ]
        assert branch(1234567, np.arange(5)).tolist() == expected

    def test_broadcasts_and_leaves_its_arguments(self):
        keys = np.arange(3, dtype=np.uint64)
        found = branch(keys[:, None], np.arange(4))
        assert found.shape == (3, 4)
        assert keys.tolist() == [0, 1, 2]
        assert found[2, 3] == branch(2, 3)[0]


class TestUniform:
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_uniform_and_independent(self, dtype):
        # Seeds are fixed; each bound is 5 standard errors: 6e-7 two-sided, under 1e-4 in all.
        u = uniform(point_keys(np.arange(300.0), 0, "u"), 1000, dtype)
        assert u.dtype == dtype
        assert u.min() >= 0
        assert u.max() < 1
        n = u.size
        counts = np.bincount((u.ravel() * 16).astype(int), minlength=16)
        assert abs(counts - n / 16).max() < 5 * np.sqrt(n * 15 / 256)
        assert abs(u.mean() - 0.5) < 5 / np.sqrt(12 * n)
        centred = np.sqrt(12) * (u - 0.5)
        for one, other in ((centred[:-1], centred[1:]), (centred[:, :-1], centred[:, 1:])):
            assert abs((one * other).mean()) < 5 / np.sqrt(one.size)
