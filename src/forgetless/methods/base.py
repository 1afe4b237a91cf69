"""The contract of a method: a frozen config, a small stateful object, optional capabilities.

A method subclasses :class:`Method` and implements the protocols of the phases in which it acts;
there is nothing to register but its line in ``METHODS``.  Phases run in a fixed order, whatever the
order in the plan (``forgetless.methods.compose``):

=================  =========================  ==========================================
phase              protocol                   what it may do
=================  =========================  ==========================================
stages             :class:`PlansStages`       change what is trained when
model              :class:`AdaptsModel`       change what is trained: adapters, freezing
data               :class:`MixesData`         mix rows into the stage
start              :class:`LooksAhead`        look at the model and all rows before training
loss               :class:`WeighsTokens`      weigh each learned token's loss
loss               :class:`AddsLoss`          add a term that needs a forward pass
gradient           :class:`ChangesGradient`   change the gradient before it is clipped
penalty            :class:`PullsWeights`      add the gradient of a penalty on the weights
update             :class:`ChangesUpdate`     act just before and after the optimiser's step
end of training    :class:`SettlesModel`      say how the stage leaves the model: merge, average
end of stage       :class:`KeepsRows`         take rows into a buffer
end of stage       :class:`LearnsAtEnd`       learn from the model what must be kept
=================  =========================  ==========================================

Modules of methods import torch inside functions only, so that a plan is checked without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from pydantic import ValidationError

from forgetless.errors import PlanError
from forgetless.plan import Config, Fault, nearest
from forgetless.tasks.examples import Encoder, Examples, TaskRows
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Stage:
    """One step of the sequence.

    Attributes:
        number: From 1; 0 is the untouched model.
        name: Its folder: number and what it trains.
        tasks: What is trained.
        earlier: Tasks trained in earlier stages, oldest first.
        held_back: Hashes (``exchange_hash``) of every task's test items; never to be rehearsed.
        seed: Seed of everything drawn in this stage.
        from_base: Start from the untouched model instead of the previous stage's.
    """

    number: int
    name: str
    tasks: tuple[Task, ...]
    earlier: tuple[Task, ...] = ()
    held_back: frozenset[bytes] = frozenset()
    seed: int = 0
    from_base: bool = False

    def rng(self, purpose: str, turn: int = 0) -> np.random.Generator:
        """An independent stream of random numbers for one purpose (and epoch) of this stage."""
        entropy = [self.seed, self.number, turn, *purpose.encode()]
        return np.random.default_rng(np.random.SeedSequence(entropy))


@dataclass(frozen=True)
class RehearsalRows:
    """Rows that may be mixed into a stage.

    Attributes:
        rows: Each with the task in whose form it is rendered; or examples that are tokens already.
        ratio: Share of the tokens of the final mixture that they are to make up, in [0, 1).
    """

    rows: Sequence[tuple[Task, Row]] | Examples
    ratio: float

    def encoded(self, encoder: Encoder) -> Examples:
        """The rows as tokens; those that are too long are left out or cut as ``encoder`` does."""
        if isinstance(self.rows, Examples):
            return self.rows
        return encoder.encode(self.rows, rehearsal=True)


@dataclass
class Workbench:
    """What lies ready for a method before and after a stage's training.

    Attributes:
        stage: The stage.
        model: The model in evaluation mode, on its device; on torch's ``meta`` device, shapes
            without weights, in a dry run.  A method that puts another in its place says so here.
        tokenizer: Its tokenizer.
        encoder: Tokenises rows as for training.
        steps: Optimiser steps that the stage takes; known from the phase *start* on, 0 before.
    """

    stage: Stage
    model: Any
    tokenizer: Any
    encoder: Encoder
    steps: int = 0

    @cached_property
    def new(self) -> Examples:
        """The stage's own rows, tokenised."""
        return self.encoder.encode(TaskRows.of(self.stage.tasks))

    @property
    def dry(self) -> bool:
        """Whether the model has no weights: nothing can be computed with it."""
        return bool(next(self.model.parameters()).is_meta)

    @property
    def pad_id(self) -> int:
        """Token id used for padding."""
        return int(getattr(self.tokenizer, "pad_token_id", None) or 0)


IGNORED = -100  # the label that transformers leaves out of losses and token counts


