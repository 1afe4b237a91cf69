"""How far predictions moved: full-vocabulary KL between two models on the same prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forgetless.models.forward import last_logits
from forgetless.models.load import LoadedModel
from forgetless.tasks.task import Task

if TYPE_CHECKING:
    import torch

POSITIONS = 512  # at most; at 50,000 words their log-probabilities take 100 MB


def prompt_log_probabilities(loaded: LoadedModel, task: Task) -> torch.Tensor | None:
    """What a model expects at the positions of a task's first prompts.

    Args:
        loaded: The model.
        task: Its prompts are read, or its texts where it asks nothing.

    Returns:
        Log-probabilities, shape (positions, vocabulary), on the CPU, in float32; at most 512
        positions, every one that follows at least one token.  None if there is no such position.
    """
    import torch

    found: list[torch.Tensor] = []
    left = POSITIONS
    for ids in _sequences(loaded, task):
        ids = ids[: left + 1]
        if left <= 0 or len(ids) < 2:
            continue
        with torch.inference_mode():
            _, logits = last_logits(loaded.model, [ids], len(ids) - 1)
        found.append(torch.log_softmax(logits[0].float(), dim=-1).cpu())
        left -= len(ids) - 1
    return torch.cat(found) if found else None


def mean_kl(before: torch.Tensor, after: torch.Tensor) -> float:
    """``mean_t sum_v p_t(v) (log p_t(v) - log q_t(v))``, p the model before, q the one after.

    Args:
        before: Log-probabilities, shape (positions, vocabulary).
        after: The same positions of the model after.

    Returns:
        KL in nats per position, >= 0 up to rounding.
    """
    return float((before.exp() * (before - after)).sum(-1).double().mean())


def _sequences(loaded: LoadedModel, task: Task) -> Sequence[list[int]]:
    renderer = task.renderer(loaded.tokenizer)
    return [
        renderer.prompt_ids(row) if row.prompt else renderer.continuation_ids(row, row.answer)
        for row in task.test[:POSITIONS]
    ]
