"""The page of a report on runs."""

from __future__ import annotations

from forgetless.metrics.lenient import LOWER_IS_BETTER
from forgetless.report.analysis import Report
from forgetless.report.budget import budget_tables, choice_lines, headline
from forgetless.report.html import heat, items, pictures, settings, tables
from forgetless.report.html.rendering import render_page
from forgetless.report.outcome import MARGIN
from forgetless.report.readings import other_readings
from forgetless.report.verdict import Verdict
from forgetless.report.wording import number

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
    entries = items.item_entries(report.changes, styles)
    values = {
        "report": report,
        "verdict": verdict,
        "tone": TONES[verdict.tone],
        "facts": settings.facts(report),
        "legend": [(arm.title, styles[arm.title], arm is report.joint) for arm in report.arms],
        "heat_groups": heat.heat_groups(report, styles),
        "kept_panels": pictures.kept_panels(report, styles),
        "curve_panels": pictures.curve_panels(report, styles),
        "outcomes": tables.outcome_tables(report, styles),
        "margin": number(MARGIN["accuracy"]),
        "items": entries,
        "item_arms": items.arms_shown(entries, styles),
        "changes": len(report.changes),
        "questions": items.free_questions(report, styles),
        "figures": tables.figure_rows(report),
        "budgets": [
            (arm.title, headline(arm.budget), budget_tables(arm.budget), choice_lines(arm.budget))
            for arm in report.arms
            if arm.budget is not None
        ],
        "readings": other_readings(report),
        "lower_is_better": LOWER_IS_BETTER,
        "styles": styles,
        "tasks": settings.task_entries(report),
        "stages": settings.stage_entries(report, styles),
        "shared_pairs": settings.shared_pairs(report),
        "version_pairs": settings.version_pairs(report),
        "run_pairs": [(arm.title, settings.run_pairs(arm)) for arm in report.arms],
        "commands": settings.commands(report),
    }
    return render_page("report.html", values)
