"""Sphinx's settings: ``sphinx-build -W --keep-going -b html docs docs/_build/html`` needs no network.

``BISNN_DOCS_LINKS=1`` fetches the inventories of Python, NumPy, PyTorch, Pyro and ArviZ and links to them.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "extensions")]

import bisnn_pyro  # noqa: E402

project = "bisnn_pyro"
author = "the bisnn_pyro developers"
version = release = bisnn_pyro.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_gallery.gen_gallery",
    "docstrings",
    "generated_pages",
    "mathml",
]
exclude_patterns = ["_build", "results", "tuning", "figures", "extensions"]
highlight_language = "none"
default_role = "code"
nitpicky = True
#: Types of other packages, and names that are not public.
nitpick_ignore_regex = [
    ("py:(class|data|obj|mod)", ".*"),
    ("py:func", r"(as_mixture|check_suffix)"),
    ("py:func", r"bisnn_pyro\.(data\.(filters|location|events)|models\.recurrence)\..*"),
    ("py:meth", r"(share_within|log_prob)"),
    ("myst", "(results|tuning)/"),
]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
autodoc_type_aliases = {name: name for name in ("ArrayLike", "FloatArray", "IntArray", "Floats", "Scheme")}
napoleon_use_ivar = True
napoleon_use_rtype = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples/gallery",
    "gallery_dirs": "generated/gallery",
    "filename_pattern": r"\.py$",
    "ignore_pattern": r"__init__\.py",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("gallery_pictures.plot_scraper",),
    "capture_repr": (),
    "doc_module": ("bisnn_pyro",),
    "backreferences_dir": "generated/backreferences",
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "write_computation_times": False,
    "only_warn_on_example_error": False,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_math_renderer = "mathml"
html_title = "bisnn_pyro"
html_static_path = ["static"]
html_css_files = ["bisnn.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "header_links_before_dropdown": 7,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": [],
    "footer_end": [],
}

if os.environ.get("BISNN_DOCS_LINKS") == "1":
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
        "pyro": ("https://docs.pyro.ai/en/stable", None),
        "arviz": ("https://python.arviz.org/en/stable", None),
    }
