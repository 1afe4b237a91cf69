"""What methods and someone else's trainer cannot do together, told before anything is trained."""

from __future__ import annotations

import logging
from typing import Any

from transformers import Trainer

from forgetless.errors import DataError, PlanError, UsageError
from forgetless.methods.base import (
    AddsLoss,
    ChangesGradient,
    KeepsRows,
    LearnsAtEnd,
    LooksAhead,
    Method,
    MixesData,
    PullsWeights,
    WeighsTokens,
)
from forgetless.methods.compose import Compose
from forgetless.models.chances import same_chances
from forgetless.models.forward import innermost
from forgetless.models.padding import looks_past_padding
from forgetless.models.sharded import trains_in_parts
from forgetless.training.others_rows import collator_of, completed, items_of, taught

log = logging.getLogger(__name__)

ROWS = 8  # of the dataset, tried before training


def refuse_what_cannot_work(trainer: Any, methods: Compose) -> None:
    """Say at once what a method and this trainer cannot do together.

    Raises:
        PlanError: for a method that cannot act in it.
        UsageError: for a trainer in which no method can.
    """
    if not isinstance(trainer, Trainer):
        raise UsageError(
            f"protect() was given a {type(trainer).__name__}, needed a transformers.Trainer"
        )
    if trainer.train_dataset is None or not hasattr(trainer.train_dataset, "__len__"):
        raise UsageError(
            "the trainer's train_dataset has no length, and methods count its rows",
            fix="give the trainer a datasets.Dataset or another map-style dataset",
        )
    if getattr(trainer, "model_init", None) is not None:
        raise UsageError(
            "the trainer makes its model anew in train(), by model_init, and methods act on the "
            "one that it has now",
            fix="give the trainer model=model_init() in its place",
        )
    for method in methods.methods:
        if method.only_in_runs:
            raise PlanError(
                f"methods: {method.name} cannot act in your own trainer: {method.only_in_runs}",
                fix="use  forgetless run  with a plan, or leave it out",
            )
        if reason := _obstacle(trainer, method):
            raise PlanError(f"methods: {method.name} cannot act in this trainer: {reason}")


def refuse_rows(trainer: Any, methods: Compose) -> None:
    """Try the first rows: what they teach, and whether rehearsed ones can stand beside them.

    Random numbers that rows and collator draw are drawn again in training.

    Raises:
        UsageError: if a method needs what they do not have.
    """
    looking = KeepsRows | LooksAhead | LearnsAtEnd | MixesData | AddsLoss | WeighsTokens
    if not any(isinstance(method, looking) for method in methods.methods):
        return
    with same_chances(trainer.model):
        _refuse_rows(trainer, methods)


def _refuse_rows(trainer: Any, methods: Compose) -> None:
    collate, rows = collator_of(trainer), _first_rows(trainer)
    examples = [example for row in rows for example in taught(collate, row)]
    if methods.needs_logits:
        completed(collate([dict(row) for row in rows]))
    if any(isinstance(m, MixesData) and m.rehearsed_share > 0 for m in methods.methods):
        as_item = items_of(trainer)
        rehearsed = [as_item(example) for example in examples if any(example.learned[1:])]
        try:
            collate([dict(row) for row in [*rows, *rehearsed]])
        except Exception as error:
            raise DataError(
                "the collator cannot put rehearsed rows, which bring no padding, beside the "
                f"training rows: {error}",
                fix="use a collator that pads, such as DataCollatorForSeq2Seq, and rows without "
                "padding",
            ) from error


