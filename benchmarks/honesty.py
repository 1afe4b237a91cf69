"""How often the audit's verdicts are right, where the truth is known because it is simulated.

python -m benchmarks.honesty          (some minutes; --log appends the result to LOG.md)

Run from the root of the repository.  Each bar is a share of simulated tasks or audits; the script
ends with 1 if one of them is broken.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import numpy as np
import typer

from benchmarks.comparison.records import append_to_log, circumstances
from forgetless.comparing.arms import SEQUENTIAL
from forgetless.comparing.conclusion import accuracy_gain, at_once
from forgetless.comparing.recommendation import recommend
from forgetless.comparing.result import ArmResult
from forgetless.comparing.within import over_budget
from forgetless.metrics import (
    Cell,
    Evidence,
    Figure,
    Groups,
    ScoreMatrix,
    TaskColumn,
    TaskVerdict,
    Verdict,
    average_accuracy,
    detectable_loss,
    estimate,
    judge,
)
from forgetless.plan import BudgetConfig
from forgetless.report.analysis import DRAWS
from forgetless.report.outcome import MARGIN, fate_of

BUDGET = 0.02
AUDIT = 10
"""Tasks of a simulated audit."""

FLIPS = (0.02, 0.05, 0.1, 0.2)
SIZES = (100, 200, 500, 1000)
ACCURACIES = (0.3, 0.5, 0.7, 0.9, 0.98)
GROUPS = (1, 5, 20)
TOGETHER = 0.5
"""Share of the groups whose items all answer alike; the others' items are independent."""


@dataclass(frozen=True)
class Line:
    """One row of the table: what was simulated, what came out, and what was wanted of it."""

    case: str
    measured: str
    wanted: str
    held: bool | np.bool | None


def simulate(
    rng: np.random.Generator,
    name: str,
    *,
    items: int,
    accuracy: float,
    flips: float,
    loss: float = 0.0,
    size: int = 1,
    chance: float | None = None,
) -> Evidence:
    """A task of which the model truly loses so much, with so many flips.

    Without a loss before and after could as well stand the other way round.
    """
    most = 1.8 * min(accuracy, 1 - accuracy)  # more flips than that, and accuracy would move
    flips = max(min(flips, most), loss)
    draws = rng.random((2, items))
    if size > 1:
        group = np.arange(items) // size
        alike = rng.random(group[-1] + 1) < TOGETHER
        draws = np.where(alike[group], draws[:, group * size], draws)
    before = draws[0] < accuracy
    to_wrong = (flips + loss) / 2 / accuracy
    to_right = (flips - loss) / 2 / (1 - accuracy)
    after = np.where(before, draws[1] >= to_wrong, draws[1] < to_right)
    return evidence(name, before, after, size, chance)


