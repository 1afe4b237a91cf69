"""What inspect wrote is read, or refused with the place of the fault."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from forgetless.errors import DataError
from forgetless.exchange.compare import compare_conditions
from forgetless.exchange.inspect_files import read_header, read_samples
from forgetless.exchange.inspect_logs import read_inspect
from tests.exchange.build import DATA, change_json

LOGS = DATA / "inspect"


def archive(file: Path, change: dict[str, dict[str, Any]] | None = None) -> Path:
    """The genuine log of the before model, written anew without zstandard, and changed."""
    original = LOGS / "before.eval"
    samples = dict(read_samples(original, {}))
    members = {"header.json": dict(read_header(original))}
    members |= {place.split(": ")[1]: dict(sample) for place, sample in samples.items()}
    for name, more in (change or {}).items():
        members[name] |= more
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, json.dumps(content))
    return file


def test_a_log_compressed_with_zstandard_gives_every_answer_and_its_scores() -> None:
    task = read_inspect(LOGS / "before.eval").task("capitals")
    scores = {item.item: item.score for item in task.items}
    ones = ["fr", "it", "pe", *(f"{key} (epoch 2)" for key in ("fr", "it", "pe", "jp"))]
    assert scores == {**dict.fromkeys(ones, 1.0), "jp": 0.0}
    first = next(item for item in task.items if item.item == "pe")
    assert first.prompt == "What is the capital of Peru?"
    assert (first.gold, first.output) == ("Lima", "It is Lima.")


def test_the_epochs_of_a_sample_are_one_group() -> None:
    task = read_inspect(LOGS / "before.eval").task("capitals")
    assert task.groups["fr"] == task.groups["fr (epoch 2)"] == "fr"
    assert read_inspect(LOGS / "once.json").task("capitals").groups == {}


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        ({}, True),
        ({"target": "Roma"}, False),
        ({"choices": ["Paris", "Rome"]}, False),
        ({"metadata": {"hint": "seven hills"}}, False),
        ({"files": ["map.png"]}, False),
        ({"sandbox": {"type": "docker"}}, False),
        ({"setup": "rm map.png"}, False),
    ],
)
def test_samples_are_a_group_where_all_that_they_ask_is_the_same(
    tmp_path: Path, change: dict[str, Any], alike: bool
) -> None:
    log = json.loads((LOGS / "once.json").read_text())
    one, other = log["samples"][:2]
    other |= {"input": one["input"], "target": one["target"]} | change
    (tmp_path / "log.json").write_text(json.dumps(log))
    groups = read_inspect(tmp_path).task("capitals").groups
    assert groups.keys() == ({one["id"], other["id"]} if alike else set())
    assert len(set(groups.values())) == int(alike)


def test_epochs_of_samples_that_ask_the_same_are_one_group(tmp_path: Path) -> None:
    samples = {place.split(": ")[1]: one for place, one in read_samples(LOGS / "before.eval", {})}
    same = {part: samples["samples/fr_epoch_1.json"][part] for part in ("input", "target")}
    change = {name: same for name, one in samples.items() if one["id"] == "it"}
    groups = read_inspect(archive(tmp_path / "one.eval", change)).task("capitals").groups
    assert {groups[key] for key in ("fr", "fr (epoch 2)", "it", "it (epoch 2)")} == {"fr"}
    assert groups["pe (epoch 2)"] == "pe"


def test_other_scorers_are_readings_and_can_be_the_one_that_counts() -> None:
    answers = {"it": "It is Rome, I think"}
    task = read_inspect(LOGS / "after.eval").task("capitals")
    item = next(item for item in task.items if item.output == answers["it"])
    assert (item.score, item.readings) == (0.0, {"match": 0.0, "includes": 1.0})
    other = read_inspect(LOGS / "after.eval", {"capitals": "includes"}).task("capitals")
    assert next(i for i in other.items if i.item == item.item).score == 1.0


def test_a_plain_archive_reads_like_a_compressed_one(tmp_path: Path) -> None:
    plain, packed = read_inspect(archive(tmp_path / "a.eval")), read_inspect(LOGS / "before.eval")
    assert plain.tasks == packed.tasks


def test_both_formats_are_paired_by_sample_and_epoch() -> None:
    (shared,) = compare_conditions(
        read_inspect(LOGS / "before.eval"), read_inspect(LOGS / "once.json")
    )
    assert sorted(shared.items) == ["fr", "it", "jp", "pe"]
    assert (shared.only_before, shared.only_after) == (4, 0)


def test_another_solver_plan_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="'capitals': solver plan: "):
        compare_conditions(read_inspect(LOGS / "before.eval"), read_inspect(LOGS / "hinted.eval"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"task_version": 2}, "task version: 0 before, 2 after"),
        ({"task_args": {"shots": 3}}, "task arguments: "),
        ({"dataset": {"name": "other"}}, "dataset: capitals before, other after"),
        ({"model_generate_config": {"temperature": 1}}, "generation settings: "),
    ],
)
def test_a_log_with_other_settings_is_refused_by_name(
    tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    header = dict(read_header(LOGS / "before.eval"))
    other = archive(tmp_path / "b.eval", {"header.json": {"eval": {**header["eval"], **change}}})
    with pytest.raises(DataError, match=told):
        compare_conditions(read_inspect(LOGS / "before.eval"), read_inspect(other))


def test_another_question_under_the_same_id_is_refused(tmp_path: Path) -> None:
    other = archive(tmp_path / "b.eval", {"samples/fr_epoch_1.json": {"input": "And of Gaul?"}})
    with pytest.raises(DataError, match="the prompts differ in 1 of 8 items, such as item fr"):
        compare_conditions(read_inspect(LOGS / "before.eval"), read_inspect(other))


@pytest.mark.parametrize(
    ("value", "score"), [("C", 1.0), ("P", 0.5), ("I", 0.0), ("N", 0.0), (True, 1.0), (0.25, 0.25)]
)
def test_letters_and_numbers_are_scores_of_which_0_and_1_are_wrong_and_right(
    tmp_path: Path, value: Any, score: float
) -> None:
    change = {"samples/fr_epoch_1.json": {"scores": {"match": {"value": value}}}}
    task = read_inspect(archive(tmp_path / "a.eval", change)).task("capitals")
    item = next(item for item in task.items if item.item == "fr")
    assert (item.score, item.correct) == (score, {0.0: False, 1.0: True}.get(score))


def test_a_sample_that_failed_is_an_error_and_no_score(tmp_path: Path) -> None:
    change = {"samples/fr_epoch_1.json": {"error": {"message": "out of memory"}}}
    task = read_inspect(archive(tmp_path / "a.eval", change)).task("capitals")
    item = next(item for item in task.items if item.item == "fr")
    assert (item.score, item.error) == (None, "out of memory")


def test_a_sample_without_a_score_is_an_error_and_no_score(tmp_path: Path) -> None:
    change: dict[str, dict[str, Any]] = {"samples/fr_epoch_1.json": {"scores": {}}}
    task = read_inspect(archive(tmp_path / "a.eval", change)).task("capitals")
    item = next(item for item in task.items if item.item == "fr")
    assert (item.score, item.error) == (None, "match gave no score")


@pytest.mark.parametrize("value", [7, pytest.param(7 * 10**400, id="of 401 digits")])
def test_a_scorer_out_of_range_is_refused_with_the_value(tmp_path: Path, value: int) -> None:
    change = {"samples/fr_epoch_1.json": {"scores": {"match": {"value": value}}}}
    log = archive(tmp_path / "a.eval", change)
    with pytest.raises(DataError, match="the scorer match: found the value 7"):
        read_inspect(log, {"capitals": "match"})


def test_a_run_that_did_not_end_is_passed_over_and_said_so(tmp_path: Path) -> None:
    log = archive(tmp_path / "a.eval", {"header.json": {"status": "cancelled"}})
    with pytest.raises(DataError, match="its status is 'cancelled'"):
        read_inspect(log)
    shutil.copy(LOGS / "before.eval", tmp_path / "b.eval")
    assert read_inspect(tmp_path).notes == ("a.eval: its status is 'cancelled': passed over",)


def test_the_newest_log_is_taken_and_said_so(tmp_path: Path) -> None:
    header = dict(read_header(LOGS / "before.eval"))
    newer = {"eval": {**header["eval"], "created": "2030-01-01T00:00:00+00:00"}}
    archive(tmp_path / "a.eval", {"header.json": newer})
    shutil.copy(LOGS / "before.eval", tmp_path / "b.eval")
    found = read_inspect(tmp_path)
    assert found.date.startswith("2030")
    assert found.notes == (
        "capitals: several logs found, the newest was taken (2030-01-01T00:00:00+00:00)",
    )


def test_the_newest_log_is_that_of_the_latest_time_in_whatever_zone_it_is_told(
    tmp_path: Path,
) -> None:
    header = dict(read_header(LOGS / "before.eval"))
    for name, created in (("a", "2030-01-01T09:30:00+00:00"), ("b", "2030-01-01T10:00:00+02:00")):
        made = {"eval": {**header["eval"], "created": created}}
        archive(tmp_path / f"{name}.eval", {"header.json": made})
    assert read_inspect(tmp_path).date == "2030-01-01T09:30:00+00:00"


def test_two_tasks_of_one_name_in_two_packages_keep_their_whole_names(tmp_path: Path) -> None:
    header = dict(read_header(LOGS / "before.eval"))
    for place in ("one", "two"):
        made = {"eval": {**header["eval"], "task": f"{place}/capitals"}}
        archive(tmp_path / f"{place}.eval", {"header.json": made})
    found = read_inspect(tmp_path)
    assert [task.name for task in found.tasks] == ["one/capitals", "two/capitals"]
    assert found.notes == ()
    assert read_inspect(tmp_path / "one.eval").tasks[0].name == "capitals"


def test_logs_of_two_models_are_refused(tmp_path: Path) -> None:
    header = dict(read_header(LOGS / "before.eval"))
    other = {"eval": {**header["eval"], "model": "another", "task": "rivers"}}
    archive(tmp_path / "a.eval", {"header.json": other})
    shutil.copy(LOGS / "before.eval", tmp_path / "b.eval")
    with pytest.raises(DataError, match="logs of several models"):
        read_inspect(tmp_path)


def test_a_torn_archive_is_refused(tmp_path: Path) -> None:
    whole = (LOGS / "before.eval").read_bytes()
    (tmp_path / "torn.eval").write_bytes(whole[:-500])
    with pytest.raises(DataError, match=r"torn\.eval: cannot be read as a zip archive"):
        read_inspect(tmp_path / "torn.eval")


def test_a_damaged_sample_is_refused_with_its_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(LOGS / "before.eval") as opened:
        info = next(i for i in opened.infolist() if i.filename.startswith("samples/fr"))
    content = bytearray((LOGS / "before.eval").read_bytes())
    middle = info.header_offset + 30 + len(info.filename) + info.compress_size // 2
    content[middle] ^= 0xFF
    (tmp_path / "bad.eval").write_bytes(content)
    with pytest.raises(DataError, match=r"samples/fr_epoch_\d\.json: cannot be unpacked"):
        read_inspect(tmp_path / "bad.eval")


def test_samples_that_are_missing_are_noticed(tmp_path: Path) -> None:
    log = Path(shutil.copy(LOGS / "once.json", tmp_path / "log.json"))
    change_json(log, lambda found: found["samples"].pop())
    with pytest.raises(DataError, match="3 samples, but its header speaks of 4"):
        read_inspect(log)


def test_a_run_that_was_cut_short_before_its_header_is_called_started(tmp_path: Path) -> None:
    with zipfile.ZipFile(archive(tmp_path / "whole.eval")) as opened:
        header = json.loads(opened.read("header.json"))
    start = {name: header[name] for name in ("version", "eval", "plan")}
    with zipfile.ZipFile(tmp_path / "cut.eval", "w") as opened:
        opened.writestr("_journal/start.json", json.dumps(start))
    with pytest.raises(DataError, match=r"cut\.eval: its status is 'started'") as refused:
        read_inspect(tmp_path / "cut.eval")
    assert "inspect eval-retry" in str(refused.value.fix)


def test_a_folder_that_is_named_like_a_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.eval").mkdir()
    with pytest.raises(DataError, match=r"folder\.eval: not a file, needed a log of inspect"):
        read_inspect(tmp_path)


def test_a_sample_said_to_be_beyond_the_end_of_the_file_is_refused(tmp_path: Path) -> None:
    content = bytearray((LOGS / "before.eval").read_bytes())
    entry = content.rindex(b"samples/fr_epoch_1.json") - 46  # its place in the directory
    content[entry + 42 : entry + 46] = (len(content) - 7).to_bytes(4, "little")
    (tmp_path / "bad.eval").write_bytes(content)
    with pytest.raises(DataError, match=r"fr_epoch_1\.json: cannot be unpacked: the file ends too"):
        read_inspect(tmp_path / "bad.eval")


@pytest.mark.parametrize("name", ["once.json", "before.eval"])
def test_a_log_without_samples_says_how_to_get_them(tmp_path: Path, name: str) -> None:
    log = tmp_path / name
    if log.suffix == ".json":
        shutil.copy(LOGS / name, log)
        change_json(log, lambda found: found.pop("samples"))
    else:
        with zipfile.ZipFile(log, "w") as opened:
            opened.writestr("header.json", json.dumps(read_header(LOGS / name)))
    with pytest.raises(DataError, match=f"{name}: no samples") as refused:
        read_inspect(log)
    assert refused.value.fix == "run inspect without  --no-log-samples"


@pytest.mark.parametrize("field", ["id", "input"])
def test_a_sample_that_cannot_be_told_from_others_is_refused(tmp_path: Path, field: str) -> None:
    log = Path(shutil.copy(LOGS / "once.json", tmp_path / "log.json"))
    change_json(log, lambda found: found["samples"][1].pop(field))
    with pytest.raises(DataError, match=r"log\.json: sample 2: no id or no input, needed both"):
        read_inspect(log)


def test_a_sample_that_stands_there_twice_is_refused(tmp_path: Path) -> None:
    twice = {"samples/it_epoch_2.json": {"id": "fr"}}
    with pytest.raises(DataError, match=r"sample 'fr \(epoch 2\)' stands there twice"):
        read_inspect(archive(tmp_path / "a.eval", twice))


@pytest.mark.parametrize(
    ("scores", "why"),
    [
        ({}, "there is none"),
        ({"judge": {"value": "good"}}, 'judge: found the value "good", needed one in [0, 1]'),
    ],
)
def test_a_log_without_a_usable_scorer_is_refused_with_the_reason(
    tmp_path: Path, scores: dict[str, Any], why: str
) -> None:
    log = Path(shutil.copy(LOGS / "once.json", tmp_path / "log.json"))
    change_json(log, lambda found: [one.update(scores=scores) for one in found["samples"]])
    with pytest.raises(DataError) as refused:
        read_inspect(log)
    assert f"capitals: no scorer can be compared item by item ({why})" in refused.value.message


def test_a_scorer_for_a_task_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match="no task 'capitols'; there are capitals"):
        read_inspect(LOGS / "once.json", {"capitols": "match"})


def test_messages_are_told_by_role_and_equal_whatever_ids_a_run_drew(tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        messages = [
            {"id": f"{name}-{role}", "role": role, "content": content}
            for role, content in (("system", "Be brief."), ("user", "The capital of Gaul?"))
        ]
        change = {"samples/fr_epoch_1.json": {"input": messages}}
        runs.append(read_inspect(archive(tmp_path / f"{name}.eval", change)))
    first = next(item for item in runs[0].task("capitals").items if item.item == "fr")
    assert first.prompt == "system: Be brief.\nuser: The capital of Gaul?"
    assert len(compare_conditions(*runs)[0].items) == 8


def test_a_message_of_parts_is_told_by_their_texts_and_kinds(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "Whose flag?"}, {"type": "image", "image": "data:..."}, "So?"]
    change = {"samples/fr_epoch_1.json": {"input": [{"role": "user", "content": parts}]}}
    found = read_inspect(archive(tmp_path / "one.eval", change)).task("capitals").items
    told = next(item for item in found if item.item == "fr").prompt
    assert told == "user: Whose flag?\n[image]\nSo?"
