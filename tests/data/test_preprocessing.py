"""What a run stores of its data: it survives JSON, and tells other data apart."""

import json

import numpy as np
import pytest

from bisnn_pyro.data import (
    DirectEncoder,
    Preprocessing,
    SpikesEncoder,
    StandardEncoder,
    curve,
    event_folder,
    handwritten_digits,
    two_moons,
)
from tests.data.events.writers import write_class_folders


def stored(task, encoder):
    return json.loads(json.dumps(Preprocessing.of(task, encoder).to_dict()))


@pytest.mark.parametrize("make", [two_moons, curve, handwritten_digits])
def test_json_gives_it_back(make):
    task = make(n_train=40)
    values = stored(task, StandardEncoder().fit(task.train.x))
    again = Preprocessing.from_dict(values)
    assert json.loads(json.dumps(again.to_dict())) == values
    assert again.matches(values)
    assert np.array_equal(again.scaler.low, task.scaler.low)
    assert (again.labels, again.target_scaler) == (task.labels, task.target_scaler)
    assert again.image_shape == task.image_shape
    assert ("image_shape" in values) == (task.image_shape is not None)


def test_recordings(tmp_path):
    task = event_folder(write_class_folders(tmp_path, n=2), n_val=1, cache=False)
    values = stored(task, SpikesEncoder(task.n_steps))
    again = Preprocessing.from_dict(values)
    assert (again.binning, again.sensor, again.n_steps) == (task.binning, task.sensor, 100)
    assert again.fingerprints == task.fingerprints
    assert again.matches({k: v for k, v in values.items() if k not in ("fingerprints", "sensor")})
    assert not again.matches({**values, "sensor": [1, 2]})


def test_other_data_do_not_match():
    now = Preprocessing.of(two_moons(), DirectEncoder())
    assert not now.matches(stored(two_moons(seed=1), DirectEncoder()))
    with pytest.raises(KeyError):
        Preprocessing.from_dict({"kind": "regression", "n_features": 1, "n_classes": 0})
