"""What protects a trainer from stage to stage: the methods, and what they remember."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, cast

from forgetless.errors import UsageError
from forgetless.methods.base import LooksAhead
from forgetless.methods.compose import Compose
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.forward import evaluation_mode
from forgetless.models.reach import Reach
from forgetless.models.sharded import trains_in_parts
from forgetless.plan import TrainingConfig
from forgetless.storage import replace_folder
from forgetless.tasks.examples import Examples
from forgetless.training.obstacles import refuse_rows, warn_of_padding
from forgetless.training.others_mixture import MixedRows
from forgetless.training.others_rows import collator_of, items_of, taught
from forgetless.training.phases import unprepare
from forgetless.training.remembered import (
    METHODS,
    STATE,
    check_methods,
    load_stages,
    may_be_replaced,
    save_stage_number,
    save_stages,
    stage_of,
    stage_task,
)
from forgetless.training.token_tasks import TokenEncoder, TokenTask


class Protection:
    """The methods at work in a trainer, and what they remember from stage to stage.

    Attributes:
        methods: The methods, acting together.
        stage: Number of the stage that is trained next or now, from 1.
    """

    def __init__(self, methods: Compose) -> None:
        self.methods = methods
        self.stage = 1
        self._earlier: list[TokenTask] = []
        self._trainer: Any = None
        self._bench: Workbench | None = None
        self._adapted = 0  # the stage that the model was adapted for
        self._dataset: Any = None  # what the stage was begun with
        self._trained = False  # whether a training of the stage came to its end
        self.rows: MixedRows | None = None

    def end_stage(self) -> None:
        """Settle the model, let the methods learn from the stage, and make ready for the next.

        Call it after training.  The next stage is trained by the same trainer with another
        ``train_dataset``, or by a new one that is given this protection.

        Raises:
            UsageError: if nothing was trained.
        """
        bench = self._bench
        if bench is None:
            raise UsageError(
                f"stage {self.stage} was not trained", fix="call trainer.train() before end_stage()"
            )
        _unprepared(self._trainer)
        with evaluation_mode(bench.model):
            self.methods.settle(bench)
            self.methods.keep_rows(bench.stage)
            self.methods.end_stage(bench)
        bench.model.zero_grad(set_to_none=True)
        self._earlier += cast("tuple[TokenTask, ...]", bench.stage.tasks)
        self.stage += 1
        self._bench = self._dataset = self.rows = None
        self._trained = False
        self._trainer.optimizer = self._trainer.lr_scheduler = None  # anew for the next stage

    def save(self, folder: str | Path) -> None:
        """Write what is remembered, so that another process can go on with the next stage.

        Rows of earlier stages are kept as token ids.

        Args:
            folder: A new or empty folder, or one of an earlier ``save``, which is replaced.

        Raises:
            UsageError: if the folder holds anything else, or the stage was not ended.
        """
        place = Path(folder).resolve()
        if not may_be_replaced(place):
            raise UsageError(
                f"{folder}: holds something else than a saved protection, which save() would "
                "delete",
                fix="name a folder of its own:  trainer.protection.save('protection')",
            )
        if self._bench is not None:
            raise self._not_ended()
        with replace_folder(place) as part:
            self.methods.save(part / METHODS)
            save_stages(part, self._earlier)

    def restore(self, folder: str | Path) -> None:
        """Take back what :meth:`save` wrote.

        Raises:
            UsageError: if the folder does not hold it, or is of other methods.
        """
        folder = Path(folder)
        earlier = load_stages(folder)
        check_methods(folder / METHODS, self.methods)
        self._earlier = earlier
        self.methods.restore(folder / METHODS)
        self.stage = len(self._earlier) + 1

    def save_checkpoint(self, folder: Path) -> None:
        """Write what the methods know in the midst of a stage into a trainer's checkpoint."""
        with replace_folder(folder / STATE) as part:
            self.methods.save(part / METHODS)
            save_stage_number(part, self.stage)

    def resume(self, trainer: Any, checkpoint: Path) -> None:
        """Begin the stage as :meth:`begin` does, and go to where a checkpoint of it was written.

        Raises:
            UsageError: for a checkpoint without protection, broken off, or of another stage.
        """
        stage = stage_of(checkpoint)
        if stage != self.stage:
            raise UsageError(
                f"{checkpoint}: is a checkpoint of stage {stage}, but stage {self.stage} is to be "
                "trained",
                fix="give protect() what was saved after the stage before:  previous=FOLDER"
                if stage > self.stage
                else "give each stage an output_dir of its own, or train from the start",
            )
        known = checkpoint / STATE / METHODS
        check_methods(known, self.methods)
        self.methods.restore(known)  # rehearsed rows are drawn from what is in it
        self.begin(trainer)
        self.methods.restore(known)

    def attach(self, trainer: Any) -> None:
        """Make a trainer's model ready for the methods; done by :func:`protect`.

        Raises:
            UsageError: if the stage before was trained and not ended.
            ModelError: for a model that a method cannot adapt or work with.
        """
        if self._trained:
            raise self._not_ended()
        self._trainer = trainer
        self._bench = None
        self._adapt(self._workbench(trainer))

    def begin(self, trainer: Any) -> None:
        """Before the first step of a stage: draw up its rows and let the methods look ahead.

        Where the stage was begun already, its training goes on.

        Raises:
            UsageError: if the trainer has another dataset by now, and the stage was not ended.
        """
        if self._bench is not None and trainer.train_dataset is self._dataset:
            return
        if self._trained:
            raise self._not_ended()
        if trainer.brings_optimizer and trainer.optimizer is None:
            raise UsageError(
                "the trainer was made with an optimizer, whose state is of the stage before",
                fix="give it another:  trainer.optimizer = ...",
            )
        refuse_rows(trainer, self.methods)
        bench = self._workbench(trainer)
        warn_of_padding(trainer, bench.model, self.methods)
        if self._adapted != self.stage:
            self._adapt(bench)
        pools = self.methods.rehearsal(bench)
        self.rows = _mixed(trainer, bench, pools) if pools or self.methods.needs_logits else None
        bench.steps = _steps(trainer.args, len(self.rows or trainer.train_dataset))
        if any(isinstance(method, LooksAhead) for method in self.methods.methods):
            everything = Examples.concatenated([bench.new, *(pool for _, pool in pools)])
            with evaluation_mode(bench.model):
                self.methods.start_stage(bench, everything)
        self._bench, self._dataset = bench, trainer.train_dataset

    def _adapt(self, bench: Workbench) -> None:
        if self.methods.adapts_model:
            self.methods.adapt(bench)
        else:
            self.methods.refuse_model(bench.model)
        self._adapted = self.stage

    def trained(self) -> None:
        """Take note that a training came to its end."""
        self._trained = True

    def _not_ended(self) -> UsageError:
        return UsageError(
            f"stage {self.stage} was trained and not ended, so nothing would protect it",
            fix="call  trainer.protection.end_stage()  first",
        )

    def _workbench(self, trainer: Any) -> Workbench:
        model = _unprepared(trainer)
        collate, dataset = collator_of(trainer), trainer.train_dataset
        task = stage_task(self.stage, len(dataset), lambda index: taught(collate, dataset[index]))
        stage = Stage(
            number=self.stage,
            name=task.name,
            tasks=(task,),
            earlier=tuple(self._earlier),
            seed=trainer.args.seed,
        )
        reach = Reach.of(model)
        tokenizer = trainer.processing_class
        encoder = TokenEncoder(tokenizer, TrainingConfig(max_length=reach.context), reach)
        return Workbench(stage, model, tokenizer, encoder)


