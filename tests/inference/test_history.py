import math

from hypothesis import HealthCheck, given, settings, strategies as st

from bisnn_pyro.inference import History

numbers = st.floats(allow_nan=False, width=64)
rows = st.lists(
    st.dictionaries(st.sampled_from(["epoch", "loss", "val_nll", "a,b"]), numbers, min_size=1), max_size=5
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=rows)
def test_csv_round_trip_to_the_last_bit(rows, tmp_path):
    history = History(rows)
    history.write_csv(tmp_path / "history.csv")
    back = History.read_csv(tmp_path / "history.csv")
    assert back.rows == rows
    assert back.columns == history.columns


def test_nan_survives(tmp_path):
    history = History([{"loss": math.nan, "kl": math.inf}])
    history.write_csv(tmp_path / "history.csv")
    (row,) = History.read_csv(tmp_path / "history.csv")
    assert math.isnan(row["loss"])
    assert row["kl"] == math.inf


def test_columns_and_missing_entries(tmp_path):
    history = History()
    assert len(history) == 0
    assert history.columns == []
    history.append({"epoch": 1.0, "loss": 2.0})
    history.append({"epoch": 2.0, "val_nll": 0.5, "loss": 1.0})
    assert len(history) == 2
    assert history.columns == ["epoch", "loss", "val_nll"]
    assert history.column("loss") == [2.0, 1.0]
    missing, there = history.column("val_nll")
    assert math.isnan(missing)
    assert there == 0.5
    history.write_csv(tmp_path / "history.csv")
    assert (tmp_path / "history.csv").read_text().splitlines() == [
        "epoch,loss,val_nll",
        "1.0,2.0,",
        "2.0,1.0,0.5",
    ]


def test_rows_given_are_not_written_to():
    rows = [{"loss": 1.0}]
    History(rows).append({"loss": 2.0})
    assert rows == [{"loss": 1.0}]
