"""From a plan to everything a run needs, checked: whatever can be refused is refused here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from forgetless.budgeting.budget import Budget
from forgetless.errors import ModelError, PlanError
from forgetless.evaluation.answers import SCORING
from forgetless.forewarning import few_items, hard_to_rehearse
from forgetless.launching import Sharding, by_engine, refused, sharding_wanted
from forgetless.layout import stage_name
from forgetless.methods.compose import Compose
from forgetless.methods.recipe import resolved_methods
from forgetless.methods.stage import Stage
from forgetless.models.hub import dataset_licence, licence_of, public_name
from forgetless.models.load import pick_device
from forgetless.models.quantized import refuse_quantization
from forgetless.models.source import ModelSource, find_model, weights_hash
from forgetless.pinning import pinned
from forgetless.plan import BUNDLED, HUB, MethodSpec, Plan, TaskConfig, TrainingConfig, hub_dataset
from forgetless.plan.paths import anchored
from forgetless.processes import launched
from forgetless.tasks.bundled import bundled_task
from forgetless.tasks.halves import halves
from forgetless.tasks.task import Task, held_back, load_tasks, tested

# Settings of training that a provider's job heeds.
_OF_A_JOB = {"epochs", "seed", "hold_out_seed"}
# Settings of a task that decide what a test item looks like and how it is scored.
_SCORING = ("name", "score", "normalise", "choose_by", "render", "system", "max_new_tokens")


@dataclass(frozen=True)
class Experiment:
    """A plan made concrete; no model is loaded yet.

    Attributes:
        plan: The plan with every setting of its tasks resolved.
        tasks: All tasks, the trained ones first.
        stages: What is trained when; the untouched model, stage 0, is not among them.
        methods: The composition of the plan's methods.
        source: Where the model is.
        device: Where to compute: ``cpu``, ``cuda`` or ``mps``; empty if a provider computes.
        budget: The plan's budget, one of the methods; None without one.
        sharding: What each process is to hold a part of while a stage is trained.
    """

    plan: Plan
    tasks: tuple[Task, ...]
    stages: tuple[Stage, ...]
    methods: Compose
    source: ModelSource
    device: str
    budget: Budget | None = None
    sharding: Sharding | None = None

    @cached_property
    def weights(self) -> str:
        """Hash of the model's weights."""
        return weights_hash(self.source)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the user should know about the data, and of which task."""
        return tuple(
            f"task {name!r}: {warning}"
            for name, warnings in self._warnings.items()
            for warning in warnings
        )

    @cached_property
    def _warnings(self) -> dict[str, list[str]]:
        """By task, of its data and of what can be made of them; it reads every row."""
        unrehearsed = hard_to_rehearse(self.stages, self.methods)
        found = {
            task.name: [*task.warnings, few_items(task), unrehearsed.get(task.name)]
            for task in self.tasks
        }
        return {name: [text for text in texts if text] for name, texts in found.items()}

    def facts(self) -> dict[str, Any]:
        """What a manifest says of the experiment beside its plan."""
        trained_in = {
            task.name: stage.number for stage in reversed(self.stages) for task in stage.tasks
        }
        return {
            "label": self.methods.label,
            "model": {
                "name": self.plan.model.name,
                "sha256": self.weights,
                "hub": public_name(self.source),
                "revision": self.plan.model.revision,
                "licence": licence_of(self.source, self.plan.model.revision),
                "trust_remote_code": self.plan.model.trust_remote_code,
            },
            "tasks": [
                {
                    "name": task.name,
                    "description": task.description,
                    "unit": task.unit,
                    "scorer": task.config.score,
                    "reading": "acc_norm" if task.config.normalise else task.config.score,
                    "trained_in": trained_in.get(task.name),
                    "train_rows": len(task.train),
                    "test_items": len(task.test),
                    "train_sha256": task.train_hash() if task.trained_in else None,
                    "test_sha256": task.test_hash(),
                    "rendering": task.config.render,
                    "shots": task.config.shots,
                    "warnings": self._warnings[task.name],
                    "licence": licence_of_rows(task.config),
                    "graded": bool(task.levels),
                }
                for task in self.tasks
            ],
        }

    def data_hash(self) -> str:
        """Hash of the model's weights and of all rows and items, whatever is done with them."""
        rows = [(task.train_hash(), task.test_hash()) for task in self.tasks]
        return _digest({"weights": self.weights, "rows": rows})

    def fingerprints(self) -> list[str]:
        """For row 0 and every stage, a hash of all that decides its weights.

        Two runs whose stage has the same fingerprint would train the same weights; methods that do
        not act in a stage (replay in the first) do not enter it.
        """
        training = self.plan.decisive()["training"]
        chain = [_digest({"model": self.plan.model.model_dump(), "weights": self.weights})]
        hosted = self.plan.decisive().get("hosted")
        for stage in self.stages:
            acting = self.methods.acting_in(stage)
            chain.append(
                _digest(
                    {
                        "start": chain[0] if stage.from_base else chain[-1],
                        "number": stage.number,
                        "tasks": [self._learned(task) for task in stage.tasks],
                        "methods": [[method.name, method.identity(stage)] for method in acting],
                        "training": training,
                    }
                    | ({"hosted": hosted} if hosted else {})
                )
            )
        return chain

    def _learned(self, task: Task) -> dict[str, Any]:
        """All of a task that decides what is learned of it."""
        rows = _settings(task, "name", "render", "system") | {"rows": task.train_hash()}
        # A provider's training file has choices as they are asked: by letter, if that is how.
        by_letter = self.plan.hosted is not None and task.config.score == "multiple_choice"
        return rows | {"by_letter": True} if by_letter else rows

    def scoring_fingerprint(self) -> str:
        """A hash of all that decides the scores of given weights."""
        return _digest(
            {
                "tasks": [_asked(task) for task in self.tasks],
                "ask": self.plan.ask,
                **self._asking(),
            }
        )

    def scoring_fingerprints(self) -> dict[str, str]:
        """For each task, a hash of all that decides its scores of given weights."""
        return {task.name: _digest({"task": _asked(task), **self._asking()}) for task in self.tasks}

    def _asking(self) -> dict[str, Any]:
        """What decides scores of any task beside the task itself."""
        training = self.plan.training
        return {
            "batch": training.scoring_batch_size,
            "device": training.device,
            "scoring": SCORING,
        }