@dataclass(frozen=True)
class Batch:
    """What the loss sees of one forward pass.

    Attributes:
        ids: Token ids, shape (batch, length).
        mask: Attention mask, shape (batch, length).
        positions: Position ids, shape (batch, length).
        columns: Columns whose logits were computed, shape (k,).
        logits: Next-token logits at those columns, shape (batch, k, vocabulary); without meaning
            where nothing is learned.
        targets: The token that follows each, ``IGNORED`` where it is not learned, shape (batch, k).
        replayed: Whether each row is rehearsal, shape (batch,).
        keys: ``Encoded.key`` of each row, shape (batch,).
        learned_tokens: Learned tokens in the whole optimiser step; divide a summed term by it.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    columns: torch.Tensor
    logits: torch.Tensor
    targets: torch.Tensor
    replayed: torch.Tensor
    keys: torch.Tensor
    learned_tokens: float

    @cached_property
    def losses(self) -> torch.Tensor:
        """Cross-entropy of each learned token in nats, 0 elsewhere, shape (batch, k).

        Worked out once: take it where the loss needs its gradient, and detach it for weights.
        """
        return self._cross_entropy("none").view_as(self.targets)

    @property
    def summed_loss(self) -> torch.Tensor:
        """The sum of ``losses``, bit for bit as transformers sums it."""
        return self._cross_entropy("sum")

    def _cross_entropy(self, reduction: str) -> torch.Tensor:
        from torch.nn.functional import cross_entropy

        return cross_entropy(
            self.logits.float().flatten(0, 1),
            self.targets.flatten(),
            ignore_index=IGNORED,
            reduction=reduction,
        )


@dataclass
class State:
    """What a method must remember between stages: tensors as safetensors, the rest as JSON."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)

    def part(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors under ``name/``, by the rest of their names."""
        start = f"{name}/"
        return {n.removeprefix(start): t for n, t in self.tensors.items() if n.startswith(start)}


C = TypeVar("C", bound=Config)


class Method(Generic[C]):
    """Base of all methods: ``Replay(ratio=0.1)``, or ``Replay(ReplayConfig(ratio=0.1))``.

    Args:
        config: The options as a config.
        options: The options by name.

    Attributes:
        name: How a plan names it.
        Config: Its options.
        excludes: Methods it cannot be combined with, and why; options may add to them.
        requires: Methods it cannot do without, and why.
        excludes_quantization: Values of a plan's ``model.quantization`` with which it cannot work,
            and why; options may add to them.
        excludes_sharding: Why it cannot work in a run that gives each process a part of the weights
            while they are trained; empty if it can; it may depend on the options.
        puts_adapter_on: Whether it trains an adapter instead of the model's own weights.
        must_train_beside: Methods beside which it has to see every stage being trained.
        only_in_runs: Why it works in ``forgetless run`` alone and not in ``protect``, if so; it
            may depend on the options.
        needs_weights: Why it cannot work where the weights are with a provider; empty if it can;
            it may depend on the options.
        learns_from_model: Whether its ``end_stage``, if it has one, needs to be called; a run does
            not load a model for nothing.
        heeds_emphasis: Whether ``emphasis`` changes anything.
        emphasis: Factor of its strength, set by a plan's budget while it steers; 1 without one.

    Raises:
        PlanError: for an unknown option, with the nearest valid one, or a bad value.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Config]]
    excludes: Mapping[str, str] = {}
    requires: ClassVar[Mapping[str, str]] = {}
    excludes_quantization: Mapping[str, str] = {}
    excludes_sharding: str = "it does not say that it can"
    puts_adapter_on: ClassVar[bool] = False
    must_train_beside: ClassVar[frozenset[str]] = frozenset()
    only_in_runs: str = ""
    needs_weights: str = "it acts on weights, gradients or log-likelihoods"
    learns_from_model: bool = True
    heeds_emphasis: ClassVar[bool] = False
    emphasis: float = 1.0

    def __init__(self, config: C | None = None, /, **options: Any) -> None:
        self.config: C = config if config is not None else self._configured(options)

    @classmethod
    def excludes_deepspeed(cls) -> str:
        """Why it cannot work in a run under DeepSpeed; empty if it can.

        Its phases say so: the engine goes from the backward pass through the step by itself.
        """
        if issubclass(cls, ChangesGradient):
            does = "it changes the gradient"
        elif issubclass(cls, PullsWeights):
            does = "it adds to the gradient"
        elif issubclass(cls, ChangesUpdate):
            does = "it acts before and after the optimiser's step"
        else:
            return ""
        return f"{does}, where DeepSpeed's engine lets nobody in"

    @classmethod
    def _configured(cls, options: Mapping[str, Any]) -> Any:
        try:
            return cls.Config.model_validate(options)
        except ValidationError as error:
            fault, valid = Fault.first(error), list(cls.Config.model_fields)
            if fault.unknown:
                raise PlanError(
                    f"methods: {cls.name} has no option {fault.key!r}",
                    fix=nearest(fault.key, valid) if valid else "it has no options",
                ) from None
            found = f".{fault.key}: found {fault.found!r}" if fault.key else ""
            raise PlanError(f"methods: {cls.name}{found}: {fault.message}") from None

    @property
    def must_train(self) -> bool:
        """Whether it learns from training itself what the trained model does not show.

        A run then trains every stage, and takes none from another run that trained the same.
        """
        return False

    @property
    def rehearsed_share(self) -> float:
        """The most that its rehearsal may make up of a mixture's tokens, in [0, 1)."""
        return float(getattr(self.config, "ratio", 0.0))

    def written_tokens(self, bench: Workbench) -> int:
        """The most tokens that it lets the model write before a stage; for estimates."""
        return 0

    def acts_in(self, stage: Stage) -> bool:
        """Whether training this stage differs from training it without the method."""
        return True

    def identity(self, stage: Stage) -> dict[str, Any]:
        """All that decides what the method does in a stage, beyond the stage and those before.

        It enters the stage's fingerprint: what is not in it must not change the weights.
        """
        return self.config.model_dump(mode="json")

    def state(self) -> State:
        """What must be saved to go on later as if nothing had happened."""
        return State()

    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""


