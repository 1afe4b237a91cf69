"""The contract of a method: a frozen config, a small stateful object, optional capabilities.

A method subclasses :class:`Method` and implements the protocols of the phases in which it acts;
there is nothing to register but its line in ``METHODS``.  Phases run in a fixed order, whatever the
order in the plan (``forgetless.methods.compose``):

=================  =========================  ==========================================
phase              protocol                   what it may do
=================  =========================  ==========================================
stages             :class:`PlansStages`       change what is trained when
data               :class:`MixesData`         mix rows into a stage
model              :class:`AdaptsModel`       change what is trained: adapters, freezing
loss               :class:`AddsLoss`          add a term that needs a forward pass
gradient           :class:`ChangesGradient`   change the gradient before it is clipped
penalty            :class:`PullsWeights`      pull weights towards an anchor, declared once
update             :class:`ChangesUpdate`     act just before and after the optimiser's step
end of stage       :class:`LearnsAtEnd`       learn what must be kept
=================  =========================  ==========================================

Modules of methods import torch inside functions only, so that a plan is checked without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np

from forgetless.plan import Config
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
        rows: Each with the task in whose form it is rendered.
        ratio: Share of the tokens of the final mixture that they are to make up, in [0, 1).
    """

    rows: Sequence[tuple[Task, Row]]
    ratio: float


@dataclass(frozen=True)
class Batch:
    """What a loss term sees of one forward pass.

    Attributes:
        ids: Token ids, shape (batch, length).
        mask: Attention mask, shape (batch, length).
        positions: Position ids, shape (batch, length).
        columns: Columns whose logits were computed, shape (k,).
        logits: Next-token logits at those columns, shape (batch, k, vocabulary).
        targets: The token that follows each, -100 where it is not learned, shape (batch, k).
        replayed: Whether each row is rehearsal, shape (batch,).
        learned_tokens: Learned tokens in the whole optimiser step; divide a summed term by it.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    columns: torch.Tensor
    logits: torch.Tensor
    targets: torch.Tensor
    replayed: torch.Tensor
    learned_tokens: float


@dataclass(frozen=True)
class Pull:
    """A quadratic pull of weights, sum over parameters of strength/2 * importance * drift^2.

    The trainer adds its gradient, strength * importance * (weight - anchor), once per optimiser
    step, after accumulation and after clipping: the strength does not depend on the number of
    accumulation steps, and a strong pull does not shrink the gradient of the data.

    Attributes:
        strength: Factor before the sum, >= 0.
        anchors: Parameter name to the value it is pulled to.
        importances: Parameter name to its importance, >= 0; absent means 1.
    """

    strength: float
    anchors: Mapping[str, torch.Tensor]
    importances: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass
class State:
    """What a method must remember between stages: tensors as safetensors, the rest as JSON."""

    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


C = TypeVar("C", bound=Config)


class Method(Generic[C]):
    """Base of all methods.

    Attributes:
        name: How a plan names it.
        Config: Its options.
        excludes: Methods it cannot be combined with, and why.
    """

    name: ClassVar[str]
    Config: ClassVar[type[Config]]
    excludes: ClassVar[Mapping[str, str]] = {}

    def __init__(self, config: C) -> None:
        self.config: C = config

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

    def adapt(self, model: Any, stage: Stage) -> Any:
        """The model to train in this stage, e.g. with an adapter; called with a seeded torch."""


@runtime_checkable
class MixesData(Protocol):
    """Mixes rows into a stage."""

    def rehearsal(self, stage: Stage) -> Sequence[RehearsalRows]:
        """Rows to draw from, anew in every epoch; empty where there is nothing to rehearse."""


@runtime_checkable
class AddsLoss(Protocol):
    """Adds a term to the loss."""

    def loss(self, model: Any, batch: Batch) -> torch.Tensor:
        """A scalar term, already divided by ``batch.learned_tokens`` where it sums over tokens."""


@runtime_checkable
class PullsWeights(Protocol):
    """Pulls weights towards an anchor."""

    def pull(self) -> Pull | None:
        """The pull of this stage, or None while there is nothing to keep."""


@runtime_checkable
class ChangesGradient(Protocol):
    """Changes the gradient of the whole optimiser step."""

    def change_gradient(self, model: Any) -> None:
        """Edit ``.grad`` in place: accumulated, unscaled, not yet clipped."""


@runtime_checkable
class ChangesUpdate(Protocol):
    """Acts around the optimiser's step."""

    def before_step(self, model: Any) -> None:
        """Called with the final gradient, before the weights move."""

    def after_step(self, model: Any) -> None:
        """Called after the weights have moved."""


@runtime_checkable
class LearnsAtEnd(Protocol):
    """Learns at the end of a stage what must be kept."""

    def end_stage(self, model: Any, tokenizer: Any, stage: Stage) -> None:
        """Update the state from the trained model and the stage's rows."""
