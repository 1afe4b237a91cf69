"""Results and tasks of other tools in an audit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from forgetless.auditing.audit import audit
from forgetless.auditing.harness import harness_tasks
from forgetless.auditing.imported import asked_task
from forgetless.errors import DataError, UsageError
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.subject import Conditions
from forgetless.exchange.imported import ImportedTask
from forgetless.exchange.lm_eval_tasks import LmEvalTasks
from forgetless.exchange.reading import read_results
from tests.endpoints.faults import serving
from tests.endpoints.scripted import Scripted
from tests.exchange.build import choice_sample, write_run
from tests.exchange.make_lm_eval_fixtures import TASKS, save_models
from tests.tiny import colours, write_rows

RESULTS = Path(__file__).parents[1] / "exchange" / "data"


def lm_eval_outputs() -> tuple[Path, Path]:
    """Two genuine output folders, before and after."""
    folders = sorted({file.parent for file in RESULTS.rglob("results_*.json")})
    before = next(folder for folder in folders if "base" in str(folder))
    after = next(folder for folder in folders if "tuned" in str(folder))
    return before, after


def test_two_outputs_of_the_harness_are_judged_and_no_model_is_run() -> None:
    before, after = lm_eval_outputs()
    found = audit(before, after)
    assert found.before.kind == "results"
    assert found.tasks
    assert found.gate in ("kept", "broken", "inconclusive")
    assert all(cost.asked == 0 for cost in found.costs.values())
    for comparison in found.comparisons:
        assert [verdict.task for verdict in comparison.verdicts] == [t.name for t in found.tasks]


def test_results_and_a_model_are_not_compared(tmp_path: Path, tiny_model: Path) -> None:
    with pytest.raises(UsageError, match=r"holds results and .* does not"):
        audit(lm_eval_outputs()[0], str(tiny_model))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"tasks": ["exam.jsonl"]}, "--task"),
        ({"suite": "quick"}, "--suite"),
        ({"limit": 3}, "--limit"),
        ({"drift": True}, "--drift"),
        ({"render_with": "before"}, "--render-with"),
        ({"base_url": "http://localhost:1/v1"}, "--base-url"),
    ],
)
def test_what_cannot_be_done_with_results_is_refused_and_not_passed_over(
    given: dict[str, Any], name: str
) -> None:
    with pytest.raises(UsageError, match=f"{name}: results of another tool"):
        audit(*lm_eval_outputs(), **given)


def test_items_that_one_result_lacks_are_counted_in_a_note() -> None:
    found = audit(RESULTS / "lm_eval" / "before", RESULTS / "lm_eval" / "limited")
    assert [task.items for task in found.tasks] == [5, 5]
    for subject in found.subjects:
        assert subject.notes == ("14 items are in some of the results only, and do not count",)


def right(count: int) -> list[Any]:
    """Samples that are all answered right."""
    return [choice_sample(number, [-1, -2, -3], 0) for number in range(count)]


def test_items_that_several_results_lack_are_counted_once(tmp_path: Path) -> None:
    before = write_run(tmp_path / "before", right(20))
    afters = [write_run(tmp_path / name, right(5)) for name in ("one", "two")]
    found = audit(before, *afters)
    assert [task.items for task in found.tasks] == [5]
    assert "15 items are in some of the results only" in found.before.notes[0]


@pytest.mark.parametrize(
    ("choices", "chance"),
    [
        ([3, 3], {"0": 1 / 3, "1": 1 / 3}),
        ([3, 2], {"0": 1 / 3, "1": 1 / 2}),
        ([3, 1], {}),
        ([3, 0], {}),
    ],
)
def test_there_is_a_chance_of_guessing_where_every_item_has_two_choices(
    choices: list[int], chance: dict[str, float]
) -> None:
    items = [
        ItemResult("t", str(n), f"{n}?", "a", tuple("abc"[:many]) or None, score=1.0)
        for n, many in enumerate([*choices, 0])
    ]
    task = ImportedTask("t", "accuracy", "acc", tuple(items), Conditions({}), {})
    assert asked_task(task, ["0", "1"]).chance == chance


def test_results_with_a_single_choice_are_judged(tmp_path: Path) -> None:
    for side in ("before", "after"):
        write_run(tmp_path / side, [choice_sample(n, [-1, -2][: n + 1], 0) for n in range(80)])
    assert audit(tmp_path / "before", tmp_path / "after").gate == "kept"


def test_a_task_that_the_results_after_lack_has_failed(tmp_path: Path) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for place in (before, after):
        write_run(place, right(100), task="arc", date="2026-01-02T03-04-05.1")
    assert audit(before, after).gate == "kept"
    write_run(before, right(100), task="gsm", date="2026-01-02T03-04-06.1")
    found = audit(before, after)
    assert [v.verdict for v in found.comparisons[0].verdicts] == ["at ceiling", "failed"]
    assert (found.gate, found.exit_code) == ("failed", 1)
    (note,) = found.afters[0].notes
    assert note.startswith("left out gsm: it is not among these results")
    (note,) = audit(after, before).afters[0].notes[1:]
    assert note == "left out gsm: it is not among the results before"


def test_a_task_of_the_harness_that_was_put_otherwise_to_one_model_is_refused() -> None:
    before, after = (
        {"toy_colours": read_results(RESULTS / "lm_eval" / name).task("toy_colours")}
        for name in ("before", "shots")
    )
    assert [one.info.name for one in harness_tasks([before, before])] == ["toy_colours"]
    with pytest.raises(UsageError, match=r"'toy_colours': the models .* worked examples") as caught:
        harness_tasks([before, after])
    assert caught.value.fix == "leave  --task lm_eval:toy_colours  out"


def test_results_whose_prompts_differ_are_refused(tmp_path: Path) -> None:
    before, after = lm_eval_outputs()
    changed = tmp_path / "changed"
    shutil.copytree(after, changed)
    for file in changed.rglob("samples_*.jsonl"):
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace('"prompt_hash": "', '"prompt_hash": "0'), encoding="utf-8")
    with pytest.raises(DataError, match="cannot be compared"):
        audit(before, changed)


@pytest.fixture
def toy_harness(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A harness that holds one task and answers it by rote; the batch sizes it was asked with."""
    sizes: list[int] = []

    def answer(_: Any, tasks: LmEvalTasks, limit: None, *, batch_size: int) -> list[ImportedTask]:
        sizes.append(batch_size)
        return [read_results(RESULTS / "lm_eval" / "before").task("toy_colours")]

    held = LmEvalTasks("toy_colours", {"tasks": {"toy_colours": None}})
    monkeypatch.setattr("forgetless.auditing.harness.load_lm_eval_tasks", lambda *_: held)
    monkeypatch.setattr("forgetless.auditing.harness.answer_lm_eval_task", answer)
    return sizes


