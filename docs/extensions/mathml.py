"""Equations as MathML, which browsers draw by themselves: no script, nothing from the network.

Docutils turns the LaTeX into MathML; what it cannot read is a warning, and so ends a build with ``-W``.
"""

from __future__ import annotations

import re
from html.entities import html5
from xml.etree import ElementTree

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

_log = logging.getLogger(__name__)
_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_ENTITY = re.compile("&(?!(?:amp|lt|gt|quot);)([A-Za-z]+;)")  # of HTML, unknown to XML
_BARS = {"\u02c9", "\u00af", "_"}
_BRACE = "\u23df"


def _mathml(node: nodes.math | nodes.math_block, *, as_block: bool) -> str:
    latex = node.astext()
    try:
        text = latex2mathml.tex2mathml(latex, as_block=as_block)
    except MathError as error:
        _log.warning("equation %r: %s", latex, error, location=node)
        return ""
    root = ElementTree.fromstring(_ENTITY.sub(lambda found: html5[found[1]], text))
    for element in root.iter():
        _place_indices(element)
    ElementTree.register_namespace("", _NAMESPACE)
    return ElementTree.tostring(root, encoding="unicode")


def _place_indices(element: ElementTree.Element) -> None:
    """Put the index of a barred letter beside it, a bar over all of a sum, the name of a brace below it."""
    tag, parts = element.tag.removeprefix(f"{{{_NAMESPACE}}}"), list(element)
    if tag == "munderover" and (parts[2].text or "").strip() in _BARS:
        barred = ElementTree.Element(f"{{{_NAMESPACE}}}mover")
        parts[2].text = "\u00af"
        barred.extend([parts[0], parts[2]])
        element.tag = f"{{{_NAMESPACE}}}msub"
        element[:] = [barred, parts[1]]
    elif tag == "mover" and len(parts[0]) > 1 and (parts[1].text or "").strip() in _BARS:
        element.tag = f"{{{_NAMESPACE}}}mrow"  # a bar over several letters wants a font that can stretch it
        element.set("class", "overline")
        element[:] = [parts[0]]
    elif tag == "msub" and len(parts[0]) == 2 and (parts[0][1].text or "").strip() == _BRACE:
        parts[0][1].set("stretchy", "true")
        element.tag = f"{{{_NAMESPACE}}}munder"


def _visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    translator.body.append(_mathml(node, as_block=False))
    raise nodes.SkipNode


def _visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{_mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the renderer ``mathml``, which ``html_math_renderer`` selects."""
    app.add_html_math_renderer("mathml", (_visit_inline, None), (_visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
