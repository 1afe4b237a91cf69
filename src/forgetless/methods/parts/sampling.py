"""Text that the model writes before a stage: drawn in batches, and kept as tokens."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forgetless.methods.stage import Workbench
from forgetless.models.forward import only_asked
from forgetless.models.generation import continuations
from forgetless.processes import shared_out
from forgetless.tasks.examples import Examples, Origin

if TYPE_CHECKING:
    import torch

TOKENS_AT_ONCE = 8192  # bounds the memory of the keys and values of one batch


@dataclass(frozen=True)
class Written:
    """Examples that the model wrote at the start of a stage.

    They are saved with every checkpoint: once training has begun, that model is gone.

    Attributes:
        stage: Number of the stage.
        examples: What it wrote, ready to be learned.
    """

    stage: int
    examples: Examples

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tokens."""
        import torch

        packed = {name: getattr(self.examples, name) for name in ("ids", "learned", "offsets")}
        return {name: torch.from_numpy(array) for name, array in packed.items()}

    def values(self) -> dict[str, Any]:
        """The stage, and where each example came from."""
        return {"stage": self.stage, "origins": [list(o) for o in self.examples.origins]}

    @classmethod
    def restored(
        cls, tensors: Mapping[str, torch.Tensor], values: Mapping[str, Any]
    ) -> Written | None:
        """What :meth:`tensors` and :meth:`values` gave; None where nothing was written."""
        if "stage" not in values:
            return None
        packed = {name: tensors[name].numpy() for name in ("ids", "learned", "offsets")}
        origins = [Origin(*origin) for origin in values["origins"]]
        return cls(int(values["stage"]), Examples(**packed, origins=origins))


def sample(
    bench: Workbench,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_ids: Collection[int],
    temperature: float,
    rng: np.random.Generator,
) -> list[list[int]]:
    """Let the model continue prompts, those of like length together.

    Args:
        bench: The stage and its model.
        prompts: Token ids of each.
        max_new_tokens: Longest continuation; prompt and continuation together stay within the
            longest row that may be trained.
        stop_ids: Tokens that end a continuation.
        temperature: 0: the likeliest tokens.
        rng: Seeds the draws.

    Returns:
        New tokens of each, in order, the stop token included; none where the prompt leaves no room.
    """
    new: list[list[int]] = [[] for _ in prompts]
    rooms = [min(max_new_tokens, bench.encoder.longest - len(prompt)) for prompt in prompts]
    left = [index for index, prompt in enumerate(prompts) if prompt and rooms[index] > 0]
    left.sort(key=lambda index: -len(prompts[index]))
    batches: list[tuple[list[int], int]] = []  # each with the seed of its draws
    while left:
        first = left[0]
        size = max(1, TOKENS_AT_ONCE // (len(prompts[first]) + rooms[first]))
        batch = [index for index in left[:size] if rooms[index] == rooms[first]]
        left = left[len(batch) :]
        batches.append((batch, int(rng.integers(2**63))))

    def drawn(batch: tuple[list[int], int]) -> list[list[int]]:
        indices, seed = batch
        return continuations(
            bench.model,
            [prompts[index] for index in indices],
            rooms[indices[0]],
            sorted(stop_ids),
            temperature=temperature,
            seed=seed,
        )

    with only_asked(bench.model):
        for (indices, _), found in zip(batches, shared_out(batches, drawn), strict=True):
            for index, tokens in zip(indices, found, strict=True):
                new[index] = tokens
    return new
