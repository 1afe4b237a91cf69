"""An audit as one self-contained HTML page."""

from __future__ import annotations

from forgetless.auditing.result import Audit
from forgetless.report.audit import pictures, rows
from forgetless.report.audit.changes import changed_items, shared_words, unanswered
from forgetless.report.audit.phrases import (
    MEANINGS,
    NEXT,
    ORDER,
    TITLES,
    gate_line,
    gate_title,
    notes,
    points,
    price,
    tally,
)
from forgetless.report.charts.marks import ArmStyle, arm_style
from forgetless.report.html.items import arms_shown, item_entries
from forgetless.report.html.rendering import render_page


def render_audit_html(audit: Audit) -> str:
    """Render the page.

    Args:
        audit: What was found.
    """
    styles = model_styles(audit)
    changes = changed_items(audit)
    entries = item_entries(changes, styles)
    told = gate_line(audit).removeprefix(f"{gate_title(audit)}: ")
    if len(audit.afters) == 1:  # else it begins with a model's name
        told = told[:1].upper() + told[1:]
    values = {
        "audit": audit,
        "title": TITLES[audit.gate],
        "told": told,
        "next": NEXT[audit.gate],
        "tallies": [(found.after, tally(found)) for found in audit.comparisons],
        "budget": points(audit.budget),
        "facts": list(rows.facts(audit)),
        "notes": notes(audit),
        "legend": [(label, style, False) for label, style in styles.items()],
        "tasks": rows.task_rows(audit, styles),
        "panels": pictures.budget_panels(audit, styles),
        "heat_groups": pictures.matrix_groups(audit),
        "areas": rows.area_rows(audit),
        "readings": rows.reading_rows(audit),
        "unanswered": unanswered(audit),
        "items": entries,
        "item_arms": arms_shown(entries, styles),
        "changes": len(changes),
        "shared": shared_words(audit),
        "models": rows.model_pairs(audit),
        "costs": rows.cost_rows(audit),
        "price": None if audit.price is None else price(audit.price),
        "meanings": [(word, MEANINGS[word]) for word in ORDER],
        "styles": styles,
    }
    return render_page("audit/page.html", values, styles=("audit/audit.css",))


def model_styles(audit: Audit) -> dict[str, ArmStyle]:
    """The look of each model after, by label; the warm colour is for what went wrong in runs."""
    return {after.label: arm_style(place + 1) for place, after in enumerate(audit.afters)}
