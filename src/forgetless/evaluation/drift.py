"""How far predictions moved: full-vocabulary KL between two models on the same prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forgetless.models.forward import last_logits
from forgetless.models.load import LoadedModel
from forgetless.models.reach import Reach
from forgetless.tasks.task import Task

if TYPE_CHECKING:
    import torch

POSITIONS = 512  # at most; at 50,000 words their log-probabilities take 100 MB


def prompt_log_probabilities(loaded: LoadedModel, task: Task) -> dict[str, torch.Tensor]:
    """What a model expects at the positions of a task's first prompts.

    Args:
        loaded: The model.
        task: Its prompts are read, or its texts where it asks nothing.

    Returns:
        By item, log-probabilities at every position that follows at least one token, shape
        (positions, vocabulary), on the CPU, in float32; at most 512 positions in all.  An item
        that the model cannot read takes up positions and is not among them, so that every model
        reads the same of the others.
    """
    import torch

    reach, renderer = Reach.of(loaded.model), task.renderer(loaded.tokenizer)
    found: dict[str, torch.Tensor] = {}
    left = POSITIONS
    for row in task.test[:POSITIONS]:
        ids = renderer.prompt_ids(row) if row.prompt else renderer.continuation_ids(row, row.answer)
        ids = ids[: left + 1]
        if left <= 0 or len(ids) < 2:
            continue
        left -= len(ids) - 1
        if reach.obstacle(ids, loaded.tokenizer) is None:
            with torch.inference_mode():
                _, logits = last_logits(loaded.model, [ids], len(ids) - 1)
            found[row.id] = torch.log_softmax(logits[0].float(), dim=-1).cpu()
    return found


def kl_per_position(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """``sum_v p_t(v) (log p_t(v) - log q_t(v))``, p the model before, q the one after.

    Args:
        before: Log-probabilities, shape (positions, vocabulary).
        after: The same positions of the model after.  Where one knows more tokens than the other
            (an embedding was padded, or added to), both are taken as what they say of the tokens
            that both know.

    Returns:
        KL in nats, shape (positions,), float64, >= 0 up to rounding.
    """
    import torch

    width = min(before.shape[1], after.shape[1])
    if before.shape != after.shape:
        before, after = (torch.log_softmax(one[:, :width], dim=-1) for one in (before, after))
    return (before.exp() * (before - after)).sum(-1).double()
