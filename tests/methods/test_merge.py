from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft.utils import merge_utils

from forgetless import run
from forgetless.errors import DataError, ModelError, PlanError
from forgetless.methods import merge as module
from forgetless.methods.base import Method, State
from forgetless.methods.compose import Compose
from forgetless.methods.joint import Joint
from forgetless.methods.lora import LoRA
from forgetless.methods.merge import Merge
from forgetless.methods.ogd import OGD
from forgetless.methods.osf import OSF
from forgetless.methods.parts.between import GRID
from forgetless.methods.stage import Stage, Workbench
from forgetless.models.load import LoadedModel, load_model
from forgetless.models.save import save_stage_model
from forgetless.plan import ModelConfig, make_plan
from forgetless.preparation import prepare
from forgetless.tasks.examples import Examples
from forgetless.tasks.source import read_source
from forgetless.tasks.task import Task
from tests.tiny import colours, write_rows
from tests.training.build import (
    Weights,
    colour_task,
    die_at,
    differing,
    end_stage,
    exchange,
    fresh,
    make_task,
    one_stage_a_task,
    settings,
    train,
    weights,
    workbench,
)

TASKS = (colour_task("first", 0), colour_task("second", 1))
FIRST, SECOND = one_stage_a_task(TASKS)
NOTHING = Examples.of([], [])
RATE = settings(steps=8, learning_rate=2e-2)  # the second task costs the first one something


class Watch(Method[Any]):
    """Writes down the weights at the start of each stage and just before it settles."""

    name = "ema"  # so that it stands before the merge
    Config = Merge.Config

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Weights] = []
        self.after: list[Weights] = []

    def start_stage(self, bench: Workbench, examples: Examples) -> None:
        self.before.append(weights(bench.model))

    def settle(self, bench: Workbench) -> None:
        self.after.append(weights(bench.model))


def taught(model: Path, folder: Path, *methods: Method[Any]) -> tuple[Watch, list[Weights]]:
    """The weights around each stage, and those that each left."""
    watch = Watch()
    composed = Compose([watch, *methods])
    loaded = fresh(model)
    left = []
    for stage in composed.stages([FIRST, SECOND]):
        train(loaded, stage, settings(), folder / stage.name, composed)
        end_stage(composed, loaded, stage)
        left.append(weights(loaded.model))
    return watch, left


