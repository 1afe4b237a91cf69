"""Read a report page as a browser's parser would see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "br", "wbr", "input", "img", "link", "hr"}
RAW = {"script", "style"}


@dataclass
class Element:
    """One element with its attributes, its children and the text directly in it."""

    tag: str
    attributes: dict[str, str]
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def walk(self) -> list[Element]:
        """This element and all below it, in the order of the page."""
        return [self, *(node for child in self.children for node in child.walk())]

    def find(self, tag: str = "", class_: str = "") -> list[Element]:
        """All elements below of a tag and with a class."""
        return [
            node
            for node in self.walk()
            if (not tag or node.tag == tag)
            and (not class_ or class_ in node.attributes.get("class", "").split())
        ]

    def text(self) -> str:
        """All text in it, without scripts and styles."""
        own = [] if self.tag in RAW else self.texts
        return " ".join(" ".join([*own, *(child.text() for child in self.children)]).split())


class Page(HTMLParser):
    """A parsed page; refuses what is not closed where it was opened."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("#document", {})
        self._open = [self.root]
        self.feed(markup)
        self.close()
        assert [node.tag for node in self._open] == ["#document"], "elements were left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> repeats an attribute"
        node = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(node)
        if tag not in VOID:
            self._open.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        opened = self._open.pop()
        assert opened.tag == tag, f"</{tag}> closes <{opened.tag}>"

    def handle_data(self, data: str) -> None:
        self._open[-1].texts.append(data)
