"""A forward pass over a tree of tokens, for the models whose attention can be told who sees whom.

Whether a model can is tried out on it, once: what it says of a small tree is compared with what it
says of the branches one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from forgetless.models.forward import accepts, evaluation_mode, innermost, logits_at
from forgetless.models.reach import ENDLESS, Reach
from forgetless.models.trials import difference, some_tokens, tried

if TYPE_CHECKING:
    import torch


@dataclass
class Trunk:
    """Tokens with which everything begins that is asked of a model.

    Attributes:
        ids: Token ids, shape (length,).
    """

    ids: Sequence[int] = ()
    _read: Any = field(default=None, repr=False)

    def cache(self, model: Any) -> Any:
        """Keys and values of these tokens, of nothing else; none for no tokens."""
        import torch
        from transformers import DynamicCache

        if not self.ids:
            return None
        if self._read is None:
            self._read = DynamicCache()
            device = next(model.parameters()).device
            ids = torch.tensor([self.ids], device=device)
            positions = torch.arange(len(self.ids), device=device).unsqueeze(0)
            mask = torch.ones_like(ids)
            logits_at(model, ids, mask, positions, positions[0, -1:], self._read)
        else:
            self._read.crop(len(self.ids) - self._read.get_seq_length())  # the pass before
        return self._read


def tree_logits(
    model: Any,
    ids: Sequence[int],
    ends: Sequence[int],
    depths: Sequence[int],
    wanted: Sequence[int],
    trunk: Trunk,
    cache: Any = None,
) -> torch.Tensor:
    """Next-token logits at some nodes of a forest that stands on a trunk.

    Args:
        model: A model without an :func:`obstacle`.
        ids: Token ids in preorder, shape (nodes,).
        ends: One past the last descendant of each node, shape (nodes,).
        depths: Position of each node, the trunk's tokens counted, shape (nodes,).
        wanted: Nodes, shape (k,).
        trunk: What every node sees; read once.
        cache: Where keys and values of the nodes are to be found afterwards, behind the trunk's.

    Returns:
        Logits, shape (k, vocabulary).
    """
    import torch

    device = next(model.parameters()).device
    if all(end == len(ids) for end in ends):  # one branch: who sees whom, models know themselves
        mask = torch.ones((1, len(trunk.ids) + len(ids)), dtype=torch.int64)
    else:
        mask = _who_sees_whom(ends, len(trunk.ids), innermost(model).dtype)
    return logits_at(
        model,
        torch.tensor([ids], device=device),
        mask.to(device),
        torch.tensor([depths], device=device),
        torch.tensor(wanted, device=device),
        trunk.cache(model) if cache is None else cache,
    )[0]


def _who_sees_whom(ends: Sequence[int], before: int, dtype: torch.dtype) -> torch.Tensor:
    """What is added to attention scores, shape (1, 1, nodes, before + nodes)."""
    import torch

    nodes = torch.arange(len(ends))
    # Node i is an ancestor of j, or j itself, where i <= j < ends[i].
    seen = (nodes <= nodes[:, None]) & (nodes[:, None] < torch.tensor(ends))
    mask = torch.zeros((len(ends), before + len(ends)), dtype=dtype)
    mask[:, before:].masked_fill_(~seen, torch.finfo(dtype).min)
    return mask[None, None]


def span(model: Any) -> int:
    """Most tokens of one tree, trunk included, in which everything sees all that its mask allows.

    Behind a sliding window, a chunk, or a buffer of positions, a model looks away by itself; where
    its angles change with the length, they must not change between a branch and its tree.
    """
    config = innermost(model).config.get_text_config()
    limits = [
        value
        for name, value in vars(config).items()
        if ("window" in name or "chunk" in name)
        and "layer" not in name  # how many layers have a window is no number of tokens
        and type(value) is int
        and value > 0
    ]
    limits += [
        buffer.shape[-1]
        for buffer in innermost(model).buffers()
        if buffer.ndim >= 2 and buffer.shape[-1] == buffer.shape[-2]
    ]
    return min([*limits, steady(model)])


def steady(model: Any) -> int:
    """Most tokens of a sequence whose angles are those of any shorter one."""
    config = innermost(model).config.get_text_config()
    scaling = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None)
    limits = [
        rope.get("original_max_position_embeddings") or Reach.of(model).context
        for rope in ([scaling, *scaling.values()] if isinstance(scaling, dict) else [])
        if isinstance(rope, dict) and rope.get("rope_type") in {"dynamic", "longrope"}
    ]
    return min(limits, default=ENDLESS)


def obstacle(model: Any) -> str | None:
    """Why this model cannot be given a tree, in words; nothing if it can.

    Tried out once for a model as it is, and logged if it cannot.
    """
    return tried(model, _obstacle, "sequences are padded, not packed as a tree")


def _obstacle(model: Any) -> str | None:
    if "position_ids" not in accepts(model):
        return "the model takes no position of a token"
    if getattr(innermost(model).config, "is_encoder_decoder", False):
        return "the model has an encoder"
    attention = str(getattr(innermost(model).config, "_attn_implementation", ""))
    # These read a mask as something else; on a GPU the attempt alone can end the process.
    if any(part in attention for part in ("flash", "flex", "paged")):
        return f"{attention} takes no mask of its own for each token"
    return difference(model, _probe, "a tree is read otherwise than its branches")


def _probe(model: Any) -> tuple[float, float]:
    """Largest difference between a tree and its two branches, and the spread of their logits."""
    import torch

    device = next(model.parameters()).device
    stem, left, right = some_tokens(model, 3, 6)
    with evaluation_mode(model), torch.no_grad():
        ids = torch.tensor([stem + left, stem + right], device=device)
        positions = torch.arange(12, device=device)
        alone = logits_at(
            model, ids, torch.ones_like(ids), positions.expand(2, -1), positions
        ).float()
        expected = torch.cat([alone[0], alone[1, 6:]])
        nodes, ends, depths = stem + left + right, [18] * 6 + [12] * 6 + [18] * 6, [*range(12)]
        depths += range(6, 12)
        trunk = Trunk(stem[:4])
        worst = 0.0
        for cut, base in ((0, Trunk()), (4, trunk), (4, trunk)):  # a cache must survive its use
            found = tree_logits(
                model,
                nodes[cut:],
                [end - cut for end in ends[cut:]],
                depths[cut:],
                range(18 - cut),
                base,
            ).float()
            errors = (found - expected[cut:]).square().mean(-1).sqrt()
            worst = max(worst, float(errors.max())) if errors.isfinite().all() else float("nan")
        spread = (expected - expected.mean(0)).square().mean().sqrt()
    return worst, float(spread)
