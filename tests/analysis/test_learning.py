"""The warning that nothing was learned names the causes that the facts show."""

import numpy as np
import pytest

from bisnn_pyro.analysis import ConstantPredictor, learning_warnings, not_learned

Y = np.arange(40) % 2
CONSTANT = ConstantPredictor.fit(Y, n_classes=2)
CHANCE = {"nll": 0.693, "accuracy": 0.5}
ROW = {"nll": 0.693, "lr_scale": 1.0, "kl_weight": 1.0, "saturated": 0.0, "unmoved": 0.0}


def warnings(*rows, scores=(CHANCE,), y=Y, constant=CONSTANT, n_updates=1000, x=None):
    found = dict(enumerate(scores))
    x = np.random.default_rng(0).random((8, 2)) if x is None else x
    rows = [ROW | row for row in rows]
    return learning_warnings(
        rows, len(rows), constant, y, y, lambda: found, "the 40 validation points", n_updates, x
    )


@pytest.mark.parametrize(
    ("row", "first"),
    [
        ({"saturated": 0.9}, "90% of the synapses are saturated: lower rule.lr"),
        ({"unmoved": 1.0}, "100% of the synapses have not moved from their start: raise rule.lr"),
        ({"temperature": 1e-6}, "at guide.temperature = 1e-06 a draw has no useful gradient"),
        ({"temperature": 1e6}, "at guide.temperature = 1e+06 a draw has no useful gradient"),
        ({"kl_weight": 50.0}, "the KL outweighs the data at train.kl_weight = 50"),
        ({"entropy_bits": 1.0, "kl_time": 3.0}, "the KL outweighs the data at train.kl_weight = 1"),
        ({}, "the training loss stayed at 0.693, that of a constant prediction"),
    ],
)
def test_the_first_cause_is_what_the_facts_show(row, first):
    (text,) = warnings(row, row)
    assert text.startswith("did not learn: no predictor is better than the constant one on the 40 validation")
    assert "(nll 0.693 against 0.6931, accuracy 0.5 against 0.5)" in text
    assert text.partition("(1) ")[2].startswith(first)
    assert "(3) " in text
    assert "(4) " not in text
    assert not_learned({"warnings": ["another", text]}) == [text]


@pytest.mark.parametrize(
    ("start", "end", "cause"),
    [
        (1.4, 1.39, "stayed at 1.39:"),  # with a local read-out the loss is not log C
        (0.7, 0.2, "fell to 0.2 and validation did not follow"),
        (0.7, 5.0, "rose to 5: lower rule.lr"),
    ],
)
def test_what_the_training_loss_did(start, end, cause):
    (text,) = warnings({"nll": start}, {"nll": end})
    assert f"(1) the training loss {cause}" in text


def test_data_that_say_nothing_come_first():
    same = ConstantPredictor.fit(np.zeros(40, int), n_classes=2)
    (text,) = warnings(
        {}, constant=same, y=np.zeros(40, int), x=np.ones((5, 3)), scores=[{**CHANCE, "nll": 0.1}]
    )
    assert "(1) all inputs are the same" in text
    assert "(2) all training targets are the same" in text


def test_expectation_backpropagation_has_no_learning_rate():
    rows = [{"nll": 9.0, "unmoved": 1.0}, {"nll": 20.0, "unmoved": 1.0}]
    (text,) = learning_warnings(rows, 2, CONSTANT, Y, Y, lambda: {"mode": CHANCE}, "points", 10, np.eye(2))
    assert "rule.lr" not in text
    assert "train.batch_size" in text


def test_a_regression_worse_than_the_mean():
    y = np.linspace(0, 1, 40)
    scores = {"nll": 4.0, "rmse": 0.5}
    (text,) = warnings({}, scores=[scores], y=y, constant=ConstantPredictor.fit(y))
    assert "rmse 0.5 against 0.296" in text


@pytest.mark.parametrize("where", ["validation", "another predictor"])
def test_nothing_is_said_where_one_predictor_has_learned(where):
    if where == "validation":
        good = {"val_nll": 0.3, "val_accuracy": 0.9}
        rows, ask = [ROW, ROW | good], pytest.fail  # nothing else is evaluated
        assert learning_warnings(rows, 2, CONSTANT, Y, Y, ask, "points", 100, np.eye(2)) == []
        # The epoch that counts is the best one.
        assert learning_warnings(rows, 1, CONSTANT, Y, Y, lambda: {"a": CHANCE}, "points", 100, np.eye(2))
    else:
        assert warnings({}, scores=[CHANCE, {"nll": 0.2, "accuracy": 0.95}]) == []
