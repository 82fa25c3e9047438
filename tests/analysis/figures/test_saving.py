import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from bisnn_pyro.analysis import plot_training_curves, save_figure
from bisnn_pyro.errors import DataError

TABLE = {"name": np.array(["a", "b,c"]), "value": np.array([1 / 3, np.nan])}


@pytest.fixture
def figure():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    return figure


def test_three_files_in_a_new_folder(figure, tmp_path):
    paths = save_figure(figure, tmp_path / "a" / "b", "fig", TABLE)
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {"fig.pdf", "fig.png", "fig.csv"}
    assert paths["csv"].read_text(encoding="utf-8") == 'name,value\na,0.3333333333333333\n"b,c",nan\n'
    width, height = np.frombuffer(paths["png"].read_bytes()[16:24], ">u4")
    assert (width, height) == (400, 200)  # 2 x 1 inches at 200 dpi


def test_the_same_figure_gives_the_same_bytes(figure, tmp_path):
    first, second = (save_figure(figure, tmp_path / name, "fig", TABLE) for name in ("a", "b"))
    for suffix, path in first.items():
        assert path.read_bytes() == second[suffix].read_bytes()


def test_a_failed_write_leaves_the_old_file(figure, tmp_path, monkeypatch):
    paths = save_figure(figure, tmp_path, "fig", TABLE)
    before = paths["pdf"].read_bytes()

    def fail(self, target, **_):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        save_figure(figure, tmp_path, "fig", TABLE)
    assert paths["pdf"].read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_a_users_settings_stay_and_do_not_matter(tmp_path):
    history = {"a": {"nll": [1.0, 2.0]}}
    plain = plot_training_curves(history)
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        styled = plot_training_curves(history)
        paths = [
            save_figure(p.figure, tmp_path / str(k), "f", p.table) for k, p in enumerate([plain, styled])
        ]
        assert mpl.rcParams["font.size"] == 30
    assert paths[0]["png"].read_bytes() == paths[1]["png"].read_bytes()


@pytest.mark.parametrize("table", [{}, {"a": [1], "b": [1, 2]}, {"a": [[1]]}])
def test_wrong_tables_are_named(figure, tmp_path, table):
    with pytest.raises(DataError, match="columns have shapes"):
        save_figure(figure, tmp_path, "fig", table)
    assert not list(tmp_path.iterdir())
