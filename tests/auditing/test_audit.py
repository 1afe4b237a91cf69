"""The audit from end to end on tiny models."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from forgetless.auditing.audit import audit
from forgetless.auditing.config import AuditConfig
from forgetless.auditing.result import Audit
from forgetless.auditing.subjects import find_subjects
from forgetless.errors import UsageError
from forgetless.evaluation.local import LocalSubject
from forgetless.evaluation.result import ItemResult
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task
from tests.auditing.conftest import Damage
from tests.endpoints.faults import serving
from tests.endpoints.scripted import Scripted
from tests.tiny import write_rows
from tests.training.build import fresh, with_added_token


def run(damage: Damage, *afters: Any, **settings: Any) -> Audit:
    wanted: dict[str, Any] = {"tasks": [str(damage.items)], "device": "cpu", "store": False}
    wanted |= settings
    return audit(str(damage.before), *(afters or (str(damage.after),)), **wanted)


def test_a_skill_that_falls_from_all_to_nothing_is_lost(damage: Damage) -> None:
    found = run(damage)
    (verdict,) = found.comparisons[0].verdicts
    assert (verdict.before.value, verdict.after.value) == (1.0, 0.0)
    assert verdict.verdict == "lost"
    assert verdict.flips is not None
    assert (len(verdict.flips.lost), len(verdict.flips.gained)) == (24, 0)
    assert (found.gate, found.exit_code) == ("broken", 3)


def test_a_model_against_itself_loses_nothing(damage: Damage) -> None:
    found = run(damage, str(damage.before))
    (verdict,) = found.comparisons[0].verdicts
    assert verdict.change.value == 0
    assert verdict.verdict in ("kept", "at ceiling", "inconclusive")
    assert found.exit_code in (0, 4)


def test_a_repeated_audit_asks_nothing_and_finds_the_same(damage: Damage, tmp_path: Path) -> None:
    store = tmp_path / "answers.sqlite"
    first, second = run(damage, store=store), run(damage, store=store)
    assert [cost.asked for cost in first.costs.values()] == [48, 24]  # once more in other words
    assert [cost.asked for cost in second.costs.values()] == [0, 0]
    assert [cost.stored for cost in second.costs.values()] == [48, 24]
    assert second.items == first.items
    assert second.comparisons == first.comparisons


def test_a_checkpoint_overwritten_in_place_is_asked_again(damage: Damage, tmp_path: Path) -> None:
    checkpoint, store = tmp_path / "checkpoint", tmp_path / "answers.sqlite"
    shutil.copytree(damage.before, checkpoint)
    unchanged = run(damage, str(checkpoint), store=store)
    assert unchanged.comparisons[0].verdicts[0].change.value == 0
    shutil.copyfile(damage.after / "model.safetensors", checkpoint / "model.safetensors")
    overwritten = run(damage, str(checkpoint), store=store)
    assert overwritten.costs["after"].stored == 0
    assert overwritten.comparisons[0].verdicts[0].change.value == -1


def test_several_models_after_are_each_judged_against_the_first(damage: Damage) -> None:
    found = run(damage, str(damage.before), str(damage.after))
    changes = [comparison.verdicts[0].change.value for comparison in found.comparisons]
    assert changes == [0, -1]
    assert found.gate == "broken"
    labels = {subject.label for subject in found.subjects}
    assert len(labels) == 3
    assert all(set(item.scores) == labels for item in found.items)


def test_models_in_memory_are_audited_as_they_are(damage: Damage) -> None:
    before, after = fresh(damage.before), fresh(damage.after)
    found = audit(before, (after.model, after.tokenizer), tasks=[str(damage.items)], store=False)
    assert found.comparisons[0].verdicts[0].change.value == -1
    assert found.before.kind == "object"


def test_the_likelihood_of_the_gold_answer_falls_with_the_knowledge(damage: Damage) -> None:
    (verdict,) = run(damage).comparisons[0].verdicts
    nll = verdict.readings["nll"]
    assert nll.change.value is not None
    assert nll.change.value > 1
    assert verdict.nature == "knowledge"


def test_drift_is_nothing_for_the_same_model_and_something_for_another(damage: Damage) -> None:
    found = run(damage, str(damage.before), str(damage.after), drift=True)
    same, other = (comparison.drift[0].kl for comparison in found.comparisons)
    assert same == 0
    assert other > 0


def test_models_with_other_templates_are_refused_until_asked_alike(
    damage: Damage, tmp_path: Path
) -> None:
    tuned = tmp_path / "tuned"
    shutil.copytree(damage.after, tuned)
    template = tuned / "chat_template.jinja"
    template.write_text(template.read_text() + "!")
    with pytest.raises(UsageError, match="would not be asked the same"):
        run(damage, str(tuned))
    found = run(damage, str(tuned), render_with="before")
    assert found.comparisons[0].verdicts[0].change.value == -1


@pytest.mark.parametrize("whose", ["before", "after"])
def test_a_model_that_lacks_tokens_of_the_other_does_not_answer_and_is_not_read(
    whose: str, damage: Damage, tmp_path: Path
) -> None:
    """The larger of two vocabularies asks; two of three items hold a token that was added."""
    loaded = with_added_token(damage.before, "zebra")
    loaded.model.resize_token_embeddings(len(loaded.tokenizer))
    larger = str(tmp_path / "larger")
    loaded.model.save_pretrained(larger)
    loaded.tokenizer.save_pretrained(larger)
    rows = [{"prompt": f"{asked}?", "completion": "x"} for asked in ("zebra", "a zebra", "cat")]
    items = write_rows(tmp_path / "animals.jsonl", rows)
    pair = [larger, str(damage.after)] if whose == "before" else [str(damage.after), larger]
    found = audit(
        *pair, tasks=[str(items)], device="cpu", store=False, drift=True, render_with=whose
    )
    lacking = "after" if whose == "before" else "before"
    assert [list(item.errors) for item in found.items] == [[lacking], [lacking], []]
    (drift,) = found.comparisons[0].drift
    assert 0 < drift.tokens < 12  # of the one item that both read
    assert drift.kl > 0.1


def test_an_audit_without_a_model_after_is_refused(damage: Damage) -> None:
    with pytest.raises(UsageError, match="needs a model after"):
        audit(str(damage.before), tasks=[str(damage.items)])


def test_two_tasks_of_one_name_are_refused(damage: Damage) -> None:
    with pytest.raises(UsageError, match="two tasks are named 'colours'"):
        run(damage, tasks=[str(damage.items)] * 2)


def test_how_a_task_was_put_to_the_models_is_kept(damage: Damage, tmp_path: Path) -> None:
    found = run(damage).tasks[0].conditions
    assert {"items", "prompts", "tokens", "generation", "chat template", "tokenizer"} <= set(found)
    shorter = write_rows(tmp_path / "colours.jsonl", [{"prompt": "colour 0?", "completion": "red"}])
    other = run(damage, tasks=[str(shorter)]).tasks[0].conditions
    differing = {part for part in found if found[part] != other[part]}
    assert differing == {"items", "prompts", "tokens"}


def test_what_differs_without_effect_is_no_condition_that_was_kept(
    damage: Damage, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(damage.after, other)
    template = other / "chat_template.jinja"
    template.write_text(template.read_text() + "{# the same in effect #}")
    found = run(damage, str(other))
    assert "chat template" not in found.tasks[0].conditions
    assert any("another one" in note for note in found.afters[0].notes)


def test_drift_of_an_endpoint_is_refused_before_anything_is_asked(damage: Damage) -> None:
    with serving(Scripted()) as server:
        name = f"openai:toy@{server.url}"
        with pytest.raises(UsageError, match="drift needs all log-probabilities") as caught:
            audit(name, name, tasks=[str(damage.items)], drift=True)
    assert caught.value.fix == "leave out --drift"
    assert not any("colour" in str(request) for request in server.seen)


class Silent(LocalSubject):
    """A model of the user's own making that leaves out every answer but the first."""

    def answer(self, task: Task, rows: Sequence[Row]) -> Iterator[list[ItemResult]]:
        return super().answer(task, rows[:1])


def test_an_item_without_any_answer_is_an_error_and_no_score(damage: Damage) -> None:
    (whole,) = find_subjects([str(damage.before)], AuditConfig(device="cpu"))
    assert isinstance(whole, LocalSubject)
    silent = copy.copy(whole)
    silent.__class__ = Silent
    found = audit(silent, str(damage.after), tasks=[str(damage.items)], store=False, null_ways=0)
    answered, *left_out = found.items
    assert answered.scores["before"] == 1.0
    assert {item.errors["before"] for item in left_out} == {"the model gave no answer"}
    assert not any("before" in item.scores for item in left_out)