def test_linear_is_the_weighted_mean_of_the_models_before_and_after_each_stage(
    tiny_model: Path, tmp_path: Path
) -> None:
    merge = Merge(alpha=0.3)
    watch, left = taught(tiny_model, tmp_path, merge)
    assert merge._before == {}  # let go when the stage ended
    assert differing(watch.before[0], weights(fresh(tiny_model).model)) == []
    assert differing(watch.before[1], left[0]) == []
    for before, after, found in zip(watch.before, watch.after, left, strict=True):
        assert len(differing(before, after)) == len(before)
        for name, value in found.items():
            expected = 0.7 * before[name].double() + 0.3 * after[name].double()
            torch.testing.assert_close(value.double(), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("methods", [[], [LoRA(rank=4)]])
def test_ends_are_the_models_bit_for_bit(
    methods: list[Method[Any]], tiny_model: Path, tmp_path: Path
) -> None:
    for alpha in (0, 1):
        folder = tmp_path / str(alpha)
        watch, left = taught(tiny_model, folder, *methods, Merge(alpha=alpha))
        end = watch.after if alpha else watch.before
        assert [differing(ours, theirs) for ours, theirs in zip(left, end, strict=True)] == [[], []]


def test_kept_as_it_is_the_stage_is_plain() -> None:
    assert not Merge(alpha=1).acts_in(FIRST)
    for options in ({}, {"alpha": "search"}, {"alpha": 1, "how": "ties"}):
        assert Merge(**options).acts_in(FIRST)


@pytest.mark.parametrize("how", ["ties", "dare_linear", "dare_ties"])
def test_alpha_zero_is_the_model_before_whatever_is_merged(
    how: str, tiny_model: Path, tmp_path: Path
) -> None:
    watch, left = taught(tiny_model, tmp_path, Merge(alpha=0, how=how))
    assert [differing(a, b) for a, b in zip(left, watch.before, strict=True)] == [[], []]


def test_adapter_is_merged_as_the_whole_weights_would_be(tiny_model: Path, tmp_path: Path) -> None:
    """In the first stage exactly, later by the nearest adapter of its rank."""
    watch, left = taught(tiny_model, tmp_path, LoRA(rank=4, alpha=8), Merge(alpha=0.4))
    modules = [name.removesuffix(".lora_A.default.weight") for name in left[0] if "lora_A" in name]
    assert modules
    for stage, (before, after, found) in enumerate(
        zip(watch.before, watch.after, left, strict=True)
    ):
        for name in modules:
            base = before[f"{name}.base_layer.weight"]
            assert base.equal(found[f"{name}.base_layer.weight"])
            start, end, merged = (
                base + 2.0 * w[f"{name}.lora_B.default.weight"] @ w[f"{name}.lora_A.default.weight"]
                for w in (before, after, found)
            )
            whole = 0.6 * start + 0.4 * end
            if stage == 1:
                u, s, v = torch.linalg.svd(whole - base)
                assert s[4] > 1e-5  # something is cut off
                whole = base + u[:, :4] * s[:4] @ v[:4]
            torch.testing.assert_close(merged, whole, rtol=1e-4, atol=1e-6)


def test_every_stage_from_the_untouched_model_is_merged_with_it(
    tiny_model: Path, tmp_path: Path
) -> None:
    watch = Watch()
    merge = Merge(alpha=0.5, how="ties")
    methods = Compose([watch, Joint(cumulative=True), merge])
    start = weights(fresh(tiny_model).model)
    for stage in methods.stages([FIRST, SECOND]):
        train(fresh(tiny_model), stage, settings(steps=1), tmp_path / stage.name, methods)
        assert differing(watch.before[-1], start) == []
        assert differing(merge.state().tensors, start) == []


class One(torch.nn.Module):
    """A model of one weight."""

    def __init__(self, values: list[float]) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(values))


def merged(merge: Merge, stage: Stage, before: list[float], after: list[float]) -> torch.Tensor:
    """The weight that a stage leaves."""
    model = One(before)
    bench = Workbench(stage, model, None, None)  # type: ignore[arg-type]
    merge.start_stage(bench, NOTHING)
    with torch.no_grad():
        model.w.copy_(torch.tensor(after))
    merge.settle(bench)
    return model.w.detach()


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [(1, [1, -1, -0.2, 0, -1.5, 3]), (0.5, [1, -1, 0, 0, -0.5, 3])],
)
def test_ties_trims_the_new_change_and_drops_what_the_old_overrules(
    alpha: float, expected: list[float]
) -> None:
    """Changes .1 .5 -.4 .3 -2 -.05: the second, third and fifth are the largest; 1 overrules .5."""
    merge = Merge(alpha=alpha, how="ties", density=0.5)
    merge.restore(State({"w": torch.zeros(6)}))
    found = merged(merge, SECOND, [1, -1, 0.2, 0, 0.5, 3], [1.1, -0.5, -0.2, 0.3, -1.5, 2.95])
    torch.testing.assert_close(found, torch.tensor(expected))


def test_old_change_is_counted_from_the_untouched_model_over_all_stages() -> None:
    """0 to 3, then 3 to 2: overruled by the +3; from 3 alone -1 would stand."""
    merge = Merge(alpha=1, how="ties", density=1)
    assert merged(merge, FIRST, [0.0, 0.0], [3.0, 1.0]).tolist() == [3, 1]
    assert merged(merge, SECOND, [3.0, 1.0], [2.0, -1.0]).tolist() == [3, -1]
    assert merge.state().tensors["w"].tolist() == [0, 0]


def test_weight_that_is_first_trained_later_has_no_old_change() -> None:
    merge = Merge(alpha=1, how="ties", density=1)
    merge.restore(State({"other": torch.zeros(1)}))
    assert merged(merge, SECOND, [3.0], [2.0]).tolist() == [2]


