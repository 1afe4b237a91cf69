"""The Trainer of one stage: head only on learned positions, methods in their phases."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME
from transformers.trainer_callback import PrinterCallback

from forgetless.errors import TrainingFailed
from forgetless.methods.compose import Compose, save_states
from forgetless.methods.parts.passes import forward_pass
from forgetless.methods.parts.pulls import trained_weights
from forgetless.models.quiet import quiet
from forgetless.models.sharded import in_parts, laid_out_like, whole, wholes
from forgetless.processes import count, first_does, gathered
from forgetless.training import zero
from forgetless.training.checkpoints import Checkpoint, drop_older, seal
from forgetless.training.phases import StepPhases, step_loss
from forgetless.training.rows import ScheduledRows, collate
from forgetless.training.schedule import Schedule
from forgetless.training.sharding import restore_in_parts, whole_state

WEIGHTS = "trained.safetensors"

OnStep = Callable[[int, int, Mapping[str, float]], None]


class StageTrainer(StepPhases, Trainer):
    """transformers.Trainer over a fixed schedule, with the methods' phases.

    The loss is the sum of cross-entropies over all learned tokens of the optimiser step, divided by
    their number; terms of methods are added to it.  Pulls on weights are added to the gradient
    after clipping, once per step.

    Args:
        model: The model to train.
        arguments: Trainer settings.
        schedule: What to learn, in order.
        methods: The methods of the plan.
        on_step: Called after every optimiser step with step, steps and what is logged of it.
        spent: Seconds and CPU seconds spent before a kill.
    """

    def __init__(
        self,
        model: Any,
        arguments: TrainingArguments,
        schedule: Schedule,
        methods: Compose,
        on_step: OnStep,
        spent: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        several = count()
        shared = arguments.per_device_train_batch_size * several if several > 1 else 1
        self._rows = ScheduledRows(schedule, shared)
        self._sharded = in_parts(model)
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=self._rows,
            data_collator=collate,
            callbacks=[_TellsOfSteps(on_step)],
        )
        self.add_phases()
        self.remove_callback(PrinterCallback)
        # Our loss is normalised over the whole step, so it must not be divided again.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        self.methods = methods
        self._spent = spent
        self._started = (time.perf_counter(), time.process_time())

    def spent(self) -> tuple[float, float]:
        """Wall and CPU seconds spent on this stage, those before a kill included."""
        now = (time.perf_counter(), time.process_time())
        seconds, cpu_seconds = (
            before + end - start
            for before, start, end in zip(self._spent, self._started, now, strict=True)
        )
        return seconds, cpu_seconds

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(train_dataset if train_dataset is not None else self._rows)

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> torch.Tensor:
        """Summed cross-entropy of the learned tokens over their number in the whole step."""
        assert not return_outputs
        marks = inputs["replayed"], inputs["keys"]
        batch = forward_pass(model, inputs, *marks, num_items_in_batch)
        # DDP takes the mean over processes; the loss is a sum over all their tokens.
        return step_loss(self.methods, self.model, batch) * count()

    def _move_model_to_device(self, model: Any, device: torch.device) -> None:
        if not self._sharded:  # parts are where the whole was
            super()._move_model_to_device(model, device)

    def _wrap_model(self, model: Any, *args: Any, **kwargs: Any) -> Any:
        if self._sharded:  # accelerate would wrap it for DDP; it adds lower precision alone
            model = self.accelerator.prepare_model(model, evaluation_mode=True)
            model._is_accelerate_prepared = True
        return super()._wrap_model(model, *args, **kwargs)

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Any:
        """The optimiser of the weights, or of this process's parts of them."""
        optimizer = super().create_optimizer(*args, **kwargs)
        # DeepSpeed drops groups without parameters; states are the same whoever wrote them
        optimizer.param_groups[:] = [group for group in optimizer.param_groups if group["params"]]
        if self._sharded:
            restore_in_parts(optimizer)
        return optimizer

    def let_go(self) -> None:
        """Free the gradient, the optimiser's state and the rows, once nothing is trained any more.

        A Trainer refers to itself in circles, which would keep what it holds until Python happens
        to look for such; so it is empty afterwards.
        """
        assert self.optimizer is not None
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer.state.clear()
        if self.is_deepspeed_enabled:
            self.accelerator.free_memory()
        vars(self).clear()

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """One forward and backward pass; a loss that is not a number stops before any damage."""
        loss: torch.Tensor = super().training_step(*args, **kwargs)
        value = float(loss)
        if not math.isfinite(value):
            raise self._broken("the loss", value)
        return loss

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = whole(super()._clip_grad_norm(model))
        if not math.isfinite(float(norm)):
            raise self._broken("the gradient norm", float(norm))
        return norm

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """The weights that are trained, by name; all others are as the stage found them."""
        assert output_dir is not None
        weights = trained_weights(self.model)
        trained = wholes({name: weight.detach() for name, weight in weights.items()})
        if self.args.should_save:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            contiguous = {name: tensor.contiguous() for name, tensor in trained.items()}
            save_file(contiguous, Path(output_dir) / WEIGHTS)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        saved = load_file(Path(resume_from_checkpoint) / WEIGHTS)
        with torch.no_grad():
            for name, parameter in trained_weights(self.model).items():
                parameter.copy_(laid_out_like(parameter, saved[name]))

    def _prepare_for_training(self, max_steps: int, rows: Any, resumed: str | None) -> Any:
        ours = resumed if self.is_deepspeed_enabled else None  # the engine would want its own
        if ours is not None:
            self._load_from_checkpoint(ours)  # before the engine copies the weights
        prepared = super()._prepare_for_training(  # type: ignore[no-untyped-call]
            max_steps, rows, None if ours else resumed
        )
        if ours is not None:
            self._load_optimizer_and_scheduler(ours)
            state = torch.load(Path(ours) / OPTIMIZER_NAME, weights_only=True)
            zero.restore_whole_state(self.optimizer, state)
        return prepared

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not (self._sharded or self.is_deepspeed_enabled):
            super()._save_optimizer_and_scheduler(output_dir)
            return
        assert self.optimizer is not None
        assert self.lr_scheduler is not None
        whole = zero.whole_state if self.is_deepspeed_enabled else whole_state
        state = whole(self.optimizer)
        if self.args.should_save:  # as the Trainer does: it goes on with any number of processes
            torch.save(state, Path(output_dir) / OPTIMIZER_NAME)
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        with quiet():
            super()._save_checkpoint(model, trial)
        checkpoint = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
        states = self.methods.states()

        def sealed() -> None:
            save_states(checkpoint / "methods", states)
            seal(Checkpoint(checkpoint, *self.spent()))
            drop_older(checkpoint)

        gathered(None)  # every process has written its part
        first_does(sealed)

    def _broken(self, what: str, value: float) -> TrainingFailed:
        return TrainingFailed(
            f"{what} became {value} at step {self.state.global_step + 1} of "
            f"{self.state.max_steps}; the stages before this one are kept, with their scores",
            fix="lower the learning rate:  --set training.learning_rate="
            f"{self.args.learning_rate / 10:g} --set output=runs/other",
        )


class _TellsOfSteps(TrainerCallback):
    """Hands on what is logged of each step, its loss among it."""

    def __init__(self, on_step: OnStep) -> None:
        self._on_step = on_step

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, control
        logs = kwargs["logs"]
        if "loss" in logs:  # not the summary at the end
            self._on_step(state.global_step, state.max_steps, logs)
