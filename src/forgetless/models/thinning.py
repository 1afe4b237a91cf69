"""A weight's change, thinned: what of it is kept, and what becomes zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def thinned(change: torch.Tensor, density: float, *, largest: bool) -> torch.Tensor:
    """The largest entries of a change, or random ones, which are enlarged in turn.

    Args:
        change: Of one weight, any shape.
        density: Share of its entries that is kept, in (0, 1]; 1 keeps the change as it is.
        largest: By magnitude; else at random by torch's own generator, divided by the density.

    Returns:
        Shape of the change; zero where nothing is kept.

    Source: trimming in TIES, Yadav et al. 2023 (arXiv 2306.01708); DARE, Yu et al. 2023 (arXiv
    2311.03099); by peft.
    """
    from peft.utils.merge_utils import prune

    if density == 1:
        return change
    found: torch.Tensor = prune(
        change, density, "magnitude" if largest else "random", rescale=not largest
    )
    return found
