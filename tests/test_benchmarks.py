"""The benchmarks measure what they say: same mathematics on both sides, and files of the right form."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # benchmarks/ is not installed

from benchmarks import __main__ as command, child, committees, memories, report, scaling, steps
from benchmarks.loop import LoopCommittee, LoopStep
from benchmarks.measurement import Measurement, Settings
from benchmarks.nets import MNIST, TWO_MOONS, our_committee, our_step
from benchmarks.no_pyro import NoPyroStep
from benchmarks.timing import alternate, threads

MOONS = replace(TWO_MOONS, n_inputs=6, hidden=(7, 5), n_steps=14, batch=4, burn_in=3)
IMAGES = replace(MNIST, n_inputs=9, hidden=(8, 6), n_steps=8, batch=5)
TINY = Settings(
    seconds=0.0,
    nets={"two-moons": MOONS, "mnist": IMAGES},
    points=6,
    draws=2,
    member_draws=2,
    memory_draws=(3, 2),
    memory_points=4,
    memory_steps=(12, 8),
    memory_pairs=1,
)
FIELDS = ["name", "ratio", "low", "high", "ours_s", "theirs_s", "setting"]
LIBRARIES = {"snntorch", "spikingjelly", "norse"}


@pytest.fixture(autouse=True)
def one_thread():
    with threads(1), torch.random.fork_rng(devices=[]):
        yield


def check_row(row):
    assert list(row) == FIELDS
    assert isinstance(row["name"], str)
    assert row["setting"]
    numbers = [row[key] for key in FIELDS[1:-1]]
    assert all(x is None or x > 0 for x in numbers)
    if row["ratio"] is not None:
        assert row["low"] <= row["ratio"] <= row["high"]


@pytest.mark.parametrize("other", [LoopStep, NoPyroStep])
@pytest.mark.parametrize("net", [MOONS, IMAGES])
def test_the_same_noise_gives_the_same_loss_and_gradients(other, net):
    with our_step(net, dtype=torch.float64) as ours:
        theirs = other(net, ours.spikes, ours.y, ours.naturals, steps.readouts_of(ours))
        torch.manual_seed(3)
        energy = ours.loss()
        energy.loss.backward()
        torch.manual_seed(3)
        loss = theirs.loss()
        loss.backward()
        torch.testing.assert_close(loss, energy.loss, rtol=1e-10, atol=0.0)
        for mine, its in zip(ours.naturals, theirs.naturals, strict=True):
            assert mine.grad.abs().max() > 0
            torch.testing.assert_close(its.grad, mine.grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("other", [LoopStep, NoPyroStep])
def test_a_step_moves_the_parameters_to_the_same_place(other):
    with our_step(MOONS, dtype=torch.float64) as ours:
        theirs = other(MOONS, ours.spikes, ours.y, ours.naturals, steps.readouts_of(ours))
        before = [n.detach().clone() for n in ours.naturals]
        for step in (ours, theirs):
            torch.manual_seed(3)
            step()
        for start, mine, its in zip(before, ours.naturals, theirs.naturals, strict=True):
            assert not torch.equal(mine, start)
            torch.testing.assert_close(its - start, mine.detach() - start, rtol=1e-7, atol=1e-14)


@pytest.mark.parametrize("net", [MOONS, IMAGES])
def test_the_looped_committee_votes_as_ours(net):
    with our_committee(net, n_points=6, n_draws=3) as ours:
        theirs = LoopCommittee(net, ours.source, ours.blocks, 3, ours.model.random_readout(-1))
        mean, votes = ours().mean, theirs().double()
        expected = mean[:, 1:] if net.n_classes == 2 else mean
        torch.testing.assert_close(votes, torch.from_numpy(expected).clone(), rtol=1e-4, atol=1e-5)


def test_the_rows_that_the_issue_asks_for_are_there():
    names = {row.name for row in (*steps.benchmarks(), *committees.benchmarks(), *memories.benchmarks())}
    wanted = {"step/floor/two-moons", "step/floor/mnist", "committee/floor/two-moons"}
    wanted |= {"step/loop/two-moons", "committee/loop/two-moons", "step/no-pyro/mnist"}
    wanted |= {f"{k}/{lib}/{n}" for k in ("step", "step-e2e") for lib in LIBRARIES for n in TINY.nets}
    wanted |= {
        "memory/committee-1000-over-20",
        "memory/windows-T800-over-T100",
        "committee/member-seconds/two-moons",
    }
    assert wanted <= names
    quick = {row.name for row in command.chosen(None, quick=True)}
    assert wanted <= quick


def test_the_command_writes_rows_and_a_figure(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None)
    rows = [r for r in command.chosen(None, quick=True) if not r.name.startswith("memory")]
    monkeypatch.setattr(command, "chosen", lambda pattern, quick: rows)
    assert command.main(["--quick", "--out", str(tmp_path)], TINY) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    assert {row["name"] for row in results} == {r.name for r in rows if not r.needs}
    for row in results:
        check_row(row)
    for suffix in ("png", "pdf", "csv"):
        assert (tmp_path / f"ratios.{suffix}").stat().st_size > 100
    assert json.loads((tmp_path / "environment.json").read_text())["quick"] is True
    printed = capsys.readouterr().out
    assert "step/norse/mnist" in printed
    assert "norse is missing; pip install -e '.[bench]'" in printed


def test_only_takes_a_part_of_the_name_or_a_pattern(tmp_path):
    def names(*arguments):
        assert command.main([*arguments, "--out", str(tmp_path)], TINY) == 0
        return [row["name"] for row in json.loads((tmp_path / "results.json").read_text())]

    assert names("--quick", "--only", "step/floor") == ["step/floor/two-moons", "step/floor/mnist"]
    assert names("--quick", "--only", "*/floor/two-moons") == [
        "step/floor/two-moons",
        "committee/floor/two-moons",
    ]
    assert names("--quick", "--only", "step/no-pyro/two-moons") == ["step/no-pyro/two-moons"]


def test_an_unknown_name_is_an_error(tmp_path, capsys):
    assert command.main(["--only", "nothing", "--out", str(tmp_path)], TINY) == 2
    assert "nothing" in capsys.readouterr().err


def test_the_pairs_are_run_in_alternation():
    calls = []
    c = alternate(lambda: calls.append("a"), lambda: calls.append("b"), seconds=0, least=4, warm=1)
    assert calls == ["a", "b"] * 5
    assert c.pairs == 4
    assert c.low <= c.ratio <= c.high


def test_the_memory_row_compares_two_committees(monkeypatch):
    def here(task, net, *, draws, points):
        job = {"task": task, "net": asdict(net), "draws": draws, "points": points}
        return child.run(json.loads(json.dumps({**job, "threads": 1, "seconds": 0, "warm": 1})))

    monkeypatch.setattr(memories, "measure", here)
    row = memories.committee("memory/committee-1000-over-20", TINY).as_dict()
    check_row(row)
    assert "S=3 over S=2" in row["setting"]


@pytest.mark.parametrize("kind", ["windows", "whole"])
def test_the_memory_rows_of_a_step_compare_two_lengths(monkeypatch, kind):
    seen = []

    def here(task, net, *, warm):
        seen.append((task, net.n_steps))
        job = {"task": task, "net": asdict(net), "draws": 1, "points": 1}
        return child.run(json.loads(json.dumps({**job, "threads": 1, "seconds": 0, "warm": warm})))

    monkeypatch.setattr(memories, "measure", here)
    row = getattr(memories, kind)(f"memory/{kind}", TINY).as_dict()
    check_row(row)
    assert seen == [({"whole": "step"}.get(kind, kind), n) for n in (12, 8)]


def test_a_child_reports_a_training_step():
    job = {"task": "step", "net": asdict(MOONS), "draws": 1, "points": 1}
    got = child.run({**job, "threads": 1, "seconds": 0, "warm": 1})
    assert got["peak_mb"] >= got["base_mb"] > 0
    assert got["seconds"] > 0


def test_an_exponent_is_the_slope_of_the_upper_half():
    x = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert scaling.exponent(x, [1.0, 1.0, 1.0, 8.0**2, 16.0**2, 32.0**2]) == pytest.approx(2.0)
    assert scaling.exponent(x, [0.0] * 6) is None


def test_scaling_is_saved_with_a_figure(tmp_path):
    points = [
        {
            "axis": axis,
            "value": v,
            "threads": n,
            "seconds": 0.1 * v,
            "memory_mb": 2.0 * v,
            "base_mb": 1.0,
            "peak_mb": 2.0 * v + 1,
        }
        for axis in ("steps", "draws")
        for v in (1, 2, 4, 8)
        for n in (1, 2)
    ]
    scaling.save(points, tmp_path)
    saved = json.loads((tmp_path / "scaling.json").read_text())
    assert saved["points"] == points
    assert all(fit["exponent"] == pytest.approx(1.0) for fit in saved["exponents"])
    assert (tmp_path / "scaling.pdf").exists()
    assert (tmp_path / "scaling.png").exists()


def test_a_row_without_a_partner_is_printed_and_left_out_of_the_figure(tmp_path):
    row = Measurement("committee/member-seconds/two-moons", None, None, None, 0.05, None, "alone")
    assert "50.0 ms" in report.line(row)
    report.save([row], tmp_path)
    assert not (tmp_path / "ratios.png").exists()
