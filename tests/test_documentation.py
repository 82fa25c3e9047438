"""The documentation's own code, as far as it needs no Sphinx: pages written from the package, and links."""

import importlib
import re
from pathlib import Path

import pytest

from bisnn_pyro.experiments.config import Config

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if not {"generated", "_build"} & {*page.parts}]


@pytest.fixture
def extension(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "extensions")
    return importlib.import_module


def test_every_key_of_a_config_has_a_meaning(extension):
    page = extension("config_reference").config_page()  # raises where one is missing, or one too many
    for name in Config.model_fields:
        assert f"`{name}`" in page or f"`[{name}]`" in page
    assert "| `epochs` | whole number ≥ 1 | `100` |" in page
    assert "| `path` | path | needed | The file. |" in page


def test_missing_meaning_is_an_error(extension, monkeypatch, tmp_path):
    module = extension("config_reference")
    text = module.MEANINGS.read_text(encoding="utf-8")
    wrong = tmp_path / "meanings.toml"
    wrong.write_text(text.replace("\nepochs =", "\nepoch ="), encoding="utf-8")
    monkeypatch.setattr(module, "MEANINGS", wrong)
    with pytest.raises(ValueError, match=r"\[train\]"):
        module.config_page()


def test_every_command_is_described(extension):
    page = extension("command_reference").command_page()
    for command in ("run", "compare", "export", "data inspect", "study shift"):
        assert f"## `bisnn {command}`" in page
    assert "| `--jobs JOBS` |" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_links_lead_somewhere(page):
    """To files and headings, as they are named on GitHub as well as in the built pages."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text):
        path, _, heading = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if heading:
            names = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", name).strip().lower().replace(" ", "-") for name in names}
            assert heading in slugs, target
