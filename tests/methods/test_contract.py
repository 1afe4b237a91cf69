"""The contract that every method keeps; a new method needs one line in ``CASES``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from forgetless.errors import PlanError
from forgetless.methods import METHODS
from forgetless.methods.base import Method
from forgetless.methods.compose import Compose
from forgetless.models.load import load_model
from forgetless.models.save import save_stage_model
from forgetless.plan import MethodSpec, ModelConfig, TrainingConfig
from forgetless.plan.described import described
from forgetless.plan.sources import METHOD_SOURCES
from tests.methods.probes import PROBES
from tests.training.build import (
    Weights,
    colour_task,
    die_at,
    differing,
    distance,
    end_stage,
    fresh,
    one_stage_a_task,
    settings,
    train,
    weights,
)

TASKS = (colour_task("first", 0), colour_task("second", 1))


def test_options_that_name_a_source_of_rows_are_those_that_a_plan_finds_from_its_folder() -> None:
    found = {
        option.name
        for method in METHODS.values()
        for option in described(method.Config)
        if option.meaning.startswith("source of ")
    }
    assert found == set(METHOD_SOURCES)


@dataclass(frozen=True)
class Case:
    """How a method is put under the contract.

    Attributes:
        on: Options with which it acts.
        off: Options with which it does nothing, if there are any.
        beside: Methods that it cannot do without, with their options.
        other_weights: Whether it trains other parameters than the model's own.
        learns: By how much the loss of a stage falls at least in 12 steps, in nats.
    """

    on: Mapping[str, Any] = field(default_factory=dict)
    off: Mapping[str, Any] | None = None
    beside: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    other_weights: bool = False
    learns: float = 0.3


CASES: dict[str, Case] = {
    "sequential": Case(off={}),
    "joint": Case(),
    "replay": Case(
        on={"ratio": 0.4, "buffer": "balanced", "size": 8, "select": "surprise"}, off={"ratio": 0}
    ),
    "self_replay": Case(on={"ratio": 0.2, "rows": 8, "max_new_tokens": 12}, off={"ratio": 0}),
    "on_policy_replay": Case(on={"ratio": 0.4, "accept": "any"}, off={"ratio": 0}),
    "kl": Case(on={"strength": 0.5}, off={"strength": 0}),
    "der": Case(
        on={"alpha": 5.0, "top_k": 8, "size": 8},
        off={"alpha": 0},
        beside={"replay": {"ratio": 0.4}},
    ),
    "token_weights": Case(on={"kind": "flow"}),
    "ewc": Case(on={"strength": 3}, off={"strength": 0}),
    "l2sp": Case(off={"strength": 0}),
    "si": Case(on={"strength": 10}, off={"strength": 0}),
    "agem": Case(),
    "ogd": Case(on={"rest": "free"}),
    "ema": Case(on={"decay": 0.5}, off={"decay": 0}),
    "sfa": Case(on={"weight": 0.3, "interval": 0.6}, off={"weight": 0}),
    "freeze": Case(on={"share": 0.5}, off={"first": 0}),
    "lora": Case(on={"rank": 4, "dropout": 0.1}, other_weights=True, learns=0.2),
    "olora": Case(on={"rank": 4, "alpha": 32, "dropout": 0.1}, other_weights=True, learns=0.1),
    "osf": Case(on={"share": 0.5}, learns=0.1),
    "merge": Case(on={"alpha": 0.6}, off={"alpha": 1}),
    "anchor": Case(on={"strength": 0.5}, off={"strength": 0}),
    "calm": Case(on={"strength": 0.1}, off={"strength": 0}),
    "project": Case(on={"strength": 1.0}, off={"strength": 0}),
    "slow": Case(on={"strength": 0.5}, off={"strength": 0}),
}
QUIET = {"sequential", "agem"}  # agem acts where gradients disagree: its own tests make them
every_method = pytest.mark.parametrize("name", CASES)
with_an_off = pytest.mark.parametrize(
    "name", [n for n, case in CASES.items() if case.off is not None and not case.beside]
)


def make(name: str, options: Mapping[str, Any] | None = None) -> Compose:
    every = {**METHODS, **PROBES}
    chosen = dict(CASES[name].on if options is None else options)
    beside = [every[other](**given) for other, given in CASES[name].beside.items()]
    return Compose([every[name](**chosen), *beside])


def alone(name: str, methods: Compose) -> Method[Any]:
    """The method under test, without those that it needs beside it."""
    return next(method for method in methods.methods if method.name == name)


@dataclass(frozen=True)
class Taught:
    """Methods that went through all stages, and the weights after each."""

    methods: Compose
    after: list[Weights]


def teach(
    methods: Compose,
    model: Path,
    folder: Path,
    config: TrainingConfig | None = None,
    dtype: str = "float32",
) -> list[Weights]:
    """Train the stages one after another; the weights after each."""
    after = []
    loaded = fresh(model, dtype=dtype)
    for stage in methods.stages(one_stage_a_task(TASKS)):
        train(loaded, stage, config or settings(), folder / stage.name, methods)
        end_stage(methods, loaded, stage)
        after.append(weights(loaded.model))
    return after


@pytest.fixture(scope="module")
def acting(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Taught]:
    """Every method with its options on, taught once."""
    found: dict[str, Taught] = {}

    def get(name: str) -> Taught:
        if name not in found:
            methods = make(name)
            after = teach(methods, tiny_model, tmp_path_factory.mktemp(name))
            found[name] = Taught(methods, after)
        return found[name]

    return get


@pytest.fixture(scope="module")
def plain(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Weights]:
    """Weights after each stage of plain fine-tuning."""
    return teach(Compose(), tiny_model, tmp_path_factory.mktemp("plain"))


def test_every_shipped_method_and_probe_is_under_contract() -> None:
    assert set(CASES) == set(METHODS) | set(PROBES)


@pytest.mark.parametrize(
    "name", [n for n, c in CASES.items() if c.off is not None and n in METHODS]
)
def test_method_that_is_off_needs_no_model_at_the_end_of_a_stage(name: str) -> None:
    assert not make(name, CASES[name].off).learns_at_end


@pytest.mark.parametrize(
    ("name", "options", "times"),
    [
        ("l2sp", {}, 0),
        ("kl", {"teacher": "copy"}, 0),
        ("osf", {}, 0),
        ("ogd", {"capacity": 0.1}, 0.1),  # the bases
        ("ewc", {}, 1),  # the importances
        ("si", {}, 3),  # and the paths, with where they began
        ("sfa", {}, 0),
        ("merge", {}, 0),
        ("ema", {}, 0),
    ],
)
def test_once_the_last_stage_is_trained_only_what_a_next_one_would_need_is_held(
    name: str, options: Mapping[str, Any], times: float, tiny_model: Path, tmp_path: Path
) -> None:
    methods = make(name, options)
    loaded = fresh(tiny_model)
    first, last = one_stage_a_task(TASKS)
    train(loaded, first, settings(steps=1), tmp_path / "first", methods)
    end_stage(methods, loaded, first)
    train(loaded, last, settings(steps=1), tmp_path / "last", methods)
    whole = sum(parameter.nbytes for parameter in loaded.model.parameters())
    assert sum(tensor.nbytes for tensor in tensors_in(vars(alone(name, methods)))) <= times * whole


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """All tensors that a method's attributes hold."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from tensors_in(each)
    elif isinstance(value, tuple | list):
        for each in value:
            yield from tensors_in(each)


