"""Open a page in headless Chromium at a width of choice, and ask it questions in JavaScript.

The page stands in a frame of that width, as a headless window cannot be made as narrow as a phone.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--allow-file-access-from-files",  # the outer page reads the inner one
)
# What sticks out of the page to the side, and a page with everything open.
FITS = """
  const wide = page.documentElement.clientWidth;
  const inside = (node) => node.closest(".scroll");
  const out = [...page.body.querySelectorAll("*")].filter((node) => {
    const box = node.getBoundingClientRect();
    return !inside(node) && !node.closest(".sr") && box.width > 0
      && (box.right > wide + 0.5 || box.left < -0.5);
  });
  return {
    wide,
    scroll: page.documentElement.scrollWidth,
    out: out.map((node) => `${node.tagName}.${node.getAttribute("class")}`),
    title: page.title,
  };
"""
OPEN_ALL = 'page.querySelectorAll("details").forEach((node) => { node.open = true; });'
OUTER = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe id="frame" {sandbox} style="border:0;width:{width}px;height:900px"></iframe>
<pre id="result"></pre>
<script>
const frame = document.getElementById("frame");
frame.addEventListener("load", async () => {{
  const page = frame.contentDocument, view = frame.contentWindow;
  const rest = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
  let found;
  try {{ found = await (async () => {{ {script} }})(); }}
  catch (error) {{ found = {{ error: String(error) }}; }}
  document.getElementById("result").textContent = JSON.stringify(found);
}});
frame.src = {address};
</script>
"""


def chromium() -> str:
    """The browser's path; skips the test where there is none."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    pytest.skip(f"no Chromium found (looked for {', '.join(NAMES)})")


def ask(
    page: Path,
    script: str,
    folder: Path,
    *,
    width: int = 1280,
    scripts: bool = True,
    dark: bool = False,
    real_time: bool = False,
) -> Any:
    """Open a page and run a script beside it.

    Args:
        page: The file to open.
        script: Body of an async function that sees ``page`` (its document), ``view`` (its window)
            and ``rest(milliseconds)``; what it returns comes back.
        folder: Where the outer page and the browser's profile go.
        width: Width of the page in CSS pixels.
        scripts: Whether scripts of the page may run.
        dark: Whether the reader prefers a dark page.
        real_time: Let the clock run; the script must then do without ``await``.
    """
    outer = folder / "outer.html"
    outer.write_text(
        OUTER.format(
            sandbox="" if scripts else 'sandbox="allow-same-origin"',
            width=width,
            script=script,
            address=json.dumps(page.as_uri()),
        ),
        encoding="utf-8",
    )
    done = subprocess.run(
        [
            chromium(),
            *FLAGS,
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={max(width, 800)},900",
            *([] if real_time else ["--virtual-time-budget=20000"]),
            "--dump-dom",
            outer.as_uri(),
        ],
        capture_output=True,
        timeout=120,
        check=True,
    )
    match = re.search(r'<pre id="result">(.*?)</pre>', done.stdout.decode(), re.S)
    assert match is not None, done.stderr.decode()[-2000:]
    assert match[1], "the script did not come to an end"
    return json.loads(unescape(match[1]))