def test_a_task_of_ones_own_that_is_named_as_one_of_the_harness_is_refused(
    toy_harness: list[int], tiny_model: Path, tmp_path: Path
) -> None:
    own = write_rows(tmp_path / "toy_colours.jsonl", colours(0, count=4))
    model, theirs = str(tiny_model), "lm_eval:toy_colours"
    with pytest.raises(UsageError, match="two tasks are named 'toy_colours'"):
        audit(model, model, tasks=[str(own), theirs], store=False, device="cpu")
    assert not toy_harness  # before anything was asked


def test_tasks_of_the_harness_are_asked_in_batches_of_the_size_that_was_set(
    toy_harness: list[int], tiny_model: Path
) -> None:
    model, theirs = str(tiny_model), "lm_eval:toy_colours"
    found = audit(model, model, tasks=[theirs] * 2, batch_size=3, store=False, device="cpu")
    assert [task.name for task in found.tasks] == ["toy_colours"]  # once, though named twice
    assert set(toy_harness) == {3}


@pytest.mark.filterwarnings("default")  # lm_eval's imports warn; nothing of ours
def test_a_task_of_the_harness_is_asked_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lm_eval", reason="needs the extra lm-eval")
    save_models(tmp_path)
    (tmp_path / "tasks").symlink_to(TASKS)
    monkeypatch.chdir(tmp_path)
    base = str(tmp_path / "base")
    found = audit(
        base, base, tasks=["lm_eval:toy_colours"], include_path=tmp_path / "tasks",
        store=False, device="cpu",
    )  # fmt: skip
    (verdict,) = found.comparisons[0].verdicts
    assert verdict.change.value == 0
    assert verdict.items > 0
    with (
        serving(Scripted()) as server,
        pytest.raises(UsageError, match="are asked of local models only") as caught,
    ):
        audit(
            base, f"openai:toy@{server.url}",
            tasks=["bundled:arithmetic", "lm_eval:toy_colours"], include_path=tmp_path / "tasks",
            limit=2, store=False, device="cpu",
        )  # fmt: skip
    assert "--log_samples" in str(caught.value.fix)
