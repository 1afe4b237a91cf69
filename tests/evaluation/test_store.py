from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from forgetless.evaluation import store
from forgetless.evaluation.answers import SCORING
from forgetless.evaluation.result import ItemResult
from forgetless.evaluation.scorer import score_task
from forgetless.evaluation.store import score_stage, score_subject
from forgetless.evaluation.subject import Subject
from forgetless.models.load import LoadedModel
from forgetless.tasks.row import Row
from forgetless.tasks.task import Task
from tests.evaluation.build import COLOURS, choices, texts
from tests.training.build import exchange, make_task

LONG = exchange("long", "x" * 300, "red")
TASKS = (
    make_task("colours", (), [*COLOURS.train, LONG, *COLOURS.test], max_new_tokens=4),
    choices(),
    texts(),
)
ASKED = ("Why, “you” there?",)


class Killed(BaseException):
    """As little to be caught as a signal."""


def store_scores(
    loaded: LoadedModel,
    folder: Path,
    tasks: Sequence[Task] = TASKS,
    on_scored: Callable[[str, int, int], None] = lambda *_: None,
    batch_size: int = 5,
) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    return score_stage(loaded, tasks, ASKED, batch_size, folder, on_scored)


@pytest.fixture(scope="module")
def whole(taught: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder scored without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    store_scores(taught, folder)
    return folder


def killed_after(batches: int, loaded: LoadedModel, folder: Path) -> Path:
    """Score until so many batches are written; returns the unfinished file."""
    calls = 0

    def on_scored(task: str, done: int, total: int) -> None:
        nonlocal calls
        calls += done > 0
        if calls == batches:
            raise Killed

    with pytest.raises(Killed):
        store_scores(loaded, folder, on_scored=on_scored)
    assert not (folder / "scores.jsonl").exists()
    return folder / "scores.part-0.jsonl"


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_one_line_per_item_in_the_order_of_tasks_and_items(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole / "scores.jsonl").read_text().splitlines()]
    assert [(line["task"], line["item"]) for line in lines] == [
        (task.name, row.id) for task in TASKS for row in task.test
    ]
    assert sorted(files(whole)) == ["answers.jsonl", "scores.jsonl"]


def test_what_it_took_counts_items_and_errors(taught: LoadedModel, tmp_path: Path) -> None:
    found = store_scores(taught, tmp_path)
    assert found["items"] == sum(len(task.test) for task in TASKS)
    assert found["errors"] == 1
    assert found["seconds"] > 0
    assert found["cpu_seconds"] > 0