@every_method
def test_options_are_frozen(name: str) -> None:
    config = alone(name, make(name)).config
    assert config.model_config["frozen"]
    for option in type(config).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(config, option, getattr(config, option))


@every_method
def test_unknown_option_is_refused_with_the_nearest_one(name: str) -> None:
    options = list({**METHODS, **PROBES}[name].Config.model_fields)
    wrong = options[0][:-1] + "x" if options else "ratio"
    with pytest.raises(PlanError) as caught:
        make(name, {wrong: 1})
    assert caught.value.message == f"methods: {name} has no option {wrong!r}"
    assert caught.value.fix == (f"did you mean {options[0]!r}?" if options else "it has no options")


@every_method
def test_every_option_is_described(name: str) -> None:
    fields = {**METHODS, **PROBES}[name].Config.model_fields
    assert [option for option, info in fields.items() if not info.description] == []


@with_an_off
def test_strength_zero_equals_plain_fine_tuning_bit_for_bit(
    name: str, tiny_model: Path, tmp_path: Path, plain: list[Weights]
) -> None:
    off = teach(make(name, CASES[name].off), tiny_model, tmp_path)
    assert [differing(ours, theirs) for ours, theirs in zip(off, plain, strict=True)] == [[], []]


@pytest.mark.parametrize(
    "name",
    [n for n, case in CASES.items() if n not in QUIET and not case.other_weights],
)
def test_strength_above_zero_does_something(
    name: str,
    acting: Callable[[str], Taught],
    plain: list[Weights],
    tiny_model: Path,
    tmp_path: Path,
) -> None:
    if not CASES[name].beside:
        assert differing(acting(name).after[-1], plain[-1])
        return
    idle = teach(make(name, CASES[name].off), tiny_model, tmp_path)
    assert differing(acting(name).after[-1], idle[-1])


