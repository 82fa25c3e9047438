"""The documentation's own code, as far as it needs no Sphinx: pages written from the package, and links."""

import importlib
import re
from pathlib import Path

import pytest

from bisnn_pyro.experiments.parts import PARTS, where

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [page for page in sorted(DOCS.rglob("*.md")) if not {"generated", "_build"} & {*page.parts}]


@pytest.fixture
def extension(monkeypatch):
    monkeypatch.syspath_prepend(DOCS / "extensions")
    return importlib.import_module


def test_every_key_of_a_config_has_a_meaning(extension):
    page = extension("config_reference").config_page()  # raises if one is missing
    for kind in PARTS:
        assert f"`[{where(kind)}]`" in page or kind == "layer"
    assert "| `epochs` | a whole number | `100` |" in page
    assert "| `path` | text or a path | required |" in page


def test_a_missing_meaning_is_an_error(extension, monkeypatch):
    module = extension("config_reference")
    monkeypatch.setattr(module.parts, "_meanings", lambda target: {})
    module.parts._parameters.cache_clear()
    with pytest.raises(ValueError, match="docstring"):
        module.config_page()
    module.parts._parameters.cache_clear()


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
