"""What one inference costs: operations, memory accesses, and an estimate of their energy.

The accounting, so that it can be judged:

- *Spiking layers are event-driven.*  Each spike adds its weight to the sum of every unit that it reaches: one
  addition (of an integer where weights are +-1, of a float otherwise), one read of the weight, one read and
  one write of the sum.  A convolution's spikes reach fewer units at the edges, see :func:`conv_fan_out`.
- *Filters run after the sum*, once for each unit and step whether it fires or not; what that takes is a
  :class:`UnitUpdate`.  Its numbers are 32 bits each, read and written; constants (bias, normalisation, time
  constants) stay in registers.
- *Layers on inputs that are not spikes* (currents, features, signs) are dense: each product reads its weight
  and its input and keeps the sum in a register, which is written once.  A current that does not change is
  multiplied once for all steps.
- *A weight is read in its own bits*, 1, 2 (with a 0) or 32, as if packed words were always used to the full.
- *Left out:* encoding of the inputs, pooling, soft-max, random numbers of escape noise, the reference batch
  of a normalisation (it folds into constants), control, routing and leakage.  On real chips these can be
  most of it (Dampfhoffer et al., IEEE TETCI 7, 2023; Yan et al., arXiv 2409.08290): take ratios between nets
  with the same left out, never an absolute figure.

Energies are the rough ones that Horowitz tabulates for a 45 nm process at 0.9 V ("Computing's energy problem
(and what we can do about it)", ISSCC 2014, fig. 1.1.9): 0.1 pJ for an addition of 32-bit integers, 0.9 pJ for
one of floats, 3.7 pJ for a product of floats.  A memory access is one of his 8 kB cache, 10 pJ for 64 bits;
32 kB take 20 pJ, 1 MB takes 100 pJ, and a DRAM off the chip 1.3 to 2.6 nJ, 130 to 260 times the smallest:
where the weights do not fit, give ``memory_bit`` accordingly.  A cache's price includes its look-up, which a
plain memory has not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy as np

from bisnn_pyro.analysis.validation import IntArray
from bisnn_pyro.errors import DataError

WORD = 32
"""Bits of a float, of an integer sum and of a state variable."""


@dataclass(frozen=True)
class OperationEnergies:
    """Energy of single operations, in picojoule.

    Attributes:
        add_int: addition of 32-bit integers.
        add_float: addition of 32-bit floats.
        multiply_float: multiplication of 32-bit floats.
        memory_bit: reading or writing one bit.
    """

    add_int: float = 0.1
    add_float: float = 0.9
    multiply_float: float = 3.7
    memory_bit: float = 10 / 64

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (np.isfinite(value) and value >= 0):
                raise DataError(f"the energy {field.name} is {value!r} pJ; expected a number of at least 0.")


HOROWITZ_45NM = OperationEnergies()


@dataclass(frozen=True)
class UnitUpdate:
    """What a unit does at each step, besides adding up what comes in.

    Attributes:
        multiplications: of floats.
        additions: of floats; a comparison counts as one.
        words: numbers that are read and written.
    """

    multiplications: int
    additions: int
    words: int

    def __add__(self, other: UnitUpdate) -> UnitUpdate:
        return UnitUpdate(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


#: ``P = aP + Q; Q = bQ + sum; R = cR + s; u = gP + h - rR >= 0``; the sum, P, Q and R are kept.
SPIKE_RESPONSE = UnitUpdate(multiplications=5, additions=6, words=4)
#: Of lateral synapses: ``P' = aP' + Q'; Q' = bQ' + sum'; u + g'P'``.
LATERAL = UnitUpdate(multiplications=3, additions=3, words=3)
#: ``g sum + h >= threshold``.
SINGLE_STEP = UnitUpdate(multiplications=1, additions=2, words=1)
#: A read-out's trace, added up over time: ``P = aP + Q; Q = bQ + sum; total + P``.
FILTERED_READOUT = UnitUpdate(multiplications=2, additions=3, words=4)
#: A read-out of spikes alone: what comes in is the total already.
COUNTING_READOUT = UnitUpdate(multiplications=0, additions=0, words=0)


@dataclass(frozen=True)
class Work:
    """What is done in one inference, on average; of several layers, add them.

    Attributes:
        spikes: of hidden units.
        synaptic_ops: weights added or multiplied.
        unit_updates: units times steps.
        add_int: additions of integers, unit updates included, as are those below.
        add_float: additions of floats.
        multiply_float: multiplications of floats.
        memory_accesses: weights and words read or written.
        memory_bits: the bits of these.
    """

    spikes: float = 0.0
    synaptic_ops: float = 0.0
    unit_updates: float = 0.0
    add_int: float = 0.0
    add_float: float = 0.0
    multiply_float: float = 0.0
    memory_accesses: float = 0.0
    memory_bits: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, n: float) -> Work:
        return Work(*(getattr(self, f.name) * n for f in fields(self)))

    def compute_energy(self, energies: OperationEnergies = HOROWITZ_45NM) -> float:
        """Energy of the arithmetic, in nanojoule."""
        parts = ("add_int", "add_float", "multiply_float")
        return 1e-3 * sum(getattr(self, part) * getattr(energies, part) for part in parts)

    def memory_energy(self, energies: OperationEnergies = HOROWITZ_45NM) -> float:
        """Energy of the memory accesses, in nanojoule."""
        return 1e-3 * self.memory_bits * energies.memory_bit


@dataclass(frozen=True)
class LayerActivity:
    """What happens in one layer in one inference, on average over inputs.

    Attributes:
        connections: pairs of an input and a unit that a weight joins.
        units: units, or read-outs.
        update: what each does at a step.
        updates: units times steps.
        lateral: pairs of units that a weight joins.
        events: synaptic operations of spikes: each spike that comes in, times the units that it reaches;
            lateral ones too.
        products: synaptic operations of inputs that are not spikes.
        input_bits: of one of those inputs.
        spikes: that leave the layer.
        signs: whether the weights are +-1 whatever the posterior's are: a random read-out.
    """

    connections: int
    units: int
    update: UnitUpdate
    updates: float
    lateral: int = 0
    events: float = 0.0
    products: float = 0.0
    input_bits: int = WORD
    spikes: float = 0.0
    signs: bool = False


def spiking_inference(layers: Iterable[LayerActivity], weight_bits: int) -> Work:
    """Return the work of a network with weights of 1, 2 or 32 bits, from its observed activity."""
    total = Work()
    for layer in layers:
        bits = 1 if layer.signs else weight_bits
        total += _event_driven(layer.events, bits)
        sums = layer.products * layer.units / layer.connections
        total += _dense(layer.products, sums, bits, layer.input_bits)
        total += _updates(layer.updates, layer.update) + Work(spikes=layer.spikes)
    return total


def non_spiking_inference(layers: Sequence[LayerActivity], n_steps: int = 1) -> Work:
    """Return the work of a network of the same size whose units are 32-bit numbers, and so are its weights.

    Each connection is one multiplication and one addition, each unit a comparison (a rectifier).  Lateral
    synapses make it a recurrent net that takes all ``n_steps`` one by one; without, the whole input is taken
    in one pass, which an input in time may not allow.
    """
    once = sum((_dense(y.connections + y.lateral, y.units, WORD, WORD) for y in layers), Work())
    once += sum((Work(unit_updates=y.units, add_float=y.units) for y in layers), Work())
    return once * (n_steps if any(y.lateral for y in layers) else 1)


def conv_fan_out(
    image_shape: tuple[int, int, int], channels: int, kernel: int, stride: int = 1, padding: int = 0
) -> IntArray:
    """Return how many units of a convolution each place of its input reaches: fewer at the edges.

    Args:
        image_shape: ``(C, H, W)`` of the inputs.
        channels: output channels.
        kernel: side of the square kernels.
        stride: places from one unit to the next.
        padding: rows and columns of silence around the inputs.

    Returns:
        `[H, W]`, for each input channel.
    """
    down, right = (_reached(side, kernel, stride, padding) for side in image_shape[1:])
    return channels * np.outer(down, right)


def _reached(side: int, kernel: int, stride: int, padding: int) -> IntArray:
    first = stride * np.arange((side + 2 * padding - kernel) // stride + 1)
    place = np.arange(side) + padding
    return ((first <= place[:, None]) & (place[:, None] < first + kernel)).sum(1)


def _event_driven(events: float, weight_bits: int) -> Work:
    add = {"add_int" if weight_bits < WORD else "add_float": events}
    return Work(
        synaptic_ops=events, memory_accesses=3 * events, memory_bits=(weight_bits + 2 * WORD) * events, **add
    )


def _dense(products: float, sums: float, weight_bits: int, input_bits: int) -> Work:
    return Work(
        synaptic_ops=products,
        add_int=products if max(weight_bits, input_bits) < WORD else 0,
        add_float=products if max(weight_bits, input_bits) == WORD else 0,
        multiply_float=products if min(weight_bits, input_bits) == WORD else 0,
        memory_accesses=2 * products + sums,
        memory_bits=(weight_bits + input_bits) * products + WORD * sums,
    )


def _updates(n: float, update: UnitUpdate) -> Work:
    accesses = 2 * n * update.words
    return Work(
        unit_updates=n,
        add_float=n * update.additions,
        multiply_float=n * update.multiplications,
        memory_accesses=accesses,
        memory_bits=WORD * accesses,
    )
