"""Other people's trainers, as their scripts make them, on the tiny model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import torch
from transformers import DataCollatorForSeq2Seq, Trainer, TrainerCallback, TrainingArguments

from forgetless.training.stage import recomputation
from tests.tiny import colours
from tests.training.build import fresh


class Losses(TrainerCallback):
    """Keeps the loss of every step."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if "loss" in kwargs["logs"]:
            self.found.append(float(kwargs["logs"]["loss"]))


class StopAt(TrainerCallback):
    """A kill after some step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self._step:
            raise KeyboardInterrupt


def chats(offset: int, count: int = 12, wordy: int = 1) -> datasets.Dataset:
    """Questions, each asked so many times over, and answers as conversations."""
    return datasets.Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": row["prompt"] * wordy}],
                "completion": [{"role": "assistant", "content": row["completion"]}],
            }
            for row in colours(offset, count)
        ]
    )


def tokenised(tokenizer: Any, offset: int, count: int = 12, wordy: int = 1) -> datasets.Dataset:
    """The same, tokenised by hand; only the answer is learned."""
    rows = []
    for row in colours(offset, count):
        asked = tokenizer(f"{row['prompt'] * wordy} ")["input_ids"]
        answer = [*tokenizer(row["completion"])["input_ids"], tokenizer.eos_token_id]
        rows.append(
            {
                "input_ids": asked + answer,
                "attention_mask": [1] * (len(asked) + len(answer)),
                "labels": [-100] * len(asked) + answer,
            }
        )
    return datasets.Dataset.from_list(rows)


def usual(folder: Path, **changes: Any) -> dict[str, Any]:
    """Settings of a short training."""
    return {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "num_train_epochs": 2,
        "learning_rate": 3e-3,
        "logging_steps": 1,
        "report_to": "none",
        "use_cpu": True,
        "disable_tqdm": True,
        "save_strategy": "no",
        **changes,
    }


def stock(folder: Path, model: Any, tokenizer: Any, offset: int = 0, **changes: Any) -> Trainer:
    """A plain transformers.Trainer."""
    callbacks = [*changes.pop("callbacks", ()), Losses()]
    rows = {name: changes.pop(name) for name in ("count", "wordy") if name in changes}
    more = {name: changes.pop(name) for name in ("compute_loss_func",) if name in changes}
    return Trainer(
        model=model,
        args=TrainingArguments(**usual(folder, **changes)),
        train_dataset=tokenised(tokenizer, offset, **rows),
        data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
        processing_class=tokenizer,
        callbacks=callbacks,
        **more,
    )


def sft(folder: Path, model: Any, tokenizer: Any, offset: int = 0, **changes: Any) -> Any:
    """TRL's SFTTrainer."""
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    callbacks = [*changes.pop("callbacks", ()), Losses()]
    rows = {name: changes.pop(name) for name in ("count", "wordy") if name in changes}
    more = {name: changes.pop(name) for name in ("peft_config",) if name in changes}
    return SFTTrainer(
        model,
        # TRL's default, under the old name, would warn where there is a new one
        args=SFTConfig(**usual(folder, **(recomputation(True) | changes))),
        train_dataset=chats(offset, **rows),
        processing_class=tokenizer,
        callbacks=callbacks,
        **more,
    )


TRAINERS = {"transformers": stock, "trl": sft}


def made(kind: str, tiny_model: Path, folder: Path, **changes: Any) -> Any:
    """A trainer with a fresh model of its own, or with the one given."""
    loaded = fresh(tiny_model)
    model = changes.pop("model", loaded.model)
    tokenizer = loaded.tokenizer
    tokenizer.padding_side = "right"  # as is usual in training
    return TRAINERS[kind](folder, model, tokenizer, **changes)


def losses(trainer: Any) -> list[float]:
    """Losses of all steps that a trainer has taken."""
    (found,) = (c.found for c in trainer.callback_handler.callbacks if isinstance(c, Losses))
    return list(found)


def state_of(trainer: Any) -> dict[str, torch.Tensor]:
    """A copy of the weights."""
    return {n: p.detach().clone() for n, p in trainer.model.named_parameters()}


def texts(rows: Sequence[Any], tokenizer: Any) -> list[str]:
    """The token ids of dataset items as text."""
    return [tokenizer.decode(row["item"]["input_ids"]) for row in rows]