def warn_of_padding(trainer: Any, model: Any, methods: Compose) -> None:
    """Say where the trainer pads rows for a model that reads padding, and nothing keeps them apart.

    A forward pass of ours does, in one process.  A model in parts is not tried out.
    """
    args = trainer.args
    if trains_in_parts(trainer, model) or looks_past_padding(model):
        return
    alone = args.world_size == 1 and not trainer.is_deepspeed_enabled
    if args.per_device_train_batch_size == 1 or (methods.needs_logits and alone):
        return
    with same_chances(model):
        mask = collator_of(trainer)(_first_rows(trainer)).get("attention_mask")
    if mask is not None and not mask[:, 0].all():
        log.warning(
            "%s reads padding as text, and the trainer pads rows on the left: beside a longer one "
            "a row is learned as another text; set tokenizer.padding_side = 'right', or "
            "per_device_train_batch_size=1",
            type(innermost(model)).__name__,
        )


def _first_rows(trainer: Any) -> list[dict[str, Any]]:
    dataset = trainer.train_dataset
    return [dict(dataset[index]) for index in range(min(ROWS, len(dataset)))]


def _obstacle(trainer: Any, method: Method[Any]) -> str:
    """Why a method cannot act in a trainer, or nothing."""
    args = trainer.args
    if trainer.is_deepspeed_enabled and (reason := method.excludes_deepspeed()):
        return f"{reason}; use DDP (accelerate launch without DeepSpeed)"
    if method.needs_weights and trains_in_parts(trainer, trainer.model):
        return (
            f"{method.needs_weights}, and no process of this trainer has whole weights; use DDP "
            "(accelerate launch without FSDP), or DeepSpeed's ZeRO 1 or 2"
        )
    if isinstance(method, ChangesGradient) and args.fp16:
        return "fp16 scales the gradient; use bf16"
    if isinstance(method, PullsWeights) and args.fp16 and not _clips(args):
        return "fp16 scales the gradient, and without clipping nothing undoes it; use bf16"
    if method.needs_last_step and args.load_best_model_at_end:
        return (
            f"{method.needs_last_step}, those after the best model included; set "
            "load_best_model_at_end=False"
        )
    if isinstance(method, MixesData | AddsLoss | WeighsTokens):
        return _obstacle_to_marked_rows(trainer, method)
    return ""


def _obstacle_to_marked_rows(trainer: Any, method: Method[Any]) -> str:
    """The same for a method that mixes rows or looks at each row's loss."""
    args = trainer.args
    if isinstance(method, MixesData) and args.dataloader_persistent_workers:
        return "persistent workers keep the rows of the first epoch; set it to False"
    for name in ("get_train_dataloader", "_get_train_sampler"):
        if _is_own(trainer, name):
            return f"{type(trainer).__name__} has a {name} of its own, which knows its rows alone"
    if getattr(args, "train_sampling_strategy", "random") not in ("random", "sequential"):
        return "the sampler looks into rows; set train_sampling_strategy='random'"
    if not isinstance(method, AddsLoss | WeighsTokens):
        return ""
    if args.n_gpu > 1:
        return "it needs each row's logits, which DataParallel spreads; use  accelerate launch"
    if getattr(trainer, "padding_free", False):
        return "it looks at each row; set padding_free=False (packing_strategy='wrapped')"
    if _is_own(trainer, "compute_loss"):
        return f"{type(trainer).__name__} has a compute_loss of its own, which it would replace"
    if trainer.compute_loss_func is not None or trainer.label_smoother is not None:
        return "it replaces the loss; leave out compute_loss_func and label_smoothing_factor"
    if getattr(args, "loss_type", None) not in (None, "nll") or getattr(
        trainer, "aux_loss_enabled", False
    ):
        return "it replaces the loss; use loss_type='nll' and no auxiliary loss"
    return ""


def _clips(args: Any) -> bool:
    return (args.max_grad_norm or 0) > 0


def _is_own(trainer: Any, name: str) -> bool:
    """Whether a method of a trainer is neither of transformers nor of TRL; ours are looked past."""
    for place in (trainer, *type(trainer).__mro__):
        if name in vars(place):
            house = getattr(vars(place)[name], "__module__", "").split(".")[0]
            if house != "forgetless":
                return house not in ("transformers", "trl")
    return False