def _steps(args: Any, rows: int) -> int:
    """Optimiser steps of a training, as the Trainer counts them."""
    if args.max_steps > 0:
        return int(args.max_steps)
    batches = rows / (args.train_batch_size * args.world_size)
    batches = math.floor(batches) if args.dataloader_drop_last else math.ceil(batches)
    steps: int = max(1, math.ceil(batches / args.gradient_accumulation_steps))
    return math.ceil(float(args.num_train_epochs) * steps)


def _mixed(trainer: Any, bench: Workbench, pools: list[tuple[float, Examples]]) -> MixedRows:
    """The trainer's rows with rehearsed ones among them."""
    return MixedRows(
        trainer.train_dataset,
        int(bench.new.lengths.sum()) if pools else 0,
        pools,
        items_of(trainer),
        lambda pool, turn: bench.stage.rng(f"rehearsal/{pool}", turn),
    )


def _unprepared(trainer: Any) -> Any:
    """The trainer's model as it was before a training, which prepares it anew.

    Methods look at it in its own precision, and DDP sees what is trained by then.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    if trains_in_parts(trainer, model):
        return model
    if trainer.is_deepspeed_enabled:
        trainer.accelerator.free_memory()  # takes the engine's hooks off the weights
    unprepare(model)
    trainer.model_wrapped = trainer.model
    return model
