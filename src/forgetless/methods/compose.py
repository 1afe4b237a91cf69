"""Several methods as one: phases in a fixed order, combinations that cannot work refused."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from forgetless.errors import PlanError
from forgetless.launching import Sharding, by_engine, refused
from forgetless.methods import METHODS, find_method
from forgetless.methods.base import (
    AdaptsModel,
    AddsLoss,
    ChangesGradient,
    ChangesUpdate,
    KeepsBeside,
    KeepsRows,
    LearnsAtEnd,
    LooksAhead,
    Method,
    MixesData,
    PlansStages,
    PullsWeights,
    SettlesModel,
    State,
    WeighsTokens,
)
from forgetless.methods.batch import Batch
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.sharded import wholes
from forgetless.plan import MethodSpec
from forgetless.storage import replace_folder, write_json

if TYPE_CHECKING:
    import torch

    from forgetless.tasks.examples import Examples

P = TypeVar("P")


class Compose:
    """The methods of a plan, acting together in every phase.

    Args:
        methods: In any order; they are put into the order of ``METHODS``.

    Raises:
        PlanError: if two of them cannot work together.
    """

    def __init__(self, methods: Iterable[Method[Any]] = ()) -> None:
        order = {name: position for position, name in enumerate(METHODS)}
        self.methods = sorted(methods, key=lambda m: order.get(m.name, len(order)))
        names = [method.name for method in self.methods]
        for method in self.methods:
            if names.count(method.name) > 1:
                raise PlanError(f"methods: {method.name} is named twice", fix="name it once")
            for other, reason in method.excludes.items():
                if other in names:
                    raise PlanError(
                        f"methods: {method.name} and {other} cannot be combined: {reason}",
                        fix=f"leave {method.name} or {other} out",
                    )
            for other, reason in method.requires.items():
                if other not in names:
                    raise PlanError(
                        f"methods: {method.name} needs {other}: {reason}",
                        fix=f"add it:  methods: [{', '.join([*names, other])}]",
                    )
        _leave_room([method.rehearsed_share for method in self.methods])
        self._frozen: set[str] = set()  # parameters that the last stage froze

    @classmethod
    def from_plan(cls, specs: Sequence[MethodSpec]) -> Compose:
        """Make the methods that a plan names.

        Raises:
            PlanError: for an unknown method or option, with the nearest valid name, and for methods
                that cannot work together.
        """
        classes = [find_method(spec.name) for spec in specs]
        return cls(method(**spec.options) for method, spec in zip(classes, specs, strict=True))

    @property
    def label(self) -> str:
        """How reports call it, e.g. ``replay + lora``; ``sequential`` for no method at all."""
        return " + ".join(method.name for method in self.methods) or "sequential"

    @property
    def must_train(self) -> bool:
        """Whether any method has to see every stage being trained."""
        names = {method.name for method in self.methods}
        return any(m.must_train or m.must_train_beside & names for m in self.methods)

    def acting_in(self, stage: Stage) -> list[Method[Any]]:
        """Methods without which training this stage would be different."""
        return [method for method in self.methods if method.acts_in(stage)]

    def refuse_quantization(self, quantization: str | None) -> None:
        """Say which methods cannot work on a model whose weights are kept in fewer bits.

        Args:
            quantization: ``model.quantization`` of the plan.

        Raises:
            PlanError: if none puts an adapter on it, or one of them needs the weights as they are.
        """
        if quantization is None:
            return
        if not any(method.puts_adapter_on for method in self.methods):
            names = ", ".join(["lora", *(method.name for method in self.methods)])
            raise PlanError(
                f"model.quantization is {quantization}: such weights cannot be trained, and "
                f"{self.label} trains them",
                fix=f"train an adapter on them:  methods: [{names}]",
            )
        for method in self.methods:
            if reason := method.excludes_quantization.get(quantization):
                raise PlanError(
                    f"methods: {method.name} cannot work with model.quantization {quantization}: "
                    f"{reason}",
                    fix="leave one of them out",
                )

    def refuse_sharding(self, sharding: Sharding) -> None:
        """Say which methods cannot work where processes share what training takes.

        Raises:
            PlanError: for the first of them.
        """
        engine = by_engine(sharding)
        for method in self.methods:
            if reason := method.excludes_deepspeed() if engine else method.excludes_sharding:
                raise refused(f"methods: {method.name}", sharding, reason)

    def stages(self, stages: Sequence[Stage]) -> list[Stage]:
        """Phase *stages*."""
        planned = list(stages)
        for method in self._with(PlansStages):
            planned = method.stages(planned)
        return planned

    @property
    def adapts_model(self) -> bool:
        """Whether any method changes what is trained."""
        return bool(self._with(AdaptsModel))

    def adapt(self, bench: Workbench) -> None:
        """Phase *model*; what is initialised at random depends on the stage's seed alone.

        What the last stage froze is free again, as in a model from disk.

        Raises:
            ModelError: for a model that a method cannot adapt, or cannot work with.
        """
        import torch

        free = set()
        for name, parameter in bench.model.named_parameters():
            if name in self._frozen:
                parameter.requires_grad_(True)
            if parameter.requires_grad:
                free.add(name)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(bench.stage.rng("adapt").integers(2**31)))
            for method in self._with(AdaptsModel):
                method.adapt(bench)
        # An adapter put on here gives the model's own weights other names: they stay frozen.
        self._frozen = {
            name
            for name, parameter in bench.model.named_parameters()
            if name in free and not parameter.requires_grad
        }
        self.refuse_model(bench.model)

    def refuse_model(self, model: Any) -> None:
        """Say which methods cannot work with a model as it is adapted; :meth:`adapt` does so, too.

        Raises:
            ModelError: for the first of them.
        """
        for method in self.methods:
            method.refuse_model(model)

    def rehearsal(self, bench: Workbench) -> list[tuple[float, Examples]]:
        """Phase *data*: pools to draw from, each with its share of the mixture's tokens.

        Raises:
            PlanError: if they leave no room for new rows.
        """
        offered = [rows for method in self._with(MixesData) for rows in method.rehearsal(bench)]
        pools = [
            (rows.ratio, pool)
            for rows in offered
            if rows.ratio > 0 and len(pool := rows.encoded(bench.encoder))
        ]
        _leave_room([ratio for ratio, _ in pools])
        return pools

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        """Phase *start*."""
        for method in self._with(LooksAhead):
            method.start_stage(bench, examples)

    def beside_weights(self) -> list[dict[str, torch.Tensor]]:
        """What methods keep beside the weights, in their own dicts."""
        return [kept for method in self._with(KeepsBeside) for kept in method.beside_weights()]

    @property
    def needs_logits(self) -> bool:
        """Whether any method looks at the logits in the loss."""
        return bool(self._with(WeighsTokens) or self._with(AddsLoss))

    def weigh(self, batch: Batch) -> torch.Tensor | None:
        """Phase *loss*: the product of all token weights, or None where no method weighs."""
        offered = [method.weigh(batch) for method in self._with(WeighsTokens)]
        weights = [weight for weight in offered if weight is not None]
        return math.prod(weights[1:], start=weights[0]) if weights else None

    def loss(self, model: Any, batch: Batch) -> torch.Tensor | None:
        """Phase *loss*: the sum of all terms, or None where no method has one."""
        terms = [method.loss(model, batch) for method in self._with(AddsLoss)]
        return sum(terms[1:], start=terms[0]) if terms else None

    def change_gradient(self, model: Any) -> None:
        """Phase *gradient*."""
        for method in self._with(ChangesGradient):
            method.change_gradient(model)

    def pull(self, model: Any) -> float:
        """Phase *penalty*; the root of the summed squared norms of all pulls."""
        return math.sqrt(math.fsum(method.pull(model) for method in self._with(PullsWeights)))

    def before_step(self, model: Any) -> None:
        """Phase *update*, before the weights move."""
        for method in self._with(ChangesUpdate):
            method.before_step(model)

    def after_step(self, model: Any) -> None:
        """Phase *update*, after the weights have moved."""
        for method in self._with(ChangesUpdate):
            method.after_step(model)

    def settle(self, bench: Workbench) -> None:
        """Phase *end of training*; what only the training needed makes room for the scoring."""
        for method in self._with(SettlesModel):
            method.settle(bench)
        for each in self.methods:
            each.let_go()

    def keep_rows(self, stage: Stage) -> None:
        """Phase *end of stage*, what needs no model."""
        for method in self._with(KeepsRows):
            method.keep_rows(stage)

    @property
    def learns_at_end(self) -> bool:
        """Whether any method learns from the model at the end of a stage."""
        return bool(self._learners())

    def end_stage(self, bench: Workbench) -> None:
        """Phase *end of stage*, what needs the model."""
        for method in self._learners():
            method.end_stage(bench)

    def _learners(self) -> list[LearnsAtEnd]:
        return [m for m in self.methods if isinstance(m, LearnsAtEnd) and m.learns_from_model]

    def _with(self, capability: type[P]) -> list[P]:
        return [method for method in self.methods if isinstance(method, capability)]

    def states(self) -> dict[str, State]:
        """Every method's state by its name, to be written; all processes must ask for it."""
        states = {method.name: method.state() for method in self.methods}
        return {name: State(wholes(state.tensors), state.values) for name, state in states.items()}

    def save(self, folder: Path) -> None:
        """Write every method's state: ``NAME.json``, and ``NAME.safetensors`` for tensors."""
        save_states(folder, self.states())

    def restore(self, folder: Path) -> None:
        """Take back what :meth:`save` wrote."""
        from safetensors.torch import load_file

        for method in self.methods:
            values = json.loads((folder / f"{method.name}.json").read_text(encoding="utf-8"))
            file = folder / f"{method.name}.safetensors"
            read = load_file(file) if file.is_file() else {}
            # In memory of their own: a file's begin anywhere, and matrix products round by where.
            tensors = {name: tensor.clone() for name, tensor in read.items()}
            method.restore(State(tensors, values))


def save_states(folder: Path, states: Mapping[str, State]) -> None:
    """Write what :meth:`Compose.states` gave."""
    from safetensors.torch import save_file

    with replace_folder(folder) as part:
        for name, state in states.items():
            write_json(part / f"{name}.json", state.values)
            if state.tensors:
                tensors = {n: tensor.contiguous() for n, tensor in state.tensors.items()}
                save_file(tensors, part / f"{name}.safetensors")


def _leave_room(ratios: Sequence[float]) -> None:
    """Refuse rehearsal that would take the whole mixture."""
    total = math.fsum(ratios)
    if total >= 1:
        raise PlanError(
            f"methods: the ratios of rehearsal add up to {total:g} and leave no room for new rows",
            fix="lower them",
        )
