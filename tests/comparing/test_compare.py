"""A comparison from end to end: bounds, tuning, figures on other items, going on after a kill."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetless.comparing.compare import (
    _checked,
    certifying,
    chosen_arms,
    compare,
    recommended_plan,
    setting_of,
)
from forgetless.comparing.result import Comparison
from forgetless.comparing.settings import Setting
from forgetless.errors import DataError, RunFolderError, UsageError
from forgetless.locking import locked
from forgetless.plan import Plan
from forgetless.progress import Progress
from forgetless.report.comparison import render_comparison_json, render_comparison_markdown
from forgetless.sequence import run_sequence
from forgetless.storage import write_json
from tests.integration.conftest import MakePlan, data, plan, settings  # noqa: F401
from tests.tiny import colours, write_rows

pytestmark = pytest.mark.system


class Watch(Progress):
    """Notes how many runs are told to be finished, and of how many."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def runs(self, done: int, total: int) -> None:
        self.seen.append((done, total))


@pytest.fixture(scope="module")
def found(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Plan, Comparison]:  # noqa: F811
    from forgetless.plan import make_plan

    made = make_plan(settings(data, tmp_path_factory.mktemp("compare") / "out"))
    return made, compare(made, "replay(ratio=0.3)", rates=[3e-3])


def test_both_bounds_stand_beside_the_arms(found: tuple[Plan, Comparison]) -> None:
    _, result = found
    assert [arm.name for arm in result.arms] == ["sequential", "joint", "replay(ratio=0.3)"]
    plain = result.arm("sequential")
    assert (plain.gain.value, plain.cost, plain.replay_share) == (0.0, 1.0, 0.0)
    assert all(arm.failed is None for arm in result.arms)


def test_all_arms_learn_as_many_tokens(found: tuple[Plan, Comparison]) -> None:
    made, result = found
    tokens = {}
    for arm in result.arms:
        manifest = json.loads((Path(made.output) / arm.run / "manifest.json").read_text())
        tokens[arm.name] = sum(stage["training"]["tokens"] for stage in manifest["stages"][1:])
    assert tokens["replay(ratio=0.3)"] == pytest.approx(tokens["sequential"], rel=0.05)
    assert tokens["joint"] == pytest.approx(tokens["sequential"], rel=0.05)


def test_figures_are_of_half_of_the_items(found: tuple[Plan, Comparison]) -> None:
    _, result = found
    assert result.items == {"first": 2, "second": 2, "choices": 3}


def test_a_comparison_that_is_asked_again_runs_nothing(found: tuple[Plan, Comparison]) -> None:
    made, result = found
    files = {file: file.stat().st_mtime_ns for file in Path(made.output).rglob("measured.json")}
    assert len(files) == 3
    watch = Watch()
    again = compare(made, "replay(ratio=0.3)", rates=[3e-3], progress=watch)
    assert watch.seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert {file: file.stat().st_mtime_ns for file in files} == files
    assert again.arms == result.arms


def test_what_failed_is_tried_again(found: tuple[Plan, Comparison]) -> None:
    made, result = found
    file = Path(made.output) / result.arm("replay(ratio=0.3)").run / "measured.json"
    sound = json.loads(file.read_text())
    write_json(file, sound | {"failed": "the disk was full"})
    again = compare(made, "replay(ratio=0.3)", rates=[3e-3])
    assert again.arm("replay(ratio=0.3)").accuracy == result.arm("replay(ratio=0.3)").accuracy


def test_two_comparisons_never_share_a_folder(found: tuple[Plan, Comparison]) -> None:
    made, _ = found
    with (
        locked(Path(made.output) / "runs", "another"),
        pytest.raises(RunFolderError, match="in use by process"),
    ):
        compare(made, "replay(ratio=0.3)", rates=[3e-3])


def test_the_folder_of_a_run_is_no_place_for_a_comparison(plan: MakePlan) -> None:  # noqa: F811
    made = plan()
    run_sequence(made)
    with pytest.raises(RunFolderError, match="a comparison needs a folder of its own"):
        compare(made, "replay", rates=[3e-3])


def test_it_can_be_shown(found: tuple[Plan, Comparison]) -> None:
    made, result = found
    shown = render_comparison_markdown(result)
    assert "| replay(ratio=0.3) | 3.0e-3 |" in shown
    assert json.loads(render_comparison_json(result))["arms"][0]["name"] == "sequential"
    taken = replace(result, recommended="replay(ratio=0.3)")
    again = yaml.safe_load(recommended_plan(made, taken).to_yaml())
    assert again["methods"][0]["name"] == "replay"
    assert again["training"]["learning_rate"] == 3e-3
    assert again["output"].endswith("recommended")