def test_answers_to_open_questions_are_kept_beside_the_scores(whole: Path) -> None:
    (line,) = (whole / "answers.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["question"] == ASKED[0]
    assert isinstance(json.loads(line)["answer"], str)
    assert "“you”" in line  # text stays readable


def test_progress_is_told_task_by_task(taught: LoadedModel, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    store_scores(taught, tmp_path, on_scored=lambda *call: told.append(call))
    for task in TASKS:
        counts = [done for name, done, _ in told if name == task.name]
        assert counts[0] == 0
        assert counts == sorted(set(counts))
        assert counts[-1] == len(task.test)
    assert {(name, total) for name, _, total in told} == {(t.name, len(t.test)) for t in TASKS}


@pytest.mark.parametrize("batches", [1, 2, 5, 6, 9])
def test_scoring_goes_on_after_a_kill_and_ends_in_the_same_bytes(
    batches: int, taught: LoadedModel, tmp_path: Path, whole: Path
) -> None:
    killed_after(batches, taught, tmp_path)
    store_scores(taught, tmp_path)
    assert files(tmp_path) == files(whole)


def test_what_was_scored_is_not_scored_again(
    taught: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = killed_after(3, taught, tmp_path)
    written = [json.loads(line)["item"] for line in part.read_text().splitlines()[1:]]
    again: list[str] = []

    def watched(*args: Any) -> Any:
        for batch in score_task(*args):
            again.extend(result.item for result in batch)
            yield batch

    monkeypatch.setattr("forgetless.evaluation.store.score_task", watched)
    store_scores(taught, tmp_path)
    assert len(written) > 5
    assert not set(written) & set(again)
    assert len(written) + len(again) == sum(len(task.test) for task in TASKS)


@pytest.mark.parametrize("cut", [1, 2, 30, 10_000])
def test_torn_last_line_is_cut_off_and_its_batch_scored_again(
    cut: int, taught: LoadedModel, tmp_path: Path, whole: Path
) -> None:
    part = killed_after(4, taught, tmp_path)
    content = part.read_bytes()
    part.write_bytes(content[: max(0, len(content) - cut)])
    store_scores(taught, tmp_path)
    assert files(tmp_path) == files(whole)


def test_torn_line_is_gone_from_the_file_when_scoring_goes_on(
    taught: LoadedModel, tmp_path: Path, whole: Path
) -> None:
    """So that a second kill loses no more than the first."""
    part = killed_after(2, taught, tmp_path)
    part.write_bytes(part.read_bytes()[:-30])
    killed_after(4, taught, tmp_path)
    assert all(json.loads(line) for line in part.read_bytes().splitlines())
    store_scores(taught, tmp_path)
    assert files(tmp_path) == files(whole)


@pytest.mark.parametrize("rubbish", [b"\x00\xff rubbish\n", b"7\n", b'{"task": "first"}\n'])
def test_line_of_rubbish_ends_what_is_trusted(
    rubbish: bytes, taught: LoadedModel, tmp_path: Path, whole: Path
) -> None:
    part = killed_after(4, taught, tmp_path)
    lines = part.read_bytes().splitlines(keepends=True)
    lines[3] = rubbish
    part.write_bytes(b"".join(lines))
    store_scores(taught, tmp_path)
    assert files(tmp_path) == files(whole)


def test_half_a_batch_is_scored_again_whole(
    taught: LoadedModel, tmp_path: Path, whole: Path
) -> None:
    part = killed_after(4, taught, tmp_path)
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(lines[:-2]))
    store_scores(taught, tmp_path)
    assert files(tmp_path) == files(whole)


def test_lines_about_other_test_items_of_the_same_ids_are_not_gone_on_with(
    taught: LoadedModel, tmp_path: Path
) -> None:
    """The test file was replaced between the kill and the second try."""
    killed_after(4, taught, tmp_path / "changed")
    rows = [exchange(row.id, row.prompt[0].content, "another") for row in TASKS[0].test]
    changed = (make_task("colours", (), rows, max_new_tokens=4), *TASKS[1:])
    store_scores(taught, tmp_path / "changed", changed)
    store_scores(taught, tmp_path / "fresh", changed)
    assert files(tmp_path / "changed") == files(tmp_path / "fresh")


def test_lines_scored_in_other_batches_are_not_gone_on_with(
    taught: LoadedModel, tmp_path: Path
) -> None:
    """Other company in a batch may change the last bits of a likelihood."""
    killed_after(4, taught, tmp_path)
    counts: list[int] = []
    store_scores(taught, tmp_path, on_scored=lambda *call: counts.append(call[1]), batch_size=3)
    assert counts[0] == 0


TWINS = make_task(
    "twins",
    (),
    [exchange(n, f"colour 0-{n % 3}?", "red") for n in range(4)]
    + [exchange(n, f"colour 0-{n}?", "red", group="passage") for n in range(4, 6)],
    max_new_tokens=4,
)


class Elsewhere:
    """A model somewhere else; it knows only what it is asked, and stops after some answers."""

    name = "elsewhere"

    def __init__(self, stops_after: int = 99) -> None:
        self.left = stops_after

    def answer(self, task: Task, rows: Sequence[Row]) -> Iterator[list[ItemResult]]:
        for row in rows:
            if not self.left:
                raise Killed
            self.left -= 1
            yield [ItemResult(task.name, row.id, "", row.answer, output="-", score=0.0)]


def groups_in(folder: Path) -> dict[str, str]:
    lines = map(json.loads, (folder / "scores.jsonl").read_text().splitlines())
    return {line["item"]: line.get("group", "") for line in lines}


def asked_elsewhere(folder: Path, model: Elsewhere) -> None:
    score_subject(cast(Subject, model), [TWINS], (), folder, lambda *_: None)


def test_items_that_ask_the_same_are_written_as_a_group_wherever_the_model_is(
    taught: LoadedModel, tmp_path: Path
) -> None:
    store_scores(taught, tmp_path, [TWINS], batch_size=2)
    found = groups_in(tmp_path)
    assert found == {row.id: TWINS.groups.get(row.id, "") for row in TWINS.test}
    assert found["0"] == found["3"] != "" == found["1"]
    assert found["4"] == found["5"] == "passage"
    with pytest.raises(Killed):
        asked_elsewhere(tmp_path, Elsewhere(stops_after=3))
    asked_elsewhere(tmp_path, Elsewhere())  # which asks the last ones without their twins
    assert groups_in(tmp_path) == found


def test_lines_written_without_groups_are_gone_on_with(taught: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        asked_elsewhere(tmp_path, Elsewhere(stops_after=5))
    part = tmp_path / "scores.part-0.jsonl"
    heading, *lines = map(json.loads, part.read_text().splitlines())
    old = [heading, *({k: v for k, v in line.items() if k != "group"} for line in lines)]
    part.write_text("".join(f"{json.dumps(one)}\n" for one in old))
    asked_elsewhere(tmp_path, Elsewhere(stops_after=1))
    assert [item for item, group in groups_in(tmp_path).items() if group] == ["5"]


@pytest.mark.parametrize(("newer", "asked"), [(0, 3), (1, 6)])
def test_answers_that_were_scored_otherwise_are_not_gone_on_with(
    newer: int, asked: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Killed):
        asked_elsewhere(tmp_path, Elsewhere(stops_after=3))
    monkeypatch.setattr(store, "SCORING", SCORING + newer)
    asked_elsewhere(tmp_path, model := Elsewhere(stops_after=6))
    assert 6 - model.left == asked
