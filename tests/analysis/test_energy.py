import numpy as np
import pytest
from hypothesis import given, strategies as st

from bisnn_pyro.analysis.energy import (
    COUNTING_READOUT,
    HOROWITZ_45NM,
    LATERAL,
    SINGLE_STEP,
    SPIKE_RESPONSE,
    LayerActivity,
    OperationEnergies,
    Work,
    conv_fan_out,
    non_spiking_inference,
    spiking_inference,
)
from bisnn_pyro.errors import DataError

# 3 inputs, 2 hidden units, 2 steps; 4 input spikes reach 2 units each, 1 hidden spike reaches 1 read-out.
HIDDEN = LayerActivity(connections=6, units=2, update=SPIKE_RESPONSE, updates=4, events=8, spikes=1)
READOUT = LayerActivity(connections=2, units=1, update=COUNTING_READOUT, updates=2, events=1, signs=True)


def test_a_binary_network_by_hand():
    work = spiking_inference([HIDDEN, READOUT], weight_bits=1)
    assert work.spikes == 1
    assert work.synaptic_ops == work.add_int == 9
    assert work.unit_updates == 6
    assert (work.multiply_float, work.add_float) == (4 * 5, 4 * 6)
    # A weight, the sum read and written; and 4 numbers of each updated unit read and written.
    assert work.memory_accesses == 9 * 3 + 4 * 8
    assert work.memory_bits == 9 * (1 + 64) + 4 * 8 * 32
    assert work.compute_energy() == pytest.approx(1e-3 * (9 * 0.1 + 20 * 3.7 + 24 * 0.9))
    assert work.memory_energy() == pytest.approx(1e-3 * work.memory_bits * 10 / 64)


def test_real_weights_change_the_sums_alone():
    binary, real = (spiking_inference([HIDDEN, READOUT], bits) for bits in (1, 32))
    assert (real.add_int, real.add_float) == (1, binary.add_float + 8)  # the read-out's signs stay
    assert real.memory_bits - binary.memory_bits == 8 * 31
    assert real.memory_accesses == binary.memory_accesses
    assert real.spikes == binary.spikes


def test_without_spikes_by_hand():
    work = non_spiking_inference([HIDDEN, READOUT], n_steps=2)
    assert work.synaptic_ops == work.multiply_float == 8
    assert work.add_float == 8 + 3  # a comparison each unit
    assert work.memory_accesses == 2 * 8 + 3
    assert work.memory_bits == 32 * work.memory_accesses
    assert work.compute_energy() == pytest.approx(1e-3 * (8 * 4.6 + 3 * 0.9))
    lateral = LayerActivity(6, 2, SPIKE_RESPONSE + LATERAL, 4, lateral=4)
    assert non_spiking_inference([lateral, READOUT], n_steps=2).synaptic_ops == 2 * (6 + 4 + 2)


@pytest.mark.parametrize(
    ("weight_bits", "input_bits", "expected"),
    [(1, 1, (6, 0, 0)), (1, 32, (0, 6, 0)), (32, 1, (0, 6, 0)), (32, 32, (0, 6, 6))],
)
def test_products_of_inputs_that_are_no_spikes(weight_bits, input_bits, expected):
    layer = LayerActivity(6, 2, SINGLE_STEP, updates=0, products=6, input_bits=input_bits)
    work = spiking_inference([layer], weight_bits)
    assert (work.add_int, work.add_float, work.multiply_float) == expected
    assert work.memory_accesses == 6 + 6 + 2
    assert work.memory_bits == 6 * (weight_bits + input_bits) + 2 * 32


@given(st.integers(1, 50), st.floats(0, 100))
def test_a_committee_is_its_members(n, events):
    layer = LayerActivity(6, 2, SPIKE_RESPONSE, updates=4, events=events)
    member = spiking_inference([layer], 1)
    together = sum((member for _ in range(n)), Work())
    for name in Work.__dataclass_fields__:
        assert getattr(member * n, name) == pytest.approx(getattr(together, name))


def test_energies_are_linear_and_ones_own():
    own = OperationEnergies(add_int=1, add_float=0, multiply_float=0, memory_bit=0)
    work = Work(add_int=7, add_float=5, multiply_float=3, memory_bits=100)
    assert work.compute_energy(own) == pytest.approx(7e-3)
    assert work.memory_energy(own) == 0
    assert HOROWITZ_45NM.multiply_float + HOROWITZ_45NM.add_float == pytest.approx(4.6)
    with pytest.raises(DataError, match="add_int"):
        OperationEnergies(add_int=-1)
    with pytest.raises(DataError, match="memory_bit"):
        OperationEnergies(memory_bit=np.nan)


@given(
    st.tuples(st.integers(1, 2), st.integers(3, 7), st.integers(3, 7)),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 2),
)
def test_fan_out_by_walking_over_the_units(shape, channels, kernel, stride, padding):
    _, height, width = shape
    expected = np.zeros((height, width), int)
    for top in range(-padding, height + padding - kernel + 1, stride):
        for left in range(-padding, width + padding - kernel + 1, stride):
            for i in range(max(top, 0), min(top + kernel, height)):
                for j in range(max(left, 0), min(left + kernel, width)):
                    expected[i, j] += channels
    assert conv_fan_out(shape, channels, kernel, stride, padding).tolist() == expected.tolist()
