"""Carry plans out one after another, to be launched as several processes.

python -m torch.distributed.run --nproc_per_node 2 --standalone -m tests.integration.launched PLANS

What a launcher would set for a plan stands under ``told``.  Beside PLANS each process writes, in
NAME-RANK.jsonl, how many of the model's weights, of the optimiser's entries and of what methods
keep beside weights it held at the end of each stage.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import forgetless
from forgetless.models.sharded import local
from forgetless.training.trainer import StageTrainer


def main(plans: Path) -> None:
    for settings in json.loads(plans.read_text(encoding="utf-8")):
        told = settings.pop("told", {})
        name = Path(settings["output"]).name
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in told.items():
                patch.setenv(variable, value)
            notes = plans.with_name(f"{name}-{os.environ['RANK']}.jsonl")
            patch.setattr(StageTrainer, "let_go", noting(notes))
            forgetless.run(**settings)


def noting(file: Path) -> Callable[[StageTrainer], None]:
    """What a trainer does at the end, after a note of what this process holds by then."""
    let_go = StageTrainer.let_go

    def noted(trainer: StageTrainer) -> None:
        assert trainer.model is not None
        assert trainer.optimizer is not None
        weights = [*trainer.model.parameters()]
        moments = [
            value
            for state in trainer.optimizer.state.values()
            for value in state.values()
            if value.ndim
        ]
        beside = [t for kept in trainer.methods.beside_weights() for t in kept.values()]
        held = {
            name: sum(local(tensor).numel() for tensor in tensors)
            for name, tensors in (("weights", weights), ("moments", moments), ("beside", beside))
        }
        line = held | {"all": sum(weight.numel() for weight in weights)}
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
        let_go(trainer)

    return noted


if __name__ == "__main__":
    main(Path(sys.argv[1]))
