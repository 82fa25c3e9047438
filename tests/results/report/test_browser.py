"""The page in a browser: it fits a wide and a narrow window, shows its pictures and asks for nothing."""

import json
import os
import re
import shutil
import subprocess
from urllib.parse import unquote

import pytest

from .reading import Page

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1280, 400)

LOOK = """<!doctype html><title>look</title><body>FRAMES<pre id="found"></pre><script>
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const images = [...page.images];
    const boxes = [...page.querySelectorAll(".scroll")];
    return {
      window: root.clientWidth,
      page: root.scrollWidth,
      images: images.map(image => image.complete && image.naturalWidth > 0),
      beyond: boxes.filter(box => box.getBoundingClientRect().right > root.clientWidth + 1).length,
      scrolling: boxes.filter(box => box.scrollWidth > box.clientWidth + 1).length,
      loaded: frame.contentWindow.performance.getEntriesByType("resource").map(entry => entry.name),
      text: page.body.innerText,
    };
  });
  document.getElementById("found").textContent = encodeURIComponent(JSON.stringify(found));
});
</script>"""


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium")
def test_the_page_fits_and_loads_nothing(page, tmp_path):
    frames = "".join(
        f'<iframe src="{page.as_uri()}" style="width: {width}px; height: 900px; border: 0"></iframe>'
        for width in WIDTHS
    )
    look = tmp_path / "look.html"
    look.write_text(LOOK.replace("FRAMES", frames))
    command = [
        BROWSER,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--allow-file-access-from-files",
    ]
    command += [
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=1800,1000",
        "--dump-dom",
        look.as_uri(),
    ]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    (found,) = re.findall(r'<pre id="found">([^<]+)</pre>', done.stdout)
    seen = json.loads(unquote(found))
    headings = Page(page.read_text(encoding="utf-8")).headings
    for width, view in zip(WIDTHS, seen, strict=True):
        assert view["window"] == width
        assert view["page"] <= width  # nothing but the tables' own boxes scrolls sideways
        assert view["beyond"] == 0
        assert view["images"]
        assert all(view["images"])
        assert not [name for name in view["loaded"] if not name.startswith("data:")]
        assert all(heading in view["text"] for heading in headings)
    assert seen[1]["scrolling"] > 0
