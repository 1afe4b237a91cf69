"""What a protection leaves on disk: the rows of earlier stages as tokens, and its checkpoints.

FOLDER/  of save()                    CHECKPOINT/forgetless/  in a trainer's checkpoint
protection.json                       protection.json       {"stage": 2}
methods/                              methods/
stage-1.safetensors ...
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers.trainer import TRAINER_STATE_NAME

from forgetless.errors import UsageError
from forgetless.methods.compose import Compose
from forgetless.plan import TaskConfig, TrainingConfig
from forgetless.storage import write_json
from forgetless.tasks.examples import Examples
from forgetless.tasks.render import Encoded
from forgetless.training.token_tasks import TokenEncoder, TokenTask

STATE = "forgetless"  # folder in a checkpoint
METHODS = "methods"  # folder of the methods' state
RECORD = "protection.json"  # file that marks a folder as ours


def stage_task(number: int, count: int, encoded: Callable[[int], list[Encoded]]) -> TokenTask:
    """A stage's rows as a task.

    Args:
        number: The stage, from 1.
        count: Rows.
        encoded: The examples of a row, by its number.
    """
    name = f"stage-{number}"
    rows = TokenTask.numbered(count)
    return TokenTask(TaskConfig(name=name, train=name), rows, (), encoded=encoded)


def may_be_replaced(folder: Path) -> bool:
    """Whether nothing is lost with what is in the place of a folder."""
    if not folder.exists():
        return True
    return folder.is_dir() and (_is_ours(folder) or not any(folder.iterdir()))


def save_stages(folder: Path, tasks: Sequence[TokenTask]) -> None:
    """Write the rows of stages, oldest first."""
    from safetensors.torch import save_file

    write_json(folder / RECORD, {"rows": [len(task.train) for task in tasks]})
    encoder = TokenEncoder(None, TrainingConfig())
    for number, task in enumerate(tasks, start=1):
        examples = encoder.encode([(task, row) for row in task.train], rehearsal=True)
        save_file(
            {
                "ids": torch.from_numpy(examples.ids),
                "learned": torch.from_numpy(examples.learned),
                "offsets": torch.from_numpy(examples.offsets),
                "rows": torch.tensor([int(origin.row) for origin in examples.origins]),
            },
            folder / f"stage-{number}.safetensors",
        )


def load_stages(folder: Path) -> list[TokenTask]:
    """What :func:`save_stages` wrote.

    Raises:
        UsageError: if the folder does not hold it.
    """
    from safetensors.torch import load_file

    rows = _record(folder).get("rows") if _is_ours(folder) else None
    if rows is None:
        raise UsageError(f"{folder}: holds no saved protection", fix="name a folder of save()")
    return [
        _remembered(number, count, load_file(folder / f"stage-{number}.safetensors"))
        for number, count in enumerate(rows, start=1)
    ]


def check_methods(folder: Path, methods: Compose) -> None:
    """Refuse what other methods left: one more would know nothing, one less leave all unprotected.

    Args:
        folder: The methods' state.
        methods: Those that are to take it back.

    Raises:
        UsageError: naming both.
    """
    saved = {file.stem for file in folder.glob("*.json")}
    given = {method.name for method in methods.methods}
    if saved != given:
        raise UsageError(
            f"{folder.parent}: holds what {' + '.join(sorted(saved)) or 'no method'} remembered, "
            f"and protect() was given {methods.label if given else 'no method'}",
            fix="give protect() the same methods",
        )


def save_stage_number(folder: Path, stage: int) -> None:
    """Write to which stage a checkpoint belongs."""
    write_json(folder / RECORD, {"stage": stage})


def stage_of(checkpoint: Path) -> int:
    """The stage that a checkpoint belongs to.

    Raises:
        UsageError: for a checkpoint without protection, or broken off.
    """
    if fault := _fault(checkpoint):
        usable = [other for other in _checkpoints(checkpoint.parent) if not _fault(other)]
        raise UsageError(
            f"{checkpoint}: {fault}",
            fix=f"trainer.train(resume_from_checkpoint={str(usable[-1])!r})"
            if usable
            else "train from the start",
        )
    return int(_record(checkpoint / STATE)["stage"])


def _remembered(number: int, count: int, saved: dict[str, torch.Tensor]) -> TokenTask:
    """A task of an earlier process, from the tokens of its rows; some may have taught nothing."""
    arrays = {name: tensor.numpy() for name, tensor in saved.items()}
    examples = Examples(arrays["ids"], arrays["learned"], arrays["offsets"], [])
    of_row: dict[int, list[int]] = {}
    for index, row in enumerate(arrays["rows"].tolist()):
        of_row.setdefault(row, []).append(index)
    return stage_task(number, count, lambda row: [examples[i] for i in of_row.get(row, [])])


def _is_ours(folder: Path) -> bool:
    return (folder / RECORD).is_file()


def _record(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    return record


def _fault(checkpoint: Path) -> str:
    """Why training cannot go on from a checkpoint, or nothing."""
    if not _is_ours(checkpoint / STATE):
        return "was written without protection"
    if not (checkpoint / TRAINER_STATE_NAME).is_file():  # what the Trainer writes last
        return "is not whole: the training was stopped while it was written"
    return ""


def _checkpoints(folder: Path) -> list[Path]:
    """Checkpoints in a folder, by their steps."""
    found = {path: path.name.removeprefix("checkpoint-") for path in folder.glob("checkpoint-*")}
    return sorted((p for p, steps in found.items() if steps.isdigit()), key=lambda p: int(found[p]))
