"""Build inline SVG as a tree, so that every text and attribute is escaped by construction."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree import ElementTree

from forgetless.showing import visible

Attribute = str | float | int


@dataclass(slots=True)
class Node:
    """One SVG element; ``add`` returns the child, so that drawing reads top to bottom.

    Example:
        >>> drawing = Node.new("g", class_="axis")
        >>> _ = drawing.add("text", "a < b", x=1.25, text_anchor="end")
        >>> drawing.__html__()
        '<g class="axis"><text x="1.2" text-anchor="end">a &lt; b</text></g>'
    """

    element: ElementTree.Element = field(repr=False)

    @classmethod
    def new(cls, tag: str, text: str = "", **attributes: Attribute) -> Node:
        """An element without a parent."""
        element = ElementTree.Element(tag, _spelled(attributes))
        element.text = visible(text) or None
        return cls(element)

    def add(self, tag: str, text: str = "", **attributes: Attribute) -> Node:
        """Append a child element and return it."""
        child = Node.new(tag, text, **attributes)
        self.element.append(child.element)
        return child

    def __html__(self) -> str:
        """The markup; Jinja takes it as already escaped."""
        return ElementTree.tostring(self.element, encoding="unicode")


def picture(
    width: float, height: float, *, title: str, description: str, identifier: str, class_: str
) -> Node:
    """An empty accessible drawing.

    Args:
        width: Width in drawing units; one unit is one CSS pixel at the natural size.
        height: Height in drawing units.
        title: Its name for a person who cannot see it.
        description: What it shows, with the numbers.
        identifier: Unique in the page; the ids of title and description derive from it.
        class_: CSS class of the root.
    """
    root = Node.new(
        "svg",
        class_=class_,
        viewBox=f"0 0 {_number(width)} {_number(height)}",
        role="img",
        aria_labelledby=f"{identifier}-title",
        aria_describedby=f"{identifier}-desc",
    )
    root.add("title", title, id=f"{identifier}-title")
    root.add("desc", description, id=f"{identifier}-desc")
    return root


def path(points: list[tuple[float, float]], *, closed: bool = False) -> str:
    """Path data through points.

    Example:
        >>> path([(0, 1), (2.04, 3)], closed=True)
        'M0 1L2 3Z'
    """
    body = "L".join(f"{_number(x)} {_number(y)}" for x, y in points)
    return f"M{body}{'Z' if closed else ''}"


def _spelled(attributes: dict[str, Attribute]) -> dict[str, str]:
    """``text_anchor=`` is ``text-anchor``, ``class_=`` is ``class``; ``viewBox`` stays as it is."""
    return {
        name.rstrip("_").replace("_", "-"): visible(value)
        if isinstance(value, str)
        else _number(value)
        for name, value in attributes.items()
    }


def _number(value: float) -> str:
    text = f"{value:.1f}".removesuffix(".0")
    return "0" if text == "-0" else text
