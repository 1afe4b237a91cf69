"""Reading a run folder gives back what was written, or names the file and the line at fault."""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from forgetless.errors import RunFolderError, UsageError
from forgetless.report import read_run
from forgetless.result import RunResult

from .fake_runs import FakeTask, write_run

TASKS = [
    FakeTask("law", [0.1, 0.8, 0.3], 1, items=10),
    FakeTask("tax", [0.2, 0.2, 0.9], 2, items=10),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", TASKS)


def scores(folder: Path, stage: str = "1-law") -> Path:
    return folder / "stages" / stage / "scores.jsonl"


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def change_line(path: Path, number: int, **fields: Any) -> None:
    lines = path.read_text().splitlines()
    lines[number - 1] = json.dumps(json.loads(lines[number - 1]) | fields)
    path.write_text("".join(f"{line}\n" for line in lines))


def test_a_run_is_read_back_whole(folder: Path) -> None:
    run = read_run(folder)
    assert (run.name, run.label, run.state, run.seed) == ("run", "sequential", "finished", 7)
    assert [task.name for task in run.tasks] == ["law", "tax"]
    assert [stage.title for stage in run.stages] == ["base", "law", "tax"]
    assert run.stages[1].training is not None
    assert run.stages[1].training.learning_rate == 5e-4
    assert run.stages[0].shared_from == "runs/demo/plain"
    assert run.plan is not None
    assert "SmolLM2" in run.plan
    item = (run.scores[1] or ())[0]
    assert (item.task, item.item, item.correct, item.readings["contains"]) == (
        "law",
        "law-0000",
        True,
        1.0,
    )


def test_the_matrix_is_built_from_the_items(folder: Path) -> None:
    assert read_run(folder).matrix.values == [[0.1, 0.2], [0.8, 0.2], [0.3, 0.9]]


def test_an_unfinished_run_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", TASKS, done=1))
    assert run.state == "running"
    assert [stage.name for stage in run.stages] == ["0-base", "1-law", "2-tax"]
    assert run.scores[1:] == (None, None)
    assert run.matrix.values == [[0.1, 0.2], [None, None], [None, None]]
    assert run.matrix.missing[2, "law"] == "stage '2-tax' is not finished"


def test_a_torn_file_of_an_unfinished_stage_does_no_harm(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", TASKS, done=2)
    torn = folder / "stages" / "2-tax" / "scores.jsonl"
    torn.parent.mkdir()
    torn.write_text('{"task": "law", "it')
    assert read_run(folder).scores[2] is None


@pytest.mark.parametrize("file", ["scores.jsonl", "answers.jsonl"])
@pytest.mark.parametrize("kept", [0, None], ids=["emptied", "edited"])
def test_a_file_that_is_not_the_one_that_the_manifest_names_is_not_shown(
    folder: Path, file: str, kept: int | None
) -> None:
    place = folder / "stages" / "1-law"
    (place / "answers.jsonl").write_text('{"question": "q", "answer": "0.0"}\n')
    hashes = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in place.iterdir()}
    change_manifest(folder, lambda manifest: manifest["stages"][1].update(files=hashes))
    assert read_run(folder).answers[1]
    path = place / file
    path.write_bytes(path.read_bytes().replace(b"0.0", b"1.0")[:kept])
    with pytest.raises(RunFolderError, match=rf"1-law/{file}: damaged, or changed") as raised:
        read_run(folder)
    assert "continue the run" in str(raised.value)


def test_answers_that_the_manifest_names_are_missed(folder: Path) -> None:
    change_manifest(folder, lambda m: m["stages"][1].update(files={"answers.jsonl": "ab" * 32}))
    with pytest.raises(RunFolderError, match=r"answers\.jsonl: missing"):
        read_run(folder)


def test_a_torn_last_line_is_named_with_what_to_do(folder: Path) -> None:
    path = scores(folder)
    path.write_text(path.read_text()[:-40])
    with pytest.raises(RunFolderError, match=r"scores\.jsonl:20: the last line is torn") as raised:
        read_run(folder)
    assert raised.value.fix is not None
    assert "forgetless run" in raised.value.fix


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"task": "lw"}, "task 'lw' is not in the manifest"),
        ({"item": "law-0000"}, "item 'law-0000' of task 'law' is here a second time"),
        ({"score": None}, "found neither 'score' nor 'error'"),
        ({"error": "crash"}, "found both 'score' and 'error'; a crash is never a score"),
        ({"score": 80}, "'score' is 80, needed 0 to 1 for an accuracy"),
        ({"score": "1"}, "'score' is the string '1', needed a number"),
        ({"score": True}, "'score' is true, needed a number"),
        ({"gold": None}, "'gold' is null, needed a string"),
        ({"output": 3}, "'output' is the number 3, needed a string"),
        ({"correct": 1}, "'correct' is the number 1, needed true or false"),
        ({"choices": ["a", 2]}, "'choices' is a list, needed a list of strings"),
        ({"readings": {"acc": "x"}}, "readings: 'acc' is the string 'x', needed a number"),
    ],
)
def test_a_faulty_line_is_named(folder: Path, fields: dict[str, Any], message: str) -> None:
    change_line(scores(folder), 4, **fields)
    with pytest.raises(RunFolderError) as raised:
        read_run(folder)
    assert f"{scores(folder)}:4" in str(raised.value)
    assert message in str(raised.value)


