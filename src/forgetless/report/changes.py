"""The single items that were lost and gained, with what was answered before and after, by arm.

One entry holds an item for all arms at once: that one arm lost it and the other kept it is what a
reader looks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from forgetless.errors import NotMeasured
from forgetless.metrics import Cell, largest_drops
from forgetless.report.data import ItemScore, RunResults, TaskInfo
from forgetless.report.same_items import asked_otherwise

Kind = Literal["lost", "gained", "fell", "right", "wrong", "rose", "unscored"]
CHANGED: tuple[Kind, ...] = ("lost", "gained", "fell")
MOST_FALLS = 10
"""Most items named per task and arm where scores are graded, so that nothing is plainly lost."""


@dataclass(frozen=True, slots=True)
class ArmChange:
    """What became of one item in one arm.

    Attributes:
        title: Name of the arm.
        kind: ``lost`` and ``gained`` for right and wrong answers; ``fell`` for graded scores;
            ``right``, ``wrong`` and ``rose`` where nothing was lost; ``unscored`` after a crash.
        before: The item right after its task was learned, or of the untouched model if the task
            is only tested.
        after: The item at the end.
    """

    title: str
    kind: Kind
    before: ItemScore
    after: ItemScore


@dataclass(frozen=True, slots=True)
class ChangedItem:
    """One item that changed in at least one arm.

    Attributes:
        task: Its task.
        item: Its id.
        question: What was asked, without the words that all items of the task share.
        gold: The right answer.
        choices: The possible answers of a multiple-choice item.
        arms: What became of it in each arm that has it both before and after.
    """

    task: str
    item: str
    question: str
    gold: str
    choices: tuple[str, ...] | None
    arms: tuple[ArmChange, ...]


def changed_items(
    arms: Sequence[tuple[str, RunResults]], shared: Mapping[str, SharedWords]
) -> list[ChangedItem]:
    """Every item that some arm lost or gained after it had been learned.

    Args:
        arms: Title and results of each.
        shared: By task, the words that all its prompts share.

    Returns:
        By task, then the lost before the gained, then in the order of the test.
    """
    found: list[ChangedItem] = []
    for task, words in shared.items():
        changes: dict[tuple[str, int], list[ArmChange]] = {}  # by id, and the first arm that has it
        for number, (title, run) in enumerate(arms):
            others = [asked_otherwise(earlier, run, task) for _, earlier in arms[:number]]
            for change in _arm_changes(title, run, task):
                item = change.before.item
                same = (n for n in range(number) if (item, n) in changes and item not in others[n])
                changes.setdefault((item, next(same, number)), []).append(change)
        own = [
            ChangedItem(
                task=task,
                item=item,
                question=words.without(fates[0].before.prompt),
                gold=fates[0].before.gold,
                choices=fates[0].before.choices,
                arms=tuple(fates),
            )
            for (item, _), fates in changes.items()
            if any(fate.kind in CHANGED for fate in fates)
        ]
        own.sort(key=lambda entry: all(arm.kind == "gained" for arm in _changed(entry)))
        found += own
    return found


def shared_words(run: RunResults) -> dict[str, SharedWords]:
    """What all prompts of each task have in common."""
    prompts: dict[str, list[str]] = {task.name: [] for task in run.tasks}
    for item in run.scores[0] or ():
        if item.prompt:  # an item that could not be rendered has none
            prompts[item.task].append(item.prompt)
    return {task: SharedWords.of(found) for task, found in prompts.items()}


def rows_compared(run: RunResults, task: TaskInfo) -> tuple[int, int] | None:
    """The row a task is judged from and the last one; ``None`` if nothing came between them."""
    before = task.trained_in or 0
    last = run.matrix.last
    return None if before >= last else (before, last)


@dataclass(frozen=True, slots=True)
class SharedWords:
    """What all prompts of a task begin and end with: instructions, worked examples, a template.

    Attributes:
        head: Shared beginning, up to the end of a line or of a template's mark.
        tail: Shared end, from the end of a line or a template's mark on.
    """

    head: str = ""
    tail: str = ""

    @classmethod
    def of(cls, prompts: Sequence[str]) -> SharedWords:
        r"""Find them; every prompt keeps something of its own.

        Example:
            >>> SharedWords.of(["Q: a?\nX: 1\nA:", "Q: a?\nX: 22\nA:"])
            SharedWords(head='Q: a?\n', tail='\nA:')
        """
        if len(set(prompts)) < 2:
            return cls()
        head = _common_start(prompts)
        head = head[: max(head.rfind(end) for end in "\n>]") + 1]
        rests = [prompt[len(head) :] for prompt in prompts]
        tail = _common_start([rest[::-1] for rest in rests])[::-1]
        starts = [tail.find(start) for start in "\n<[" if start in tail]
        tail = tail[min(starts) :] if starts else ""
        if not all(rest.removesuffix(tail).strip() for rest in rests):
            return cls(head)
        return cls(head, tail)

    def without(self, prompt: str) -> str:
        """The prompt's own words; the whole prompt if it does not begin and end like the others."""
        if len(prompt) <= len(self.head) + len(self.tail):
            return prompt
        return prompt.removeprefix(self.head).removesuffix(self.tail).strip("\n")


def _common_start(texts: Sequence[str]) -> str:
    first, last = min(texts), max(texts)  # what these two share, all between them share
    length = next((i for i, sign in enumerate(first) if last[i : i + 1] != sign), len(first))
    return first[:length]


def _changed(entry: ChangedItem) -> Iterator[ArmChange]:
    return (arm for arm in entry.arms if arm.kind in CHANGED)


def _arm_changes(title: str, run: RunResults, name: str) -> Iterator[ArmChange]:
    task = next((task for task in run.tasks if task.name == name), None)
    rows = None if task is None else rows_compared(run, task)
    if rows is None:
        return
    before, after = (run.items(row, name) for row in rows)
    falls = _falls(run, name, rows)
    for item, old in before.items():
        new = after.get(item)
        if new is not None:
            yield ArmChange(title, kind_of(old, new, falls), old, new)


def _falls(run: RunResults, task: str, rows: tuple[int, int]) -> frozenset[str]:
    """The items that fell furthest."""
    try:
        before, after = (run.matrix.cell(row, task) for row in rows)
    except NotMeasured:
        return frozenset()
    return furthest_falls(before, after)


def furthest_falls(before: Cell, after: Cell) -> frozenset[str]:
    """Ids of the items of a task that fell furthest; none if none was scored both times."""
    try:
        return frozenset(drop.item for drop in largest_drops(before, after, MOST_FALLS))
    except NotMeasured:
        return frozenset()


def kind_of(old: ItemScore, new: ItemScore, falls: frozenset[str]) -> Kind:
    """What became of one item.

    Args:
        old: The item before.
        new: The same item after.
        falls: Ids of the items that fell furthest, where scores are graded.
    """
    if old.score is None or new.score is None:
        return "unscored"
    if {old.score, new.score} <= {0.0, 1.0}:
        kinds: dict[tuple[float, float], Kind] = {
            (1.0, 0.0): "lost",
            (0.0, 1.0): "gained",
            (1.0, 1.0): "right",
            (0.0, 0.0): "wrong",
        }
        return kinds[old.score, new.score]
    if old.item in falls:
        return "fell"
    return "rose"
