"""One mark shape and one colour class per arm, the same in every picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

from forgetless.report.charts.colour import ARMS
from forgetless.report.charts.svg import Node, path

SHAPES = ("circle", "triangle", "square", "diamond")
EM_WIDTH = 0.58
"""Width of an average sign in ems: generous, as the font of the reader is not known."""


@dataclass(frozen=True, slots=True)
class ArmStyle:
    """How an arm looks everywhere.

    Attributes:
        class_: CSS class that sets its colour.
        shape: Shape of its marks, so that hue is never the only difference.
    """

    class_: str
    shape: str


def arm_style(place: int) -> ArmStyle:
    """The style of the arm at a place; place 0 is plain sequential training."""
    return ArmStyle(f"a{place % len(ARMS['light'])}", SHAPES[place % len(SHAPES)])


REFERENCE_STYLE = ArmStyle("a-ref", "circle")


def add_mark(parent: Node, shape: str, x: float, y: float, size: float, class_: str) -> Node:
    """Draw a mark whose area hardly depends on its shape.

    Args:
        parent: Where to draw.
        shape: One of ``SHAPES``.
        x: Centre.
        y: Centre.
        size: Radius of the circle.
        class_: CSS class of the mark.
    """
    if shape == "circle":
        return parent.add("circle", cx=x, cy=y, r=size, class_=class_)
    corners, turn, radius = {
        "triangle": (3, -90.0, size * 1.35),
        "square": (4, 45.0, size * 1.25),
        "diamond": (4, 0.0, size * 1.35),
    }[shape]
    points = [
        (x + radius * math.cos(angle), y + radius * math.sin(angle))
        for angle in (math.radians(turn + 360 * i / corners) for i in range(corners))
    ]
    return parent.add("path", d=path(points, closed=True), class_=class_)


def swatch(style: ArmStyle) -> Node:
    """The mark of an arm for a legend; decoration beside its written name."""
    root = Node.new("svg", class_=f"swatch {style.class_}", viewBox="0 0 14 14", aria_hidden="true")
    add_mark(root, style.shape, 7, 7, 4.5, "mark")
    return root


def text_width(text: str, size: float) -> float:
    """About how wide a text will be, in drawing units; wide signs count double."""
    return sum(2.0 if ord(sign) > 0x2E80 else 1.0 for sign in text) * size * EM_WIDTH