def test_first_stage_is_as_in_peft() -> None:
    before, after = torch.randn(60), torch.randn(60)
    change = [after - before]
    seed = int(FIRST.rng("merge").integers(2**31))
    for how in ("ties", "dare_linear", "dare_ties"):
        found = merged(Merge(alpha=1, how=how, density=0.3), FIRST, before.tolist(), after.tolist())
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            expected = getattr(merge_utils, how)(change, torch.ones(1), 0.3)
        torch.testing.assert_close(found, before + expected)
        assert not found.equal(after)


def test_dare_drops_at_random_and_keeps_the_sum() -> None:
    size = 20_000
    found = merged(
        Merge(alpha=1, how="dare_linear", density=0.25), FIRST, [0.0] * size, [1.0] * size
    )
    assert set(found.tolist()) == {0.0, 4.0}
    assert found.mean().item() == pytest.approx(1, abs=0.05)


def test_dare_ties_drops_what_is_overruled_of_that() -> None:
    merge = Merge(alpha=1, how="dare_ties", density=0.5)
    merge.restore(State({"w": torch.zeros(100)}))
    found = merged(merge, SECOND, [1.5] * 100, [1.0] * 50 + [0.5] * 50)
    assert set(found[:50].tolist()) == {1.5}  # -1 against 1.5
    assert set(found[50:].tolist()) == {1.5, -0.5}  # -2 against 1.5


def test_drop_depends_on_the_stage_and_its_seed_alone() -> None:
    def found(stage: Stage) -> list[float]:
        torch.rand(3)
        return merged(Merge(how="dare_linear"), stage, [0.0] * 50, [1.0] * 50).tolist()

    first = found(FIRST)
    assert found(FIRST) == first
    assert found(SECOND) != first
    assert found(one_stage_a_task(TASKS, seed=1)[0]) != first
    torch.manual_seed(0)
    state = torch.get_rng_state()
    merged(Merge(how="dare_linear"), FIRST, [0.0] * 50, [1.0] * 50)
    assert torch.get_rng_state().equal(state)


def test_thinned_changes_are_refused_where_only_some_changes_may_be(
    tiny_model: Path, tmp_path: Path
) -> None:
    for other in (LoRA(), OSF(), OGD()):
        with pytest.raises(PlanError, match=f"{other.name} cannot be combined: dare_ties keeps"):
            Compose([other, Merge(how="dare_ties")])
        Compose([other, Merge(how="linear")])
    loaded = fresh(tiny_model)
    train(loaded, FIRST, settings(steps=1), tmp_path / "lora", Compose([LoRA()]))
    with pytest.raises(ModelError, match="the model has an adapter, and ties gives") as caught:
        train(loaded, SECOND, settings(), tmp_path / "ties", Compose([Merge(how="ties")]))
    assert caught.value.fix == "merge: {how: linear}"


@pytest.mark.parametrize("alpha", [-0.1, 1.5, "much", "0.5", None])
def test_alpha_is_a_share_or_a_search(alpha: Any) -> None:
    with pytest.raises(PlanError) as caught:
        Merge(alpha=alpha)
    assert caught.value.message == (
        f"methods: merge.alpha: found {alpha!r}: input should be a number from 0 to 1, or search"
    )


