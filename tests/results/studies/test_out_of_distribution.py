"""Detection of out-of-distribution inputs: scores recomputed by hand, and which inputs they are."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from bisnn_pyro.data import handwritten_digits, load_npz
from bisnn_pyro.errors import InputError
from bisnn_pyro.experiments.fitted import reopen
from bisnn_pyro.inference import Prediction
from bisnn_pyro.results.studies import out_of_distribution_study
from bisnn_pyro.results.studies.out_of_distribution import rescaled, source_of, uncertainties
from tests.data.idx_files import write_set
from tests.experiments.spikes import write_spikes
from tests.experiments.study_runs import contents, digits_run, read_csv

AGAINST = "unseen-classes"


def points_of(against, fitted, task, seed=0):
    _, source = source_of(against, fitted.config, seed)
    return source(task)


def images(path, seed=0):
    """An npz of 8 x 8 images with grey values from 0 to 9."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, n in (("train", 30), ("test", 25)):
        x = rng.integers(0, 10, (n, 1, 8, 8))
        x[0, 0, 0] = np.arange(8) + 1
        x[0, 0, 1, 0], x[0, 0, 1, 1] = 0, 9
        arrays |= {f"x_{part}": x, f"y_{part}": np.arange(n) % 3}
    np.savez(path, **arrays)
    return arrays["x_test"].reshape(25, -1)


def test_scores_by_hand(digits):
    before = contents(digits)
    rows = out_of_distribution_study([digits], "upside-down", n_resamples=20).frame.to_dict("records")
    fitted, task = reopen(digits)
    mirrored = task.test.x.reshape(-1, 8, 8)[:, ::-1].reshape(task.test.x.shape).copy()
    n = len(task.test)
    label = np.repeat([0, 1], n)
    for predictor in ("committee", "mode"):
        draws = [fitted.predict_scaled(x, predictor=predictor).draws for x in (task.test.x, mirrored)]
        draws = np.concatenate(draws, axis=1)
        vote = draws.mean(0)
        entropy = -(vote * np.log(np.where(vote > 0, vote, 1))).sum(-1)
        members = -(draws * np.log(np.where(draws > 0, draws, 1))).sum(-1).mean(0)
        top = draws[:, np.arange(2 * n), vote.argmax(-1)]
        others = np.where(np.arange(vote.shape[1]) == vote.argmax(-1)[:, None], 0.0, vote)
        by_hand = {"probability": others.sum(-1), "entropy": entropy}
        if predictor == "committee":
            by_hand |= {"information": np.maximum(entropy - members, 0), "variance": top.var(0)}
        found = {row["score"]: row for row in rows if row["predictor"] == predictor}
        assert list(found) == list(by_hand)
        for name, score in by_hand.items():
            assert found[name]["auroc"] == pytest.approx(roc_auc_score(label, score), abs=1e-6)
            assert found[name]["aupr_out"] == pytest.approx(average_precision_score(label, score), abs=1e-6)
            assert found[name]["auroc_low"] <= found[name]["auroc"] <= found[name]["auroc_high"]
    assert contents(digits) == before


def test_another_set_is_scaled_as_the_run_scales(digits, tmp_path):
    raw = images(tmp_path / "other.npz")
    fitted, task = reopen(digits)
    points = points_of(f"npz:{tmp_path / 'other.npz'}", fitted, task)
    np.testing.assert_allclose(points, raw / 16, atol=1e-6)  # the digits' grey values end at 16
    assert points.dtype == np.float32
    rows = out_of_distribution_study([digits], f"npz:{tmp_path / 'other.npz'}", n_resamples=5).frame.to_dict(
        "records"
    )
    assert len(rows) == 4 + 2 + 2 + 2
    assert rescaled(task, task) is task.test.x


def test_what_is_made_of_the_test_points(digits, spikes):
    for path in (digits, spikes):
        fitted, task = reopen(path)
        x = task.test.x
        side = task.image_shape
        images = x.reshape(*x.shape[:-1], *side)
        made = {name: points_of(name, fitted, task, 1) for name in ("noise", "shuffled")}
        for points in made.values():
            assert points.shape == x.shape
            np.testing.assert_array_equal(points[np.array([3, 1])], points[:4][[3, 1]])
        flipped = points_of("upside-down", fitted, task)[:]
        np.testing.assert_array_equal(flipped, np.flip(images, -2).reshape(x.shape))
        if task.spiking:
            np.testing.assert_array_equal(made["noise"][:].sum((1, 2)), x.sum((1, 2)))
        else:
            turned = points_of("rotated", fitted, task)[:]
            np.testing.assert_array_equal(turned, np.rot90(images, 1, (-2, -1)).reshape(x.shape))
            assert 0 <= made["noise"][:].min() < 0.01 < 0.99 < made["noise"][:].max() <= 1


def test_other_recordings(spikes, tmp_path):
    write_spikes(tmp_path / "others.npz", seed=9)
    fitted, task = reopen(spikes)
    points = points_of(f"npz:{tmp_path / 'others.npz'}", fitted, task)
    np.testing.assert_array_equal(points, load_npz(path=str(tmp_path / "others.npz")).test.x)
    assert (points != task.test.x).any()


