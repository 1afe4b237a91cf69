"""``forgetless audit``: how answers to one's own items are scored."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from forgetless.cli.audit import _mending
from forgetless.cli.audit_folder import Wanted, note_places
from forgetless.report.audit.document import NAME, audit_document, read_audit
from tests.auditing.conftest import Damage, damage  # noqa: F401
from tests.cli.conftest import Forgetless
from tests.exchange.build import choice_sample, write_run
from tests.report.audit.fake_audits import audit
from tests.tiny import write_rows

pytestmark = pytest.mark.system


@pytest.fixture
def items(tmp_path: Path) -> Path:
    rows = [{"prompt": f"colour {number}?", "completion": "red"} for number in range(4)]
    return write_rows(tmp_path / "colours.jsonl", rows)


def test_score_is_the_one_asked_for(
    forgetless: Forgetless, tiny_model: Path, items: Path, tmp_path: Path
) -> None:
    asked = ("audit", tiny_model, tiny_model, "--task", items, "-q", "-o", tmp_path / "page")
    for score, scorer in (((), "exact_match"), (("--score", "contains"), "contains")):
        ended = forgetless(*asked, *score)
        assert (ended.code, ended.err) == (4, "")
        told = json.loads((tmp_path / "page" / "audit.json").read_text())
        assert [task["scorer"] for task in told["tasks"]] == [scorer]


def test_columns_of_other_names_are_asked_beside_those_of_ours(
    forgetless: Forgetless, tiny_model: Path, items: Path, tmp_path: Path
) -> None:
    german = tmp_path / "german.csv"
    german.write_text("frage,antwort\n" + "".join(f"Farbe {n}?,rot\n" for n in range(4)))
    ended = forgetless(
        *("audit", tiny_model, tiny_model, "--task", german, "--task", items),
        *("--fields", "prompt=frage,completion=antwort", "-q", "-o", tmp_path / "page"),
    )
    assert (ended.code, ended.err) == (4, "")
    told = json.loads((tmp_path / "page" / "audit.json").read_text())
    assert {task["name"]: task["items"] for task in told["tasks"]} == {"german": 4, "colours": 4}


def test_names_of_columns_without_a_task_are_refused(
    forgetless: Forgetless, tiny_model: Path
) -> None:
    ended = forgetless("audit", tiny_model, tiny_model, "--fields", "prompt=frage")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: --fields: there is no --task\n")


def test_another_audit_is_never_written_over(
    forgetless: Forgetless, tiny_model: Path, items: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(items.parent)
    stages = [f"runs/{run}/stages/1-law/model" for run in ("plain", "replay")]
    for stage in stages:
        shutil.copytree(tiny_model, stage)
    other = shutil.copy(items, "others.jsonl")
    Path("elsewhere").mkdir()
    namesake = shutil.copy(items, "elsewhere")
    for asked, folder in (
        ((stages[0], items.name), "plain-1-law"),
        ((stages[1], items.name), "replay-1-law"),
        ((stages[1], other), "replay-1-law-2"),
        ((stages[1], items.name), "replay-1-law"),
        ((stages[1], namesake), "replay-1-law-3"),
        ((stages[1], f"./{namesake}"), "replay-1-law-3"),
        ((stages[1], Path(namesake).absolute()), "replay-1-law-3"),
    ):
        after, task = asked
        ended = forgetless("audit", tiny_model, after, "--task", task, "-q")
        assert f"report: audits/{folder}/report.html" in ended.out
    named = ("--task", other, "-q", "-o", "audits/plain-1-law")
    ended = forgetless("audit", tiny_model, stages[0], *named)
    assert ended == (
        2,
        "",
        "error: audits/plain-1-law: holds an audit of other models, tasks or files\n"
        "  fix: --output audits/plain-1-law-2\n",
    )


def test_a_file_of_the_same_name_in_another_folder_is_another_and_by_another_path_the_same(
    forgetless: Forgetless, tiny_model: Path, items: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = items.parent / "elsewhere"
    elsewhere.mkdir()
    shutil.copy(items, elsewhere)
    page = items.parent / "page"
    for present, named, code in (
        (items.parent, items.name, 4),
        (elsewhere, items.name, 2),
        (elsewhere, f"../{items.name}", 4),
    ):
        monkeypatch.chdir(present)
        ended = forgetless("audit", tiny_model, tiny_model, "--task", named, "-q", "-o", page)
        assert ended.code == code
    assert read_audit(page).tasks[0].source == f"../{items.name}"


def test_an_audit_that_was_moved_with_its_items_is_the_same(
    items: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = audit()
    models = [info.name for info in found.subjects]
    asked = replace(found, tasks=(replace(found.tasks[0], name="law", source=items.name),))
    monkeypatch.chdir(tmp_path)
    noted = note_places(asked, Path("audits/law"))
    moved = tmp_path / "moved"
    moved.mkdir()
    items.rename(moved / items.name)
    monkeypatch.chdir(moved)
    wanted = Wanted(models, {"law": items.name})
    assert wanted.is_of(noted, Path("audits/law"))
    assert not wanted.is_of(noted, tmp_path / "audits" / "law")


def test_results_of_one_folder_name_in_two_places_are_two_audits(
    forgetless: Forgetless, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    samples = [choice_sample(number, [-1, -2], 0) for number in range(4)]
    for place, folder in (("one", "after"), ("two", "after-2"), ("one", "after")):
        before, after = (write_run(Path(place, side), samples) for side in ("before", "after"))
        ended = forgetless("audit", before, f"{after}/", "-q")
        assert f"report: audits/{folder}/report.html" in ended.out


def test_an_audit_with_a_task_of_the_harness_is_none_without_it() -> None:
    found = audit()
    models = [info.name for info in found.subjects]
    theirs = Wanted.typed(models, ["lm_eval:arc_easy"], None)
    assert not theirs.is_of(found, Path())
    (task, *_) = found.tasks
    asked = replace(found, tasks=(replace(task, name="arc_easy", source=""),))
    assert theirs.is_of(asked, Path())
    assert not Wanted(models, {"arc_easy": "arc_easy.jsonl"}).is_of(asked, Path())


def test_an_audit_that_does_not_say_what_its_items_were_read_from_may_have_read_any_file(
    tmp_path: Path,
) -> None:
    found = audit()
    models = [info.name for info in found.subjects]
    own = {task.name: f"{task.name}.jsonl" for task in found.tasks}
    unsaid = audit_document(found)
    for task in unsaid["tasks"]:
        del task["source"]
    (tmp_path / NAME).write_text(json.dumps(unsaid))
    assert Wanted(models, own).is_of(read_audit(tmp_path), tmp_path)


@pytest.mark.parametrize("budget", [("--budget", "3%"), ("--set", "budget=0.03")])
def test_a_broken_budget_ends_with_the_repair_to_type(
    forgetless: Forgetless,
    damage: Damage,  # noqa: F811
    tmp_path: Path,
    budget: tuple[str, str],
) -> None:
    asked = ("audit", damage.before, damage.after, *budget, "-q", "-o", tmp_path / "page")
    ended = forgetless(*asked, "--task", damage.items)
    assert ended.code == 3
    assert ended.out.endswith(
        f"\nto mend it: forgetless repair {damage.before} {damage.after} --task {damage.items} "
        "--budget 3% --task WHAT_IT_WAS_TUNED_FOR.jsonl\n"
    )


def test_no_repair_is_offered_where_a_score_was_chosen_that_it_does_not_know(
    forgetless: Forgetless,
    damage: Damage,  # noqa: F811
    tmp_path: Path,
) -> None:
    asked = ("audit", damage.before, damage.after, "--task", damage.items, "--score", "contains")
    ended = forgetless(*asked, "-q", "-o", tmp_path / "page")
    assert ended.code == 3
    assert "to mend it" not in ended.out


def test_only_models_at_hand_are_offered_a_repair() -> None:
    broken = audit()
    tuned = replace(broken.afters[0], kind="endpoint")
    assert _mending(broken, ["law.jsonl"]).startswith("forgetless repair models/")
    away = replace(broken, afters=(tuned, *broken.afters[1:]))
    assert _mending(away, ["law.jsonl"]) == ""


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ((), "--score: there is no --task"),
        (("--task", "lm_eval:arc_easy"), "lm_eval:arc_easy brings its own scores"),
        (("--task", "colours.jsonl"), "score: found str 'kind'"),
    ],
)
def test_score_that_cannot_be_is_refused(
    forgetless: Forgetless, tiny_model: Path, more: tuple[str, ...], told: str
) -> None:
    ended = forgetless("audit", tiny_model, tiny_model, "--score", "kind", *more)
    assert ended.code == 2
    assert told in ended.err
