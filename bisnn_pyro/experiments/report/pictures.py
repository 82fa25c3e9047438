"""Figures as pictures inside the page: SVG or PNG in ``data:`` URIs, the same bytes for the same figure."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from bisnn_pyro.analysis import Plot, paper_style
from bisnn_pyro.experiments.report.blocks import Picture

PIXELS_PER_INCH = 125
"""On screen; fonts of 8 points then read like the text around them."""


def drawn(plot: Plot, caption: str) -> Picture:
    """Return a figure as an SVG picture, its text as outlines, so that no font is needed."""
    import matplotlib as mpl

    buffer = io.BytesIO()
    # The salt makes the names inside of the SVG, random otherwise, follow from what they name.
    with paper_style(), mpl.rc_context({"svg.hashsalt": "bisnn", "svg.fonttype": "path"}):
        plot.figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    width = round(float(plot.figure.get_size_inches()[0]) * PIXELS_PER_INCH)
    return Picture(caption, _uri("image/svg+xml", buffer.getvalue()), width)


def stored(path: Path, caption: str, width: int = 7 * PIXELS_PER_INCH) -> Picture:
    """Return a PNG file of a run as a picture."""
    return Picture(caption, _uri("image/png", path.read_bytes()), width)


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
