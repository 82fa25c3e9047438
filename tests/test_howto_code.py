"""The Python in the documentation runs as printed, on tiny runs in the places that the pages name."""

import re
import shutil
import sys
from pathlib import Path

import pyro
import pytest

import bisnn_pyro as bp
from bisnn_pyro.errors import ConfigError
from bisnn_pyro.experiments.batch import plan

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
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
        (["bayes", "straight-through"], (0, 1), []),
        (["bayes", "straight-through"], (0,), RATE),
        (["bayes"], (0,), TRAINS),
    ):
        for config in plan("two-moons-scarce", methods, seeds, [*TINY, *changes]):
            bp.run(config, folder / "runs" / config.experiment)
    return folder


@pytest.fixture
def own_parameters():
    """A parameter store of its own: Pyro's global one keeps what models of other tests left there."""
    with pyro.get_param_store().scope():
        yield


def blocks(page):
    """Each block of Python with the first line that the page says it prints, without its numbers."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```(?:\s+```text\n *(.*?)\n)?", text, flags=re.DOTALL)
    return [(code, _words(first)) for code, first in found if "bp.run(" not in code]


def _words(line):
    return re.sub(r"\[*(-?\d+(\.\d*)?|nan)\]*", "#", line).split()


@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")
@pytest.mark.parametrize(
    ("page", "n_blocks"),
    [
        ("howto/finished_runs.md", 5),
        ("howto/predictive_density.md", 2),
        ("howto/pyro.md", 8),
        ("howto/reliability_diagram.md", 3),
        ("howto/run_folder.md", 2),
        ("howto/seed_agreement.md", 3),
        ("howto/spike_statistics.md", 1),
        ("tutorial.md", 1),
    ],
)
def test_code_prints_what_the_page_says(workplace, page, n_blocks, monkeypatch, capsys, own_parameters):
    monkeypatch.chdir(workplace)
    names = {"bp": bp}
    found = blocks(page)
    assert len(found) == n_blocks
    for code, first in found:
        exec(compile(code, page, "exec"), names)
        printed = capsys.readouterr().out.splitlines()
        assert not first or _words(printed[0]) == first


@pytest.mark.parametrize("page", ["predictive_density.md", "spike_statistics.md"])
def test_commands_make_the_runs_that_the_code_reads(page):
    text = (DOCS / "howto" / page).read_text(encoding="utf-8")
    (command,) = re.findall(r"^ {4}bisnn run two-moons-scarce (.*)$", text, flags=re.MULTILINE)
    changes = TRAINS if page.startswith("spike") else RATE
    assert sorted(re.findall(r"--set (\S+)", command)) == sorted(changes)


def test_pages_import_from_the_root_or_from_analysis():
    """Users need not know the rest of the package, but for the base classes of parts of their own."""
    for page in DOCS.rglob("*.md"):
        for code, _ in blocks(page.relative_to(DOCS)):
            assert not re.search(r"bisnn_pyro\.(experiments|results|cli)", code), page


def test_file_of_own_parts_runs(tmp_path, monkeypatch):
    for name in ("own_parts.py", "own_parts.toml"):
        shutil.copy(ROOT / "examples" / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "own_parts", raising=False)
    with pytest.raises(ConfigError, match=r"own_parts:\w+.*--trust-code"):
        bp.load_preset("own_parts.toml")
    assert "own_parts" not in sys.modules
    for method in ("tilted", "straight-through"):
        config = bp.load_preset(
            "own_parts.toml", method, train={"epochs": 1}, predict={"draws": 3}, trust=True
        )
        result = bp.run(config, tmp_path / "runs", trust=True)
        assert set(result.metrics["predictors"]) >= {"mode"}
    assert len(bp.Runs(tmp_path / "runs", trust=True).scores()) == 5
    monkeypatch.delitem(sys.modules, "own_parts")
