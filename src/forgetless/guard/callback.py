"""Watch what a model forgets while it is trained, and act before it is lost."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from transformers import TrainerCallback

from forgetless.errors import UsageError
from forgetless.guard.asking import ask_tasks
from forgetless.guard.history import Check, as_text, figures, from_state, to_state
from forgetless.guard.judge import column_of, doubts, judge
from forgetless.guard.kept import LastGood
from forgetless.guard.surroundings import (
    log_figures,
    refuse_trainer,
    tokenizer_of,
    trainer_at_work,
)
from forgetless.guard.watched import asked_hash, budgets, watched_tasks
from forgetless.metrics import Cell
from forgetless.models.load import LoadedModel
from forgetless.plan import TaskConfig, check_counts
from forgetless.tasks.given import TaskLike
from forgetless.tasks.task import Task

log = logging.getLogger(__name__)

Action = Literal["log", "stop", "rollback"]

STATE = "forgetless.RetentionGuard"  # not the class's name, by which a Trainer would make another


class RetentionGuard(TrainerCallback):
    """Asks old tasks before, during and after a training, and acts when a budget is broken.

    Row 0 is the model before the first step.  A budget is broken if a task's loss since row 0,
    item by item, is above the budget and not to be explained by chance.  The model is asked as it
    is, without dropout and autocast; a training that is only watched is the same bit for bit.

    Args:
        tasks: Files, ``bundled:NAME``, settings as in a plan, or tasks; every row of a file is a
            test item.
        every: Optimiser steps between two checks; the first step and the last are checked anyway.
        budget: Largest loss accepted on each task: a share, 0.05 for five points, or nats per token
            for tasks scored by likelihood.  By task name: those not named are only watched.
        on_break: ``log`` says so; ``stop`` ends the training; ``rollback`` ends it and puts back
            the trainable weights of the last check within budget.  The optimiser is not rolled
            back.
        limit: Most items asked of each task, drawn at random; None for all.
        certain: A budget is broken only if the interval of the loss lies above 0; False: the loss
            found decides alone.
        level: Confidence level of the intervals of one check, shared out over the tasks judged.
        patience: Checks in a row that must find a budget broken before training is stopped.
        batch_size: Most sequences in one forward pass; the trainer's evaluation batch if None.
        tokenizer: The model's, where the trainer has no ``processing_class``.
        seed: Draws the items.

    Attributes:
        tasks: What is asked.
        on_break: What is done when a budget is broken.
        history: The checks, with every item.
        stopped_at: Step at which training was stopped, if it was.
        rolled_back_to: Step whose weights were put back, if any were; of the attempt before where a
            training was begun anew and had no check within budget since.

    Raises:
        UsageError: for a task that cannot be read or has no test items, and for wrong settings.

    Example:
        >>> guard = RetentionGuard(["medical.jsonl"], on_break="stop")      # doctest: +SKIP
        >>> Trainer(model, args, callbacks=[guard], ...).train()            # doctest: +SKIP
        >>> print(guard.summary())                                          # doctest: +SKIP
    """

    def __init__(
        self,
        tasks: Sequence[TaskLike] | TaskLike,
        every: int = 200,
        *,
        budget: float | Mapping[str, float] = 0.05,
        on_break: Action = "log",
        limit: int | None = 200,
        certain: bool = True,
        level: float = 0.95,
        patience: int = 1,
        batch_size: int | None = None,
        tokenizer: Any = None,
        seed: int = 0,
    ) -> None:
        needed = {"every": every, "patience": patience}
        check_counts("RetentionGuard", needed, {"limit": limit, "batch_size": batch_size})
        if on_break not in get_args(Action):
            raise UsageError(
                f"RetentionGuard: on_break is {on_break!r}",
                fix=f"one of {', '.join(map(repr, get_args(Action)))}",
            )
        if not isinstance(level, float) or not 0.5 < level < 1:
            raise UsageError(f"RetentionGuard: level is {level!r}, needed 0.5 to 1, such as 0.95")
        if isinstance(tasks, Task | TaskConfig | Mapping | str | Path):
            tasks = [tasks]
        self.tasks = watched_tasks(tasks, limit, seed)
        self.history: list[Check] = []
        self.stopped_at: int | None = None
        self.rolled_back_to: int | None = None
        self.on_break = on_break
        self._every, self._patience = int(every), int(patience)
        self._batch_size = batch_size and int(batch_size)
        self._certain, self._tokenizer = certain, tokenizer
        self._budgets = budgets(budget, self.tasks)
        self._level = 1 - (1 - level) / max(1, len(self._budgets))
        self._asked = {task.name: asked_hash(task) for task in self.tasks}
        self._key = f"{STATE}({', '.join(self._asked)})"
        self._good: Check | None = None  # the last within budget
        self._training = ""  # name of this training, in what it leaves on disk
        self._model: Any = None  # of a training that has not come to its end
        self._untold: Check | None = None  # row 0, until callbacks are ready to hear of it

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the tasks whose budget was broken at the last check."""
        return self.history[-1].broken if self.history else ()

    def summary(self) -> str:
        """What was found, as plain text."""
        told = self._doubts() if self.history else []
        if self.stopped_at is not None:
            told.append(f"training was stopped at step {self.stopped_at}")
        if self.rolled_back_to is not None:
            told.append(f"the model has the weights of {self._good_step()} again")
        return as_text(self.history, told)

    def on_init_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Refuse a trainer in which it cannot work, before anything is trained."""
        del args, state, control
        trainer = trainer_at_work()
        tokenizer_of(trainer, self._tokenizer)
        if kwargs.get("model") is not None:  # else model_init makes it later
            refuse_trainer(trainer, kwargs["model"], self.on_break)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask before the first step, or take up what the checkpoint knows."""
        del control, kwargs
        trainer = trainer_at_work()
        model = _bare(trainer)
        refuse_trainer(trainer, model, self.on_break)
        self.stopped_at = self.rolled_back_to = None
        if state.global_step > 0:
            self._resume(state, args)
        elif self._model is model and self.history:
            # begun and not ended, as when a batch was too large: its row 0 is still the first, and
            # its last good weights are still kept, unless it writes elsewhere now
            self.history = self.history[:1]
            self._check_kept(args)
        else:
            self.history = []
            self._training = secrets.token_hex(8)
            self._begin(trainer, model)
        self._untold = self.history[0] if state.global_step == 0 else None
        self._model = model
        self._remember(state)

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Log row 0; before, other callbacks may not have begun."""
        del args, state, control, kwargs
        if self._untold is not None:
            log_figures(trainer_at_work(), figures(self._untold, self.tasks))
            self._untold = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask every so many steps and at the last; stop if a budget is broken."""
        del args, kwargs
        step = state.global_step
        due = step % self._every == 0 or step >= state.max_steps
        if not due or self.history[-1].step == step:
            return
        self._check(trainer_at_work())
        streak = self.history[-self._patience :]
        if (
            self.on_break != "log"
            and len(streak) == self._patience
            and all(check.broken for check in streak)
        ):
            control.should_training_stop = True
            if step < state.max_steps:
                self.stopped_at = step
                log.warning("retention: training is stopped at step %d", step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask the model that came out, and put the last good one back if it is to be."""
        del control, kwargs
        trainer = trainer_at_work()
        other = args.load_best_model_at_end and state.best_model_checkpoint is not None
        if other or self.history[-1].step != state.global_step:
            self._check(trainer)
        if self.on_break == "rollback":
            if self.broken:
                self._roll_back(trainer)
            if args.process_index == 0:
                self._kept(args).prune()
        self._model = None

    def _begin(self, trainer: Any, model: Any) -> None:
        """Row 0: what there is to be lost."""
        cells, seconds = self._ask(trainer)
        first = self._judged(0, cells, seconds)
        self.history.append(first)
        for task in self.tasks:
            cell = cells[task.name]
            if cell.reason is not None:
                raise UsageError(f"RetentionGuard: task {task.name!r}: {cell.reason}")
        for said in self._doubts():
            log.warning("retention: %s", said)
        self._keep(trainer, model, first)

    def _doubts(self) -> list[str]:
        """What no check will see, as far as row 0 shows."""
        first = self.history[0].cells
        budgets = ((task, self._budgets.get(task.name)) for task in self.tasks)
        return [said for task, budget in budgets for said in doubts(task, first[task.name], budget)]

    def _check(self, trainer: Any) -> None:
        """Ask, judge, log and remember."""
        cells, seconds = self._ask(trainer)
        check = self._judged(trainer.state.global_step, cells, seconds)
        self.history.append(check)
        if check.within:
            self._keep(trainer, _bare(trainer), check)
        for name in check.broken:
            log.warning("retention: step %d: %s %s", check.step, name, check.findings[name].reason)
        self._remember(trainer.state)
        log_figures(trainer, figures(check, self.tasks))

    def _ask(self, trainer: Any) -> tuple[dict[str, Cell], float]:
        started = time.perf_counter()
        args = trainer.args
        loaded = LoadedModel(_bare(trainer), tokenizer_of(trainer, self._tokenizer))
        size = self._batch_size or args.per_device_eval_batch_size
        cells = ask_tasks(loaded, self.tasks, size)
        return cells, time.perf_counter() - started

    def _judged(self, step: int, cells: dict[str, Cell], seconds: float) -> Check:
        if step == 0:  # what the others are judged by
            return Check(0, cells, {}, seconds)
        first = self.history[0].cells
        findings = {
            task.name: judge(
                column_of(task.name, task.unit, task.groups),
                first[task.name],
                cells[task.name],
                self._budgets.get(task.name),
                certain=self._certain,
                level=self._level,
            )
            for task in self.tasks
        }
        return Check(step, cells, findings, seconds)

    def _keep(self, trainer: Any, model: Any, check: Check) -> None:
        if self.on_break == "rollback" and trainer.args.process_index == 0:
            self._kept(trainer.args).save(check.step, model, trainer.optimizer)
        self._good = check

    def _check_kept(self, args: Any) -> None:
        """Make sure that the weights to roll back to are where they are looked for."""
        assert self._good is not None
        if self.on_break == "rollback" and args.process_index == 0:
            self._kept(args).check(self._good.step)

    def _roll_back(self, trainer: Any) -> None:
        assert self._good is not None
        self._kept(trainer.args).restore(self._good.step, _bare(trainer), trainer.optimizer)
        self.rolled_back_to = self._good.step
        log.warning("retention: the model has the weights of %s again", self._good_step())
        log_figures(trainer, {"retention/rolled_back_to": float(self._good.step)})

    def _good_step(self) -> str:
        """The step of the last check within budget, told from the same step of this attempt."""
        assert self._good is not None
        before = "" if self._good in self.history else " of the attempt before"
        return f"step {self._good.step}{before}"

    def _kept(self, args: Any) -> LastGood:
        return LastGood(args.output_dir, self._training, STATE)

    def _remember(self, state: Any) -> None:
        """Leave word in the trainer's state, which every checkpoint holds."""
        assert self._good is not None
        state.stateful_callbacks[self._key] = to_state(
            self.history, self._good, self._asked, self._training
        )

    def _resume(self, state: Any, args: Any) -> None:
        """Take up the history of a checkpoint; budgets may be others now, and are judged anew."""
        held = (state.stateful_callbacks or {}).get(self._key)
        if held is None:
            raise UsageError(
                f"the checkpoint of step {state.global_step} was written without a RetentionGuard "
                f"over {', '.join(self._asked)}: how the model scored before training is not known",
                fix="train from the start, or give the trainer the checkpoint as its model",
            )
        for name, asked in self._asked.items():
            if held["asked"][name] != asked:
                raise UsageError(
                    f"RetentionGuard: task {name!r} asks otherwise than before the checkpoint of "
                    f"step {state.global_step}, so scores cannot be compared",
                    fix="use the same items, settings, limit and seed",
                )
        checks, good = from_state(held)
        self.history = []
        for check in checks:
            self.history.append(self._judged(*check))
        self._good, self._training = self._judged(*good), held["training"]
        if self.on_break == "rollback":
            self._refuse_kept_beyond_budget()
        self._check_kept(args)

    def _refuse_kept_beyond_budget(self) -> None:
        """Weights that were kept within another budget may be beyond the one of now."""
        assert self._good is not None
        for finding in self._good.findings.values():
            if not finding.within:
                raise UsageError(
                    f"RetentionGuard: a rollback would go to {self._good_step()}, where task "
                    f"{finding.task!r} is not within its budget: {finding.reason}",
                    fix="resume with the budget of before, or with on_break='stop'",
                )


def _bare(trainer: Any) -> Any:
    """The trainer's model, not wrapped for several processes."""
    return trainer.accelerator.unwrap_model(trainer.model)
