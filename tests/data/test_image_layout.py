"""Images with channels first or last: the same task, and the same prediction."""

import numpy as np
import pytest

from bisnn_pyro.data import DirectEncoder, Preprocessing, load_npz
from bisnn_pyro.data.image_layout import arranged, image_layout
from bisnn_pyro.errors import DataError


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((3, 32, 32), "channels-first"),
        ((32, 32, 3), "channels-last"),
        ((1, 28, 28), "channels-first"),
        ((28, 28, 1), "channels-last"),
        ((2, 34, 34), "channels-first"),
        ((48, 64, 4), "channels-last"),
        ((4, 48, 64), "channels-first"),
        ((16, 14, 14), "channels-first"),
        ((3, 4, 4), "channels-first"),
        ((4, 4, 3), "channels-last"),
        ((1, 1, 700), "channels-first"),
        ((3, 3, 3), None),
        ((3, 3, 4), None),
        ((4, 3, 3), None),
        ((2, 2, 3), None),
        ((16, 3, 3), None),
        ((3, 32, 3), None),
        ((8, 8, 8), None),
        ((14, 14, 16), None),
        ((10, 20, 30), None),
    ],
)
def test_the_shape_decides_or_is_refused(shape, layout):
    if layout is None:
        with pytest.raises(DataError, match=r"may be \[C, H, W\] or \[H, W, C\]; set data\.layout"):
            image_layout("x", shape)
        assert image_layout("x", shape, "channels-last") == "channels-last"
    else:
        assert image_layout("x", shape) == layout


def saved(path, x, **extra):
    y = np.arange(len(x)) % 2
    np.savez(path, x_train=x, y_train=y, x_test=x[:6], y_test=y[:6], **extra)
    return path


@pytest.mark.parametrize("lead", [(20,), (20, 5)])
def test_both_layouts_are_one_task(tmp_path, lead):
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, (*lead, 3, 6, 5)) if len(lead) == 2 else rng.random((*lead, 3, 6, 5))
    first = load_npz(saved(tmp_path / "a.npz", x))
    last = load_npz(saved(tmp_path / "a.npz", np.moveaxis(x, -3, -1)))
    assert first.image_shape == last.image_shape == (3, 6, 5)
    assert (first.layout, last.layout) == ("channels-first", "channels-last")
    assert np.array_equal(first.train.x, last.train.x)
    assert first.spiking == (len(lead) == 2)


def test_a_key_says_what_the_shape_does_not(tmp_path):
    x = np.random.default_rng(0).random((20, 4, 4, 4))
    path = saved(tmp_path / "a.npz", x)
    with pytest.raises(DataError, match=r"data.layout"):
        load_npz(path)
    first, last = (load_npz(path, layout=f"channels-{end}") for end in ("first", "last"))
    assert np.array_equal(
        first.train.x.reshape(-1, 4, 4, 4), np.moveaxis(last.train.x.reshape(-1, 4, 4, 4), 1, -1)
    )
    with pytest.raises(DataError, match="did you mean 'channels-last'"):
        load_npz(path, layout="channel-last")


class TestPrediction:
    def preprocessing(self, tmp_path, x, **settings):
        task = load_npz(saved(tmp_path / "a.npz", x), **settings)
        stored = Preprocessing.of(task, DirectEncoder()).to_dict()
        return Preprocessing.from_dict(stored), task

    def test_either_layout_predicts_alike(self, tmp_path):
        x = np.random.default_rng(0).random((20, 6, 5, 3))
        pre, task = self.preprocessing(tmp_path, x)
        for given in (x[:6], np.moveaxis(x[:6], -1, 1)):
            assert np.array_equal(pre.inputs(given)[0], task.test.x)

    def test_flattened_images_of_a_run_with_channels_last_have_no_known_order(self, tmp_path):
        x = np.random.default_rng(0).random((20, 6, 5, 3))
        pre, _ = self.preprocessing(tmp_path, x)
        with pytest.raises(DataError, match=r"expected features \[N, 6, 5, 3\] or \[N, 3, 6, 5\]"):
            pre.inputs(x.reshape(20, -1))
        pre, task = self.preprocessing(tmp_path, np.moveaxis(x, -1, 1))
        assert np.array_equal(pre.inputs(np.moveaxis(x, -1, 1).reshape(20, -1)[:6])[0], task.test.x)

    def test_the_layout_of_the_training_data_comes_first(self, tmp_path):
        x = np.random.default_rng(0).random((20, 4, 4, 4))
        pre, task = self.preprocessing(tmp_path, x, layout="channels-last")
        assert np.array_equal(pre.inputs(x[:6])[0], task.test.x)

    @pytest.mark.parametrize("shape", [(6, 15, 2), (30, 3), (5, 6, 3), (3, 5, 6), (2, 3, 6, 5)])
    def test_other_shapes_with_as_many_values_are_refused(self, tmp_path, shape):
        pre, _ = self.preprocessing(tmp_path, np.random.default_rng(0).random((20, 6, 5, 3)))
        with pytest.raises(DataError, match=r"x has shape .*; expected features"):
            pre.inputs(np.zeros((2, *shape)))


def test_grey_images_in_every_form():
    x = np.arange(24.0).reshape(2, 4, 3)
    for given in (x, x[:, None], x[..., None], x.reshape(2, 12)):
        assert np.array_equal(arranged("x", given, 12, (1, 4, 3)), x.reshape(2, 12))
    with pytest.raises(DataError, match=r"\[N, 12\] or \[N, 4, 3\] or \[N, 1, 4, 3\] or \[N, 4, 3, 1\]"):
        arranged("x", x.reshape(2, 3, 4), 12, (1, 4, 3))
    with pytest.raises(DataError, match=r"expected spikes \[N, 7, 12\]"):
        arranged("x", x, 12, n_steps=7)