def test_only_a_search_is_for_runs_alone() -> None:
    assert Merge(alpha=0.5).only_in_runs == ""
    assert "withholds rows" in Merge(alpha="search").only_in_runs


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": "search"},
        {"how": "ties"},
        {"how": "dare_linear"},
        {"alpha": "search", "how": "dare_ties"},
    ],
)
def test_killed_and_gone_on_from_disk_it_leaves_the_same(
    options: dict[str, Any], tiny_model: Path, tmp_path: Path
) -> None:
    config = settings(steps=5, checkpoint_every=2)

    def go(folder: Path, kill_at: int | None = None) -> tuple[Weights, State]:
        """The second stage in fresh objects."""
        merge = Merge(**options)
        methods = Compose([merge])
        _, second = methods.stages([FIRST, SECOND])
        methods.restore(start / "methods")
        loaded = load_model(ModelConfig(name=str(tiny_model)), stage=start)

        train(loaded, second, config, folder, methods, die_at(kill_at))
        return weights(loaded.model), merge.state()

    methods = Compose([Merge(**options)])
    loaded = fresh(tiny_model)
    stages = methods.stages([FIRST, SECOND])
    start = tmp_path / "done"
    start.mkdir()
    train(loaded, stages[0], config, tmp_path / "first", methods)
    save_stage_model(loaded.model, loaded.tokenizer, start)
    methods.save(start / "methods")
    train(loaded, stages[1], config, tmp_path / "at-once", methods)
    at_once = weights(loaded.model)

    whole, state = go(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        go(tmp_path / "killed", kill_at=3)
    again, again_state = go(tmp_path / "killed")
    assert differing(whole, at_once) == differing(again, at_once) == []
    assert again_state.values == state.values == methods.methods[0].state().values
    assert differing(again_state.tensors, state.tensors) == []


# The search


def searched(
    model: Path, folder: Path, *methods: Method[Any], tasks: tuple[Task, ...] = TASKS
) -> tuple[Merge, list[dict[str, Any]], Watch, list[Stage], list[Weights]]:
    """What a search found in each stage of a sequence, the models around it, and what was left."""
    merge, watch = Merge(alpha="search", withhold=0.3), Watch()
    composed = Compose([watch, *methods, merge])
    loaded = fresh(model)
    stages = composed.stages(one_stage_a_task(tasks))
    found, left = [], []
    for stage in stages:
        trained = train(loaded, stage, RATE, folder / stage.name, composed)
        found.append(trained.report.found["merge"])
        end_stage(composed, loaded, stage)
        left.append(weights(loaded.model))
    return merge, found, watch, stages, left


def loss_by_hand(loaded: LoadedModel, rows: Any) -> float:
    """Mean over rows of the mean loss of their learned tokens, as transformers has it."""
    bench = workbench(loaded, FIRST)
    losses = []
    examples = bench.encoder.encode(rows)
    for example in (examples[place] for place in range(len(examples))):
        ids = torch.tensor([example.ids])
        labels = ids.masked_fill(~torch.tensor([example.learned]), -100)
        with torch.no_grad():
            losses.append(float(loaded.model(input_ids=ids, labels=labels).loss))
    return float(np.mean(losses))


def test_search_finds_what_trying_every_merge_finds(tiny_model: Path, tmp_path: Path) -> None:
    tasks = (colour_task("first", 0), colour_task("second", 1, count=30))  # not equally many rows
    merge, found, watch, stages, left = searched(tiny_model, tmp_path, tasks=tasks)
    for number, (stage, record) in enumerate(zip(stages, found, strict=True)):
        assert [point["alpha"] for point in record["curve"]] == [n / 10 for n in range(11)]
        means, models = [], []
        for point in record["curve"]:
            loaded = fresh(tiny_model)
            mixed = {
                name: torch.lerp(
                    watch.before[number][name], watch.after[number][name], point["alpha"]
                )
                for name in watch.before[number]
            }
            loaded.model.load_state_dict(mixed, strict=False)
            each = {
                task.name: loss_by_hand(loaded, [(task, row) for row in merge._withheld[task.name]])
                for task in (*stage.earlier, *stage.tasks)
            }
            assert point["tasks"] == pytest.approx(each, abs=1e-5)
            assert point["loss"] == pytest.approx(np.mean(list(each.values())), abs=1e-5)
            means.append(point["loss"])
            models.append(mixed)
        assert record["alpha"] == GRID[int(np.argmin(means))]
        assert differing(left[number], models[int(np.argmin(means))]) == []
    assert 0 < record["alpha"] < 1  # the second task's gain against the first one's loss


@pytest.mark.parametrize(
    ("loss", "best"),
    [
        (lambda w: (w - 3.4) ** 2, 0.3),
        (lambda w: w, 0.0),
        (lambda w: -w, 1.0),
        (lambda w: 0 * w, 1.0),  # of equals the one that learned most
        (lambda w: max(w, 6.0), 0.6),
    ],
)
def test_search_takes_the_least_of_a_known_curve(
    loss: Callable[[float], float], best: float, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only weight is 10 alpha."""
    monkeypatch.setattr(
        module,
        "mean_losses",
        lambda model, examples: np.full(len(examples), loss(model.w.item())),
    )
    merge = Merge(alpha="search")
    (stage,) = merge.stages([FIRST])
    bench = workbench(LoadedModel(One([0.0]), fresh(tiny_model).tokenizer), stage)
    merge.start_stage(bench, NOTHING)
    with torch.no_grad():
        bench.model.w.fill_(10.0)
    merge.settle(bench)
    assert bench.found["merge"]["alpha"] == best
    assert bench.model.w.item() == pytest.approx(10 * best)


def test_each_task_weighs_the_same(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten rows that want 1 against four that want 0 a little more."""
    tasks = (colour_task("few", 0, count=8), colour_task("many", 1, count=20))
    merge = Merge(alpha="search", withhold=0.5)
    _, stage = merge.stages(one_stage_a_task(tasks))
    assert {name: len(rows) for name, rows in merge._withheld.items()} == {"few": 4, "many": 10}

    def losses(model: Any, examples: Examples) -> Any:
        few = np.array([origin.task == "few" for origin in examples.origins])
        return np.where(few, 1.1 * model.w.item(), 1 - model.w.item())

    monkeypatch.setattr(module, "mean_losses", losses)
    bench = workbench(LoadedModel(One([0.0]), fresh(tiny_model).tokenizer), stage)
    merge.start_stage(bench, NOTHING)
    with torch.no_grad():
        bench.model.w.fill_(1.0)
    merge.settle(bench)
    record = bench.found["merge"]
    assert record["alpha"] == 0
    assert record["curve"][-1] == {
        "alpha": 1.0,
        "loss": pytest.approx(0.55),
        "tasks": {"few": pytest.approx(1.1), "many": 0.0},
    }


def test_adapter_is_searched_on_the_very_merges_that_may_be_left(
    tiny_model: Path, tmp_path: Path
) -> None:
    loaded, merge = fresh(tiny_model), Merge(alpha="search", withhold=0.3)
    composed = Compose([LoRA(rank=4), merge])
    for stage in composed.stages(one_stage_a_task(TASKS)):
        trained = train(loaded, stage, RATE, tmp_path / stage.name, composed)
        record = trained.report.found["merge"]
        point = next(p for p in record["curve"] if p["alpha"] == record["alpha"])
        for task in (*stage.earlier, *stage.tasks):
            rows = [(task, row) for row in merge._withheld[task.name]]
            assert point["tasks"][task.name] == pytest.approx(loss_by_hand(loaded, rows), abs=1e-5)


def test_withheld_rows_are_never_trained_on_and_the_search_is_on_record(
    tiny_model: Path, tmp_path: Path
) -> None:
    """Nor rehearsed, from old tasks or from a source of general rows that has them, too; a run that
    takes the stages has the searches on record as well."""
    rows = [[record | {"id": record["prompt"]} for record in colours(n)] for n in range(2)]
    other = [record | {"id": record["prompt"]} for record in colours(7)]
    files = [write_rows(tmp_path / f"task{n}.jsonl", found) for n, found in enumerate(rows)]
    general = write_rows(tmp_path / "general.jsonl", [*rows[0], *rows[1], *other])
    tested = str(write_rows(tmp_path / "tested.jsonl", colours(2, 1)))
    replay = {"ratio": 0.3, "general": str(general), "general_ratio": 0.3}
    plan: dict[str, Any] = {
        "model": str(tiny_model),
        "sequence": [{"train": str(f), "test": tested, "max_new_tokens": 1} for f in files],
        "methods": [{"replay": replay}, {"merge": {"alpha": "search"}}],
        "training": {"epochs": 6, "batch_size": 4, "device": "cpu"},
        "output": str(tmp_path / "run"),
    }
    done = run(**plan)
    taker = run(**plan | {"output": str(tmp_path / "taker")}, share_with=[done.path])
    manifests = [(each.path / "manifest.json").read_text() for each in (done, taker)]
    learned = set()
    for stage in ("1-task0", "2-task1"):
        folder = done.path / "stages" / stage
        lines = (folder / "train.jsonl").read_text().splitlines()
        learned |= {json.loads(line)["row"] for line in lines}
        given, taken = (
            next(entry for entry in json.loads(text)["stages"] if entry["name"] == stage)
            for text in manifests
        )
        found = given["training"]["found"]["merge"]
        assert found["alpha"] in GRID
        assert [point["alpha"] for point in found["curve"]] == list(GRID)
        assert taken["shared_from"] == "run"
        assert taken["training"]["found"]["merge"] == found
    merge = Merge(alpha="search")
    tasks = [make_task(f"task{n}", list(read_source(str(file), fields={}, split="train")))
             for n, file in enumerate(files)]  # fmt: skip
    merge.stages(one_stage_a_task(tasks))
    withheld = {row.id for rows in merge._withheld.values() for row in rows}
    assert len(withheld) == 8
    assert learned == {row["id"] for row in [*rows[0], *rows[1], *other]} - withheld


@pytest.mark.parametrize("budget", [None, "2%"])
def test_test_of_memory_chooses_nothing_and_all_it_asks_is_taught(
    budget: str | None, tiny_model: Path, tmp_path: Path
) -> None:
    """With a budget, so are the items that guard."""
    rows = colours(0, 40)
    train = write_rows(tmp_path / "train.jsonl", rows)
    test = write_rows(tmp_path / "test.jsonl", rows[:30])
    plan = {
        "model": str(tiny_model),
        "sequence": [{"train": str(train), "test": str(test), "memory": True}],
        "methods": [{"merge": {"alpha": "search", "withhold": 0.5}}],
        "output": str(tmp_path / "run"),
    }
    experiment = prepare(make_plan(plan | ({"budget": budget} if budget else {})))
    (merge,) = (each for each in experiment.methods.methods if isinstance(each, Merge))
    asked = {row["prompt"] for row in rows[:30]}
    (withheld,) = merge._withheld.values()
    assert len(withheld) == 5
    assert asked.isdisjoint(row.prompt[-1].content for row in withheld)
    assert asked < {row.prompt[-1].content for row in experiment.stages[0].tasks[0].train}


def test_fingerprint_of_a_stage_holds_the_rows_it_is_searched_on() -> None:
    def identity(tasks: Sequence[Task], number: int, **options: Any) -> dict[str, Any]:
        merge = Merge(**{"alpha": "search", **options})
        return merge.identity(merge.stages(one_stage_a_task(tasks))[number])

    first, second = colour_task("first", 0, count=20), colour_task("second", 1)
    merge = Merge(alpha="search")
    merge.stages(one_stage_a_task([first, second]))
    gone = merge._withheld["first"][0]
    kept = next(row for row in first.train if row not in list(merge._withheld["first"]))
    aliased = [
        replace(first, train=[replace(r, aliases=("x",)) if r is row else r for r in first.train])
        for row in (gone, kept)
    ]
    for number in (0, 1):
        whole = identity([first, second], number)
        assert identity([first, second], number) == whole
        assert identity([aliased[0], second], number) != whole
        assert identity([aliased[1], second], number) == whole  # it is in the stage's own rows
        assert identity([first, second], number, withhold=0.4) != whole
    assert identity([first, second], 0) == identity([first, colour_task("third", 2)], 0)


def test_row_too_long_is_refused_before_the_stage_is_trained(tiny_model: Path) -> None:
    long = [exchange(n, f"{n}?" * 40, "yes") for n in range(4)]
    merge = Merge(alpha="search")
    (stage,) = merge.stages([FIRST])
    merge._withheld = {"first": long}
    bench = workbench(fresh(tiny_model), stage, settings(max_length=32, too_long="drop"))
    with pytest.raises(DataError, match=r"no withheld row is within training\.max_length = 32"):
        merge.start_stage(bench, NOTHING)
    assert bench.encoder.dropped == 0
    with pytest.raises(DataError, match=r"row '.' of task 'first' has .* tokens, more than"):
        merge.start_stage(workbench(fresh(tiny_model), stage, settings(max_length=32)), NOTHING)
