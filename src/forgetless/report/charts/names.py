"""Names beside marks, joined by a line where they had to stand apart."""

from __future__ import annotations

from collections.abc import Sequence

from forgetless.report.charts.labels import Box, place_around
from forgetless.report.charts.marks import text_width
from forgetless.report.charts.svg import Node
from forgetless.report.wording import clipped

LABEL, LINE = 12.0, 15.0


def add_names(
    groups: Sequence[Node],
    names: Sequence[str],
    places: Sequence[tuple[float, float]],
    frame: Box,
    *,
    most: int,
    obstacles: Sequence[Box] = (),
    gap: float = 8.0,
) -> None:
    """Write the name of every mark, none over another.

    Args:
        groups: Where to draw each.
        names: What to write.
        places: Centre of each mark.
        frame: Where names may stand.
        most: Signs of a name shown.
        obstacles: What they should not cover.
        gap: Distance kept to the centre of a mark.
    """
    shown = [clipped(name, most) for name in names]
    sizes = [(text_width(name, LABEL), LINE) for name in shown]
    labels = place_around(places, sizes, frame, obstacles=obstacles, gap=gap)
    for group, name, (x, y), put in zip(groups, shown, places, labels, strict=True):
        box = put.box
        if put.far:
            near_x = min(max(x, box.x), box.x + box.width)
            near_y = min(max(y, box.y), box.y + box.height)
            group.add("line", x1=x, y1=y, x2=near_x, y2=near_y, class_="leader")
        # Anchor on the side that faces the mark: the true width of the text is not known.
        side, edge = ("start", box.x) if box.x >= x else ("end", box.x + box.width)
        if box.x < x < box.x + box.width:
            side, edge = "middle", box.x + box.width / 2
        group.add("text", name, x=edge, y=box.y + LINE - 3.8, class_=f"name {side}")
