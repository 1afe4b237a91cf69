"""Audits as they could come out: every verdict once, two models after, and hostile answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from forgetless.auditing.result import (
    AnsweredItem,
    AreaChange,
    Audit,
    AuditTask,
    Comparison,
    Cost,
    Drift,
    GateStatus,
    SubjectInfo,
)
from forgetless.metrics import (
    Figure,
    Flips,
    Interval,
    Nature,
    NullFlips,
    Reading,
    TaskVerdict,
    Unit,
    Verdict,
)
from tests.report.hostile import TEXT

BASE, TUNED, LATER = "base", "tuned", "later"
# What ends a CDATA section, is no character of XML, has no UTF-8, or reads from the right.
ATTACK = f"]]> \ufffe \ud83d \u0645\u0631\u062d\u0628\u0627 {TEXT} {'long' * 2000}"


def figure(value: float, half: float = 0.0) -> Figure:
    limits = Interval(value - half, value + half, 0.95, "percentile bootstrap") if half else None
    return Figure(value, limits, None)


def absent(reason: str) -> Figure:
    return Figure(None, None, reason)


def verdict(
    task: str,
    word: Verdict,
    before: float,
    after: float,
    *,
    half: float = 0.04,
    items: int = 40,
    lost: Sequence[str] = (),
    gained: Sequence[str] = (),
    unit: Unit = "accuracy",
    nature: Nature | None = None,
    needed: int | None = None,
    reason: str = "",
    others: Mapping[str, Reading] | None = None,
) -> TaskVerdict:
    change = after - before
    return TaskVerdict(
        task=task,
        unit=unit,
        verdict=word,
        reason=reason or f"the score went from {before:.2f} to {after:.2f}",
        budget=0.05,
        items=items,
        missing=0,
        before=figure(before, half),
        after=figure(after, half),
        change=figure(change, half),
        flips=None if unit == "nats" else Flips(tuple(lost), tuple(gained), items, 0, 0.5),
        p_value=0.0004 if word == "lost" else 0.31,
        p_adjusted=0.002 if word == "lost" else 1.0,
        null=None if unit == "nats" else NullFlips(2.5, 1.0, items, 4, "choices permuted"),
        detectable=0.07,
        items_needed=needed,
        chance=0.25 if unit == "accuracy" else None,
        readings=others or {},
        nature=nature,
    )


def failed(task: str) -> TaskVerdict:
    nothing = absent("31 of 40 items have no answer")
    return TaskVerdict(
        task=task,
        unit="accuracy",
        verdict="failed",
        reason="31 of 40 items have no answer; at most 5% may be missing",
        budget=0.05,
        items=9,
        missing=31,
        before=nothing,
        after=nothing,
        change=nothing,
    )


def readings(**ends: tuple[float, float]) -> dict[str, Reading]:
    return {
        name: Reading(name, figure(before), figure(after), figure(after - before, 0.03))
        for name, (before, after) in ends.items()
    }


def answers(
    task: str, labels: Sequence[str], rights: Sequence[int], *, said: str = "{label} says {i}"
) -> list[AnsweredItem]:
    """Forty items: of model k the first ``rights[k]`` are right."""
    return [
        AnsweredItem(
            task=task,
            item=f"{task}-{i}",
            prompt=f"Answer briefly.\nQ: what is {task} number {i}?\nA:",
            gold=f"answer {i}",
            choices=None if i % 2 else (f"answer {i}", "another"),
            group=f"passage {i // 4}" if task == "reading" else "",
            outputs={
                label: said.replace("{label}", label).replace("{i}", str(i)) for label in labels
            },
            scores={label: float(i < right) for label, right in zip(labels, rights, strict=True)},
            errors={},
        )
        for i in range(40)
    ]


def subject(label: str, kind: str = "folder") -> SubjectInfo:
    return SubjectInfo(
        label=label,
        name=f"models/{label}",
        kind=kind,
        identity=f"{label}-9f2b1c",
        details={"dtype": "float32", "device": "cpu"},
        notes=("choices were asked by generation",) if label == LATER else (),
    )


def ids(task: str, start: int, stop: int) -> list[str]:
    return [f"{task}-{i}" for i in range(start, stop)]


def task(name: str, *, area: str = "", unit: Unit = "accuracy") -> AuditTask:
    return AuditTask(
        name=name,
        unit=unit,
        scorer="likelihood" if unit == "nats" else "exact_match",
        items=40,
        area=area,
        description=f"Questions on {name}.",
        conditions={"items": "ab12", "prompts": "cd34"},
    )


TASKS = (
    task("arithmetic", area="general ability"),
    task("facts", area="general ability"),
    task("format", area="instruction following"),
    task("reading", area="general ability"),
    task("code", area="general ability"),
    task("safety", area="safety"),
    task("prose", unit="nats"),
    replace(task("languages"), warnings=("12 items are near copies of others",)),
)


def verdicts() -> tuple[TaskVerdict, ...]:
    """One of each kind."""
    return (
        verdict("arithmetic", "kept", 0.75, 0.75, lost=ids("arithmetic", 28, 30)),
        verdict(
            "facts",
            "lost",
            0.9,
            0.3,
            lost=ids("facts", 12, 36),
            nature="knowledge",
            others=readings(contains=(0.92, 0.33), nll=(0.6, 2.4)),
        ),
        verdict(
            "format",
            "lost",
            1.0,
            0.0,
            half=0.01,
            lost=ids("format", 0, 40),
            nature="format",
            others=readings(contains=(1.0, 0.97), nll=(0.31, 0.33)),
        ),
        verdict(
            "reading",
            "inconclusive",
            0.5,
            0.475,
            half=0.11,
            lost=ids("reading", 19, 20),
            needed=1450,
            reason="the limits -0.14 to +0.09 hold both no loss and one larger than 5 points",
        ),
        verdict("code", "at floor", 0.25, 0.25, half=0.1),
        verdict("safety", "at ceiling", 1.0, 1.0, half=0.02),
        verdict("prose", "kept", -2.31, -2.29, unit="nats", half=0.02),
        failed("languages"),
    )


def all_same() -> tuple[TaskVerdict, ...]:
    """Every task as it was before."""
    scores = (0.75, 0.9, 1.0, 0.5, 0.25, 1.0, -2.31, 1.0)
    return tuple(
        verdict(asked.name, "kept", score, score, half=0.02, unit=asked.unit)
        for asked, score in zip(TASKS, scores, strict=True)
    )


RIGHTS = {
    "arithmetic": (30, 28),
    "facts": (36, 12),
    "format": (40, 0),
    "reading": (20, 19),
    "code": (10, 10),
    "safety": (40, 40),
}


def audit(gate: GateStatus = "broken", *, later: bool = True, said: str = "") -> Audit:
    """Eight tasks; the second model after kept all that it was asked."""
    labels = [BASE, TUNED, *([LATER] if later else [])]
    items: list[AnsweredItem] = []
    for asked in TASKS:
        if asked.name in RIGHTS:
            before, after = RIGHTS[asked.name]
            rights = [before, after, before][: len(labels)]
            items += answers(asked.name, labels, rights, said=said or "{label} says {i}")
        elif asked.unit == "nats":
            items += [
                replace(
                    item,
                    scores={label: -2.31 - 0.01 * k for k, label in enumerate(labels)},
                    outputs=dict.fromkeys(labels),
                )
                for item in answers(asked.name, labels, [0] * len(labels))
            ]
        else:
            items += [
                replace(
                    item,
                    scores={label: 1.0 for label in labels if label != TUNED},
                    outputs={label: "yes" for label in labels if label != TUNED},
                    errors={TUNED: "the server answered 500 four times"},
                )
                for item in answers(asked.name, labels, [0] * len(labels))
            ]
    reasons = {
        "kept": "no task lost more than 5 points",
        "broken": "facts and format lost more than 5 points",
        "inconclusive": "whether reading kept within 5 points cannot be told",
        "failed": "languages has too few answers",
    }
    areas = (
        AreaChange("general ability", ("arithmetic", "facts"), figure(-0.16, 0.03)),
        AreaChange("safety", ("safety",), figure(0.0)),
    )
    told = Comparison(
        TUNED, verdicts(), areas, (Drift("prose", 1234, 0.0417),), gate, reasons[gate]
    )
    comparisons = [told]
    if later:
        comparisons.append(Comparison(LATER, all_same(), (), (), "kept", reasons["kept"]))
    return Audit(
        before=subject(BASE),
        afters=tuple(subject(label) for label in labels[1:]),
        tasks=TASKS,
        budget=0.05,
        level=0.95,
        comparisons=tuple(comparisons),
        items=tuple(items),
        costs={label: Cost(80.0 + k, 75.5, 320, 0) for k, label in enumerate(labels)},
        versions={"forgetless": "0.1.0", "torch": "2.11.0"},
        created="2026-03-01T10:20:30+00:00",
    )


def all_kept() -> Audit:
    """One model after that kept the one task that it was asked."""
    found = audit("kept", later=False)
    (comparison,) = found.comparisons
    return replace(
        found,
        tasks=TASKS[:1],
        comparisons=(replace(comparison, verdicts=verdicts()[:1], areas=(), drift=()),),
        items=tuple(item for item in found.items if item.task == "arithmetic"),
    )


def hostile() -> Audit:
    """Every text from outside tries to become markup, a script, a mention or a command."""
    found = audit(said=ATTACK)
    label = {TUNED: f"tuned {TEXT[:90]}"}

    def named(text: str) -> str:
        return label.get(text, text)

    comparison = found.comparisons[0]
    return replace(
        found,
        before=replace(found.before, name=TEXT, details={TEXT: TEXT}, notes=(TEXT,)),
        afters=tuple(
            replace(after, label=named(after.label), name=TEXT, kind=TEXT, identity=TEXT)
            for after in found.afters
        ),
        tasks=tuple(
            replace(asked, area=TEXT, description=TEXT, scorer=TEXT, warnings=(TEXT,))
            for asked in found.tasks
        ),
        comparisons=(
            replace(
                comparison,
                after=label[TUNED],
                reason=TEXT,
                areas=(AreaChange(TEXT, (TEXT,), figure(0.1)),),
                verdicts=tuple(replace(v, reason=f"{TEXT} {ATTACK}") for v in comparison.verdicts),
            ),
            *found.comparisons[1:],
        ),
        items=tuple(
            replace(
                item,
                prompt=f"{ATTACK} {item.prompt}",
                gold=ATTACK,
                choices=(TEXT, "x"),
                outputs={named(k): v for k, v in item.outputs.items()},
                scores={named(k): v for k, v in item.scores.items()},
                errors={named(k): TEXT for k in item.errors},
            )
            for item in found.items
        ),
        costs={named(k): v for k, v in found.costs.items()},
        versions={TEXT: TEXT},
    )
