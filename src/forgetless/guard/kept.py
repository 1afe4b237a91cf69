"""The last weights within budget, on disk beside the trainer's checkpoints.

OUTPUT_DIR/_retention_guard/step-200/weights.safetensors

A checkpoint written later refers to them, so they stay as long as it does.  The leading ``_`` keeps
them out of what ``push_to_hub`` uploads.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from transformers.trainer import TRAINER_STATE_NAME

from forgetless.errors import UsageError
from forgetless.guard.history import good_step
from forgetless.processes import count, first_does
from forgetless.storage import disk_faults_explained, replace_folder

FOLDER = "_retention_guard"
WEIGHTS = "weights.safetensors"


class LastGood:
    """Trainable weights of the last step within budget.

    Args:
        output: The trainer's ``output_dir``.
        training: Says which training wrote them, for others may have used the folder before.
        key: Under which name checkpoints hold a guard's state begins.
    """

    def __init__(self, output: str, training: str, key: str) -> None:
        self._folder = Path(output) / FOLDER
        self._training = training
        self._key = key

    def save(self, step: int, model: Any, optimizer: Any) -> None:
        """Write the weights as they are now, and delete those that no checkpoint refers to."""
        from safetensors.torch import save_file

        tensors = {
            name: parameter.detach().cpu().contiguous()
            for name, parameter in _trained(model, optimizer).items()
        }
        with disk_faults_explained(self._folder), replace_folder(self._place(step)) as part:
            save_file(tensors, part / WEIGHTS, metadata={"training": self._training})
        self.prune(step)

    def check(self, step: int) -> None:
        """Make sure that the weights of a step are there.

        Raises:
            UsageError: if they are not, or another training wrote them.
        """
        from safetensors import safe_open

        file = self._place(step) / WEIGHTS
        if file.is_file():
            with safe_open(file, "pt") as opened:
                found = (opened.metadata() or {}).get("training")
        else:
            found = None
        if found != self._training:
            raise UsageError(
                f"{file}: "
                + ("is of another training" if file.is_file() else "is not there")
                + f"; the last state within budget is that of step {step}",
                fix=f"keep {FOLDER}/ in the trainer's output_dir, or use on_break='stop'",
            )

    def restore(self, step: int, model: Any, optimizer: Any) -> None:
        """Put the weights of a step back into the model, in every process: all of them, or none.

        Raises:
            UsageError: if they are not there any more, or others were trained since.
        """
        saved: dict[str, torch.Tensor] = {}

        def read() -> list[str]:
            saved.update(self._read(step, _trained(model, optimizer)))
            return [*saved]

        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name in first_does(read):
                if saved:
                    parameters[name].copy_(saved[name])
                if count() > 1:
                    distributed.broadcast(parameters[name].data, src=0)

    def _read(self, step: int, trained: Iterable[str]) -> dict[str, torch.Tensor]:
        from safetensors.torch import load_file

        self.check(step)
        saved = load_file(self._place(step) / WEIGHTS)
        if others := [name for name in trained if name not in saved]:
            raise UsageError(
                f"the weights of step {step} cannot be put back: {others[0]} is trained, and was "
                "not when they were kept; the model is as training left it",
                fix="give the optimizer all that is ever trained before the first step, or use "
                "on_break='stop'",
            )
        return saved

    def prune(self, step: int | None = None) -> None:
        """Delete all but the weights of a step and those that checkpoints refer to."""
        needed = {step, *self._referred_to()}
        for folder in self._folder.glob("*"):  # what a kill left half written, too
            if folder.name not in {f"step-{number}" for number in needed}:
                shutil.rmtree(folder, ignore_errors=True)
        if self._folder.is_dir() and not any(self._folder.iterdir()):
            self._folder.rmdir()

    def _place(self, step: int) -> Path:
        return self._folder / f"step-{step}"

    def _referred_to(self) -> Iterator[int]:
        """Steps that checkpoints of the trainer would roll back to."""
        for file in self._folder.parent.glob(f"checkpoint-*/{TRAINER_STATE_NAME}"):
            try:
                state = json.loads(file.read_text(encoding="utf-8"))
            except (OSError, ValueError):  # torn by a kill: nothing goes on from it
                continue
            for name, held in (state.get("stateful_callbacks") or {}).items():
                if name.startswith(self._key) and (step := good_step(held)) is not None:
                    yield step


def _trained(model: Any, optimizer: Any) -> dict[str, Any]:
    """The parameters that are trained, and those that only were or will be: frozen for a while."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return {n: p for n, p in model.named_parameters() if p.requires_grad or id(p) in held}
