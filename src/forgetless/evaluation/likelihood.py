"""Log-likelihoods of continuations: packed as trees, or in padded batches of similar length."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forgetless.evaluation.grading import Likelihood as Likelihood
from forgetless.evaluation.packing import Limits, Request, Tree, grow, packs
from forgetless.models.forest import beginning
from forgetless.models.forward import last_logits
from forgetless.models.load import LoadedModel
from forgetless.models.padding import side_by_side
from forgetless.models.reach import Reach
from forgetless.models.tree import Trunk, obstacle, span, tree_logits

if TYPE_CHECKING:
    import torch

__all__ = [
    "Likelihood",
    "Request",
    "Together",
    "batches",
    "log_likelihoods",
    "put_together",
]

log = logging.getLogger(__name__)

# Floats, about 0.5 GB with what is made of them: most of a pass for several items.  An item with
# more has a pass of its own.
LOGITS_PER_PASS = 64_000_000
# Nodes of a pack for each sequence of a padded batch, so that whoever halves the batch halves both.
# Attention looks at every pair of nodes: measured on a CPU, 200 to 400 are best, and 32 is a plan's
# default.  On a GPU so few would leave it idle.
TOKENS_A_SEQUENCE = {"cpu": 12}
TOKENS_A_SEQUENCE_ELSEWHERE = 128
ROWS_AT_ONCE = 64  # of a softmax, so that what it writes stays in the cache


@dataclass(frozen=True)
class Together:
    """How groups of requests are put to a model.

    Attributes:
        batches: Indices of groups that go through the model in one pass.
        trunk: Tokens that all packed requests begin with; they are read once.
    """

    batches: tuple[tuple[int, ...], ...]
    trunk: Trunk = field(default_factory=Trunk)


def put_together(loaded: LoadedModel, groups: Sequence[Sequence[Request]], size: int) -> Together:
    """Plan the passes of a task: packs where the model takes trees, padded batches elsewhere.

    Args:
        loaded: The model.
        groups: Requests that stay together, such as the choices of an item.
        size: Most requests in a padded batch; packs are measured in tokens, in proportion to it.
            A group that is larger alone has a pass of its own.
    """
    vocabulary = Reach.of(loaded.model).vocabulary
    every = range(len(groups))
    reach = 0 if obstacle(loaded.model) else span(loaded.model)
    fits = [index for index in every if reach and len(grow(groups[index]).ids) <= reach]
    padded = sorted({*every} - {*fits})
    if reach and padded:
        log.info(
            "%d of %d items are padded, not packed: they have more than %d tokens, which is as far "
            "as every layer of this model looks", len(padded), len(groups), reach,
        )  # fmt: skip
    device = next(loaded.model.parameters()).device.type
    limits = Limits(
        tokens=size * TOKENS_A_SEQUENCE.get(device, TOKENS_A_SEQUENCE_ELSEWHERE),
        rows=LOGITS_PER_PASS // vocabulary,
        span=reach,
    )
    chosen = [groups[index] for index in fits]
    packed, trunk = list(packs(chosen, limits)), Trunk()
    if len(packed) > 1:
        shared = beginning([request.context for group in chosen for request in group])
        if shared:
            packed = list(packs(chosen, limits, len(shared)))
            trunk = Trunk(tuple(shared))
    padded_batches = _group_batches([groups[index] for index in padded], size, vocabulary)
    return Together(
        (
            *(tuple(fits[index] for index in batch) for batch in packed),
            *(tuple(padded[index] for index in batch) for batch in padded_batches),
        ),
        trunk,
    )


def _group_batches(
    groups: Sequence[Sequence[Request]], size: int, vocabulary: int
) -> Iterator[list[int]]:
    """Indices of groups whose requests are padded to one length."""
    if not groups:
        return
    widest = max(map(len, groups))
    merged = [
        Request(group[0].context, max((request.continuation for request in group), key=len))
        for group in groups
    ]
    yield from batches(merged, max(1, size // widest), vocabulary * widest)


def batches(requests: Sequence[Request], size: int, vocabulary: int) -> Iterator[list[int]]:
    """Indices of requests that go through the model together, longest first."""
    order = sorted(range(len(requests)), key=lambda index: (-len(requests[index]), index))
    batch: list[int] = []
    columns = 0
    for index in order:
        columns = max(columns, len(requests[index].continuation))
        if batch and (
            len(batch) == size or (len(batch) + 1) * columns * vocabulary > LOGITS_PER_PASS
        ):
            yield batch
            batch, columns = [], len(requests[index].continuation)
        batch.append(index)
    if batch:
        yield batch


def log_likelihoods(
    loaded: LoadedModel, requests: Sequence[Request], trunk: Trunk | None = None
) -> list[Likelihood]:
    """Score requests in one forward pass: as a tree where the model takes one, else padded.

    Where padding is not looked past either, in one pass for those of each length.

    Args:
        loaded: The model.
        requests: At least one.
        trunk: Tokens that all requests begin with, from :func:`put_together`; read once for all
            calls with the same trunk.

    Returns:
        One likelihood per request, in order.
    """
    if obstacle(loaded.model) is None:
        trunk = trunk or Trunk()
        tree = grow(requests, len(trunk.ids))
        if len(trunk.ids) + len(tree.ids) <= span(loaded.model):
            return _packed(loaded.model, tree, trunk)
    found: dict[int, Likelihood] = {}
    for places in side_by_side(loaded.model, [len(request) for request in requests]):
        padded = _padded(loaded, [requests[place] for place in places])
        found |= zip(places, padded, strict=True)
    return [found[place] for place in range(len(requests))]


def _packed(model: Any, tree: Tree, trunk: Trunk) -> list[Likelihood]:
    """Likelihoods of the requests of a tree."""
    import torch

    chosen = torch.zeros(len(tree.rows), dtype=torch.float64)
    if tree.rows:
        with torch.inference_mode():
            logits = tree_logits(model, tree.ids, tree.ends, tree.depths, tree.reads, trunk)
            chosen = _log_probabilities(logits, tree.rows, tree.targets)
    parts = torch.split(chosen, tree.scored)
    return [
        Likelihood(float(part.sum()), scored)
        for part, scored in zip(parts, tree.scored, strict=True)
    ]


def _log_probabilities(
    logits: torch.Tensor, rows: Sequence[int], targets: Sequence[int]
) -> torch.Tensor:
    """Log-probabilities of some tokens, each at a row of logits; shape (tokens,), float64."""
    import torch

    places = torch.tensor(rows)
    tokens = torch.tensor(targets)
    chosen = torch.zeros(len(rows), dtype=torch.float64)
    for start in range(0, len(logits), ROWS_AT_ONCE):
        scores = torch.log_softmax(logits[start : start + ROWS_AT_ONCE].float(), dim=-1)
        inside = (places >= start) & (places < start + ROWS_AT_ONCE)
        picked = (places[inside] - start).to(scores.device), tokens[inside].to(scores.device)
        chosen[inside] = scores[picked].cpu().double()
    return chosen


def _padded(loaded: LoadedModel, requests: Sequence[Request]) -> list[Likelihood]:
    """Likelihoods of requests that are padded to one length."""
    import torch

    columns = max(len(request.continuation) for request in requests)
    whole = [[*request.context, *request.continuation] for request in requests]
    with torch.inference_mode():
        following, logits = last_logits(loaded.model, whole, columns)
        # (batch, k, vocabulary) -> (batch, k): log-probability of the token that follows
        scores = torch.log_softmax(logits.float(), dim=-1)
        chosen = scores.gather(-1, following.unsqueeze(-1)).squeeze(-1).cpu()
    results = []
    for row, request in enumerate(requests):
        own = chosen[row, chosen.shape[1] - request.scored :]
        results.append(Likelihood(float(own.double().sum()), request.scored))
    return results