def test_stage_in_which_a_method_says_it_does_not_act_is_plain(
    acting: Callable[[str], Taught], plain: list[Weights]
) -> None:
    """Runs share such stages."""
    idle = []
    for name in CASES:
        methods = make(name)
        first = methods.stages(one_stage_a_task(TASKS))[0]
        if not methods.acting_in(first):
            idle.append(name)
            assert differing(acting(name).after[0], plain[0]) == []
    assert idle == [
        *("sequential", "replay", "on_policy_replay", "der", "ewc", "si", "agem", "ogd")
    ]


@every_method
def test_second_stage_works_and_learns(name: str, tiny_model: Path, tmp_path: Path) -> None:
    methods = make(name)
    loaded = fresh(tiny_model)
    config = settings(steps=12)
    before = weights(loaded.model)
    for stage in methods.stages(one_stage_a_task(TASKS)):
        trained = train(loaded, stage, config, tmp_path / stage.name, methods)
        assert trained.losses[-1] < trained.losses[0] - CASES[name].learns
        end_stage(methods, loaded, stage)
        after = weights(loaded.model)
        assert all(value.isfinite().all() for value in after.values())
        assert after.keys() != before.keys() or differing(after, before)
        before = after


def teach_in_fresh_objects(
    make: Callable[[], Compose], model: Path, folder: Path
) -> Iterator[Weights]:
    """The weights after each stage, each taught from what the one before left on disk."""
    previous: Path | None = None
    for number, stage in enumerate(make().stages(one_stage_a_task(TASKS))):
        methods = make()
        if previous is not None:
            methods.restore(previous / "methods")
        start = None if stage.from_base else previous
        loaded = load_model(ModelConfig(name=str(model)), stage=start)
        train(loaded, stage, settings(), folder / stage.name, methods)
        previous = folder / f"done-{number}"
        previous.mkdir()
        save_stage_model(loaded.model, loaded.tokenizer, previous)
        end_stage(methods, loaded, stage)
        methods.save(previous / "methods")
        yield weights(loaded.model)


@every_method
def test_going_on_from_disk_with_fresh_objects_gives_the_same_trajectory(
    name: str, tiny_model: Path, tmp_path: Path, acting: Callable[[str], Taught]
) -> None:
    found = teach_in_fresh_objects(lambda: make(name), tiny_model, tmp_path)
    for ours, at_once in zip(found, acting(name).after, strict=True):
        assert differing(ours, at_once) == []


@pytest.mark.parametrize(
    "options",
    [
        {"l2sp": {"anchor": "base", "strength": 0.5}, "lora": {"rank": 4, "init": "orthogonal"}},
        {"ogd": {"energy": 0.8}, "kl": {}},
    ],
    ids=" and ".join,
)
def test_so_it_does_where_restored_tensors_are_factors_of_matrix_products(
    options: Mapping[str, Mapping[str, Any]], tiny_model: Path, tmp_path: Path
) -> None:
    """Such a product is rounded by where in memory its factors begin."""
    specs = [MethodSpec(name=name, options=dict(given)) for name, given in options.items()]
    at_once = teach(Compose.from_plan(specs), tiny_model, tmp_path / "at-once")
    found = teach_in_fresh_objects(lambda: Compose.from_plan(specs), tiny_model, tmp_path)
    for ours, theirs in zip(found, at_once, strict=True):
        assert differing(ours, theirs) == []


