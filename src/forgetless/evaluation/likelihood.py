"""Log-likelihoods of continuations, in batches of similar length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from forgetless.evaluation.grading import Likelihood as Likelihood
from forgetless.models.forward import logits_at, pad_left
from forgetless.models.load import LoadedModel

LOGITS_PER_PASS = 64_000_000  # floats; bounds the memory of one pass to about 0.5 GB


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


def log_likelihoods(loaded: LoadedModel, requests: Sequence[Request]) -> list[Likelihood]:
    """Score requests in one forward pass.

    Returns:
        One likelihood per request, in order.
    """
    import torch

    device = next(loaded.model.parameters()).device
    padded = pad_left(
        [[*request.context, *request.continuation] for request in requests],
        loaded.tokenizer.pad_token_id or 0,
    )
    length = padded.ids.shape[1]
    columns = max(len(request.continuation) for request in requests)
    first = max(length - columns - 1, 0)
    wanted = torch.arange(first, length - 1)
    with torch.inference_mode():
        logits = logits_at(
            loaded.model,
            padded.ids.to(device),
            padded.mask.to(device),
            padded.positions.to(device),
            wanted.to(device),
        )
        # (batch, k, vocabulary) -> (batch, k): log-probability of the token that follows
        following = padded.ids[:, first + 1 :].to(device)
        scores = torch.log_softmax(logits.float(), dim=-1)
        chosen = scores.gather(-1, following.unsqueeze(-1)).squeeze(-1).cpu()
    results = []
    for row, request in enumerate(requests):
        scored = len(request.continuation) - (0 if request.context else 1)
        results.append(
            Likelihood(float(chosen[row, chosen.shape[1] - scored :].double().sum()), scored)
        )
    return results


def vocabulary_size(model: Any) -> int:
    """Number of logits per position."""
    return int(model.config.get_text_config().vocab_size)
