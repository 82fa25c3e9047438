"""Pages that the package itself dictates, written into ``docs/generated`` before Sphinx reads the sources."""

from __future__ import annotations

from pathlib import Path

from api_reference import write_api_pages
from command_reference import command_page
from config_reference import config_page
from sphinx.application import Sphinx


def write_pages(app: Sphinx) -> None:
    """Write the references of the API, of the commands and of the config."""
    folder = Path(app.srcdir) / "generated"
    folder.mkdir(exist_ok=True)
    write_api_pages(folder)
    (folder / "commands.md").write_text(command_page(), encoding="utf-8")
    (folder / "config.md").write_text(config_page(), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Have the pages written when the builder is ready."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
