"""Requests to trees of tokens: what many sequences have in common goes through the model once.

All sequences of a pack are one forest.  A token sees its ancestors only, its position is its depth,
and a node serves every sequence that runs through it.  The last token of a sequence is no node:
its probability is read at its parent, and nobody reads further.  So a question with four one-letter
answers is its prompt and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from forgetless.models.forest import common, forest


@dataclass(frozen=True)
class Request:
    """How likely is this continuation after this context?

    Attributes:
        context: Token ids before it.
        continuation: Token ids scored; with an empty context the first of them is not scored,
            since nothing predicts it.
    """

    context: list[int]
    continuation: list[int]

    def __len__(self) -> int:
        return len(self.context) + len(self.continuation)

    @property
    def ids(self) -> list[int]:
        """All its token ids."""
        return [*self.context, *self.continuation]

    @property
    def path(self) -> list[int]:
        """Token ids that go through the model: all but the last."""
        return self.ids[:-1]

    @property
    def scored(self) -> int:
        """Number of tokens whose probability is asked for, the last ones."""
        return max(len(self.continuation) - (not self.context), 0)


@dataclass(frozen=True)
class Tree:
    """The sequences of a pack without what is repeated, in preorder.

    Attributes:
        ids: Token id of each node, shape (nodes,).
        ends: One past the last descendant of each node, shape (nodes,): node i is seen by the nodes
            i to ends[i] - 1.
        depths: Position of each node in its sequences, shape (nodes,).
        reads: Nodes at which the next token's probability is wanted, ascending, shape (rows,).
        rows: Index into ``reads`` of each scored token, request by request, shape (tokens,).
        targets: Token id of each scored token, shape (tokens,).
        scored: Number of scored tokens of each request, shape (requests,).
    """

    ids: list[int]
    ends: list[int]
    depths: list[int]
    reads: list[int]
    rows: list[int]
    targets: list[int]
    scored: list[int]


def grow(requests: Sequence[Request], skip: int = 0) -> Tree:
    """Make one forest of requests.

    Args:
        requests: At least one.
        skip: Tokens at the start of every request that the model has read already.

    Returns:
        The forest; ``rows``, ``targets`` and ``scored`` are in the order of ``requests``.
    """
    made = forest([request.path for request in requests], skip)
    read = [p[len(p) - r.scored :] for p, r in zip(made.paths, requests, strict=True)]
    reads = sorted({node for of_request in read for node in of_request})
    row = {node: place for place, node in enumerate(reads)}
    return Tree(
        made.ids,
        made.ends,
        made.depths,
        reads,
        [row[node] for of_request in read for node in of_request],
        [
            token
            for request in requests
            for token in request.continuation[len(request.continuation) - request.scored :]
        ],
        [request.scored for request in requests],
    )


@dataclass(frozen=True)
class Limits:
    """How large a pack may grow; a group that is larger alone has a pack of its own.

    Attributes:
        tokens: Most nodes beyond the trunk that all requests of the pack share.
        rows: Most nodes at which probabilities are read, counted without what is shared.
        span: Most nodes with what was read before them; beyond, nothing is packed at all.
    """

    tokens: int
    rows: int
    span: int


def packs(
    groups: Sequence[Sequence[Request]], limits: Limits, skip: int = 0
) -> Iterator[list[int]]:
    """Indices of groups that go through the model together; a group is never divided.

    Groups with a common beginning come to stand side by side.

    Args:
        groups: Requests that belong together, such as the choices of an item.
        limits: Of a pack.
        skip: As in :func:`grow`.
    """
    order = sorted(
        (min(request.path for request in group)[skip:], index) for index, group in enumerate(groups)
    )
    pack: list[int] = []
    last: list[int] = []
    nodes = trunk = rows = 0
    for _, index in order:
        group = groups[index]
        paths = sorted(request.path[skip:] for request in group)
        lengths = sum(map(len, paths))
        shared = [common(one, other) for one, other in pairwise(paths)]
        alone = lengths - sum(shared)
        own_trunk = min([len(paths[0]), *shared])
        own_rows = sum(request.scored for request in group)
        joint = common(last, paths[0])
        if pack and not (
            nodes + alone - joint - min(trunk, own_trunk, joint) <= limits.tokens
            and rows + own_rows <= limits.rows
            and skip + nodes + alone - joint <= limits.span
        ):
            yield pack
            pack, nodes, rows = [], 0, 0
        if pack:
            trunk, nodes = min(trunk, own_trunk, joint), nodes + alone - joint
        else:
            trunk, nodes = own_trunk, alone
        pack = [*pack, index]
        rows, last = rows + own_rows, paths[-1]
    if pack:
        yield pack
