"""Put a page together as one HTML file that needs nothing beside it.

Nothing from outside can run or load: the page's policy allows its own two blocks, by their hashes,
and no request of any kind; and Jinja escapes every value that is not drawn here.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from forgetless.report.charts.colour import LEVELS, stylesheet
from forgetless.report.charts.marks import swatch
from forgetless.report.wording import count, number
from forgetless.showing import visible


def render_page(template: str, values: dict[str, Any], *, styles: tuple[str, ...] = ()) -> str:
    """Render a page that extends ``layout.html``.

    Args:
        template: Its file among the templates.
        values: What it shows.
        styles: Style sheets on top of the one that all pages share.
    """
    css = stylesheet() + "".join(_asset(name) for name in ("report.css", *styles))
    script = _asset("report.js")
    return (
        _environment()
        .get_template(template)
        .render(values, policy=_policy(css, script), css=css, script=script, levels=LEVELS)
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("forgetless.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number)
    environment.globals.update(count=count, swatch=swatch)
    return environment


def _finalize(value: Any) -> Any:
    """Show what is hidden in text from outside; drawings and our own two blocks are markup."""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _asset(name: str) -> str:
    return files("forgetless.report.html").joinpath("templates", name).read_text(encoding="utf-8")


def _policy(css: str, script: str) -> str:
    """The content security policy: these two blocks, and nothing else."""
    return (
        f"default-src 'none'; style-src '{_hash(css)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
