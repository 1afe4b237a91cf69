"""Put the report together as one HTML file that needs nothing beside it.

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

from forgetless.metrics.lenient import LOWER_IS_BETTER
from forgetless.report.analysis import Report
from forgetless.report.charts.colour import LEVELS, stylesheet
from forgetless.report.charts.marks import swatch
from forgetless.report.html import heat, items, pictures, settings, tables
from forgetless.report.outcome import MARGIN
from forgetless.report.readings import other_readings
from forgetless.report.verdict import Verdict
from forgetless.report.wording import count, number, visible

TONES = {
    "lost": "Forgetting found",
    "kept": "Nothing forgotten",
    "improved": "Nothing forgotten",
    "inconclusive": "Inconclusive",
    "not learned": "Nothing learned",
    "unknown": "Not measured",
}


def render_html(report: Report, verdict: Verdict) -> str:
    """Render the page.

    Args:
        report: Everything computed from the runs.
        verdict: Its two sentences.
    """
    styles = pictures.arm_styles(report)
    css, script = _asset("report.css"), _asset("report.js")
    css = stylesheet() + css
    entries = items.item_entries(report, styles)
    changed = {change.title for entry in entries for change in entry.changes}
    return (
        _environment()
        .get_template("report.html")
        .render(
            report=report,
            verdict=verdict,
            tone=TONES[verdict.tone],
            policy=_policy(css, script),
            css=css,
            script=script,
            facts=settings.facts(report),
            legend=[(arm.title, styles[arm.title], arm is report.joint) for arm in report.arms],
            heat_groups=heat.heat_groups(report, styles),
            levels=LEVELS,
            kept_panels=pictures.kept_panels(report, styles),
            curve_panels=pictures.curve_panels(report, styles),
            outcomes=tables.outcome_tables(report, styles),
            margin=number(MARGIN["accuracy"]),
            items=entries,
            item_arms=[title for title in styles if title in changed],
            questions=items.free_questions(report, styles),
            figures=tables.figure_rows(report),
            readings=other_readings(report),
            lower_is_better=LOWER_IS_BETTER,
            styles=styles,
            tasks=settings.task_entries(report),
            stages=settings.stage_entries(report, styles),
            shared_pairs=settings.shared_pairs(report),
            version_pairs=settings.version_pairs(report),
            run_pairs=[(arm.title, settings.run_pairs(arm)) for arm in report.arms],
            commands=settings.commands(report),
        )
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