@runtime_checkable
class PlansStages(Protocol):
    """Changes what is trained when."""

    def stages(self, stages: Sequence[Stage]) -> list[Stage]:
        """Replace the stages of the plan's sequence, one task each, by others."""


@runtime_checkable
class AdaptsModel(Protocol):
    """Changes what is trained."""

    def adapt(self, bench: Workbench) -> None:
        """Freeze parts of ``bench.model`` or put adapters on it; called with a seeded torch.

        What was frozen in the stage before is free again.
        In a dry run the model has shapes only.
        """


@runtime_checkable
class MixesData(Protocol):
    """Mixes rows into a stage."""

    def rehearsal(self, bench: Workbench) -> Sequence[RehearsalRows]:
        """Rows to draw from, anew in every epoch; empty where there is nothing to rehearse.

        In a dry run, rows that only the model could give are left out.
        """


@runtime_checkable
class LooksAhead(Protocol):
    """Looks at the model and at all that it will be trained on, before the first step."""

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Take a reference, or scores of examples; never called in a dry run.

        Called again when a killed stage goes on, with the model as it was at its start; what was
        saved with the checkpoint is restored afterwards.
        """


@runtime_checkable
class KeepsBeside(Protocol):
    """Keeps tensors beside the weights while they are trained."""

    def beside_weights(self) -> Sequence[dict[str, torch.Tensor]]:
        """Tensors of the shape of the weight of their name, in the method's own dicts.

        Where each process has a part of the weights, they are replaced by the same part of each.
        """


@runtime_checkable
class WeighsTokens(Protocol):
    """Weighs the loss of each learned token."""

    def weigh(self, batch: Batch) -> torch.Tensor | None:
        """Weights, shape (batch, k), detached; None where all are 1.

        The weights of several methods are multiplied.
        """


@runtime_checkable
class AddsLoss(Protocol):
    """Adds a term to the loss."""

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """A scalar term, already divided by ``batch.learned_tokens`` where it sums over tokens."""


@runtime_checkable
class ChangesGradient(Protocol):
    """Changes the gradient of the whole optimiser step."""

    def change_gradient(self, model: Any) -> None:
        """Edit ``.grad`` in place: accumulated, unscaled, not yet clipped."""


@runtime_checkable
class PullsWeights(Protocol):
    """Adds the gradient of a penalty on the weights.

    Called once per optimiser step, after accumulation and after clipping: the strength does not
    depend on the number of accumulation steps, and a strong pull does not shrink the gradient of
    the data.
    """

    def pull(self, model: Any) -> float:
        """Add the penalty's gradient to ``.grad`` in place.

        Returns:
            The squared norm of what was added; 0 while there is nothing to keep.
        """


@runtime_checkable
class ChangesUpdate(Protocol):
    """Acts around the optimiser's step."""

    def before_step(self, model: Any) -> None:
        """Called with the final gradient, before the weights move."""

    def after_step(self, model: Any) -> None:
        """Called after the weights have moved."""


@runtime_checkable
class SettlesModel(Protocol):
    """Says how a stage leaves the model."""

    def settle(self, bench: Workbench) -> None:
        """Change the trained ``bench.model`` into the one that is saved, scored and built on."""


@runtime_checkable
class KeepsRows(Protocol):
    """Takes rows into a buffer."""

    def keep_rows(self, stage: Stage) -> None:
        """Choose among the stage's rows; needs no model, so that a dry run does it as well."""


@runtime_checkable
class LearnsAtEnd(Protocol):
    """Learns at the end of a stage what must be kept."""

    def end_stage(self, bench: Workbench) -> None:
        """Update the state from the model as the stage left it, and the stage's rows."""