def evidence(
    name: str,
    before: Sequence[float] | np.ndarray,
    after: Sequence[float] | np.ndarray,
    size: int = 1,
    chance: float | None = None,
) -> Evidence:
    """A task from right and wrong answers; so many items after each other are a group."""
    ids = [f"q{i:05}" for i in range(len(before))]
    groups: Groups = {i: str(n // size) for n, i in enumerate(ids)} if size > 1 else {}
    cells = [Cell(dict(zip(ids, map(float, row), strict=True))) for row in (before, after)]
    return Evidence(name, "accuracy", cells[0], cells[1], groups=groups, chance=chance)


def one(task: Evidence, budget: float = BUDGET) -> TaskVerdict:
    """The verdict on a task that is audited alone."""
    return judge([task], budget=budget, draws=500)[0]


def described(tasks: Sequence[Evidence]) -> tuple[TaskVerdict, ...]:
    """The verdicts that a run's report rests on."""
    return judge(tasks, budget=MARGIN["accuracy"], describe=True, draws=DRAWS)


def share(found: Sequence[bool]) -> str:
    """Of how many, and as a percentage."""
    return f"{np.mean(found):.1%} of {len(found):,}"


def rarely(case: str, found: Sequence[bool]) -> Line:
    """What may happen in one of twenty cases."""
    return Line(case, share(found), "<= 5%", np.mean(found) <= 0.05)


def mostly(case: str, found: Sequence[bool]) -> Line:
    """What must happen in nine of ten."""
    return Line(case, share(found), ">= 90%", np.mean(found) >= 0.9)


def against_itself(rng: np.random.Generator) -> Iterator[Line]:
    """A model against itself under other noise: it lost nothing, whatever the verdict says."""
    tasks, settings = [], []
    for number in range(AUDIT * 200):
        kind = [rng.choice(values) for values in (SIZES, ACCURACIES, FLIPS, GROUPS)]
        items, size = int(kind[0]), int(kind[3])
        tasks.append(
            simulate(
                rng,
                f"task {number}",
                items=items,
                accuracy=float(kind[1]),
                flips=float(kind[2]),
                size=size,
            )
        )
        settings.append((items, size))
    alone = [one(task, budget=0.0) for task in tasks]
    lost = [verdict.verdict == "lost" for verdict in alone]
    first = lost[:200]
    yield rarely("A/A, 200 tasks each alone, budget 0", first)
    yield rarely("A/A, all tasks each alone, budget 0", lost)
    for size in GROUPS:
        part = [word for word, (_, grouped) in zip(lost, settings, strict=True) if grouped == size]
        label = "items stand alone" if size == 1 else f"groups of {size}"
        yield rarely(f"- of these, {label}", part)
    beyond = [
        word and -(verdict.change.value or 0.0) > BUDGET
        for word, verdict in zip(lost, alone, strict=True)
    ]
    yield rarely(f"- the same, budget {BUDGET:g}", beyond)
    audits = [tasks[start : start + AUDIT] for start in range(0, len(tasks), AUDIT)]
    wrong = [
        any(verdict.verdict == "lost" for verdict in judge(audit, budget=0.0, draws=100))
        for audit in audits
    ]
    yield rarely(f'A/A, audits of {AUDIT} tasks with any "lost"', wrong)
    told = [
        any(fate_of(verdict, 0.95) in ("lost", "improved") for verdict in described(audit))
        for audit in audits
    ]
    yield rarely(f'A/A, reports on {AUDIT} tasks with any "lost" or "improved"', told)


def known_loss(rng: np.random.Generator) -> Iterator[Line]:
    """Five points truly lost, of 500 items."""

    def task(flips: float, name: str = "lost", size: int = 1) -> Evidence:
        return simulate(rng, name, items=500, accuracy=0.8, flips=flips, loss=0.05, size=size)

    found = [one(task(0.1)).verdict == "lost" for _ in range(1000)]
    yield mostly("5 points lost, 500 items, 10% flips, alone", found)
    found = [one(task(0.15)).verdict == "lost" for _ in range(500)]
    yield Line("- 10% flips by themselves, 15% with the loss", share(found), "no bar", None)
    found = [one(task(0.1, size=5)).verdict == "lost" for _ in range(500)]
    yield Line("- 10% flips, groups of 5, half of them alike", share(found), "no bar", None)
    found = []
    for _ in range(100):
        others = [
            simulate(rng, f"kept {i}", items=500, accuracy=0.7, flips=0.1) for i in range(AUDIT - 1)
        ]
        verdicts = judge([task(0.1), *others], budget=BUDGET, draws=100)
        found.append(verdicts[0].verdict == "lost")
    yield Line(f"- 10% flips, one of {AUDIT} tasks (Holm)", share(found), "no bar", None)
    wrong = [
        one(simulate(rng, "x", items=1000, accuracy=0.8, flips=0.06, loss=0.02)).verdict
        in ("kept", "at ceiling")
        for _ in range(500)
    ]
    yield rarely('a loss of just the budget, 1,000 items: said "kept"', wrong)
    loss = detectable_loss(500, 0.1, budget=BUDGET)
    assert loss is not None
    found = [
        one(simulate(rng, "x", items=500, accuracy=0.8, flips=0.1, loss=loss)).verdict == "lost"
        for _ in range(500)
    ]
    yield Line(
        f"the smallest detectable loss, {loss:.3f}: found",
        share(found),
        "75% to 85%",
        bool(0.75 <= np.mean(found) <= 0.85),
    )
    found = [described([task(0.1)])[0].verdict == "lost" for _ in range(500)]
    yield mostly("5 points lost, 500 items, 10% flips: a report says so", found)


def at_floor(rng: np.random.Generator) -> Iterator[Line]:
    """The model before guesses, or cannot do it at all."""
    for size in GROUPS:
        words: Counter[Verdict] = Counter()
        for _ in range(500):
            chance = float(rng.choice([0.1, 0.2, 0.25, 0.5]))
            task = simulate(
                rng, "x", items=int(rng.choice(SIZES)), accuracy=chance, flips=0.2,
                size=size, chance=chance,
            )  # fmt: skip
            words[one(task).verdict] += 1
        label = "" if size == 1 else f", groups of {size}"
        yield _guessed(f"floor: guesses before and after{label}", words)
    words = Counter()
    for _ in range(500):
        task = simulate(rng, "x", items=320, accuracy=0.25, flips=0.2, size=1, chance=0.25)
        levels = {item: f"level{number % 5}" for number, item in enumerate(task.ids)}
        words[one(replace(task, parts=levels)).verdict] += 1
    yield _guessed("floor: guesses before and after, 320 items in 5 levels", words)
    words = Counter()
    for _ in range(200):
        items = int(rng.choice(SIZES))
        before = rng.random(items) < 0.25
        words[one(evidence("x", before, np.zeros(items), 1, 0.25)).verdict] += 1
    yield _all("floor: guesses before, all wrong after", words, "inconclusive")
    words = Counter()
    for _ in range(200):
        items = int(rng.choice(SIZES))
        before = np.arange(items) < rng.integers(0, int(BUDGET * items) + 1)
        words[one(evidence("x", before, np.zeros(items))).verdict] += 1
    yield _all("floor: writes at most 2% right before, nothing after", words, "at floor")


def collapse(rng: np.random.Generator) -> Iterator[Line]:
    """A skill that falls from all right to all wrong."""
    for chance in (None, 0.25, 0.5):
        words = Counter(
            one(evidence("x", np.ones(items), np.zeros(items), 1, chance)).verdict
            for items in range(6, 206)
        )
        yield _all(f"1.0 to 0.0, 6 to 205 items, chance {chance}", words, "lost")
    words = Counter()
    for items in range(9, 59):
        others = [
            simulate(rng, f"kept {i}", items=200, accuracy=0.7, flips=0.1) for i in range(AUDIT - 1)
        ]
        skill = evidence("skill", np.ones(items), np.zeros(items))
        words[judge([skill, *others], budget=BUDGET, draws=100)[0].verdict] += 1
    yield _all(f"1.0 to 0.0, 9 to 58 items, one of {AUDIT} tasks", words, "lost")
    words = Counter(
        one(evidence("x", np.ones(items), np.zeros(items))).verdict for items in range(1, 6)
    )
    yield _all("1.0 to 0.0, 1 to 5 items: too few to say", words, "inconclusive")


def coverage(rng: np.random.Generator) -> Iterator[Line]:
    """The interval of the change holds the true one."""
    cases: list[tuple[str, Callable[[], Evidence], float]] = []
    for items, loss, size in ((100, 0.0, 1), (100, 0.05, 1), (500, 0.05, 1), (1000, 0.02, 1),
                              (100, 0.05, 20), (200, 0.05, 20), (500, 0.05, 5)):  # fmt: skip

        def task(items: int = items, loss: float = loss, size: int = size) -> Evidence:
            return simulate(rng, "x", items=items, accuracy=0.8, flips=0.1, loss=loss, size=size)

        grouped = "" if size == 1 else f", {items // size} groups of {size}"
        cases.append((f"{items:,} items, loss {loss:g}{grouped}", task, -loss))
    for size in (1, 20):

        def prose(size: int = size) -> Evidence:
            groups = np.arange(200) // size
            before = -rng.gamma(4, 0.5, 200)
            moved = -0.2 + 0.3 * rng.standard_normal(200) + 0.3 * rng.standard_normal(200)[groups]
            ids = [f"q{i:05}" for i in range(200)]
            rows = [before - 3, before - 3 + moved]
            cells = [Cell(dict(zip(ids, map(float, row.clip(max=0)), strict=True))) for row in rows]
            named = {i: str(g) for i, g in zip(ids, groups, strict=True)} if size > 1 else {}
            return Evidence("x", "nats", cells[0], cells[1], groups=named)

        grouped = "" if size == 1 else f", {200 // size} groups of {size}"
        cases.append((f"200 items in nats{grouped}", prose, -0.2))
    for label, make, truth in cases:
        covered = []
        for _ in range(200):
            limits = one(make()).change.interval
            assert limits is not None
            covered.append(limits.low <= truth <= limits.high)
        # Of 200, 92% is what noise leaves of 95%.
        held = np.mean(covered) >= 0.92
        yield Line(f"coverage of the 95% interval: {label}", share(covered), ">= 92%", held)


def few_texts(rng: np.random.Generator) -> Iterator[Line]:
    """Log-likelihoods of few texts, with a loss of just the budget."""
    loss = 0.05
    for items in (2, 5, 8, 16):
        found = []
        for _ in range(500):
            before = rng.normal(-3, 0.5, items)
            after = before - loss + rng.normal(0, 0.1, items)
            ids = [f"q{i}" for i in range(items)]
            cells = [Cell(dict(zip(ids, map(float, row), strict=True))) for row in (before, after)]
            task = Evidence("x", "nats", cells[0], cells[1])
            found.append(one(task, loss).verdict == "kept")
        label = f'{items} texts, a loss of just the budget: said "kept"'
        yield rarely(label, found)


def without_answer(rng: np.random.Generator) -> Iterator[Line]:
    """What was lost has no answer, so that nothing that has one was lost."""
    words: Counter[Verdict] = Counter()
    for _ in range(200):
        items = int(rng.choice((500, 1000, 2000)))
        lost = rng.random(items) < rng.uniform(0.025, 0.045)
        ids = [f"q{i:05}" for i in range(items)]
        before = Cell(dict.fromkeys(ids, 1.0))
        kept = {item: 1.0 for item, gone in zip(ids, lost, strict=True) if not gone}
        errors = {item: "timeout" for item in ids if item not in kept}
        words[one(Evidence("x", "accuracy", before, Cell(kept, errors))).verdict] += 1
    yield Line(
        "3% to 4% lost, and without an answer: not kept",
        ", ".join(f"{word} {count:,}" for word, count in words.most_common()),
        "none kept",
        not {"kept", "at ceiling"} & set(words),
    )


def useless_arms(rng: np.random.Generator) -> Iterator[Line]:
    """Comparisons of six arms that do nothing, with a budget that plain training breaks."""
    tasks = (TaskColumn("old", trained_in=1), TaskColumn("new", trained_in=2))
    for loss, items in ((0.02, 50), (0.04, 50), (0.03, 200)):
        found = []
        for _ in range(100):
            learned = {task.name: rng.random(items) < 0.9 for task in tasks}
            runs = {name: _run(rng, tasks, learned, loss) for name in (SEQUENTIAL, *"abcdef")}
            found.append(recommend(_arms(runs), budget="2%")[0] is not None)
        label = (
            f"six useless arms, all lose {100 * loss:.0f} points, {items} items: one recommended"
        )
        yield rarely(label, found)


def _run(
    rng: np.random.Generator,
    tasks: Sequence[TaskColumn],
    learned: Mapping[str, np.ndarray],
    loss: float,
) -> ScoreMatrix:
    """Items as they were learned; of the old task so much is lost, and a tenth of all flips."""
    cells = {}
    for task in tasks:
        lost = loss if task.name == "old" else 0.0
        known = learned[task.name]
        noise = rng.random(len(known))
        end = np.where(known, noise >= 0.05 + lost / 0.9, noise < 0.45)
        for row, scores in ((1, known), (2, end)):
            cells[row, task.name] = Cell({f"q{i}": float(s) for i, s in enumerate(scores)})
    return ScoreMatrix(["base", "old", "new"], tasks, cells)


def _arms(runs: Mapping[str, ScoreMatrix]) -> list[ArmResult]:
    """Every run as an arm, with the figures that a recommendation rests on."""
    plain, budget = runs[SEQUENTIAL], BudgetConfig(loss=BUDGET)
    over = partial(over_budget, budget=budget)

    def figure(formula: Callable[..., Any], *matrices: ScoreMatrix, level: float = 0.95) -> Figure:
        return estimate(formula, *matrices, draws=500, level=level, seed=0)

    ends = {name: float(average_accuracy(matrix)) for name, matrix in runs.items()}
    within = [name for name in runs if name != SEQUENTIAL and over(runs[name]) <= 0]
    best = max(within or [name for name in runs if name != SEQUENTIAL], key=lambda n: ends[n])
    level = at_once(len(runs) - 1)
    none = Figure(None, None, "not asked")
    return [
        ArmResult(
            name=name, methods=(), rate=None, options={}, tried=(), at_edge=False, run="",
            failed=None, by_seed={}, cost=1.0, memory=None, replay_share=0.0,
            learned=none, forgetting=none, gap_closed=none, elsewhere=none,
            accuracy=figure(average_accuracy, matrix),
            gain=figure(accuracy_gain, matrix, plain, level=level),
            over_budget=figure(over, matrix),
            nearer=figure(lambda a, b: over(a) - over(b), plain, matrix, level=level),
            to_best=figure(accuracy_gain, matrix, runs[best]),
        )
        for name, matrix in runs.items()
    ]  # fmt: skip


def speed(rng: np.random.Generator) -> Iterator[Line]:
    """Ten tasks of 500 items, with the draws that an audit takes."""
    tasks = [
        simulate(rng, f"task {i}", items=500, accuracy=0.7, flips=0.1, size=1 + 4 * (i % 2))
        for i in range(AUDIT)
    ]
    start = time.process_time()
    judge(tasks, budget=BUDGET)
    spent = time.process_time() - start
    yield Line(f"CPU seconds to judge {AUDIT} tasks of 500 items", f"{spent:.2f}", "< 1", spent < 1)


def _all(case: str, words: Counter[Verdict], wanted: Verdict) -> Line:
    total = sum(words.values())
    told = ", ".join(f"{word} {count:,}" for word, count in words.most_common())
    return Line(case, f"{told} (of {total:,})", f"all {wanted}", words[wanted] == total)


def _guessed(case: str, words: Counter[Verdict]) -> Line:
    """A fall that chance makes seldom leaves a guess open, and none is a loss."""
    line = _all(case, words, "at floor")
    held = set(words) <= {"at floor", "inconclusive"} and words["inconclusive"] <= 0.05 * sum(
        words.values()
    )
    return replace(line, wanted="at floor, <= 5% inconclusive", held=held)


def table(lines: Sequence[Line]) -> str:
    """As Markdown."""
    rows = ["| simulated | measured | wanted | |", "| --- | --- | --- | --- |"]
    for line in lines:
        verdict = "" if line.held is None else "held" if line.held else "**broken**"
        rows.append(f"| {line.case} | {line.measured} | {line.wanted} | {verdict} |")
    return "\n".join(rows) + "\n"


def main(
    seed: Annotated[int, typer.Option(help="Of everything simulated.")] = 0,
    log: Annotated[bool, typer.Option("--log", help="Append the result to LOG.md.")] = False,
) -> None:
    """Simulate, judge, count."""
    start = time.process_time()
    lines: list[Line] = []
    for number, part in enumerate(
        (
            against_itself,
            known_loss,
            at_floor,
            collapse,
            coverage,
            speed,
            few_texts,
            without_answer,
            useless_arms,
        )
    ):
        lines += part(np.random.default_rng([seed, number]))
    spent = time.process_time() - start
    about = circumstances(f"python -m benchmarks.honesty --seed {seed}", 1, "cpu")
    shown = (
        f"{about['date']}, `{about['command']}`: {spent:.0f} CPU s. {about['machine']}; "
        f"forgetless {about['versions']['forgetless']}.\n\n{table(lines)}"
    )
    print(shown)
    if log:
        append_to_log(f"\n## {about['date']} · honesty of the audit's verdicts\n\n{shown}")
    sys.exit(any(line.held is False for line in lines))


if __name__ == "__main__":
    typer.run(main)
