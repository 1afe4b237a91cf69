"""The search: the straight line on all items; of other points many on few, and few on many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from forgetless.metrics.frontier import NEXT_TO_NOTHING, frontier
from forgetless.metrics.scores import ROUNDING
from forgetless.progress import Progress
from forgetless.repairing.points import BASE, TUNED, Point, first_points, points_around

RUNGS = (0.25, 0.5, 1.0)
"""Shares of the items on which points are compared; after each rung a third goes on."""

FEWEST = 3

STEPS = (0.5, 0.75)
"""On the way to the best point: shares of what it keeps of the new that more cautious ones keep."""

Scores = Mapping[str, float]
"""Mean score of every task."""

Ask = Callable[[Point, float], Scores]
"""Scores of a point on a share of the items that search."""


@dataclass(frozen=True)
class Tried:
    """A point, scored on all items that search.

    Attributes:
        point: The point.
        scores: Mean score of every task.
        learned: Mean over the learned tasks of what is kept of what tuning gained; 0 base, 1 tuned.
        beyond: Loss less the budget, of the task where it is largest; negative: there is room.
    """

    point: Point
    scores: Scores
    learned: float
    beyond: float

    @property
    def over(self) -> float:
        """Largest loss beyond the budget on any task; 0 if all are within it."""
        return self.beyond if self.beyond > ROUNDING else 0.0

    @property
    def rank(self) -> tuple[float, float, float]:
        """Within the budget first, then by what is kept of the new; larger is better.

        Of points that the items cannot tell apart, the one nearest to the tuned model.
        """
        return (-self.over, self.learned, self.point.alpha)


@dataclass(frozen=True)
class Found:
    """What the search came to.

    Attributes:
        learned: Tasks on which tuning gained more than would be accepted as a loss; where there
            are none, those on which it gained at all.
        lost: Tasks on which it lost more than the budget.
        tried: Every point that was scored on all items, best first; base and tuned among them.
        asked: Points that were scored at all.
    """

    learned: tuple[str, ...]
    lost: tuple[str, ...]
    tried: tuple[Tried, ...] = field(default=())
    asked: int = 0

    def frontier(self) -> list[Tried]:
        """Points that no other beats in both: what is kept of the new, what is lost of the old."""
        return frontier(self.tried, lambda one: one.learned, lambda one: one.over)

    def best(self) -> Tried:
        """The best point; the base itself if nothing else is within the budget."""
        return self.tried[0]

    def steps(self) -> list[Tried]:
        """The way to the best point, which is the last: each keeps more, and leaves less room.

        None keeps next to nothing, as long as the best does not.
        """
        best = self.best()
        if not self.lost:
            return [best]
        found = []
        for share in STEPS:
            least = max(share * best.learned, NEXT_TO_NOTHING) - ROUNDING
            enough = [one for one in self.tried if one.learned >= least]
            found.append(min(enough, key=lambda one: (one.beyond, -one.learned)))
        return list({one.point: one for one in (*found, best)}.values())


def search(
    ask: Ask,
    budgets: Mapping[str, float],
    *,
    adapter: bool,
    progress: Progress | None = None,
) -> Found:
    """Find the point that keeps most of what was learned and loses no more than the budget.

    Args:
        ask: Scores a point.
        budgets: By task, the largest loss against the base.
        adapter: Whether only an adapter's strength can be set.
        progress: Is told how far it is.
    """
    progress = progress or Progress()
    base, tuned = ask(BASE, 1.0), ask(TUNED, 1.0)
    gains = {task: tuned[task] - base[task] for task in base}
    gains = {task: gain for task, gain in gains.items() if gain > ROUNDING}
    clear = {task: gain for task, gain in gains.items() if gain > budgets[task]}
    gains = clear or gains
    learned = tuple(gains)
    lost = tuple(task for task in base if base[task] - tuned[task] > budgets[task] + ROUNDING)
    asked: dict[Point, None] = {}

    def tried(point: Point, share: float) -> Tried:
        asked[point] = None
        start = base if share == 1 else ask(BASE, share)
        return _tried(point, ask(point, share), start, gains, budgets)

    if not learned or not lost:
        return Found(learned, lost, tuple(_ranked([tried(BASE, 1.0), tried(TUNED, 1.0)])), 2)
    left = [point for point in first_points(adapter=adapter) if point not in (BASE, TUNED)]
    # On few items one lost item can put a good point over budget; the straight line is asked whole.
    line = [point for point in left if point.how == "linear"]
    for number, share in enumerate(RUNGS, start=1):
        doing = f"search, round {number} of {len(RUNGS)}, points asked"
        ranked = _ranked([tried(point, share) for point in told(progress, doing, left)])
        best = [one.point for one in ranked[: max(FEWEST, len(ranked) // 3)]]
        if share == RUNGS[0]:
            best += points_around(best[0])
        left = list(dict.fromkeys([*line, *best]))
    final = _ranked([*ranked, tried(BASE, 1.0), tried(TUNED, 1.0)])
    return Found(learned, lost, tuple(final), len(asked))


def told(progress: Progress, doing: str, points: Sequence[Point]) -> Iterator[Point]:
    """Points one by one, each told of when it is dealt with."""
    for done, point in enumerate(points):
        progress.points(doing, done, len(points))
        yield point
    progress.points(doing, len(points), len(points))


def _tried(
    point: Point,
    scores: Scores,
    base: Scores,
    gains: Scores,
    budgets: Mapping[str, float],
) -> Tried:
    kept = [(scores[task] - base[task]) / gain for task, gain in gains.items()]
    beyond = max(base[task] - scores[task] - budgets[task] for task in base)
    return Tried(point, scores, sum(kept) / len(kept) if kept else 0.0, beyond)


def _ranked(tried: Sequence[Tried]) -> list[Tried]:
    return sorted(tried, key=lambda one: one.rank, reverse=True)
