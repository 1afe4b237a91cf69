"""Place labels beside what they name, so that none covers another.

Two problems: labels around points in a plane (:func:`place_around`), and labels in a column beside
the ends of lines (:func:`spread`).  Both are deterministic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

STEPS = (0.0, 7.0, 14.0, 22.0, 31.0, 41.0, 52.0, 64.0, 78.0, 94.0, 112.0, 132.0, 154.0, 178.0)
"""How far from its point a label may be pushed, in drawing units, nearest first."""

# Right, left, above, below, then the corners: the order in which a reader looks for a label.
SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-parallel rectangle; ``x``, ``y`` is its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """Area shared with another box.

        Example:
            >>> Box(0, 0, 4, 4).overlap(Box(3, 2, 4, 4))
            2
        """
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(across, 0) * max(down, 0)

    def outside(self, frame: Box) -> float:
        """Area that lies outside a frame."""
        return self.width * self.height - self.overlap(frame)


@dataclass(frozen=True, slots=True)
class Placed:
    """Where one label went.

    Attributes:
        box: The rectangle it fills.
        far: Whether it stands so far from its point that a line should join them.
    """

    box: Box
    far: bool


def place_around(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    *,
    gap: float = 8.0,
) -> list[Placed]:
    """Place one label per point, near it, inside the frame, over no label and no point.

    Greedy over candidates on eight sides at growing distance; the most crowded points choose
    first.  If every candidate of a label collides, the least colliding one is taken.

    Args:
        points: Centre of each mark.
        sizes: Width and height of each label.
        frame: Where labels may stand.
        gap: Distance kept between a mark's centre and its label.

    Returns:
        One placement per point, in the order given.
    """
    marks = [Box(x - gap * 0.7, y - gap * 0.7, gap * 1.4, gap * 1.4) for x, y in points]
    placed: dict[int, Placed] = {}
    for index in sorted(range(len(points)), key=lambda i: (-_crowding(points, i), i)):
        best: tuple[float, Placed] | None = None
        for step, (side_x, side_y) in ((step, side) for step in STEPS for side in SIDES):
            box = _beside(points[index], sizes[index], side_x, side_y, gap + step)
            cost = (
                sum(box.overlap(other.box) for other in placed.values()) * 8
                + sum(box.overlap(mark) for mark in marks) * 4
                + box.outside(frame) * 16
            )
            if best is None or cost < best[0] - 1e-9:
                best = (cost, Placed(box, far=step > STEPS[1]))
            if cost == 0:
                break
        assert best is not None
        placed[index] = best[1]
    return [placed[index] for index in range(len(points))]


def spread(wanted: Sequence[float], *, gap: float, low: float, high: float) -> list[float]:
    """Move positions on a line as little as needed to keep them a gap apart and within bounds.

    Least squares by pooling: positions that collide form a block around their common mean.

    Args:
        wanted: Wanted positions, in any order.
        gap: Smallest distance between two.
        low: Least position.
        high: Greatest position; exceeded only if the positions cannot all fit.

    Returns:
        The positions, in the order given.

    Example:
        >>> spread([5.0, 5.0, 40.0], gap=10, low=0, high=50)
        [0.0, 10.0, 40.0]
    """
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    # A block is its members and the mean of (wanted - place in block * gap): its top position.
    blocks: list[tuple[list[int], float]] = []
    for index in order:
        members, top = [index], wanted[index]
        while blocks and blocks[-1][1] + len(blocks[-1][0]) * gap > top:
            above, start = blocks.pop()
            shifted = top - len(above) * gap
            top = (start * len(above) + shifted * len(members)) / (len(above) + len(members))
            members = above + members
        blocks.append((members, top))
    result = [0.0] * len(wanted)
    flat = [
        (index, top + place * gap) for members, top in blocks for place, index in enumerate(members)
    ]
    ceiling = high
    for index, position in reversed(flat):
        result[index] = min(position, ceiling)
        ceiling = result[index] - gap
    floor = low
    for index, _ in flat:
        result[index] = max(result[index], floor)
        floor = result[index] + gap
    return result


def any_overlap(placed: Sequence[Placed]) -> bool:
    """Whether any two labels cover each other."""
    return any(one.box.overlap(two.box) > 0 for one, two in combinations(placed, 2))


def _crowding(points: Sequence[tuple[float, float]], index: int) -> int:
    x, y = points[index]
    return sum(abs(x - other_x) < 60 and abs(y - other_y) < 24 for other_x, other_y in points)


def _beside(
    point: tuple[float, float], size: tuple[float, float], side_x: int, side_y: int, away: float
) -> Box:
    (x, y), (width, height) = point, size
    left = {1: x + away, 0: x - width / 2, -1: x - away - width}[side_x]
    top = {1: y + away, 0: y - height / 2, -1: y - away - height}[side_y]
    return Box(left, top, width, height)