def test_what_is_not_recommended_has_no_plan(plan: MakePlan) -> None:  # noqa: F811
    nothing = Comparison("m", (), (), None, ("Nothing helps.",), {}, 0.95, 1.0, (0,), "", "now")
    with pytest.raises(UsageError, match="no protection is recommended: Nothing helps"):
        recommended_plan(plan(), nothing)


@pytest.mark.parametrize(
    ("own", "named", "arms"),
    [
        (["replay"], "replay, kl", ["plan: replay", "kl"]),
        ([{"replay": {"ratio": 0.1}}], "replay, kl", ["plan: replay", "kl"]),  # the default
        ([{"replay": {"ratio": 0.2}}], "replay", ["plan: replay", "replay"]),
        (["ewc"], "ewc", ["plan: ewc", "ewc"]),  # the one is tuned, the other as it is
        (["joint"], "kl", ["kl"]),
    ],
)
def test_no_arm_is_trained_twice(
    plan: MakePlan,  # noqa: F811
    own: list[Any],
    named: str,
    arms: list[str],
) -> None:
    found = chosen_arms(plan(methods=own), named, rates_alone=False)
    assert [arm.name for arm in found] == ["sequential", "joint", *arms]


def test_rates_lie_around_the_plans_and_adapters_have_higher_ones(plan: MakePlan) -> None:  # noqa: F811
    setting = setting_of(plan(training={"learning_rate": 3e-4}), (), pilot=False)
    assert setting.rates == pytest.approx((1e-4, 3e-4, 9e-4))
    assert setting.rates_for(adapter=True) == pytest.approx((3e-4, 9e-4, 27e-4))
    adapters = plan(methods=["lora"], training={"learning_rate": 3e-4})
    assert setting_of(adapters, (), pilot=False).rates_for(adapter=True)[1] == pytest.approx(3e-4)


def test_a_pilot_trains_on_a_tenth_and_tunes_rates_alone(plan: MakePlan) -> None:  # noqa: F811
    made = plan(training={"epochs": 5})
    assert setting_of(made, (), pilot=True).prepare(0)["training"]["epochs"] == pytest.approx(0.5)
    (*_, arm) = chosen_arms(made, "ewc", rates_alone=True)
    assert len(list(arm.candidates([1e-4, 1e-3]))) == 2


def test_what_cannot_be_run_is_refused_before_anything_is(
    plan: MakePlan,  # noqa: F811
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match="cannot be combined"):
        compare(plan("never"), "lora+olora")
    assert not (tmp_path / "never").exists()


def test_a_plan_of_plain_texts_has_nothing_to_rank_by(plan: MakePlan, tmp_path: Path) -> None:  # noqa: F811
    texts = write_rows(tmp_path / "prose.jsonl", [{"text": f"Once {n}."} for n in range(40)])
    with pytest.raises(UsageError, match="each of them is scored by likelihood: prose") as caught:
        compare(plan("never", sequence=[str(texts)]), "replay")
    assert caught.value.fix is not None
    assert caught.value.fix.startswith("test: FILE")
    assert not (tmp_path / "never").exists()


def facts(data: Path, folder: Path, **settings: Any) -> dict[str, Any]:  # noqa: F811
    """Two tasks of twenty facts, each asked for what it teaches; settings of the first."""
    first, second = (
        {"train": str(file), "test": str(file)}
        for file in (write_rows(folder / f"{n}.jsonl", colours(n, 20)) for n in (0, 3))
    )
    return {"sequence": [first | {"name": "a"} | settings, second | {"name": "b"}]}


def test_an_arm_that_may_rehearse_nothing_is_refused_before_anything_runs(
    plan: MakePlan,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError) as caught:
        compare(plan(**facts(data, tmp_path)), "ewc, ewc+replay", rates_alone=True)
    assert caught.value.message == (
        "arm ewc + replay: replay may draw no row of an earlier task, for all are test items; it "
        "would train as without replay"
    )


