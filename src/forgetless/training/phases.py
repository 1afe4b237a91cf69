"""The phases of the optimiser step, for any trainer built on transformers.Trainer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import Trainer, TrainerCallback

from forgetless.methods.batch import Batch
from forgetless.methods.compose import Compose

if TYPE_CHECKING:
    import torch

    _Base = Trainer
else:
    _Base = object  # it stands before the trainer's own class


def step_loss(methods: Compose, model: Any, batch: Batch) -> torch.Tensor:
    """Cross-entropy of the learned tokens, as methods weigh it, and the terms they add.

    Both are sums over the tokens of the batch, divided by those of the whole optimiser step.  The
    model is that of the trainer, not wrapped for several processes: teachers communicate nothing.
    """
    weights = methods.weigh(batch)
    summed = batch.summed_loss if weights is None else (batch.losses * weights).sum()
    loss = summed / batch.learned_tokens
    term = methods.loss(model, batch)
    return loss if term is None else loss + term


def unprepare(model: Any) -> None:
    """Take off what accelerate put on a model for training: it computes as it does from disk.

    That is autocast around ``forward``, and a mark that would keep it off in the next training.
    accelerate's own unwrapping would leave the mark, and take transformers' decorators off.
    """
    own = vars(model)
    own.pop("_is_accelerate_prepared", None)
    if (original := own.pop("_original_forward", None)) is not None:
        del own["forward"]
        if getattr(original, "__func__", None) is not type(model).forward:
            model.forward = original  # someone else's, put on the model before


class StepPhases(_Base):
    """Mixed into a trainer: gradient, penalty and update phases around the optimiser's step.

    Attributes:
        methods: The methods, acting together.
        pull_norm: Norm of what penalties added to the gradient of the last step.
    """

    methods: Compose
    pull_norm: float = 0.0

    def add_phases(self) -> None:
        """Call once, when the trainer is made."""
        self.add_callback(_AroundTheStep(self))

    def _clip_grad_norm(self, model: Any) -> Any:
        self.methods.change_gradient(self.model)
        return super()._clip_grad_norm(model)  # type: ignore[no-untyped-call]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Log the norm of the pulls beside the loss and the gradient's."""
        if self.pull_norm and "loss" in logs:  # not of an evaluation, nor of the whole training
            logs["pull_norm"] = self.pull_norm
        super().log(logs, *args, **kwargs)


class _AroundTheStep(TrainerCallback):
    """Runs what comes after clipping; without clipping, the gradient phase too."""

    def __init__(self, trainer: StepPhases) -> None:
        self._trainer = trainer

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del state, control, kwargs
        methods, model = self._trainer.methods, self._trainer.model
        if (args.max_grad_norm or 0) <= 0:  # then the Trainer does not call _clip_grad_norm
            methods.change_gradient(model)
        self._trainer.pull_norm = methods.pull(model)
        methods.before_step(model)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        del args, state, control, kwargs
        self._trainer.methods.after_step(self._trainer.model)
