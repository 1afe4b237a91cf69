"""An audit as Markdown: a comment on a pull request, with the verdict in its first line.

GitHub takes 65,536 characters.  Fewer lost items are told until the comment fits; the rows of the
tables go last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from forgetless.auditing.result import Audit, Comparison, SubjectInfo
from forgetless.metrics import Figure, TaskVerdict
from forgetless.metrics.lenient import LOWER_IS_BETTER
from forgetless.report.audit.changes import changed_items, lost_by
from forgetless.report.audit.phrases import (
    NEXT,
    flips,
    gate_line,
    gate_title,
    itself,
    moved,
    notes,
    plain_word,
    points,
    sentence,
    tally,
    why,
    word,
)
from forgetless.report.changes import ChangedItem
from forgetless.report.data import ItemScore
from forgetless.report.markup import code, folded, plain, table
from forgetless.report.wording import ABSENT, clipped, count, interval, number

MARK = "<!-- forgetless audit -->"
"""Ends the comment, so that the next audit can find and replace it."""

MOST_BYTES = 65_000
"""Room for the comment; bytes, so that it fits however characters are counted."""

MOST_ITEMS = (20, 10, 5, 2, 0)
"""Most lost items told per task and model: the first of these with which the comment fits."""

MOST_REASON = 400
MOST_NAME = 80


def render_audit_markdown(audit: Audit) -> str:
    """Render the comment.

    Args:
        audit: What was found.
    """
    changes = changed_items(audit)
    for most in MOST_ITEMS:
        text = "\n\n".join([*_parts(audit, changes, most), MARK]) + "\n"
        if len(text.encode()) <= MOST_BYTES:
            return text
    return _cut(text)


def _parts(audit: Audit, changes: Sequence[ChangedItem], most: int) -> Iterator[str]:
    title = gate_title(audit)
    told = clipped(gate_line(audit).removeprefix(f"{title}: "), 4 * MOST_REASON)
    yield f"**{plain(title)}:** {plain(told)}"
    yield _about(audit)
    if len(audit.comparisons) > 1:
        yield table(*_matrix(audit))
    for comparison in audit.comparisons:
        if len(audit.comparisons) > 1:
            yield f"**{_label(comparison.after)}**: {plain(tally(comparison))}"
        yield table(*_tasks(audit, comparison))
    if audit.gate != "kept":
        yield plain(NEXT[audit.gate])
    for comparison in audit.comparisons:
        yield from _reasons(audit, comparison)
    for comparison in audit.comparisons:
        yield from _readings(audit, comparison)
    yield from _notes(audit)
    for comparison in audit.comparisons if most else ():
        for verdict in comparison.verdicts:
            lost = lost_by(changes, comparison.after, verdict.task)
            if lost:
                yield _items(audit, comparison, verdict.task, lost, most)


def _about(audit: Audit) -> str:
    names = ", ".join(_subject(after) for after in audit.afters)
    return (
        f"{_subject(audit.before)} → {names}; budget {points(audit.budget)} on each task; "
        f"{count(len(audit.tasks), 'task')}, {count(len(audit.items), 'item')}."
    )


def _subject(info: SubjectInfo) -> str:
    if info.label == info.name:
        return code(info.name)
    return f"{_label(info.label)} ({code(info.name)})"


def _label(text: str) -> str:
    return plain(clipped(text, MOST_NAME))


def _tasks(audit: Audit, comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    head = [
        "Task",
        "Before",
        "After",
        f"Change ({audit.level:.0%} limits)",
        "Lost / gained",
        "By itself",
        "Verdict",
    ]
    return head, [_row(verdict) for verdict in comparison.verdicts]


def _row(verdict: TaskVerdict) -> list[str]:
    pair = flips(verdict)
    bold = "**" if verdict.verdict in ("lost", "failed") else ""
    return [
        _label(verdict.task) + (" (nats)" if verdict.unit == "nats" else ""),
        _value(verdict.before),
        _value(verdict.after),
        _change(verdict.change),
        ABSENT if pair is None else f"{pair[0]} / {pair[1]}",
        plain(itself(verdict)) or ABSENT,
        f"{bold}{word(verdict)}{bold}",
    ]


def _value(figure: Figure) -> str:
    return ABSENT if figure.value is None else number(figure.value)


def _change(figure: Figure) -> str:
    if figure.value is None:
        return ABSENT
    value = number(figure.value, signed=True)
    if figure.interval is None:
        return value
    return f"{value} [{interval(figure.interval.low, figure.interval.high, signed=True)}]"


def _reasons(audit: Audit, comparison: Comparison) -> Iterator[str]:
    """Why each task came to its verdict, where that is more than being kept."""
    of = f", {_label(comparison.after)}" if len(audit.comparisons) > 1 else ""
    lines = []
    for verdict in comparison.verdicts:
        if verdict.verdict == "kept":
            continue
        reason = clipped(why(verdict), MOST_REASON)
        lines.append(f"- **{_label(verdict.task)}**, {word(verdict)}: {plain(reason)}")
    if lines:
        yield folded(f"Why{of}", "\n".join(lines))


def _matrix(audit: Audit) -> tuple[list[str], list[list[str]]]:
    """Every model on every task, with the verdict."""
    rows = []
    for asked in audit.tasks:
        verdicts = [comparison.verdict(asked.name) for comparison in audit.comparisons]
        cells = [f"{_value(verdict.after)}, {plain_word(verdict)}" for verdict in verdicts]
        rows.append([_label(asked.name), _value(verdicts[0].before), *cells])
    return ["Task", *(_label(info.label) for info in audit.subjects)], rows


def _readings(audit: Audit, comparison: Comparison) -> Iterator[str]:
    """Lenient scores and likelihoods beside the strict score, and how far predictions moved."""
    of = f", {_label(comparison.after)}" if len(audit.comparisons) > 1 else ""
    rows = [
        [
            _label(verdict.task),
            plain(name) + (" (lower is better)" if name in LOWER_IS_BETTER else ""),
            _value(reading.before),
            _value(reading.after),
            _change(reading.change),
        ]
        for verdict in comparison.verdicts
        for name, reading in verdict.readings.items()
    ]
    told = [table(["Task", "Reading", "Before", "After", "Change"], rows)] if rows else []
    if said := moved(comparison):
        told.append(plain(sentence(said[0].upper() + said[1:])))
    if told:
        yield folded(f"Other readings of the same answers{of}", "\n\n".join(told))


def _notes(audit: Audit) -> Iterator[str]:
    found = notes(audit)
    if found:
        lines = "\n".join(f"- {plain(clipped(note, MOST_REASON))}" for note in found)
        yield folded(f"{count(len(found), 'note')} on models, tasks and answers", lines)


def _items(
    audit: Audit, comparison: Comparison, task: str, lost: Sequence[ChangedItem], most: int
) -> str:
    head = ["Asked", "Right answer", "Before", "After"]
    rows = []
    for item in lost[:most]:
        arm = next(arm for arm in item.arms if arm.title == comparison.after)
        rows.append(
            [code(item.question, 160), code(item.gold), _said(arm.before), _said(arm.after)]
        )
    of = f" by {_label(comparison.after)}" if len(audit.comparisons) > 1 else ""
    more = len(lost) - most
    rest = f"\n\n{count(more, 'more item')} in the HTML report." if more > 0 else ""
    title = f"{_label(task)}: {count(len(lost), 'item')} lost{of}"
    return folded(title, table(head, rows, numbers=False) + rest)


def _said(item: ItemScore) -> str:
    if item.error is not None:
        return plain(clipped(item.error, 100))
    return code(item.output or ("" if item.score is None else number(item.score)))


def _cut(text: str) -> str:
    """The lines that fit, with nothing left open."""
    end = f"\n\nThe rest is in the HTML report.\n\n{MARK}\n"
    room = MOST_BYTES - len(end.encode()) - len("\n</details>")
    kept, size, opened = [], 0, 0
    for line in text.splitlines():
        size += len(line.encode()) + 1
        if size > room:
            break
        kept.append(line)
        opened += line.startswith("<details>") - line.startswith("</details>")
    return "\n".join(kept) + "\n\n</details>" * opened + end
