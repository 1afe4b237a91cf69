"""The trainer around a callback: finding it, logging through it, and what it must be like."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from transformers import Trainer

from forgetless.errors import UsageError
from forgetless.methods.compose import Compose
from forgetless.models.sharded import trains_in_parts


def trainer_at_work() -> Any:
    """The Trainer that fired the event being handled.

    A callback is told neither its trainer nor the other callbacks, and nothing that it may change
    reaches trackers; so the trainer is looked up among those that called.

    Raises:
        UsageError: if there is none.
    """
    frame = sys._getframe(1)
    while frame is not None:
        found = frame.f_locals.get("self")
        if isinstance(found, Trainer):
            return found
        frame = frame.f_back  # type: ignore[assignment]
    raise UsageError(
        "RetentionGuard works in a transformers.Trainer or a subclass of it",
        fix="Trainer(..., callbacks=[guard])",
    )


def log_figures(trainer: Any, figures: Mapping[str, float]) -> None:
    """Put figures into the log history and before all callbacks, so that trackers get them.

    ``Trainer.log`` itself is called: SFTTrainer's would add the averages that it gathers for its
    next line.  A line of the trainer's own that is due is still due afterwards.
    """
    due = trainer.control.should_log
    Trainer.log(trainer, dict(figures))
    trainer.control.should_log = due


def tokenizer_of(trainer: Any, own: Any) -> Any:
    """The tokenizer to ask with.

    Raises:
        UsageError: if there is none.
    """
    tokenizer = own if own is not None else trainer.processing_class
    tokenizer = getattr(tokenizer, "tokenizer", tokenizer)  # a processor's
    if not hasattr(tokenizer, "decode"):
        raise UsageError(
            "RetentionGuard needs a tokenizer, and the trainer has no processing_class",
            fix="RetentionGuard(..., tokenizer=tokenizer)",
        )
    return tokenizer


def refuse_trainer(trainer: Any, model: Any, on_break: str) -> None:
    """Say at once where a guard cannot work.

    Raises:
        UsageError: for sharded weights, models that are not asked this way, and for a trainer,
            or a second guard in it, that would undo a rollback.
    """
    if trainer.is_deepspeed_enabled or trains_in_parts(trainer, model):
        raise UsageError(
            "RetentionGuard cannot ask a model whose weights are sharded over processes "
            "(FSDP, DeepSpeed, tensor parallel)",
            fix="use DDP (accelerate launch without FSDP), or  forgetless audit  on checkpoints",
        )
    if not hasattr(model, "generate") or getattr(model.config, "is_encoder_decoder", False):
        raise UsageError(
            f"RetentionGuard asks causal language models, found {type(model).__name__}"
        )
    if on_break != "rollback":
        return
    callbacks = trainer.callback_handler.callbacks
    if sum(getattr(each, "on_break", None) == "rollback" for each in callbacks) > 1:
        raise UsageError(
            "RetentionGuard: two guards with on_break='rollback' would each put back other weights "
            "at the end",
            fix="give one of them the tasks of both, each with its budget:  budget={'medical': "
            "0.05, 'legal': 0.1}",
        )
    if trainer.args.load_best_model_at_end:
        raise UsageError(
            "RetentionGuard: on_break='rollback' and load_best_model_at_end=True would each put "
            "back other weights at the end",
            fix="set load_best_model_at_end=False, or on_break='stop'",
        )
    methods = getattr(trainer, "methods", None)
    for method in methods.methods if isinstance(methods, Compose) else ():
        if method.needs_last_step:
            raise UsageError(
                f"RetentionGuard: on_break='rollback' and {method.name} exclude each other: "
                f"{method.needs_last_step}, those after a break included",
                fix="use on_break='stop'",
            )
