"""Distillation: keep the model's predictions close to those it made before the stage.

To the loss is added strength * T^2 * (sum of KL(p || q) over learned positions) / (learned tokens
of the step), where p and q are the softmax of the teacher's and the model's logits over T.  The
factor T^2 keeps gradients the same size whatever T (Hinton et al. 2015, section 2).

The teacher is the model as the stage found it.  No second model is kept: a copy of what is trained
(of the adapter alone, where there is one) takes its place for the teacher's pass, in evaluation
mode.  Or its top-k predictions are cached in one pass before the first step: then the divergence is
over k + 1 bins, the tokens kept and all others together.

At step 0 a copy's divergence and gradient are 0 bit for bit (to rounding where only some rows of a
batch are distilled, since the teacher then sees a smaller batch), a cache's to rounding.  Dropout
is the exception: it changes the model's predictions and not the teacher's.

Source: Li & Hoiem 2016 (arXiv 1606.09282) for distillation from the model before the task; Hinton
et al. 2015 (arXiv 1503.02531) for the temperature.
Differs: every next-token prediction is distilled instead of a head for each old task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from forgetless.errors import ModelError
from forgetless.methods.base import Method, State
from forgetless.methods.batch import IGNORED, Batch
from forgetless.methods.parts.reference import trained_values, with_values
from forgetless.methods.parts.soft_targets import SoftTargets, divergence, summed
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.rows import logits_of_rows
from forgetless.plan import Config
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch


class KLConfig(Config):
    """Options of distillation."""

    strength: float = Field(1.0, ge=0, description="factor of the divergence; 0: none")
    rows: Literal["new", "replayed", "both"] = Field(
        "both", description="which rows are distilled: the stage's own, rehearsed ones, or both"
    )
    temperature: float = Field(
        1.0, gt=0, description="divides the logits of both; above 1, unlikely tokens count more"
    )
    direction: Literal["forward", "reverse"] = Field(
        "forward",
        description="forward: KL(teacher || model), cover all it predicted; reverse: KL(model || "
        "teacher), predict nothing that it did not",
    )
    reference: Literal["previous", "base"] = Field(
        "previous",
        description="the teacher: the model as the stage found it, or as the run found it "
        "(with adapters only)",
    )
    teacher: Literal["auto", "copy", "cached"] = Field(
        "auto",
        description="cached: top-k predictions, from one pass before the stage; copy: of what is "
        "trained, put in place for a pass in every step; auto: the cheaper one",
    )
    top_k: int = Field(32, ge=1, description="tokens whose probability a cached teacher keeps")
    offload: bool = Field(
        False, description="keep a copy in the CPU's memory and move it in for each pass"
    )


class KL(Method[KLConfig]):
    """Pull predictions towards those from before the stage."""

    name = "kl"
    Config = KLConfig
    heeds_emphasis = True

    def __init__(self, config: KLConfig | None = None, /, **options: Any) -> None:
        super().__init__(config, **options)
        self.excludes_sharding = (
            ""
            if self.config.teacher == "cached"
            else "its teacher may be a copy put in place of whole weights; teacher: cached works"
        )
        self._reference: dict[str, torch.Tensor] = {}  # what the teacher has for trained parameters
        self._cached: SoftTargets | None = None

    @property
    def must_train(self) -> bool:
        """The untouched model is seen at the start of the first stage only."""
        return self.config.strength > 0 and self.config.reference == "base"

    def acts_in(self, stage: Stage) -> bool:
        """With any strength; where ``rows`` names rows that a stage does not have, it adds 0."""
        return self.config.strength > 0

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Take the teacher.

        Raises:
            ModelError: if the untouched model is wanted, and training or merging overwrites it.
        """
        import peft

        config = self.config
        if config.strength == 0:
            return
        adapted = isinstance(bench.model, peft.PeftModel)
        names = dict(bench.model.named_parameters()).keys()
        if config.reference == "base" and not (adapted and self._reference.keys() <= names):
            raise ModelError(
                "kl.reference is base, but the base model does not stay as it was",
                fix="train an adapter:  methods: [kl, lora], or set  reference: previous",
            )
        new = len(bench.new)
        start, end = {"new": (0, new), "replayed": (new, None), "both": (0, None)}[config.rows]
        offered = range(len(examples))[start:end]
        cached = config.teacher == "cached"
        if config.teacher == "auto":
            # A copy of a whole model takes its memory, and one of an adapter next to none; a cache
            # pays where its rows are few, for which of them are drawn is not always known.
            cached = not adapted or len(offered) <= 2 * new
        first = self._reference if config.reference == "base" else {}
        self._reference, self._cached = {}, None  # let go of the last stage's teacher
        if config.reference == "base" or not cached:
            now = trained_values(bench.model, "cpu" if config.offload else None)
            self._reference = now | _beside(first, now)
        drawn = offered if bench.drawn is None else bench.drawn.tolist()
        chosen = [index for index in drawn if index in offered]
        if cached and chosen:
            with with_values(bench.model, self._reference):
                self._cached = SoftTargets.of(
                    bench.model, examples, chosen, config.top_k, config.temperature
                )

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """The divergence of the batch's rows; a constant 0 where none is distilled."""
        import torch

        config = self.config
        rows = {
            "new": ~batch.replayed,
            "replayed": batch.replayed,
            "both": torch.ones_like(batch.replayed),
        }[config.rows]
        if config.strength == 0 or not rows.any():
            return torch.zeros((), device=batch.logits.device)
        forward = config.direction == "forward"
        if self._cached is not None:
            total = self._cached.divergence(batch, rows, config.temperature, forward=forward)
        else:
            total = self._from_copy(model, batch, rows, forward=forward)
        return (
            self.emphasis * config.strength * config.temperature**2 * total / batch.learned_tokens
        )

    def _from_copy(
        self, model: Any, batch: Batch, rows: torch.Tensor, *, forward: bool
    ) -> torch.Tensor:
        """The divergence over the whole vocabulary; the teacher sees only the rows that count."""
        learned = (batch.targets != IGNORED) & rows[:, None]
        with with_values(model, self._reference):
            place = batch.ids[rows], batch.mask[rows], batch.positions[rows], batch.columns
            teacher = logits_of_rows(model, *place, learned[rows]).flatten(0, 1)
        theirs = learned[rows].flatten().nonzero().squeeze(-1)
        temperature = self.config.temperature

        def terms(logits: torch.Tensor, part: slice) -> tuple[torch.Tensor, torch.Tensor]:
            wanted = teacher[theirs[part]].float().div_(temperature)
            value, slope = divergence(logits.div_(temperature), wanted, forward=forward)
            return value, slope.div_(temperature)

        return summed(batch.logits, learned, terms)

    def let_go(self) -> None:
        """Drop the teacher, unless it is that of all stages."""
        self._cached = None
        if self.config.reference == "previous":
            self._reference = {}

    def state(self) -> State:
        """The adapters as they were first put on, where the teacher is the untouched model."""
        return State(dict(self._reference) if self.config.reference == "base" else {})

    def restore(self, state: State) -> None:
        """Take them back; any other teacher is the model at the start of the stage."""
        if self.config.reference == "base":
            self._reference = _beside(state.tensors, self._reference)


def _beside(
    values: Mapping[str, torch.Tensor], others: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Values that came from disk, each on the device of the one of its name, if there is one."""
    return {n: value.to(others[n].device) if n in others else value for n, value in values.items()}
