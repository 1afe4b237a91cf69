"""Test items that ask the same are answered alike: they are of one group, whatever a file names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

_Node = tuple[int, str]  # 0: a group that the file names, 1: what is asked, 2: an item


def with_twins(named: Mapping[str, str], asked: Mapping[str, str]) -> dict[str, str]:
    """Item to its group, of those that do not stand alone; groups that share an item are one.

    Such a group has the first of their names, or where the file names none, what it asks.

    Args:
        named: Item to the group that its file names; absent or empty where it names none.
        asked: Item to all that it asks, in any form; absent where that is not known.

    Example:
        >>> with_twins({"a": "passage"}, {"a": "x?", "b": "x?", "c": "y?", "d": "y?", "e": "z?"})
        {'a': 'passage', 'b': 'passage', 'c': 'y?', 'd': 'y?'}
    """
    above: dict[_Node, _Node] = {}  # a forest; its roots are the groups

    def root(node: _Node) -> _Node:
        while (parent := above.setdefault(node, node)) != node:
            above[node] = above[parent]  # halves the way for those that come after
            node = parent
        return node

    items = list(dict.fromkeys((*named, *asked)))
    for item in items:
        for node in ((0, named.get(item, "")), (1, asked.get(item, ""))):
            if node[1]:
                one, other = root((2, item)), root(node)
                above[max(one, other)] = min(one, other)
    found = {item: root((2, item)) for item in items}
    sizes = Counter(found.values())
    return {
        item: name
        for item, (kind, name) in found.items()
        if kind == 0 or (kind == 1 and sizes[kind, name] > 1)
    }
