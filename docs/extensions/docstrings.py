"""Docstrings as this package writes them: short names that find their object, and one-line properties.

* A name without its module, ``DataError`` say, finds the one public object of that name.
* The first line of a property, or of what is returned, is a sentence; Napoleon would take what stands before
  a colon in it for a type.
* Fields of a named tuple stand under its ``Attributes``, and need not be listed once more.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.nodes import make_refnode

_HIDDEN = "::\ue000"


def _find_by_last_name(app: Sphinx, env: Any, node: pending_xref, content: nodes.Node) -> nodes.Node | None:
    if node.get("refdomain") != "py" or not node.get("reftarget"):
        return None
    last = node["reftarget"].rpartition(".")[2]
    objects = env.get_domain("py").objects
    found = [
        name for name in objects if name.rpartition(".")[2] == last and objects[name].objtype != "module"
    ]
    if len(found) != 1:
        return None
    entry = objects[found[0]]
    return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, found[0])


def _hide_colons(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Double the colons of sentences, which Napoleon passes over."""
    for k, line in enumerate(lines):
        first = k == 0 and what in ("property", "attribute", "data")
        if first or (k and lines[k - 1].strip() == "Returns:"):
            lines[k] = line.replace(": ", f"{_HIDDEN} ")


def _show_colons(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    lines[:] = [line.replace(_HIDDEN, ":") for line in lines]


def _skip_field(app: Sphinx, what: str, name: str, value: Any, skip: bool, options: Any) -> bool | None:
    return True if str(getattr(value, "__doc__", "")).startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect them."""
    app.connect("missing-reference", _find_by_last_name)
    app.connect("autodoc-process-docstring", _hide_colons, priority=400)  # Napoleon comes at 500
    app.connect("autodoc-process-docstring", _show_colons, priority=600)
    app.connect("autodoc-skip-member", _skip_field)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
