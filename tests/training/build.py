"""Small tasks, stages and training runs for tests, made without files where possible."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from forgetless.launching import Sharding
from forgetless.methods.compose import Compose
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.load import LoadedModel, load_model
from forgetless.models.padding import looks_past_padding
from forgetless.models.reach import ENDLESS, Reach
from forgetless.plan import ModelConfig, TaskConfig, TrainingConfig
from forgetless.tasks.examples import Encoder
from forgetless.tasks.row import Row, Turn
from forgetless.tasks.task import Task, tested
from forgetless.training.report import TrainingReport
from forgetless.training.schedule import Schedule, build_schedule
from forgetless.training.stage import resume_point, train_stage
from tests.tiny import colours

Weights = dict[str, torch.Tensor]


def exchange(identity: object, asked: str, answer: str, **more: Any) -> Row:
    """One question and its answer."""
    return Row(str(identity), (Turn("user", asked),), answer, **more)


def make_task(
    name: str, train: Sequence[Row] = (), test: Sequence[Row] = (), **settings: Any
) -> Task:
    """A task with settled settings; scored by exact match unless said otherwise."""
    number = settings.pop("trained_in", None)
    shots = settings.pop("shots", ())
    settings = {"score": "exact_match", **settings}
    config = TaskConfig(name=name, train=f"{name}.jsonl", **settings)
    if not test:  # every task has a test item, which says whether it asks or is plain text
        asks = bool(train and train[0].prompt)
        test = [exchange("t", f"Test of {name}?", "-") if asks else Row("t", (), f"Test of {name}")]
    return Task(config, tuple(train), tuple(test), shots, number)


def colour_task(name: str, offset: int = 0, count: int = 12, tested: int = 3) -> Task:
    """Questions with one-word answers; the last ones are test items."""
    rows = [
        exchange(f"{name}-{number}", record["prompt"], record["completion"])
        for number, record in enumerate(colours(offset, count + tested))
    ]
    return make_task(name, rows[:count], rows[count:])


def one_stage_a_task(tasks: Sequence[Task], seed: int = 0) -> list[Stage]:
    """The stages of a plain sequence."""
    asked = tested(tasks)
    return [
        Stage(
            number, f"{number}-{task.name}", (task,), tuple(tasks[: number - 1]), asked, asked, seed
        )
        for number, task in enumerate(tasks, start=1)
    ]


def settings(**changes: Any) -> TrainingConfig:
    """Training settings that teach a tiny model something in a few steps."""
    usual: dict[str, Any] = {"steps": 4, "batch_size": 4, "learning_rate": 3e-3, "device": "cpu"}
    return TrainingConfig(**(usual | changes))


def load(folder: Path, **changes: Any) -> LoadedModel:
    """A model folder, loaded as a plan would."""
    return load_model(ModelConfig(name=str(folder), **changes))


@cache
def _original(folder: Path, dtype: str) -> LoadedModel:
    return load(folder, dtype=dtype)


def fresh(folder: Path, dtype: str = "float32") -> LoadedModel:
    """The model of a folder that never changes, to be changed; quicker than :func:`load`."""
    original = _original(folder, dtype)
    return LoadedModel(copy.deepcopy(original.model), original.tokenizer)


def with_added_token(folder: Path, token: str) -> LoadedModel:
    """Another copy, whose tokenizer knows a token that the model has no weights for."""
    loaded = fresh(folder)
    tokenizer = copy.deepcopy(loaded.tokenizer)
    tokenizer.add_tokens([token])
    return LoadedModel(loaded.model, tokenizer)


def with_learned_positions(tokenizer: Any) -> LoadedModel:
    """A tiny model that knows each token's absolute position; rotary models know distances only."""
    from transformers import GPT2Config, GPT2LMHeadModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=len(tokenizer),
                n_embd=32,
                n_layer=1,
                n_head=2,
                n_positions=128,
                bos_token_id=None,
                eos_token_id=tokenizer.eos_token_id,
                initializer_range=0.5,
            )
        )
    return LoadedModel(model.eval(), tokenizer)