@every_method
def test_stage_killed_between_checkpoints_ends_as_if_it_had_not_been(
    name: str, tiny_model: Path, tmp_path: Path
) -> None:
    """In its last stage, going on in fresh objects as another process would."""
    config = settings(steps=5, checkpoint_every=2)
    *earlier, last = make(name).stages(one_stage_a_task(TASKS))
    methods = make(name)
    loaded = fresh(tiny_model)
    start = None
    for stage in earlier:
        train(loaded, stage, config, tmp_path / stage.name, methods)
        start = tmp_path / f"done-{stage.number}"
        start.mkdir()
        save_stage_model(loaded.model, loaded.tokenizer, start)
        end_stage(methods, loaded, stage)
        methods.save(start / "methods")
    start = None if last.from_base else start

    def go(folder: Path, kill_at: int | None = None) -> Weights:
        """The weights that the stage leaves, and what the methods then know."""
        again = make(name)
        if start is not None:
            again.restore(start / "methods")
        model = load_model(ModelConfig(name=str(tiny_model)), stage=start)

        train(model, last, config, folder, again, die_at(kill_at))
        end_stage(again, model, last)
        state = alone(name, again).state()
        known = {f"known/{key}": tensor for key, tensor in state.tensors.items()}
        known["known"] = torch.tensor(list(json.dumps(state.values).encode()))
        return weights(model.model) | known

    whole = go(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "killed", kill_at=3)
    assert (tmp_path / "killed" / "checkpoint-2").is_dir()
    assert differing(go(tmp_path / "killed"), whole) == []


@every_method
def test_state_survives_saving_and_restoring(
    name: str, tmp_path: Path, acting: Callable[[str], Taught]
) -> None:
    methods = acting(name).methods
    methods.save(tmp_path / "state")
    again = make(name)
    again.restore(tmp_path / "state")
    kept, found = alone(name, methods).state(), alone(name, again).state()
    assert found.values == kept.values
    assert differing(found.tensors, kept.tensors) == []


@every_method
def test_one_batch_of_8_and_4_of_2_give_the_same_weights(
    name: str, tiny_model: Path, tmp_path: Path
) -> None:
    """To 1% of the way that the weights went: AdamW turns rounding of tiny gradients into steps."""
    options = dict(CASES[name].on)
    options |= {"dropout": 0} if "dropout" in options else {}  # each pass draws its own mask
    whole, parts = (
        teach(make(name, options), tiny_model, tmp_path / str(size),
              settings(batch_size=size, accumulation=8 // size))[-1]
        for size in (8, 2)
    )  # fmt: skip
    start = weights(fresh(tiny_model).model)
    way = distance(whole, start) if whole.keys() == start.keys() else distance_from_zero(whole)
    assert way > 0
    assert distance(whole, parts) < 0.01 * way


def distance_from_zero(found: Weights) -> float:
    adapter = {name: value for name, value in found.items() if "lora_B" in name}
    return distance(adapter, {name: torch.zeros_like(value) for name, value in adapter.items()})


@every_method
def test_dtype_and_device_of_the_weights_are_kept(
    name: str, tiny_model: Path, tmp_path: Path, acting: Callable[[str], Taught]
) -> None:
    halved = teach(make(name), tiny_model, tmp_path, settings(steps=2), "bfloat16")
    for taught, dtype in ((acting(name).after, torch.float32), (halved, torch.bfloat16)):
        found = {
            (value.dtype, value.device)
            for after in taught
            for parameter, value in after.items()
            if not CASES[name].other_weights or "lora_" not in parameter  # peft: float32
        }
        assert found == {(dtype, torch.device("cpu"))}


@pytest.mark.parametrize("names", [["replay", "lora"], ["anchor", "calm", "slow"]])
def test_order_in_the_plan_does_not_matter(
    names: list[str], tiny_model: Path, tmp_path: Path
) -> None:
    found: list[Weights] = []
    for number, order in enumerate((names, names[::-1])):
        specs = [MethodSpec(name=name, options=dict(CASES[name].on)) for name in order]
        found.append(teach(Compose.from_plan(specs), tiny_model, tmp_path / str(number))[-1])
    assert differing(found[0], found[1]) == []
    labels = {
        Compose.from_plan(
            [MethodSpec(name=name, options=dict(CASES[name].on)) for name in order]
        ).label
        for order in permutations(names)
    }
    assert len(labels) == 1
