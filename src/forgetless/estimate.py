"""What a plan will take, before any model is loaded: rows, tokens, steps, time and memory.

Tokens are counted exactly, with the model's tokenizer and the very schedule that would be trained.
Time and memory are estimates: 6 floating-point operations per parameter and token for training
(Kaplan et al. 2020, arXiv 2001.08361, section 2.1), 2 for reading or writing one, at the speed of a
matrix product measured here.  Writing, which waits for memory, takes longer on most devices.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from forgetless.evaluation.scorer import asked_tokens, unscorable
from forgetless.methods.base import MixesData
from forgetless.methods.stage import Workbench
from forgetless.models.load import load_tokenizer, model_skeleton
from forgetless.models.quantized import weight_bytes
from forgetless.models.reach import Reach
from forgetless.plan import Plan
from forgetless.preparation import Experiment, prepare
from forgetless.tasks.examples import Encoder

if TYPE_CHECKING:
    from forgetless.training.schedule import Schedule

EFFICIENCY = 0.5  # share of the speed of a large matrix product that training usually reaches


@dataclass(frozen=True)
class StageEstimate:
    """One stage: rows and tokens exactly, the rest by estimate.

    Attributes:
        name: Of its folder.
        rows: Rows trained on.
        tokens: Tokens trained on, without those that the model has yet to write.
        replayed_tokens: Of them those of earlier tasks.
        steps: Optimiser steps, without those for rows that the model has yet to write.
        written_tokens: The most that methods let the model write before the stage.
        own_tokens: Trained tokens that will be of what it wrote.
        asked_tokens: The most that guard items of a budget take, in a stage whose end is within
            it; one that has to go back asks up to twenty times more.
        seconds: Of training, on ``tokens`` and ``own_tokens``.
        other_seconds: Of writing and asking.
    """

    name: str
    rows: int
    tokens: int
    replayed_tokens: int
    steps: int
    written_tokens: int
    own_tokens: int
    asked_tokens: int
    seconds: float
    other_seconds: float


@dataclass(frozen=True)
class TaskCount:
    """One task: rows to train on, items to test, how they are scored and rendered."""

    name: str
    train_rows: int
    test_items: int
    score: str
    rendering: str


@dataclass(frozen=True)
class Estimate:
    """What a plan will take.

    Attributes:
        method: The composition of methods.
        parameters: Parameters of the model.
        trainable: Parameters that are trained.
        device: Where it would be computed.
        tasks: Rows and items of each task.
        stages: Tokens and time of each stage.
        memory_gb: Weights, gradients and optimiser state, in 10^9 bytes; activations come on top.
        warnings: What the user should know about the data.
    """

    method: str
    parameters: int
    trainable: int
    device: str
    tasks: tuple[TaskCount, ...]
    stages: tuple[StageEstimate, ...]
    memory_gb: float
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def estimate(plan: Plan) -> Estimate:
    """Validate a plan as a whole and work out what it will take.

    Raises:
        UsageError: for whatever would stop the run before it starts.
    """
    from forgetless.training.schedule import build_schedule

    experiment = prepare(plan)
    tokenizer = load_tokenizer(experiment.plan.model)
    skeleton = model_skeleton(experiment.plan.model)
    methods, config = experiment.methods, experiment.plan.training
    parameters = sum(parameter.numel() for parameter in skeleton.parameters())
    reach = Reach.of(skeleton)
    device = experiment.device
    speed = _flops_per_second(device, config.in_bfloat16(device)) * EFFICIENCY
    weights = weight_bytes(skeleton, experiment.plan.model)
    stages = []
    trainable = parameters
    for stage in experiment.stages:
        bench = Workbench(stage, skeleton, tokenizer, Encoder(tokenizer, config, reach))
        methods.adapt(bench)
        skeleton = bench.model
        for method in methods.acting_in(stage):
            method.identity(stage)  # reads sources of rows that nothing else here looks at
        schedule = build_schedule(bench, methods, config)
        trainable = sum(p.numel() for p in skeleton.parameters() if p.requires_grad)
        written = sum(method.written_tokens(bench) for method in methods.methods)
        own = _own_tokens(experiment, bench, schedule) if written else 0
        asked = sum(
            times * asked_tokens(task, tokenizer, reach)
            for task, times in (experiment.budget.questions(stage) if experiment.budget else ())
        )
        operations = (4 * parameters + 2 * trainable) * (schedule.tokens + own)
        stages.append(
            StageEstimate(
                stage.name,
                len(schedule),
                schedule.tokens,
                schedule.replayed_tokens,
                math.ceil(len(schedule) / config.rows_per_step),
                written,
                own,
                asked,
                operations / speed,
                2 * parameters * (written + asked) / speed,
            )
        )
        methods.keep_rows(stage)
    return Estimate(
        method=methods.label,
        parameters=parameters,
        trainable=trainable,
        device=device,
        tasks=tuple(
            TaskCount(
                task.name,
                len(task.train),
                len(task.test),
                task.config.score,
                task.style(tokenizer),
            )
            for task in experiment.tasks
        ),
        stages=tuple(stages),
        memory_gb=(weights + 12 * trainable) / 1e9,
        warnings=(*experiment.warnings, *_unscorable(experiment, tokenizer, reach)),
    )


def _own_tokens(experiment: Experiment, bench: Workbench, schedule: Schedule) -> int:
    """Tokens of the rows that the model has yet to write, in the mixture that will be trained."""
    config = experiment.plan.training
    if config.equal_tokens or config.steps is not None:
        return 0  # they take the place of others
    acting = experiment.methods.acting_in(bench.stage)
    share = sum(method.rehearsed_share for method in acting if isinstance(method, MixesData))
    whole = (schedule.tokens - schedule.replayed_tokens) / (1 - share)
    return max(0, round(whole) - schedule.tokens)


def _unscorable(experiment: Experiment, tokenizer: Any, reach: Reach) -> list[str]:
    """One warning for each task that has items which could not be scored."""
    warnings = []
    for task in experiment.tasks:
        failed = unscorable(task, tokenizer, reach)
        if failed:
            warnings.append(
                f"{len(failed)} of {len(task.test)} test items of {task.name!r} cannot be scored; "
                f"the first is {failed[0].item!r}: {failed[0].error}"
            )
    return warnings


def _flops_per_second(device: str, half: bool) -> float:
    """Speed of a matrix product on the plan's device, measured in a tenth of a second."""
    import torch

    size = 768 if device == "cpu" else 4096
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16 if half else torch.float32)

    def product() -> None:
        torch.trace(a @ a).item()  # waits until it is done

    product()
    rounds, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < 0.1:
        product()
        rounds += 1
    return rounds * 2 * size**3 / (time.perf_counter() - begun)