def test_table_over_seeds_and_files(moons, tmp_path):
    study = out_of_distribution_study(moons, "noise", out=tmp_path, n_resamples=20)
    table, every = (
        read_csv(tmp_path / "out-of-distribution-noise.csv"),
        read_csv(tmp_path / "out-of-distribution-noise-runs.csv"),
    )
    assert set(table["n"]) == {2}
    assert len(every["auroc"]) == 2 * len(table["auroc"]) == len(study.frame)
    for k, score in enumerate(table["score"]):
        own = (every["method"] == table["method"][k]) & (every["score"] == score)
        own &= every["predictor"] == table["predictor"][k]
        assert table["auroc"][k] == pytest.approx(every["auroc"][own].mean())
    curves = read_csv(tmp_path / "out-of-distribution-noise-roc.csv")
    names = set(curves["score"])
    assert {"bayes (committee): entropy", "bayes (committee): information"} <= names
    assert {"straight-through: entropy", "straight-through (scaled): entropy"} <= names
    assert "30 test points against 30 of noise" in study.table.plain()


def test_one_seed_has_bootstrap_intervals(moons):
    study = out_of_distribution_study(moons[:1], "noise", n_resamples=50)
    (row,) = [
        r for r in study.frame.to_dict("records") if (r["predictor"], r["score"]) == ("committee", "entropy")
    ]
    expected = f"{row['auroc']:.4f} [{row['auroc_low']:.4f}, {row['auroc_high']:.4f}]"
    (line,) = [c for c in study.table.body if c[1:3] == ["committee", "entropy"]]
    assert line[4] == expected
    assert "bootstrap" in study.table.plain()
    again = out_of_distribution_study(moons[:1], "noise", n_resamples=50)
    assert again.frame.equals(study.frame)


def test_inputs_that_do_not_suit(moons, digits, tmp_path):
    write_spikes(tmp_path / "spikes.npz")
    for paths, against, words in (
        ([moons[0]], "rotated", "image shape is None"),
        (
            [moons[0]],
            "digits",
            r"features \[F\] of shape \[64\]; the runs take features \[F\] of shape \[2\]",
        ),
        ([digits], f"npz:{tmp_path / 'spikes.npz'}", "has spikes"),
        ([digits], "nois", "did you mean 'noise'"),
        ([digits], "noise:here", "takes no path"),
        ([digits], "two-moons:here", "reads no files"),
        ([digits], f"npz:{tmp_path / 'none.npz'}", "does not exist"),
    ):
        with pytest.raises(InputError, match=words):
            out_of_distribution_study(paths, against)


def test_sure_votes_are_still_ranked():
    sure = np.array([[1.0 - 2e-17, 1e-17, 1e-17], [1.0 - 2e-20, 1e-20, 1e-20], [0.4, 0.6, 0.0]])
    scores = uncertainties(Prediction(sure[None]))
    np.testing.assert_allclose(scores["probability"], [2e-17, 2e-20, 0.4], rtol=1e-12)


@pytest.fixture(scope="module")
def fours_and_sevens(tmp_path_factory):
    return digits_run(tmp_path_factory.mktemp("unseen"), ["data.classes=[4,7]"])


def test_they_are_the_test_points_left_out(fours_and_sevens):
    fitted, task = reopen(fours_and_sevens)
    whole = handwritten_digits()
    assert task.classes == ("4", "7")
    points = points_of(AGAINST, fitted, task)
    np.testing.assert_array_equal(points, whole.test.x[~np.isin(whole.test.y, [4, 7])])


def test_a_study_of_them(fours_and_sevens, tmp_path):
    study = out_of_distribution_study([fours_and_sevens], AGAINST, out=tmp_path, n_resamples=5)
    whole = handwritten_digits()
    inside = int(np.isin(whole.test.y, [4, 7]).sum())
    expected = f"{inside} test points against {len(whole.test) - inside} of {AGAINST}"
    assert expected in study.table.plain()
    assert (tmp_path / f"out-of-distribution-{AGAINST}.csv").is_file()


def test_data_that_have_moved(tmp_path):
    write_set(tmp_path / "then", n_train=100, n_test=40)
    changes = ["data.name=mnist", "data.n_val=20", "data.classes=[0,1]", f"data.path={tmp_path / 'then'}"]
    path = digits_run(tmp_path, ["encoder.n_steps=2", *changes])
    (tmp_path / "then").rename(tmp_path / "now")
    study = out_of_distribution_study([path], AGAINST, n_resamples=5, data_dir=tmp_path / "now")
    assert "8 test points against 32" in study.table.plain()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ([], r"knows all classes of digits; leave some out, as in .*data\.classes"),
        (["data.classes=[0,1,2,3,4,5,6,7,8,9]"], "leaves no class out"),
    ],
)
def test_a_run_that_knows_all_classes(tmp_path, changes, message):
    path = digits_run(tmp_path, changes)
    with pytest.raises(InputError, match=message):
        out_of_distribution_study([path], AGAINST)
    with pytest.raises(InputError, match="takes no path"):
        out_of_distribution_study([path], f"{AGAINST}:{tmp_path}")


def test_the_runs_own_data_are_refused(fours_and_sevens):
    with pytest.raises(InputError, match="is what the runs were tested on; use unseen-classes"):
        out_of_distribution_study([fours_and_sevens], "digits")
