"""An audit as JUnit XML: one suite per model after, one test case per task.

The dialects of JUnit XML differ; what is written here is valid in the strict one of Apache Ant and
in that of Jenkins.  A loss is a failure and a task without answers is an error.  What cannot be
told (inconclusive, at floor) is skipped with the reason, as no test has failed; the exit code of
the command stops a release all the same.

The time of a test case is its share of the model's time, by number of items.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal
from xml.etree import ElementTree

from forgetless.auditing.result import Audit, Comparison
from forgetless.metrics import TaskVerdict, Verdict
from forgetless.report.audit.changes import changed_items, lost_by
from forgetless.report.audit.phrases import gate_line, points, why, word
from forgetless.report.changes import ChangedItem
from forgetless.report.data import ItemScore
from forgetless.report.wording import clipped, count, interval, number
from forgetless.showing import visible

Outcome = Literal["skipped", "failure", "error"]

MOST_ITEMS = 20
"""Most lost items told per test case; audit.json has all."""

_OUTCOMES: dict[Verdict, Outcome] = {
    "lost": "failure",
    "inconclusive": "skipped",
    "at floor": "skipped",
    "failed": "error",
}
_NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(audit: Audit, *, inconclusive: Literal["skipped", "failure"] = "skipped") -> str:
    """Render the file.

    Args:
        audit: What was found.
        inconclusive: What an inconclusive task is; ``failure`` for a pipeline that looks at the
            test cases alone.
    """
    outcomes = {**_OUTCOMES, "inconclusive": inconclusive}
    changes = changed_items(audit)
    root = ElementTree.Element("testsuites")
    for place, comparison in enumerate(audit.comparisons):
        _add_suite(root, place, audit, comparison, outcomes, changes)
    ElementTree.indent(root)
    # The declaration by hand: ElementTree writes one only for bytes.
    body = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'


def _add_suite(
    root: ElementTree.Element,
    place: int,
    audit: Audit,
    comparison: Comparison,
    outcomes: dict[Verdict, Outcome],
    changes: Sequence[ChangedItem],
) -> None:
    found = [outcomes.get(verdict.verdict) for verdict in comparison.verdicts]
    cost = audit.costs.get(comparison.after)
    seconds = 0.0 if cost is None else cost.seconds
    items = {task.name: task.items for task in audit.tasks}
    total = sum(items[verdict.task] for verdict in comparison.verdicts)
    suite = _add(
        root,
        "testsuite",
        id=str(place),
        package="forgetless",
        name=_name(f"forgetless audit of {comparison.after}"),
        timestamp=_timestamp(audit.created),
        hostname="localhost",  # where it ran is nobody's business
        tests=str(len(found)),
        failures=str(found.count("failure")),
        errors=str(found.count("error")),
        skipped=str(found.count("skipped")),
        time=f"{seconds:.3f}",
    )
    properties = _add(suite, "properties")
    for name, value in _properties(audit, comparison):
        _add(properties, "property", name=_name(name), value=_line(value))
    for verdict, outcome in zip(comparison.verdicts, found, strict=True):
        share = items[verdict.task] / total if total else 0.0
        case = _add(
            suite,
            "testcase",
            name=_name(verdict.task),
            classname=_name(f"forgetless.{comparison.after}"),
            time=f"{seconds * share:.3f}",
        )
        if outcome is not None:
            told = _add(
                case,
                outcome,
                message=_line(f"{word(verdict)}: {verdict.reason}"),
                type=_line(verdict.verdict),
            )
            lost = lost_by(changes, comparison.after, verdict.task)
            told.text = _text("\n".join(_told(verdict, comparison.after, lost)))
    _add(suite, "system-out").text = _text(gate_line(audit))
    _add(suite, "system-err")


def _properties(audit: Audit, comparison: Comparison) -> Iterator[tuple[str, str]]:
    after = next(info for info in audit.afters if info.label == comparison.after)
    yield "before", f"{audit.before.label}: {audit.before.name} ({audit.before.identity})"
    yield "after", f"{after.label}: {after.name} ({after.identity})"
    yield "budget", points(audit.budget)
    yield "gate", comparison.gate
    yield "reason", comparison.reason
    for name, version in audit.versions.items():
        yield f"version of {name}", version


def _told(verdict: TaskVerdict, label: str, lost: Sequence[ChangedItem]) -> Iterator[str]:
    yield why(verdict)
    for name, figure in (
        ("before", verdict.before),
        ("after", verdict.after),
        ("change", verdict.change),
    ):
        if figure.value is None:
            yield f"{name}: not measured ({figure.reason})"
        elif figure.interval is None:
            yield f"{name}: {number(figure.value)}"
        else:
            ends = interval(figure.interval.low, figure.interval.high)
            yield f"{name}: {number(figure.value)} ({figure.interval.level:.0%} limits {ends})"
    for item in lost[:MOST_ITEMS]:
        arm = next(arm for arm in item.arms if arm.title == label)
        yield ""
        yield f"{arm.kind}: {clipped(item.item, 80)}"
        yield f"  asked:  {clipped(item.question, 300)}"
        yield f"  right:  {clipped(item.gold, 300)}"
        yield f"  before: {_said(arm.before)}"
        yield f"  after:  {_said(arm.after)}"
    if len(lost) > MOST_ITEMS:
        yield ""
        yield f"{count(len(lost) - MOST_ITEMS, 'more item')} lost; audit.json has all"


def _said(item: ItemScore) -> str:
    return clipped(item.output or ("" if item.score is None else number(item.score)), 300)


def _add(parent: ElementTree.Element, tag: str, /, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, tag, attributes)


def _timestamp(created: str) -> str:
    """The date and time as the strict dialect has it: to the second, without a zone."""
    match = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", created)
    return match[0] if match else "1970-01-01T00:00:00"


def _name(text: str) -> str:
    """A name that is never empty: the dialects ask for a token."""
    return _line(text, 200) or "unnamed"


def _line(text: str, most: int = 2000) -> str:
    return clipped(_text(text), most)


def _text(text: str) -> str:
    """Text that XML can hold: control signs as pictures, what is no character taken out."""
    return _NOT_XML.sub("", visible(text))
