"""Sequences as a forest of tokens: what several begin with stands there once.

A token sees its ancestors only, its position is its depth, and a node serves every sequence that
runs through it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

WORTH_A_TRUNK = 16  # tokens; fewer are read again with each sequence


@dataclass(frozen=True)
class Forest:
    """Sequences without what is repeated, in preorder.

    Attributes:
        ids: Token id of each node, shape (nodes,).
        ends: One past the last descendant of each node, shape (nodes,): node i is seen by the nodes
            i to ends[i] - 1.
        depths: Position of each node in its sequences, shape (nodes,).
        paths: Nodes of each sequence, in its order.
    """

    ids: list[int]
    ends: list[int]
    depths: list[int]
    paths: list[list[int]]


def forest(sequences: Sequence[list[int]], skip: int = 0) -> Forest:
    """Make one forest of sequences.

    Args:
        sequences: At least one.
        skip: Tokens at the start of every sequence that have no node.

    Example:
        >>> made = forest([[1, 2, 3], [1, 2, 4]])
        >>> made.ids, made.ends, made.paths
        ([1, 2, 3, 4], [4, 4, 3, 4], [[0, 1, 2], [0, 1, 3]])
    """
    ids: list[int] = []
    ends: list[int] = []
    depths: list[int] = []
    paths: list[list[int]] = [[]] * len(sequences)
    before: list[int] = []  # the sequence laid last, and its nodes
    nodes: list[int] = []
    # In the order of their tokens, a sequence shares with all earlier ones what it shares with the
    # last one: there is nothing to look up, and nodes come in preorder.
    for index in sorted(range(len(sequences)), key=lambda index: sequences[index]):
        path = sequences[index][skip:]
        kept = common(before, path)
        for node in nodes[kept:]:
            ends[node] = len(ids)
        nodes = [*nodes[:kept], *range(len(ids), len(ids) + len(path) - kept)]
        ids += path[kept:]
        ends += [0] * (len(path) - kept)
        depths += range(skip + kept, skip + len(path))
        paths[index], before = nodes, path
    for node in nodes:
        ends[node] = len(ids)
    return Forest(ids, ends, depths, paths)


@dataclass(frozen=True)
class Cost:
    """What a pass costs, in tokens that stand alone.

    Attributes:
        again: Of one more pass over the same weights.
        pairs: Pairs of tokens that look at one another for one token.
    """

    again: float
    pairs: float

    def of(self, tokens: int) -> float:
        """A pass over so many tokens, all of which look at one another."""
        return self.again + tokens + tokens**2 / self.pairs

    def padded(self, rows: int, length: int) -> float:
        """A pass over rows that are padded to one length."""
        return self.again + rows * (length + length**2 / self.pairs)


def groves(sequences: Sequence[list[int]], cost: Cost) -> tuple[float, list[list[int]]]:
    """Divide sequences among forests so that they cost least together.

    In the order of their tokens, so that those with most in common stand side by side, they are cut
    where it is cheapest: the shortest way over all cuts.

    Returns:
        What all forests cost, and the indices of the sequences of each.
    """
    order = sorted(range(len(sequences)), key=lambda index: sequences[index])
    ordered = [sequences[index] for index in order]
    alone = list(map(len, ordered))
    added = [0, *(len(next_) - common(one, next_) for one, next_ in pairwise(ordered))]
    cheapest = [0.0, *[float("inf")] * len(order)]
    begun_at = [0] * (len(order) + 1)
    for first in range(len(order)):
        nodes = 0
        for last in range(first, len(order)):
            nodes += alone[last] if last == first else added[last]
            through = cheapest[first] + cost.of(nodes)
            if through < cheapest[last + 1]:
                cheapest[last + 1], begun_at[last + 1] = through, first
    return cheapest[-1], [order[first:end] for first, end in _cuts(begun_at)][::-1]


def _cuts(begun_at: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where each forest begins and ends, the last one first."""
    end = len(begun_at) - 1
    while end:
        yield begun_at[end], end
        end = begun_at[end]


def beginning(sequences: Sequence[Sequence[int]]) -> Sequence[int]:
    """Tokens that all sequences begin with, each with one more behind; none if that saves little.

    >>> beginning([[*range(20), 7], [*range(20), 8, 9]]) == [*range(20)]
    True
    >>> beginning([[1, 2, 7], [1, 2, 8]])
    ()
    """
    if len(sequences) < 2:
        return ()
    first, last = min(sequences, key=list), max(sequences, key=list)  # they share what all share
    shared = min(common(first, last), min(map(len, sequences)) - 1)
    return first[:shared] if shared >= WORTH_A_TRUNK else ()


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Number of tokens with which both begin."""
    length = 0
    for here, there in zip(one, other, strict=False):
        if here != there:
            break
        length += 1
    return length