@dataclass(frozen=True)
class Trained:
    """A stage after training."""

    model: Any
    schedule: Schedule
    report: TrainingReport
    losses: list[float]


def workbench(loaded: LoadedModel, stage: Stage, config: TrainingConfig | None = None) -> Workbench:
    """A stage and its model, as methods see them."""
    encoder = Encoder(loaded.tokenizer, config or settings())
    return Workbench(stage, loaded.model, loaded.tokenizer, encoder)


def stage_schedule(
    stage: Stage, methods: Compose, tokenizer: Any, config: TrainingConfig, context: int = ENDLESS
) -> Schedule:
    """The rows of a stage in order, where no method needs the model."""
    encoder = Encoder(tokenizer, config, Reach(context))
    return build_schedule(Workbench(stage, None, tokenizer, encoder), methods, config)


def adapt(methods: Compose, model: Any, stage: Stage) -> Any:
    """The model that a stage would train."""
    bench = Workbench(stage, model, None, Encoder(None, settings()))
    methods.adapt(bench)
    return bench.model


def end_stage(methods: Compose, loaded: LoadedModel, stage: Stage) -> None:
    """Let methods learn from a stage, as a run does."""
    methods.keep_rows(stage)
    methods.end_stage(workbench(loaded, stage))


def train(
    loaded: LoadedModel,
    stage: Stage,
    config: TrainingConfig,
    folder: Path,
    methods: Compose | None = None,
    on_step: Callable[[int], None] = lambda _: None,
    sharding: Sharding | None = None,
) -> Trained:
    """Train one stage as a run does; ``loaded.model`` is changed in place."""
    methods = methods or Compose()
    losses: list[float] = []

    def stepped(step: int, steps: int, logs: Mapping[str, float]) -> None:
        losses.append(logs["loss"])
        on_step(step)

    bench = workbench(loaded, stage, config)
    resumed = resume_point(folder, methods)
    methods.adapt(bench)
    schedule = build_schedule(bench, methods, config)
    report = train_stage(
        bench, schedule, methods, config, folder, stepped, resumed, sharding=sharding
    )
    loaded.model = bench.model
    return Trained(loaded.model, schedule, report, losses)


def die_at(step: int | None) -> Callable[[int], None]:
    """For ``on_step``: the process is killed after this step, if any."""

    def stepped(now: int) -> None:
        if now == step:
            raise KeyboardInterrupt

    return stepped


@contextmanager
def forward_passes(model: Any) -> Iterator[list[int]]:
    """Rows of each pass through the model meanwhile, without the trial of how it reads padding."""
    looks_past_padding(model)
    counted: list[int] = []

    def count(_: Any, called: tuple[Any, ...]) -> None:
        counted.append(len(called[0]))

    # Where tokens come in: some versions of peft call the model past its own hooks.
    hook = model.get_input_embeddings().register_forward_pre_hook(count)
    yield counted
    hook.remove()


def weights(model: Any) -> Weights:
    """A copy of every parameter, by name."""
    return {name: tensor.detach().clone() for name, tensor in model.named_parameters()}


def differing(first: Weights, second: Weights) -> list[str]:
    """Names of the parameters that are not the same bit for bit."""
    assert first.keys() == second.keys()
    return [name for name in first if not first[name].equal(second[name])]


def distance(first: Weights, second: Weights, names: Iterable[str] | None = None) -> float:
    """Euclidean distance of two sets of weights over some parameters, or over all."""
    squares = sum(
        float((first[name] - second[name]).double().square().sum()) for name in names or first
    )
    return float(squares**0.5)


def keep_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let models make their table of angles once and keep it, as code from the Hub does."""
    made_anew = LlamaRotaryEmbedding.forward

    def forward(self: Any, states: torch.Tensor, position_ids: torch.Tensor) -> Any:
        if not hasattr(self, "tables"):
            self.tables = made_anew(self, states, torch.arange(256)[None])
        columns = position_ids.shape[1]
        if position_ids.equal(torch.arange(columns)[None]):
            return tuple(table[:, :columns] for table in self.tables)
        return tuple(table[0, position_ids] for table in self.tables)

    monkeypatch.setattr(LlamaRotaryEmbedding, "forward", forward)
