"""A plan with a budget on a tiny model: what is kept, what is given up, what is said of it."""

from __future__ import annotations

import json
import shutil
import signal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from safetensors.torch import load_file
from typer.testing import CliRunner

from forgetless import run
from forgetless.budgeting.budget import Budget
from forgetless.budgeting.course import Course
from forgetless.budgeting.going_back import Point, status_of
from forgetless.cli import app
from forgetless.errors import DataError, PlanError, RunFailed
from forgetless.methods.parts.lora_init import TAKING_OVER
from forgetless.plan import BudgetConfig, make_plan
from forgetless.preparation import prepare
from forgetless.report import TerminalReport
from forgetless.result import RunResult
from forgetless.sequence import run_sequence
from tests.faults.experiment import carried_out, contents
from tests.faults.moments import hit_at, moments_of
from tests.tiny import build_model, colours, write_rows
from tests.training.build import fresh, workbench

pytestmark = pytest.mark.system

ITEMS = 16
OTHER = {"red": "blue", "blue": "green", "green": "grey", "grey": "pink", "pink": "gold"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task, one that contradicts it, and one that asks what neither trains."""
    folder = tmp_path_factory.mktemp("budget")
    build_model(folder / "model")
    first = colours(0, ITEMS)
    against = [row | {"completion": OTHER.get(row["completion"], "red")} for row in first]
    write_rows(
        folder / "first.jsonl", [row | {"completion": row["completion"] + "."} for row in first]
    )
    write_rows(folder / "first_test.jsonl", first)
    write_rows(
        folder / "against.jsonl", [row | {"completion": row["completion"] + "!"} for row in against]
    )
    write_rows(folder / "against_test.jsonl", against)
    return folder


def settings(data: Path, output: Path, **changes: Any) -> dict[str, Any]:
    training = {"epochs": 40, "batch_size": 8, "learning_rate": 5e-3, "device": "cpu"}
    return {
        "model": str(data / "model"),
        "sequence": [
            {"train": str(data / f"{name}.jsonl"), "test": str(data / f"{name}_test.jsonl"),
             "max_new_tokens": 8}
            for name in ("first", "against")
        ],
        "methods": [],
        "training": training | changes.pop("training", {}),
        "output": str(output),
    } | changes  # fmt: skip


def weights(result: RunResult, stage: int) -> bytes:
    return (result.model_path(stage) / "model.safetensors").read_bytes()


def record(result: RunResult, stage: str = "2-against") -> dict[str, Any]:
    file = result.path / "stages" / stage / "methods" / "budget.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["stages"][stage]
    return found


@pytest.fixture(scope="module")
def plain(data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(**settings(data, tmp_path_factory.mktemp("plain") / "run"))


def test_a_budget_that_nothing_breaks_changes_no_weight(
    data: Path, tmp_path: Path, plain: RunResult
) -> None:
    held = run(**settings(data, tmp_path / "run", budget={"loss": 0.999, "margin": 0}))
    assert weights(held, 1) == weights(plain, 1)
    assert weights(held, 2) == weights(plain, 2)
    found = record(held)
    assert found["status"] == "held"
    assert found["left"]["losses"]["first"] > 0.5, "the two tasks contradict one another"
    assert len(found["checks"]) == 4


def test_where_one_can_only_be_had_for_the_other_the_older_task_stays_and_this_is_said(
    data: Path, tmp_path: Path
) -> None:
    kept = run(**settings(data, tmp_path / "run", budget={"loss": "1%", "steer": False}))
    found = record(kept)
    assert found["status"] in ("not both", "merged")
    assert found["left"]["losses"]["first"] <= 0.01
    assert found["given_up"]["against"] > 0.5
    assert {point["from"] for point in found["asked"]} >= {"end", "start"}
    matrix = kept.matrix
    assert matrix.values[2][0] == pytest.approx(matrix.values[1][0], abs=0.2)
    if found["left"]["alpha"] == 0 and found["left"]["from"] == "start":
        assert weights(kept, 2) == weights(kept, 1)


def test_a_stage_that_was_slowed_until_it_learned_nothing_is_not_said_to_have_held() -> None:
    def point(origin: str, learned: float) -> Point:
        return Point(origin, 1.0, {}, {}, learned, holds=True)

    idle, end, back = point("end", 0.0), point("end", 1.0), point("start", 0.0)
    assert status_of(idle, idle, slowed=True) == "not both"
    assert status_of(idle, idle, slowed=False) == "held"  # training itself had nothing to give
    assert status_of(end, end, slowed=True) == "held"
    assert status_of(back, end, slowed=False) == "not both"
    assert status_of(back, idle, slowed=False) == "merged"
    assert status_of(back, idle, slowed=True) == "not both"
    assert status_of(point("start", 0.5), end, slowed=True) == "merged"


def test_what_guards_is_never_scored_in_the_matrix_and_never_rehearsed(
    data: Path, tmp_path: Path
) -> None:
    given = settings(data, tmp_path / "run", budget="2%", methods=[{"replay": {"ratio": 0.2}}])
    experiment = prepare(make_plan(given))
    assert isinstance(experiment.budget, Budget)
    for task in experiment.tasks:
        guards = {row.id for row in experiment.budget._guards[task.name].test}
        scored = {row.id for row in task.test}
        assert len(guards) == len(scored) == ITEMS / 2
        assert not guards & scored
    assert len(experiment.stages[1].held_back) == 2 * ITEMS
    assert experiment.methods.label == "replay + budget"
    assert [spec.name for spec in experiment.plan.methods] == ["replay"]


def test_a_price_above_one_weighs_rehearsed_rows_and_strengthens_what_heeds_it(
    data: Path, tmp_path: Path
) -> None:
    given = settings(
        data, tmp_path / "run", budget="2%", methods=[{"replay": {"ratio": 0.2}}, "kl", "ewc"]
    )
    experiment = prepare(make_plan(given))
    budget = experiment.budget
    assert budget is not None
    state = budget.state()
    budget.restore(type(state)({}, state.values | {"price": 4.0}))
    found = {method.name: method.emphasis for method in experiment.methods.methods}
    assert found["kl"] == found["ewc"] == 4.0
    assert found["replay"] == 1.0


def test_a_protection_that_does_not_act_in_a_stage_buys_nothing_there(
    data: Path, tmp_path: Path
) -> None:
    asked = [{"test": str(data / "first_test.jsonl"), "name": "known", "max_new_tokens": 8}]
    for methods, expected in ((["ewc"], False), (["l2sp"], True)):
        given = settings(data, tmp_path, budget="2%", methods=methods, test_only=asked)
        experiment = prepare(make_plan(given))
        bench = workbench(fresh(data / "model"), experiment.stages[0])
        assert experiment.budget is not None
        experiment.budget.start_stage(bench, bench.new)
        assert experiment.budget._course.protected is expected


def test_a_check_records_the_price_that_rules_from_then_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = prepare(make_plan(settings(data, tmp_path, budget="2%")))
    budget = experiment.budget
    assert budget is not None
    budget._references = {"first": dict.fromkeys("ab", 1.0)}
    budget._course = Course(shares={"first": 1.0}, at_start={"against": {"a": 0.0}})
    monkeypatch.setattr(budget, "_ask", lambda *_: {"first": dict.fromkeys("ab", 0.0)})
    budget._check(None)
    assert [check["price"] for check in budget._course.checks] == [budget._course.price] == [2.0]
    assert budget._course.slowed


def test_the_fingerprint_knows_the_budget_and_the_items_that_guard(
    data: Path, tmp_path: Path
) -> None:
    def chain(**changes: Any) -> list[str]:
        return prepare(make_plan(settings(data, tmp_path, **changes))).fingerprints()

    none, two, three = chain(), chain(budget="2%"), chain(budget="3%")
    assert none[:2] == two[:2] == three[:2], "nothing is kept in the first stage"
    assert len({none[2], two[2], three[2]}) == 3


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ("0%", "greater than 0"),
        ("much", "needed a share such as 2% or 0.02, found 'much'"),
        (2, "needed a share below 1, such as 2% or 0.02"),
        ({"loss": "2%", "tasks": {"frist": "3%"}}, "the tasks are first, against"),
        ({"loss": "2%", "tasks": {"first": "300%"}}, "less than 1"),
        ({"los": "2%"}, "unknown key 'los'"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused(data: Path, budget: Any, message: str) -> None:
    with pytest.raises(PlanError, match=message):
        make_plan(settings(data, Path("run"), budget=budget))


@pytest.mark.parametrize("init", sorted(TAKING_OVER))
def test_an_adapter_that_is_two_in_training_and_one_after_it_cannot_go_back(
    init: str, data: Path, tmp_path: Path
) -> None:
    options = {"init": init, "calibration": "bundled:general_knowledge"}
    lora = {"lora": options if init == "corda" else {"init": init}}
    prepare(make_plan(settings(data, tmp_path, methods=[lora])))
    with pytest.raises(PlanError, match="lora and budget cannot be combined: with init"):
        prepare(make_plan(settings(data, tmp_path, methods=[lora], budget="2%")))


def test_too_few_test_items_for_two_halves_are_refused(data: Path, tmp_path: Path) -> None:
    given = settings(data, tmp_path, budget="2%")
    given["sequence"][0]["limit"] = 9
    with pytest.raises(DataError, match="half choose and half certify"):
        prepare(make_plan(given))


@pytest.mark.parametrize("long", [ITEMS, ITEMS // 2])
def test_guard_items_of_which_too_few_can_be_scored_end_a_run(
    long: int, data: Path, tmp_path: Path
) -> None:
    rows = [
        row | {"prompt": row["prompt"] * (50 if number < long else 1)}
        for number, row in enumerate(colours(0, ITEMS))
    ]
    given = settings(data, tmp_path / "run", budget="2%", training={"epochs": 1})
    given["sequence"][0]["test"] = str(write_rows(tmp_path / "long.jsonl", rows))
    said = rf"budget: [0-6] of {ITEMS // 2} guard items of task 'first' can be scored, needed 8: "
    with pytest.raises(RunFailed, match=said) as caught:
        run(**given)
    assert "more than the model's context" in caught.value.message


def test_a_budget_is_given_out_in_equal_parts_over_the_stages_to_come(
    data: Path, tmp_path: Path
) -> None:
    asked = [{"test": str(data / "first_test.jsonl"), "name": "known"}]
    for spread, expected in ((True, [0.5, 1.0]), (False, [1.0, 1.0])):
        given = settings(data, tmp_path, test_only=asked, budget={"loss": "2%", "spread": spread})
        experiment = prepare(make_plan(given))
        assert experiment.budget is not None
        shares = [experiment.budget._share(stage, "known") for stage in experiment.stages]
        assert shares == expected
        assert experiment.budget._share(experiment.stages[1], "first") == 1.0


def test_joint_training_is_one_stage_and_may_spend_the_whole_budget(
    data: Path, tmp_path: Path
) -> None:
    asked = [{"test": str(data / "first_test.jsonl"), "name": "known"}]
    given = settings(data, tmp_path, test_only=asked, budget="2%", methods=["joint"])
    experiment = prepare(make_plan(given))
    assert experiment.budget is not None
    (stage,) = experiment.stages
    assert experiment.budget.kept_in(stage) == ("known",)
    assert experiment.budget._share(stage, "known") == 1.0


def test_short_forms_of_a_budget_mean_the_same() -> None:
    made = [
        make_plan({"model": "m", "sequence": ["a.jsonl"], "budget": budget}).budget
        for budget in ("2%", 0.02, {"loss": "2%"}, {"loss": 0.02})
    ]
    assert made == [BudgetConfig(loss=0.02)] * 4


def test_tensors_of_a_snapshot_do_not_stay_behind(data: Path, tmp_path: Path) -> None:
    kept = run(**settings(data, tmp_path / "run", budget="5%", training={"epochs": 4}))
    folder = kept.path / "stages" / "2-against" / "methods"
    assert not (folder / "budget.safetensors").exists()
    assert load_file(kept.model_path() / "model.safetensors")


def test_a_run_killed_between_two_checks_ends_in_the_same_bytes(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    given = settings(
        data, folder, budget="2%", methods=[{"replay": {"ratio": 0.2}}, "ewc"],
        training={"epochs": 10, "learning_rate": 2e-3, "checkpoint_every": 2},
    )  # fmt: skip
    plan = make_plan(given)
    seen = moments_of(folder, lambda watch: carried_out(plan, watch))
    expected = contents(folder)
    shutil.rmtree(folder)
    steps = [number for number, what in enumerate(seen, start=1) if what == "training"]
    second = steps[len(steps) // 2 + 1 :]
    at = second[len(second) // 2]
    assert hit_at(at, folder, lambda watch: carried_out(plan, watch)) == -signal.SIGKILL
    assert list((folder / "stages" / "2-against" / "checkpoints").glob("checkpoint-*"))
    run_sequence(plan)
    assert contents(folder) == expected


@pytest.fixture(scope="module")
def not_both(data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    output = tmp_path_factory.mktemp("both") / "run"
    return run(**settings(data, output, budget={"loss": "1%", "steer": False, "margin": 0}))


def test_every_form_of_the_report_tells_of_the_budget(not_both: RunResult) -> None:
    outcome = not_both.budget
    assert outcome is not None
    (task,) = outcome.tasks
    (stage,) = outcome.stages
    assert (task.task, task.items, stage.stage) == ("first", ITEMS // 2, "against")
    files = not_both.report()
    document = json.loads(files.json.read_text(encoding="utf-8"))
    assert document["arms"][0]["budget"]["kept"] is outcome.kept
    console = Console(width=100, file=StringIO())
    console.print(TerminalReport(files.report, files.verdict))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    for text in (files.markdown.read_text("utf-8"), files.html.read_text("utf-8"), shown):
        assert "retention budget" in text.lower()
        assert "kept task" in text


def test_the_certificate_is_of_the_items_that_certify(not_both: RunResult) -> None:
    matrix, outcome = not_both.matrix, not_both.budget
    assert outcome is not None
    (task,) = outcome.tasks
    before, after = (matrix.cell(row, "first").scores for row in (1, 2))
    mean = sum(after.values()) / len(after) - sum(before.values()) / len(before)
    assert task.change.value == pytest.approx(mean)


def test_the_command_ends_with_3_if_the_budget_was_not_kept(
    data: Path, tmp_path: Path, not_both: RunResult
) -> None:
    plan = not_both.path / "plan.yaml"
    shown = CliRunner().invoke(app, ["run", str(plan), "--quiet"])
    outcome = not_both.budget
    assert outcome is not None
    assert shown.exit_code == (0 if outcome.kept else 3), shown.output
