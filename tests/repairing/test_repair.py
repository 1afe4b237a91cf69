"""A repair from end to end on a tiny model that learned one thing and lost another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetless.auditing.audit import audit
from forgetless.errors import ModelError, RunFolderError, UsageError
from forgetless.evaluation.scorer import score_task
from forgetless.models.save import save_stage_model
from forgetless.plan import BudgetConfig, TaskConfig
from forgetless.repairing.points import BASE, Point
from forgetless.repairing.repair import _between, _said, repair
from forgetless.repairing.result import RepairResult
from forgetless.tasks.halves import by_lot, halves
from forgetless.tasks.task import load_task
from tests.auditing.conftest import WORDS, teach
from tests.repairing.test_search import found
from tests.tiny import write_rows
from tests.training.build import fresh

pytestmark = pytest.mark.system

NUMBERS = range(32)


@dataclass(frozen=True)
class Tuned:
    """The base knows the old, the tuned model the new alone; so gently that both lie between.

    What the lucky model still knows of the old are the items that choose, and no other.
    """

    base: Path
    tuned: Path
    lucky: Path
    old: Path
    new: Path


@pytest.fixture(scope="module")
def models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Tuned:
    folder = tmp_path_factory.mktemp("repair")
    loaded = fresh(tiny_model)

    def save(name: str) -> Path:
        loaded.model.save_pretrained(folder / name)
        loaded.tokenizer.save_pretrained(folder / name)
        return folder / name

    old, new = (
        {f"{asked} {n}?": WORDS[(n + len(asked)) % 6] for n in NUMBERS}
        for asked in ("colour", "shade")
    )
    files = [
        write_rows(folder / f"{name}.jsonl", [{"prompt": q, "completion": a} for q, a in rows])
        for name, rows in (("old", old.items()), ("new", new.items()))
    ]
    wrong = {asked: WORDS[(WORDS.index(said) + 1) % 6] for asked, said in old.items()}
    teach(loaded, old, steps=250)
    base = save("base")
    teach(loaded, old | new, lr=1e-3)
    teach(loaded, wrong | new, steps=20, lr=1e-3)
    tuned = save("tuned")
    choosing = {
        row.prompt[0].content: row.answer
        for row in halves(load_task(TaskConfig(test=str(files[0]))))[0].test
    }
    teach(loaded, wrong | choosing | new, steps=120)
    lucky = save("lucky")
    return Tuned(base, tuned, lucky, *files)


def run(models: Tuned, output: Path | None = None, **settings: Any) -> RepairResult:
    tasks = [str(models.old), str(models.new)]
    wanted: dict[str, Any] = {"budget": 0.5, "device": "cpu", **settings}
    return repair(str(models.base), str(models.tuned), tasks, output=output, **wanted)


def test_the_written_model_scores_what_its_certificate_says(models: Tuned, tmp_path: Path) -> None:
    found = run(models, tmp_path, budget=0.6)
    assert (found.lost, found.learned) == (("old",), ("new",))
    assert found.items == {"old": 16, "new": 16}
    assert found.status in ("repaired", "uncertain")
    again = audit(
        str(models.base), found.model, tasks=[str(models.old), str(models.new)],
        device="cpu", store=False, null_ways=0,
    )  # fmt: skip
    scores = {(item.task, item.item): item.scores["after"] for item in again.items}
    for verdict in found.certificate:
        half = [value for (task, item), value in scores.items() if task == verdict.task]
        assert verdict.items == 16
        assert len(half) == 32
        assert verdict.after.value == pytest.approx(
            2 * sum(half) / 32 - found.point.scores[verdict.task]  # type: ignore[union-attr]
        )


def test_a_budget_may_be_a_share_of_the_score_before_and_another_for_a_single_task(
    models: Tuned,
) -> None:
    found = run(models, budget=BudgetConfig(loss=0.02, relative=True, tasks={"old": 0.5}))
    assert (found.lost, found.learned) == (("old",), ("new",))
    for verdict in found.certificate:
        share = {"old": 0.5, "new": 0.02}[verdict.task]
        assert verdict.before.value is not None
        assert verdict.budget == pytest.approx(share * verdict.before.value)


def test_a_budget_for_a_task_that_is_not_there_is_refused(models: Tuned) -> None:
    with pytest.raises(
        UsageError, match="there is a budget for task 'law'; the tasks are old, new"
    ):
        run(models, budget=BudgetConfig(loss=0.02, tasks={"law": 0.5}))


def test_that_nothing_was_lost_is_certified_on_other_items(models: Tuned, tmp_path: Path) -> None:
    found = repair(
        str(models.base), str(models.tuned), [str(models.new)], budget=0.02, output=tmp_path / "no"
    )
    assert (found.status, found.exit_code, found.model) == ("nothing lost", 0, "")
    (verdict,) = found.certificate
    assert verdict.items == 16
    assert verdict.change.interval is not None
    assert verdict.change.interval.low > 0
    tasks = [str(models.old), str(models.new)]
    lucky = repair(str(models.base), str(models.lucky), tasks, budget=0.5, output=tmp_path / "no")
    assert lucky.lost == ()
    assert (lucky.status, lucky.exit_code, lucky.model) == ("not certified", 3, "")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("name", ["model", "adapter", "repair.json"])
def test_what_is_there_is_never_overwritten_nor_passes_for_what_this_repair_came_to(
    models: Tuned, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).touch()
    with pytest.raises(RunFolderError, match=f"holds {name} already, of another repair or run"):
        run(models, tmp_path)


def test_a_tuned_model_that_learned_nothing_is_no_case_for_a_repair(
    models: Tuned, tmp_path: Path
) -> None:
    found = repair(
        str(models.base), str(models.tuned), [str(models.old)], budget=0.02, output=tmp_path / "no"
    )
    assert (found.status, found.exit_code, found.model) == ("no point", 3, "")
    assert "better on no task" in found.reason
    assert not (tmp_path / "no").exists()


def test_two_tasks_of_one_name_are_refused_and_not_given_one_anothers_answers(
    models: Tuned, tmp_path: Path
) -> None:
    (tmp_path / "old.jsonl").write_text(models.new.read_text())
    tasks = [str(models.old), str(tmp_path / "old.jsonl")]
    with pytest.raises(UsageError, match="two tasks are named 'old'") as caught:
        repair(str(models.base), str(models.tuned), tasks)
    assert caught.value.fix == "name one of them:  --task OTHER=FILE"


@pytest.mark.parametrize("relative", [True, False])
def test_a_task_of_which_no_item_that_certifies_can_be_asked_is_refused_before_the_search(
    models: Tuned, tmp_path: Path, relative: bool
) -> None:
    kinds = {"s": "tint", "l": "long " * 80}
    rows = [
        {"prompt": f"{asked} {n}?", "completion": "red", "group": group}
        for group, asked in kinds.items()
        for n in range(10)
    ]
    third = write_rows(tmp_path / "third.jsonl", rows)
    searching, certifying = halves(load_task(TaskConfig(test=str(third))))
    assert [searching.test[0].group, certifying.test[0].group] == ["s", "l"]
    tasks = [str(models.old), str(models.new), str(third)]
    budget = BudgetConfig(loss=0.8, relative=relative)
    with pytest.raises(UsageError, match="'third': no item can be scored at point 0: "):
        repair(str(models.base), str(models.tuned), tasks, budget=budget, device="cpu")


def test_the_first_few_items_that_the_search_asks_are_drawn_by_lot(
    models: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def recorded(loaded: Any, task: Any, batch_size: int) -> Any:
        asked.append([row.id for row in task.test])
        return score_task(loaded, task, batch_size)

    monkeypatch.setattr("forgetless.repairing.repair.score_task", recorded)
    run(models)
    searching, _ = halves(load_task(TaskConfig(test=str(models.old))))
    few = next(ids for ids in asked if len(ids) == 8)
    assert few == [row.id for row in by_lot(searching).test[:8]]
    assert few != [row.id for row in searching.test[:8]]


def test_a_task_with_too_few_items_is_refused(models: Tuned) -> None:
    with pytest.raises(UsageError, match="half choose and half certify"):
        run(models, limit=10)


def test_a_model_and_itself_have_nothing_between_them(models: Tuned) -> None:
    with pytest.raises(UsageError, match="there is nothing between them"):
        repair(str(models.base), str(models.base), [str(models.old)], device="cpu")


@pytest.mark.parametrize("dora", [False, True])
def test_an_adapter_stays_one_unless_it_has_more_than_two_factors(
    tiny_model: Path, tmp_path: Path, dora: bool
) -> None:
    from peft import LoraConfig, PeftModel, get_peft_model

    base, tuned = fresh(tiny_model), tmp_path / "tuned"
    config = LoraConfig(r=4, use_dora=dora, init_lora_weights=False, task_type="CAUSAL_LM")
    made = get_peft_model(fresh(tiny_model).model, config)
    made.peft_config["default"].base_model_name_or_path = str(tiny_model)
    made.save_pretrained(str(tuned))
    loaded, between = _between(str(tiny_model), str(tuned), "cpu")
    assert between.adapter is not dora
    between.set(Point.even(0.5))
    written = save_stage_model(loaded.model, loaded.tokenizer, tmp_path / "out")
    if dora:
        assert written.name == "model"
        between.set(BASE)
        for name, value in base.model.named_parameters():
            assert torch.equal(loaded.model.get_parameter(name), value)
        return
    again = PeftModel.from_pretrained(base.model, written)
    factors = [name for name, _ in again.named_parameters() if ".lora_" in name]
    assert factors
    for name in factors:
        share = 0.5 if ".lora_B." in name else 1.0
        assert torch.equal(again.get_parameter(name), share * made.get_parameter(name))


def test_numbers_below_one_and_no_tasks_at_all_are_refused(models: Tuned) -> None:
    for name in ("limit", "batch_size"):
        for number in (0, 1.5, "5", True):
            said = f"repair: {name} is {number!r}, needed a whole number from 1"
            with pytest.raises(UsageError, match=said):
                run(models, None, **{name: number})
    with pytest.raises(UsageError, match="a repair needs tasks to measure") as caught:
        repair(str(models.base), str(models.tuned), [])
    assert caught.value.fix == "--task old.jsonl --task new.jsonl"


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (-1, "repair: budget: loss: found int '-1': input should be greater than 0"),
        (1.5, "repair: budget: loss: needed a share below 1, such as 1.5%"),
        (float("nan"), "repair: budget: loss: found float 'nan': "),
        ("x", "repair: budget: loss: needed a share such as 2% or 0.02, found 'x'"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused(models: Tuned, budget: Any, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        run(models, budget=budget)
    assert caught.value.message.startswith(said)


def test_where_every_step_costs_too_much_there_is_no_point() -> None:
    status, reason = _said(found(lambda a: 1.0 if a == 0 else 0.5, lambda a: a))
    assert status == "no point"
    assert reason == "every point within the budget keeps next to nothing of what was learned"
    assert _said(found(lambda a: 1 - a, lambda a: a, budget=0.3)) == (None, "")


def test_a_task_whose_items_are_all_too_long_is_refused(models: Tuned, tmp_path: Path) -> None:
    rows = [{"prompt": f"{n} " + "long " * 300, "completion": "a"} for n in NUMBERS]
    long = write_rows(tmp_path / "long.jsonl", rows)
    with pytest.raises(UsageError, match="'long': no item can be scored at point 0: ") as caught:
        repair(str(models.base), str(models.tuned), [str(long)], device="cpu")
    assert "name a task with shorter items" in str(caught.value.fix)


def test_models_of_two_shapes_are_refused(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(tiny_model)
    config.intermediate_size *= 2
    AutoModelForCausalLM.from_config(config).save_pretrained(tmp_path)
    fresh(tiny_model).tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="their weights differ in name or shape") as caught:
        _between(str(tiny_model), str(tmp_path), "cpu")
    assert caught.value.fix == "name the model that was tuned as BASE"
