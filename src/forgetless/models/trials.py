"""What a model can do is tried out on it, once: a list of architectures would be wrong tomorrow."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from forgetless.models.forward import innermost

log = logging.getLogger(__name__)

_TOLERANCE = {4: 1e-3, 2: 0.05}  # share of the logits' own spread, by bytes of a weight

_found: WeakKeyDictionary[Any, dict[Any, str | None]] = WeakKeyDictionary()


def tried(model: Any, trial: Callable[[Any], str | None], otherwise: str) -> str | None:
    """The obstacle that a trial found; made once for a model as it is (dtype, device, attention).

    Args:
        model: A causal language model of transformers or peft.
        trial: Says what the obstacle is, or nothing if there is none.
        otherwise: What is done because of it; logged with it.
    """
    inner = innermost(model)
    attention = str(getattr(inner.config, "_attn_implementation", ""))
    state = (trial, inner.dtype, next(model.parameters()).device, attention, id(inner))
    known = _found.setdefault(model, {})
    if state not in known:
        known[state] = reason = trial(model)
        if reason is not None:
            log.info("%s: %s", otherwise, reason)
    return known[state]


def difference(model: Any, probe: Callable[[Any], tuple[float, float]], means: str) -> str | None:
    """Why logits that should be alike are not, in words; nothing if they are.

    Args:
        model: A causal language model of transformers or peft.
        probe: Finds how far they are apart, and their own spread.
        means: What it means if they are too far apart.
    """
    try:
        error, spread = probe(model)
    except Exception as fault:  # whatever a model does that was not made for this
        return f"{type(fault).__name__}: {str(fault).strip().splitlines()[:1]}"
    if not error <= _TOLERANCE.get(innermost(model).dtype.itemsize, 1e-3) * spread:
        return f"{means} (by {error:.2g} of {spread:.2g})"
    return None


def some_tokens(model: Any, *shape: int) -> list[Any]:
    """Ids of tokens that a model knows, in nested lists of a shape, always the same."""
    import torch

    vocabulary = innermost(model).config.get_text_config().vocab_size
    generator = torch.Generator().manual_seed(0)
    # The lower half: special tokens of many models stand above it.
    tokens: list[Any] = torch.randint(vocabulary // 2, shape, generator=generator).tolist()
    return tokens
