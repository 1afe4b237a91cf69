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

What it keeps of the weights' size while a stage is trained it gives out as ``KeepsBeside``, so
that it is divided among processes as the weights are.

Modules of methods import torch inside functions only, so that a plan is checked without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeVar, runtime_checkable

from pydantic import ValidationError

from forgetless.errors import PlanError
from forgetless.methods.batch import Batch
from forgetless.methods.stage import RehearsalRows, Stage, Workbench
from forgetless.plan import Config, Fault, nearest
from forgetless.tasks.examples import Examples

if TYPE_CHECKING:
    import torch


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
        needs_last_step: Why a training must end with the weights of its last step, and not with the
            best or the last good ones put back; empty if it need not.
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
    needs_last_step: ClassVar[str] = ""
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

    def refuse_model(self, model: Any) -> None:
        """Look whether it can work with a model as all methods have adapted it, in any stage.

        Called before anything is trained; in a dry run the model has shapes only.

        Raises:
            ModelError: if it cannot.
        """

    def let_go(self) -> None:
        """Drop what only the training of the stage needed; called once the model is settled."""

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
