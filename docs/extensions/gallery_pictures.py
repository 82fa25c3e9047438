"""What Sphinx-Gallery shows of a script: the picture of its ``plot``, which belongs to no window."""

from __future__ import annotations

from typing import Any

from sphinx_gallery.scrapers import figure_rst


def plot_scraper(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Return the reStructuredText of a script's picture, empty where there is none."""
    plot = block_vars["example_globals"].get("plot")
    if plot is None:
        return ""
    path = next(block_vars["image_path_iterator"])
    plot.save_png(path)
    return figure_rst([str(path)], gallery_conf["src_dir"])
