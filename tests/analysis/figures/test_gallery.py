import runpy
import sys
from pathlib import Path

import matplotlib
import pytest
from PIL import Image

ROOT = Path(__file__).parents[3]
SCRIPTS = sorted((ROOT / "examples" / "gallery").glob("*.py"))
PAGE = ROOT / "docs" / "gallery.md"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_script_draws_its_picture(script, tmp_path, monkeypatch, capsys, inside):
    before = dict(matplotlib.rcParams)
    monkeypatch.setattr(sys, "argv", [str(script), str(tmp_path)])
    plot = runpy.run_path(str(script))["plot"]
    assert dict(matplotlib.rcParams) == before
    picture = tmp_path / f"{script.stem}.png"
    assert capsys.readouterr().out.strip() == str(picture)
    with Image.open(picture) as image:
        assert image.width == round(120 * plot.figure.get_figwidth())
        assert image.width in (408, 840)
    assert list(plot.axes) == plot.figure.axes
    assert len({len(column) for column in plot.table.values()}) == 1
    inside(plot.figure)


def test_page_shows_every_picture():
    text = PAGE.read_text(encoding="utf-8")
    assert SCRIPTS
    for script in SCRIPTS:
        assert f"figures/gallery/{script.stem}.png" in text
        assert f"examples/gallery/{script.name}" in text
        assert (PAGE.parent / "figures" / "gallery" / f"{script.stem}.png").is_file()
