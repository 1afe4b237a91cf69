"""Weights away from where they were, and what pulls them back."""

from __future__ import annotations

import pytest
import torch

from forgetless.methods.base import PullsWeights
from tests.training.build import Weights


def moved(model: torch.nn.Module, by: float = 0.1) -> None:
    """Change all that is trained at random."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=by)


def pulled(method: PullsWeights, model: torch.nn.Module) -> Weights:
    """The gradients that a pull makes where there are none."""
    model.zero_grad()
    square = method.pull(model)
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert square == pytest.approx(sum(float(g.square().sum()) for g in found.values()), rel=1e-5)
    return found
