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

OVERLAP = 1000
"""What a label on a label costs, per square unit; a unit of distance costs 2."""

CROSSING = 300
"""What it costs if the ways of two labels to their points cross."""

AWAY = (0.0, 30.0, 60.0, 90.0)
"""How much farther out a column of labels may stand."""

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
    obstacles: Sequence[Box] = (),
    gap: float = 8.0,
) -> list[Placed]:
    """Place one label per point, near it, inside the frame, over no label and no point.

    Several layouts are tried and the tidiest is taken: all labels to the left of their points and
    moved apart in height, the same to the right, both near and farther out, and each label for
    itself wherever it fits best.

    Args:
        points: Centre of each mark.
        sizes: Width and height of each label.
        frame: Where labels may stand.
        obstacles: What else they should not cover.
        gap: Distance kept between a mark's centre and its label.

    Returns:
        One placement per point, in the order given.
    """
    marks = [Box(x - gap * 0.7, y - gap * 0.7, gap * 1.4, gap * 1.4) for x, y in points]

    def untidiness(placed: Sequence[Placed]) -> float:
        away = sum(
            abs(put.box.y + put.box.height / 2 - y)
            + max(put.box.x - x, x - put.box.x - put.box.width, 0)
            for put, (x, y) in zip(placed, points, strict=True)
        )
        return (
            sum(
                OVERLAP * sum(put.box.overlap(other.box) for other in placed[:index])
                + 8 * sum(put.box.overlap(mark) for mark in marks)
                + sum(put.box.overlap(thing) for thing in obstacles)
                + 16 * put.box.outside(frame)
                for index, put in enumerate(placed)
            )
            + CROSSING * _crossings(points, placed)
            + away * 2
        )

    columns = [
        _in_columns(points, sizes, frame, side, gap + away) for away in AWAY for side in (-1, 1)
    ]
    alone = _one_by_one(points, sizes, frame, marks, obstacles, gap)
    return min((*columns, alone), key=untidiness)


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


def _in_columns(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    side: int,
    gap: float,
) -> list[Placed]:
    """All labels on one side, or on the other where there is no room, spread in height."""
    boxes = []
    for point, size in zip(points, sizes, strict=True):
        box = _beside(point, size, side, 0, gap)
        fits = frame.x <= box.x and box.x + box.width <= frame.x + frame.width
        boxes.append(box if fits else _beside(point, size, -side, 0, gap))
    result: dict[int, Placed] = {}
    for group in _columns(boxes):
        height = max(boxes[i].height for i in group)
        tops = spread(
            [boxes[i].y for i in group],
            gap=height,
            low=frame.y,
            high=frame.y + frame.height - height,
        )
        for index, top in zip(group, tops, strict=True):
            box = boxes[index]
            moved = abs(top - box.y) > box.height * 0.6 or gap > 2 * box.height
            result[index] = Placed(Box(box.x, top, box.width, box.height), far=moved)
    return [result[index] for index in range(len(points))]


def _columns(boxes: Sequence[Box]) -> list[list[int]]:
    """Groups of boxes that overlap from left to right, directly or through others."""
    groups: list[list[int]] = []
    end = float("-inf")
    for index in sorted(range(len(boxes)), key=lambda i: (boxes[i].x, i)):
        if not groups or boxes[index].x >= end:
            groups.append([])
        groups[-1].append(index)
        end = max(end, boxes[index].x + boxes[index].width)
    return groups


def _one_by_one(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    marks: Sequence[Box],
    obstacles: Sequence[Box],
    gap: float,
) -> list[Placed]:
    """Each label where it collides least, nearest first; the most crowded points choose first."""
    placed: dict[int, Placed] = {}
    for index in sorted(range(len(points)), key=lambda i: (-_crowding(points, i), i)):
        best: tuple[float, Placed] | None = None
        for step, (side_x, side_y) in ((step, side) for step in STEPS for side in SIDES):
            box = _beside(points[index], sizes[index], side_x, side_y, gap + step)
            cost = (
                OVERLAP * sum(box.overlap(other.box) for other in placed.values())
                + 4 * sum(box.overlap(mark) for mark in marks)
                + sum(box.overlap(thing) for thing in obstacles)
                + 16 * box.outside(frame)
                + 2 * step
            )
            if best is None or cost < best[0] - 1e-9:
                best = (cost, Placed(box, far=step > STEPS[1]))
            if best[0] <= 2 * step:
                break
        assert best is not None
        placed[index] = best[1]
    return [placed[index] for index in range(len(points))]


def _crossings(points: Sequence[tuple[float, float]], placed: Sequence[Placed]) -> int:
    """How many pairs of labels have ways to their points that cross."""
    ways = [
        (point, (min(max(point[0], box.x), box.x + box.width), box.y + box.height / 2))
        for point, box in zip(points, (put.box for put in placed), strict=True)
    ]
    return sum(
        _turn(*one, two[0]) * _turn(*one, two[1]) < 0
        and _turn(*two, one[0]) * _turn(*two, one[1]) < 0
        for one, two in combinations(ways, 2)
    )


def _turn(
    start: tuple[float, float], end: tuple[float, float], other: tuple[float, float]
) -> float:
    """On which side of a way another point lies: the sign of the cross product."""
    return (end[0] - start[0]) * (other[1] - start[1]) - (end[1] - start[1]) * (other[0] - start[0])


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