def test_few_items_are_told_by_how_many_give_figures(
    plan: MakePlan,  # noqa: F811
    data: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    made = plan(**facts(data, tmp_path, memory=True))
    arms = chosen_arms(made, "replay", rates_alone=True)
    _, warnings = _checked(made, setting_of(made, [1e-3]), arms)
    # 1 - 0.025^(1/10) = 0.308; the six items of choices are few already
    few = [warning for warning in warnings if "few test items" in warning]
    assert [warning.split(";")[0] for warning in few] == [
        "task 'choices': few test items: figures rest on 6",
        "task 'a': few test items: figures rest on 10, for of 20 the others choose",
        "task 'b': few test items: figures rest on 10, for of 20 the others choose",
    ]


def test_a_task_of_one_passage_is_refused_before_anything_runs(plan: MakePlan, data: Path) -> None:  # noqa: F811
    rows = [json.loads(line) for line in (data / "first.jsonl").read_text().splitlines()]
    file = data / "passage.jsonl"
    file.write_text("".join(json.dumps(row | {"group": "p"}) + "\n" for row in rows))
    made = plan(test_only=[{"name": "passage", "test": str(file)}])
    with pytest.raises(DataError, match="all test items are of one group"):
        compare(made, "replay", rates=[3e-3])
    assert not Path(made.output).exists()


@pytest.mark.slow
def test_seeds_that_are_reported_chose_nothing_and_ask_the_same_items(plan: MakePlan) -> None:  # noqa: F811
    files = [task["train"] for task in plan().resolved()["sequence"]]
    tasks = [{"train": file, "hold_out": 0.5} for file in files]
    made = plan(sequence=tasks, training={"seed": 7})
    setting = setting_of(made, (), seeds=2)
    assert (setting.search_seeds, setting.seeds) == ((7,), (8, 9))
    found = compare(made, "replay(ratio=0.3)", rates=[3e-3], seeds=2)
    arm = found.arm("replay(ratio=0.3)")
    assert sorted(arm.by_seed) == [8, 9]
    assert arm.accuracy.value == pytest.approx(sum(arm.by_seed.values()) / 2)
    asked = [
        {(line["task"], line["item"]) for line in map(json.loads, file.read_text().splitlines())}
        for file in Path(made.output).glob("runs/*/stages/0-base/scores.jsonl")
    ]
    assert len(asked) == 6
    assert all(items == asked[0] for items in asked)
    assert "2 training seeds, none of which chose" in found.reasons[-1]


def test_no_process_is_started_to_read_what_the_runs_of_a_seed_share(
    plan: MakePlan,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known: list[int] = []

    def noted(*given: Any) -> None:
        known.extend(given[4])
        raise KeyboardInterrupt

    monkeypatch.setattr("forgetless.comparing.compare.TrialRunner", noted)
    with pytest.raises(KeyboardInterrupt):
        compare(plan(training={"seed": 7}), "replay", rates=[3e-3], seeds=2)
    assert sorted(known) == [7, 8, 9]


def test_a_run_is_known_by_what_the_files_held(
    plan: MakePlan,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held: list[str] = []

    def noted(setting: Setting, *given: Any) -> None:
        held.append(setting.data)
        raise KeyboardInterrupt

    monkeypatch.setattr("forgetless.comparing.compare.TrialRunner", noted)
    file = tmp_path / "rewritten.jsonl"
    made = plan(test_only=[{"name": "rewritten", "test": str(file)}])
    for offset in (5, 5, 6):
        write_rows(file, colours(offset))
        with pytest.raises(KeyboardInterrupt):
            compare(made, "replay", rates=[3e-3])
    assert held[0] == held[1] != held[2]


def test_what_will_certify_a_budget_is_left_alone(plan: MakePlan, tmp_path: Path) -> None:  # noqa: F811
    from forgetless.preparation import prepare

    tasks = [
        {"name": name, "train": str(write_rows(tmp_path / f"{name}.jsonl", colours(at))),
         "test": str(write_rows(tmp_path / f"{name}_test.jsonl", colours(at + 9, count=22)))}
        for at, name in enumerate(("law", "art"))
    ]  # fmt: skip
    asked = prepare(plan(sequence=tasks, test_only=[]))
    controlled = prepare(plan(sequence=tasks, test_only=[], budget=0.1))
    assert certifying(asked.tasks) == {
        task.name: frozenset(row.id for row in task.test) for task in controlled.tasks
    }
    assert all(len(items) == 11 for items in certifying(asked.tasks).values())


def test_too_few_items_to_choose_and_to_certify_are_refused(plan: MakePlan) -> None:  # noqa: F811
    with pytest.raises(DataError, match="half choose and half certify"):
        compare(plan(budget=0.1), "replay", rates=[3e-3])
