import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisnn_pyro.errors import ModelError
from bisnn_pyro.inference import Schedule

SHAPES = ["linear", "exponential", "cosine"]
positive = st.floats(1e-3, 1e3)


@pytest.mark.parametrize("shape", SHAPES)
@given(start=positive, end=positive, warmup=st.floats(0, 0.9))
def test_end_points(shape, start, end, warmup):
    schedule = Schedule(start, end, shape, warmup)
    assert schedule(1.0) == pytest.approx(end)
    assert schedule(warmup) == pytest.approx(start)
    assert schedule(0.0) == pytest.approx(start if warmup == 0 else 0.0)


@pytest.mark.parametrize("shape", SHAPES)
@given(start=positive, end=positive, x=st.floats(0, 1), z=st.floats(0, 1))
def test_monotone_between_the_ends(shape, start, end, x, z):
    schedule = Schedule(start, end, shape)
    first, second = schedule(min(x, z)), schedule(max(x, z))
    slack = 1e-9 * max(start, end)
    assert min(start, end) - slack <= first <= max(start, end) + slack
    assert (second - first) * (end - start) >= -slack * abs(end - start)


@pytest.mark.parametrize(
    ("shape", "half", "quarter"),
    [
        ("linear", 5.0, 7.0),
        ("exponential", 3.0, 9**0.75),
        ("cosine", 5.0, 1 + 8 * 0.5 * (1 + math.sqrt(0.5))),
    ],
)
def test_shapes(shape, half, quarter):
    schedule = Schedule(9.0, 1.0, shape)
    assert schedule(0.5) == pytest.approx(half)
    assert schedule(0.25) == pytest.approx(quarter)


def test_constant():
    assert {Schedule(0.3)(x) for x in (0.0, 0.4, 1.0)} == {0.3}
    assert Schedule(0.3, 0.3)(1.0) == 0.3
    with pytest.raises(ModelError, match="needs a shape"):
        Schedule(0.3, 0.9)


@pytest.mark.parametrize("shape", ["linear", "exponential", "cosine"])
def test_a_shape_needs_an_end(shape):
    with pytest.raises(ModelError, match="needs an end"):
        Schedule(0.5, shape=shape)


def test_warmup_is_linear_from_zero():
    schedule = Schedule(2.0, 1.0, "linear", warmup=0.2)
    assert [schedule(x) for x in (0.0, 0.05, 0.1, 0.2, 0.6, 1.0)] == pytest.approx([0, 0.5, 1, 2, 1.5, 1])


@pytest.mark.parametrize("shape", SHAPES)
def test_beyond_the_end_it_stays(shape):
    assert Schedule(2.0, 1.0, shape)(1.5) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1.0, 2.0, "sigmoid"), "sigmoid"),
        ((0.0, 2.0, "exponential"), "exponential"),
        ((1.0, 0.0, "exponential"), "exponential"),
        ((1.0, 2.0, "linear", 1.0), "warmup"),
        ((1.0, 2.0, "linear", -0.1), "warmup"),
    ],
)
def test_errors(arguments, words):
    with pytest.raises(ModelError, match=words):
        Schedule(*arguments)
