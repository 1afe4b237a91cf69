"""Protect someone's own Trainer: the same methods, without rewriting the script.

    trainer = forgetless.protect(SFTTrainer(model, train_dataset=medical), [Replay(ratio=0.1)])
    trainer.train()
    trainer.protection.end_stage()
    trainer = forgetless.protect(SFTTrainer(model, train_dataset=legal), trainer.protection)
    trainer.train()

The trainer keeps its class's behaviour and gains the phases: its class is replaced by a subclass
that overrides the few methods in which they act.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from transformers import Trainer, TrainerCallback
from transformers.trainer_utils import get_last_checkpoint

from forgetless.errors import UsageError
from forgetless.methods import METHODS, Replay
from forgetless.methods.base import Method
from forgetless.methods.compose import Compose
from forgetless.methods.parts.passes import forward_pass
from forgetless.training.obstacles import refuse_rows, refuse_what_cannot_work
from forgetless.training.others_mixture import MarkedCollator, MixedRows
from forgetless.training.others_rows import KEYS, REPLAYED, Collate, completed
from forgetless.training.phases import StepPhases, step_loss
from forgetless.training.protection import Protection

T = TypeVar("T", bound=Trainer)


def protect(
    trainer: T,
    methods: Iterable[Method[Any]] | Method[Any] | Protection,
    previous: str | Path | None = None,
) -> T:
    """Let methods act in a trainer of transformers or TRL.

    Args:
        trainer: A ``transformers.Trainer`` or a subclass such as TRL's ``SFTTrainer``; not yet
            trained.
        methods: Ways of not forgetting, e.g. ``[Replay(ratio=0.1), EWC(strength=100)]``, or one of
            them, or the protection of the stage before.
        previous: Folder in which an earlier process saved its protection, of the same methods.

    Returns:
        The same trainer; ``trainer.protection`` is the protection.

    Raises:
        UsageError: if a method cannot work in this trainer, or it is protected by others.

    Example:
        >>> trainer = protect(trainer, [Replay(ratio=0.1)])    # doctest: +SKIP
        >>> trainer.train()                                     # doctest: +SKIP
        >>> trainer.protection.end_stage()                      # doctest: +SKIP
    """
    protection = _protection(methods)
    _refuse_another(trainer, protection)
    refuse_what_cannot_work(trainer, protection.methods)
    refuse_rows(trainer, protection.methods)
    if previous is not None:
        protection.restore(_folder(previous))
    protection.attach(trainer)
    protected = cast("Any", trainer)
    if not isinstance(trainer, _Protected):
        protected.__class__ = _protected(protected.__class__)
        protected.add_callback(_EpochsCounted(protected))
        protected.add_phases()
        protected.brings_optimizer = protected.optimizer is not None
    protected.protection = protection
    protected.methods = protection.methods
    return trainer


def _protection(given: Any) -> Protection:
    """What protects, from what :func:`protect` was given."""
    if isinstance(given, Protection):
        return given
    if isinstance(given, Method):
        return Protection(Compose([given]))
    alone = isinstance(given, str | Mapping) or not isinstance(given, Iterable)
    methods = [given] if alone else list(given)
    for one in methods:
        if not isinstance(one, Method):
            name = _class_meant(one)
            raise UsageError(
                f"protect() was given {type(one).__name__} {str(one)[:60]!r}, needed methods",
                fix=f"from forgetless.methods import {name};  protect(trainer, [{name}(...)])",
            )
    return Protection(Compose(methods))


def _class_meant(given: Any) -> str:
    """The class of the method that something else than a method seems to name."""
    name = next(iter(given), "") if isinstance(given, Mapping) else given
    classes = {**METHODS, **{kind.__name__: kind for kind in METHODS.values()}}
    name = name.__name__ if isinstance(name, type) else name
    return classes.get(str(name), Replay).__name__


def _refuse_another(trainer: Any, protection: Protection) -> None:
    if isinstance(trainer, _Protected) and trainer.protection is not protection:
        raise UsageError(
            f"the trainer is protected already, by {trainer.protection.methods.label}",
            fix="train the next stage with it as it is, or give protect() a new trainer",
        )


def _folder(previous: Any) -> str | Path:
    if isinstance(previous, str | Path):
        return previous
    raise UsageError(
        f"previous is a {type(previous).__name__}, needed the folder that protection.save() wrote",
        fix="of a trainer in this process:  protect(trainer, other.protection)",
    )


class _Protected(StepPhases):
    """What a protected trainer does otherwise than its class."""

    protection: Protection
    brings_optimizer: bool

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        checkpoint = resume_from_checkpoint
        if checkpoint is True:
            checkpoint = get_last_checkpoint(self.args.output_dir)
        if checkpoint:
            self.protection.resume(self, Path(checkpoint))
        else:
            self.protection.begin(self)
        result = super().train(resume_from_checkpoint, *args, **kwargs)
        self.protection.trained()
        return result

    def get_train_dataloader(self) -> Any:
        rows = self.protection.rows
        if rows is None:
            return super().get_train_dataloader()
        own: Any = self.train_dataset
        try:
            self.train_dataset: Any = rows
            return super().get_train_dataloader()
        finally:
            self.train_dataset = own

    def _get_collator_with_removed_columns(self, data_collator: Any, *args: Any, **kw: Any) -> Any:
        inner: Collate = super()._get_collator_with_removed_columns(data_collator, *args, **kw)
        if isinstance(self.train_dataset, MixedRows):
            return MarkedCollator(inner, self.methods.needs_logits)
        return inner

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        if KEYS not in inputs:  # no method looks at the loss, or this is an evaluation
            return super().compute_loss(
                model,
                inputs,
                return_outputs=return_outputs,
                num_items_in_batch=num_items_in_batch,
            )
        marks = inputs[REPLAYED], inputs[KEYS]
        batch = forward_pass(model, completed(inputs), *marks, num_items_in_batch)
        loss = step_loss(self.methods, self.model, batch)
        if num_items_in_batch is not None and self.args.average_tokens_across_devices:
            loss = loss * self.accelerator.num_processes
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self.args.should_save:  # before the Trainer does, for it then deletes older checkpoints
            folder = Path(self._get_output_dir(trial=trial))
            self.protection.save_checkpoint(folder / f"checkpoint-{self.state.global_step}")
        super()._save_checkpoint(model, trial)


@cache
def _protected(kind: Any) -> Any:
    """The trainer's class with the phases, under its own name."""
    return type(kind.__name__, (_Protected, kind), {"__module__": kind.__module__})


class _EpochsCounted(TrainerCallback):
    """Draws other rehearsed rows in every epoch.

    With several processes accelerate's data loader tells its sampler of an epoch, not its dataset.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control, kwargs
        if self._trainer.protection.rows is not None:
            self._trainer.protection.rows.set_epoch(int(state.epoch + 1e-6))