def prepare(plan: Plan) -> Experiment:
    """Read the data, make the methods and lay out the stages.

    Raises:
        UsageError: for whatever cannot work, before any model is loaded.
    """
    plan = anchored(plan, Path.cwd())  # what is saved with the results must mean the same later
    for tracker in plan.training.report_to:
        if find_spec(tracker) is None:
            raise PlanError(
                f"training.report_to: {tracker} is not installed", fix=f"pip install {tracker}"
            )
    methods = Compose.from_plan(resolved_methods(plan))  # refuses before the hub is asked
    if sharding := sharding_wanted():
        _refuse_sharding(plan, methods, sharding)
    plan = pinned(plan)
    methods = Compose.from_plan(resolved_methods(plan))
    if plan.hosted is None:
        source = find_model(plan.model)
        refuse_quantization(plan.model, source)
        methods.refuse_quantization(plan.model.quantization)
    else:
        plan, source = _hosted(plan, methods)
    if source.kind == "adapter" and methods.adapts_model:
        raise ModelError(
            f"{source.location}: is an adapter, and {methods.label} would put another on top; "
            "plain peft could not load what the stages save",
            fix="merge it into its base first:  merge_and_unload(), then save_pretrained(FOLDER)",
        )
    tasks = load_tasks(plan)
    plan = plan.model_copy(
        update={
            "sequence": tuple(task.config for task in tasks if task.trained_in is not None),
            "test_only": tuple(task.config for task in tasks if task.trained_in is None),
            "methods": tuple(
                MethodSpec(name=method.name, options=method.config.model_dump(mode="json"))
                for method in methods.methods
            ),
        }
    )
    never_rehearsed, asked = held_back(tasks), tested(tasks)
    budget = None
    if plan.budget is not None:
        guards, tasks = zip(*map(halves, tasks), strict=True)
        named = {task.name: task for task in guards}
        budget = Budget(plan.budget, named, methods.methods)
        methods = Compose([*methods.methods, budget])
    stages = methods.stages(_one_stage_a_task(tasks, never_rehearsed, asked, plan.training.seed))
    # imports torch, so it comes last
    device = pick_device(plan.training.device) if plan.hosted is None else ""
    return Experiment(plan, tasks, tuple(stages), methods, source, device, budget, sharding)