@pytest.mark.parametrize("constant", ["NaN", "Infinity"])
def test_a_number_that_json_does_not_have_is_refused(folder: Path, constant: str) -> None:
    path = scores(folder)
    path.write_text(path.read_text().replace('"score": 1.0', f'"score": {constant}', 1))
    with pytest.raises(RunFolderError, match=rf"scores\.jsonl:1: not valid JSON \({constant}"):
        read_run(folder)


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 400], ids=["1e999", "401 digits"])
def test_a_number_too_large_to_be_one_is_refused(folder: Path, number: str) -> None:
    path = scores(folder)
    path.write_text(path.read_text().replace('"score": 1.0', f'"score": {number}', 1))
    with pytest.raises(RunFolderError, match="needed a finite number"):
        read_run(folder)


def test_a_line_that_is_not_an_object_is_named(folder: Path) -> None:
    path = scores(folder)
    path.write_text("[1]\n" + path.read_text())
    with pytest.raises(RunFolderError, match=r"scores\.jsonl:1: found a list, needed an object"):
        read_run(folder)


def test_a_line_that_is_not_utf8_is_named(folder: Path) -> None:
    path = scores(folder)
    lines = path.read_bytes().split(b"\n")
    lines[2] = b'{"task": "\xff"}'
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(RunFolderError, match=r"scores\.jsonl:3: not UTF-8 text"):
        read_run(folder)


def test_a_file_that_the_disk_does_not_give_is_named_with_the_reason(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(RunFolderError, match=r"json: cannot be read \(Input/output error\)"):
        read_run(folder)


def test_line_separators_inside_an_answer_do_not_split_the_line(folder: Path) -> None:
    path = scores(folder)
    lines = path.read_text().splitlines()
    row = json.loads(lines[0]) | {"output": "one\u2028two\x85three"}
    lines[0] = json.dumps(row, ensure_ascii=False)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    assert (read_run(folder).scores[1] or ())[0].output == "one\u2028two\x85three"


def test_scores_missing_of_a_finished_stage_are_named(folder: Path) -> None:
    scores(folder).unlink()
    with pytest.raises(RunFolderError, match=r"scores\.jsonl: missing, though its stage is"):
        read_run(folder)


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"found no manifest\.json"):
        read_run(tmp_path)
    with pytest.raises(RunFolderError, match="no such folder"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format=2), "'format' is 2, this version reads up to 1"),
        (lambda m: m.update(state="done"), "'state' is 'done', needed one of finished, running"),
        (lambda m: m.pop("label"), "'label' is missing"),
        (lambda m: m.update(seed=1.5), "'seed' is the number 1.5, needed an integer"),
        (lambda m: m["model"].update(parameters=True), "model: 'parameters' is true"),
        (lambda m: m["tasks"][1].update(unit="percent"), "tasks[1]: 'unit' is 'percent'"),
        (lambda m: m["tasks"][1].update(name="law"), "two tasks are called 'law'"),
        (lambda m: m["tasks"][0].update(trained_in=0), "'trained_in' is 0, needed at least 1"),
        (lambda m: m["tasks"][0].update(trained_in=3), "marked finished, but task 'law' is not"),
        (lambda m: m["stages"][2].update(state="trained"), "but stage '2-tax' is not done"),
        (lambda m: m["stages"][1].update(index=4), "stages[1]: 'index' is 4, needed 1"),
        (lambda m: m["stages"][0].update(state="trained"), "there is nothing to report"),
        (lambda m: m.update(tasks=[]), "'tasks' is empty"),
        (lambda m: m.update(stages={}), "'stages' is an object, needed a list of objects"),
        (lambda m: m["stages"].append(3), "'stages[3]' is the number 3, needed an object"),
    ],
)
def test_a_faulty_manifest_is_named(
    folder: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    change_manifest(folder, change)
    with pytest.raises(RunFolderError) as raised:
        read_run(folder)
    assert "manifest.json" in str(raised.value)
    assert message in str(raised.value)
    assert raised.value.fix


def test_a_stage_name_cannot_lead_out_of_the_folder(folder: Path) -> None:
    change_manifest(folder, lambda m: m["stages"][1].update(name="../../elsewhere"))
    with pytest.raises(RunFolderError, match="needed a folder name"):
        read_run(folder)


def test_unknown_entries_are_of_a_later_version_and_ignored(folder: Path) -> None:
    change_manifest(folder, lambda m: m.update(colour="blue"))
    assert read_run(folder).label == "sequential"


def test_the_same_methods_in_a_label_tell_the_role(tmp_path: Path) -> None:
    def role(label: str) -> tuple[bool, bool]:
        run = read_run(write_run(tmp_path / label, TASKS, label=label))
        return run.is_sequential, run.is_joint

    assert role("sequential") == (True, False)
    assert role("sequential + lora") == (True, False)
    assert role("joint + lora") == (False, True)
    assert role("replay + lora") == (False, False)


def test_a_run_is_named_by_text_as_well_as_by_path(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run", [FakeTask("law", (0.0, 0.9), 1)])
    assert RunResult(str(path)) == RunResult(path)
    assert RunResult(str(path)).forgetting == RunResult(path).forgetting
    assert RunResult(str(path)).report(to=str(tmp_path)).html.parent == tmp_path


def test_a_model_that_is_not_there_is_told_with_the_reason(tmp_path: Path) -> None:
    tasks = [FakeTask("law", (0.0, 0.9, 0.9), 1), FakeTask("tax", (0.0, 0.0, 0.9), 2)]
    path = write_run(tmp_path / "run", tasks, done=1)  # the second stage is still to come
    model = path / "stages" / "1-law" / "model"
    model.mkdir(parents=True)
    assert RunResult(path).model_path(1) == RunResult(path).model_path(-2) == model
    for stage in (2, -1):
        with pytest.raises(UsageError, match=f"no model of stage {stage}") as told:
            RunResult(path).model_path(stage)
        assert told.value.fix == "its trained stages: 1"
    model.rmdir()
    with pytest.raises(UsageError, match="1-law: the model is not here; it was deleted or moved"):
        RunResult(path).model_path(1)
