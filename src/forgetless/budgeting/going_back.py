"""Going back: of the points between where a stage began and where it ended, the one it leaves.

Every way leads straight from a state within the stage, its start or its last snapshot, to its end.
From the end on it is asked point by point, up to the first that holds the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from forgetless.budgeting.standing import Loss, Scores, found_in, mean_of
from forgetless.methods.parts.between import GRID, move_between
from forgetless.methods.parts.reference import trained_values
from forgetless.metrics.frontier import NEXT_TO_NOTHING

if TYPE_CHECKING:
    import torch

Status = Literal["held", "merged", "not both"]

ALPHAS = GRID[-2::-1]
"""How far from where a way begins (0) to the stage's end (1); the end was asked, and is too far."""


@dataclass(frozen=True)
class Point:
    """A point on the way to a stage's end, as it was asked.

    Attributes:
        origin: Where the way begins: ``start``, ``snapshot``, or ``end`` for the end itself.
        alpha: How far it goes, in [0, 1].
        scores: By task, kept or of the stage, its items.
        losses: By kept task, what is lost.
        learned: Share of the stage's gain that it has; 1 at the end, if anything was gained.
        holds: Whether it holds the budget.
    """

    origin: str
    alpha: float
    scores: Mapping[str, Scores]
    losses: Mapping[str, Loss]
    learned: float
    holds: bool

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "from": self.origin,
            "alpha": self.alpha,
            "learned": self.learned,
            "losses": found_in(self.losses),
        }


def go_back(
    model: Any,
    origins: Mapping[str, Mapping[str, torch.Tensor]],
    measure: Callable[[str, float], Point],
) -> tuple[Point, list[Point]]:
    """Leave the point that holds and learned most; of equals the one nearest to the end.

    Args:
        model: As the stage ended; it is moved to the point that is left.
        origins: Where the ways begin, as values of what is trained; at ``start`` every budget
            holds, so there always is a point to leave.
        measure: Asks the model, which stands so far on the way from there.

    Returns:
        The point that is left, and all that were asked.
    """
    end = trained_values(model, "cpu")

    def way_from(origin: str) -> Iterator[Point]:
        for alpha in ALPHAS:
            move_between(model, origins[origin], end, alpha)
            point = measure(origin, alpha)
            yield point
            if point.holds:
                return

    asked = [point for origin in origins for point in way_from(origin)]
    holding = [point for point in asked if point.holds]
    left = max(holding, key=lambda point: (point.learned, point.alpha))
    move_between(model, origins[left.origin], end, left.alpha)
    return left, asked


def learned_at(
    scores: Mapping[str, Scores], start: Mapping[str, Scores], end: Mapping[str, Scores]
) -> float:
    """What is kept of a stage's gain, mean over its tasks; 0 where nothing was gained.

    Args:
        scores: By task, its items as they are answered now.
        start: The same before the stage, of the tasks that it trains.
        end: The same at its end.
    """
    shares = []
    for task in start:
        before, now, after = (mean_of(each[task]) for each in (start, scores, end))
        if after > before:
            shares.append((now - before) / (after - before))
    return float(np.mean(shares)) if shares else 0.0


def status_of(left: Point, end: Point, *, slowed: bool) -> Status:
    """What is said of a stage by the point that it left.

    Args:
        left: That point.
        end: The stage's end.
        slowed: Whether losses had their price while there was something to learn.
    """
    if left.learned < NEXT_TO_NOTHING and (slowed or end.learned > 0):
        return "not both"
    return "held" if left is end else "merged"