def _refuse_sharding(plan: Plan, methods: Compose, sharding: Sharding) -> None:
    """Say what cannot work where processes share what training takes.

    Raises:
        PlanError: with the reason.
    """
    methods.refuse_sharding(sharding)
    engine = by_engine(sharding)
    if plan.budget is not None:
        reason = Budget.excludes_deepspeed() if engine else Budget.excludes_sharding
        raise refused("budget", sharding, reason)
    if plan.model.quantization is not None:
        reason = (
            "the engine is given whole weights alone"
            if engine
            else "it packs a weight into bytes that are no part of it"
        )
        raise refused(f"model.quantization {plan.model.quantization}", sharding, reason)


def _hosted(plan: Plan, methods: Compose) -> tuple[Plan, ModelSource]:
    """The plan with its provider's address, and the model there.

    Raises:
        UsageError: for what a provider's job has no use for, or cannot do.
    """
    from forgetless.endpoints import EndpointConfig

    assert plan.hosted is not None
    name = plan.model.name
    if launched() > 1:
        raise PlanError(
            f"{name}: a provider trains it, {launched()} processes have nothing to share",
            fix="start it without a launcher",
        )
    for method in methods.methods:
        if method.needs_weights:
            raise PlanError(
                f"methods: {method.name} cannot protect {name}: {method.needs_weights}, which a "
                "provider does not show",
                fix="methods: [replay]  is the protection that works through training rows alone",
            )
    if plan.budget is not None:
        raise PlanError(
            f"budget: it steers training from inside, and {name} is trained by a provider",
            fix="leave budget out; the report and  forgetless audit  say what was lost",
        )
    given, usual = plan.training, TrainingConfig()
    for key in TrainingConfig.model_fields:
        if key not in _OF_A_JOB and getattr(given, key) != getattr(usual, key):
            raise PlanError(
                f"training.{key} has no effect on {name}, which a provider trains",
                fix="leave it out; hosted has batch_size, learning_rate_multiplier and max_length",
            )
    if given.epochs != int(given.epochs):
        raise PlanError(f"training.epochs is {given.epochs:g}, a provider takes whole epochs only")
    endpoint = EndpointConfig.named(name, plan.hosted.base_url)
    hosted = plan.hosted.model_copy(update={"base_url": endpoint.base_url})
    source = ModelSource("endpoint", f"{endpoint.model}@{endpoint.base_url}")
    return plan.model_copy(update={"hosted": hosted}), source


def _one_stage_a_task(
    tasks: Sequence[Task], never_rehearsed: frozenset[bytes], asked: frozenset[bytes], seed: int
) -> list[Stage]:
    trained = [task for task in tasks if task.trained_in is not None]
    return [
        Stage(
            number=number,
            name=stage_name(number, task.name),
            tasks=(task,),
            earlier=tuple(trained[: number - 1]),
            held_back=never_rehearsed,
            tested=asked,
            seed=seed,
        )
        for number, task in enumerate(trained, start=1)
    ]


def _settings(task: Task, *names: str) -> dict[str, Any]:
    """Some settings of a task."""
    return {name: getattr(task.config, name) for name in names}


def _asked(task: Task) -> dict[str, Any]:
    """All of a task that decides its scores."""
    return _settings(task, *_SCORING) | {"items": task.test_hash()}


def licence_of_rows(task: TaskConfig) -> str | None:
    """The licence of a task's training rows: as the plan states it, or else as they bring it."""
    source = task.train or ""
    if task.licence is not None:
        return task.licence
    if source.startswith(BUNDLED):
        return bundled_task(source.removeprefix(BUNDLED)).licence
    if source.startswith(HUB):
        return dataset_licence(*hub_dataset(source))
    return None


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
