"""The how-to pages' Python runs as it stands there, on tiny runs in the places that it names."""

import re
from pathlib import Path

import pytest

from bisnn_pyro.experiments.batch import plan
from bisnn_pyro.experiments.run import run

HOWTO = Path(__file__).parents[1] / "docs" / "howto"
TINY = [
    "data.n_test=40",
    "data.n_val=20",
    "encoder.n_neurons=4",
    "encoder.n_steps=24",
    "network.hidden=[8, 8]",
    "network.burn_in=4",
    "train.epochs=1",
    "predict.draws=6",
    "analysis.figures=false",
    "analysis.noise=[]",
]
RATE = ["experiment=rate", "likelihood.name=categorical-rate"]
TRAINS = [
    "experiment=trains",
    "likelihood.name=spike-train",
    "network.readout=trained",
    "network.credit=end-to-end",
]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the runs that the pages make beforehand."""
    folder = tmp_path_factory.mktemp("howto")
    for methods, seeds, changes in (
        (["bayes"], (0, 1), []),
        (["bayes", "straight-through"], (0,), RATE),
        (["bayes"], (0,), TRAINS),
    ):
        for config in plan("two-moons-scarce", methods, seeds, [*TINY, *changes]):
            run(config, folder / "runs" / config.experiment)
    return folder


def blocks(page):
    """Each block of Python with the first line that the page says it prints, without its numbers."""
    text = (HOWTO / page).read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```(?:\s+```text\n(.*?)\n)?", text, flags=re.DOTALL)
    return [(code, _words(first)) for code, first in found]


def _words(line):
    return re.sub(r"\[*(-?\d+(\.\d*)?|nan)\]*", "#", line).split()


@pytest.mark.parametrize(
    ("page", "n_blocks"),
    [
        ("predictive_density.md", 2),
        ("reliability_diagram.md", 3),
        ("seed_agreement.md", 3),
        ("spike_statistics.md", 1),
    ],
)
def test_code_prints_what_the_page_says(workplace, page, n_blocks, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    names = {}
    found = blocks(page)
    assert len(found) == n_blocks
    for code, first in found:
        exec(compile(code, page, "exec"), names)
        printed = capsys.readouterr().out.splitlines()
        assert not first or _words(printed[0]) == first


@pytest.mark.parametrize("page", ["predictive_density.md", "spike_statistics.md"])
def test_commands_make_the_runs_that_the_code_reads(page):
    text = (HOWTO / page).read_text(encoding="utf-8")
    (command,) = re.findall(r"^ {4}bisnn run two-moons-scarce (.*)$", text, flags=re.MULTILINE)
    changes = TRAINS if page.startswith("spike") else RATE
    assert sorted(re.findall(r"--set (\S+)", command)) == sorted(changes)
